"""Configuration: one YAML file, the environment and `.env` as one frozen `Settings`.

Nothing else in Guarita reads the environment.
"""

from guarita.config.addresses import Address
from guarita.config.loading import Loaded, load, load_with_origins
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
    "load",
    "load_with_origins",
]
