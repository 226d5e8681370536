"""Installations in containers, for tests of an application that survives a failover.

Needs Docker with compose, and the extra `testing`; `guarita.pytest_plugin` has them as fixtures.
"""

from guarita.testing.client import Client, Session
from guarita.testing.cluster import ClusterInstallation
from guarita.testing.document import IMAGE
from guarita.testing.installation import Installation
from guarita.testing.sentinel import SentinelInstallation
from guarita.testing.standalone import StandaloneInstallation

__all__ = [
    "IMAGE",
    "Client",
    "ClusterInstallation",
    "Installation",
    "SentinelInstallation",
    "Session",
    "StandaloneInstallation",
]
