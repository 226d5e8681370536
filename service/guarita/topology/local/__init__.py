"""Real installations as processes of this machine, on 127.0.0.1: for development and tests."""

from guarita.processes import Condition
from guarita.topology.local.cluster import LocalCluster
from guarita.topology.local.installation import Installation
from guarita.topology.local.nodes import Node
from guarita.topology.local.sentinel import LocalSentinel
from guarita.topology.local.standalone import LocalStandalone

__all__ = [
    "Condition",
    "Installation",
    "LocalCluster",
    "LocalSentinel",
    "LocalStandalone",
    "Node",
]
