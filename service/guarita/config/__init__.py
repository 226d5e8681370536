"""Configuration: one YAML file, the environment and `.env` as one frozen `Settings`.

Nothing else in Guarita reads the environment.
"""

from guarita.config.addresses import Address
from guarita.config.forming import check_cluster
from guarita.config.loading import Loaded, load, load_with_origins
from guarita.config.node import NodeSettings, NodeUser, NodeUsers
from guarita.config.node_rules import check_data_node, check_lone_node, check_sentinel
from guarita.config.settings import (
    DemoSettings,
    Level,
    LogSettings,
    Peer,
    RegionSettings,
    SecuritySettings,
    ServerSettings,
    SessionSettings,
    Settings,
    Tenant,
)
from guarita.config.store import (
    ClusterSettings,
    Credentials,
    DataSettings,
    Durability,
    SentinelSettings,
    StandaloneSettings,
    StoreSettings,
    TlsSettings,
    Topology,
)

__all__ = [
    "Address",
    "ClusterSettings",
    "Credentials",
    "DataSettings",
    "DemoSettings",
    "Durability",
    "Level",
    "Loaded",
    "LogSettings",
    "NodeSettings",
    "NodeUser",
    "NodeUsers",
    "Peer",
    "RegionSettings",
    "SecuritySettings",
    "SentinelSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "StandaloneSettings",
    "StoreSettings",
    "Tenant",
    "TlsSettings",
    "Topology",
    "check_cluster",
    "check_data_node",
    "check_lone_node",
    "check_sentinel",
    "load",
    "load_with_origins",
]
