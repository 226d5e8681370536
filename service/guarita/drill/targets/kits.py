"""Sentinel installations as others set them up by default, for a comparison on equal terms.

What is taken is the settings of servers and Sentinels. What is not: the scripts that a kit runs
when a pod is told to stop, so nothing is compared in which a node is asked to end.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kit:
    """Quorum is 2 in all of them."""

    title: str
    source: str
    down_after_ms: int
    failover_timeout_ms: int
    parallel_syncs: int
    data_lines: tuple[str, ...]  # of a data node's configuration, beside port, address and password

    @property
    def patience_s(self) -> float:
        """Until callers are served again after one fault: a failover, and the next try of one."""
        return 60 + 2 * self.down_after_ms / 1000


_OURS = (
    'save ""',
    "appendonly yes",
    "appendfsync everysec",
    "repl-diskless-sync yes",
    "repl-diskless-sync-delay 0",
    "repl-ping-replica-period 1",
    "min-replicas-to-write 1",
    "min-replicas-max-lag 2",
)

KITS = {
    "no-agent": Kit(
        "the same settings, without agents", "docs/architecture.md", 1000, 3000, 2, _OURS
    ),
    "bitnami": Kit(
        "bitnami/redis",
        "https://github.com/bitnami/charts/blob/009bff7493e9880c6be0aadf3a2017792274563c"
        "/bitnami/redis/values.yaml",
        60_000,
        180_000,
        1,
        ("appendonly yes", 'save ""'),
    ),
    "redis-ha": Kit(
        "DandyDeveloper/redis-ha",
        "https://github.com/DandyDeveloper/charts/blob/0022199f9640777f070a8fd65dd51eeea5971653"
        "/charts/redis-ha/values.yaml",
        10_000,
        180_000,
        5,
        (
            "min-replicas-to-write 1",
            "min-replicas-max-lag 5",
            "maxmemory 0",
            "maxmemory-policy volatile-lru",
            "repl-diskless-sync yes",
            "rdbcompression yes",
            "rdbchecksum yes",
            "save 900 1",
        ),
    ),
    "cloudpirates": Kit(
        "CloudPirates/redis",
        "https://github.com/CloudPirates-io/helm-charts/blob/983ec96e1b6a94e22169f1757d50d0658071c5f9"
        "/charts/redis/values.yaml",
        1500,
        15_000,
        1,
        (),
    ),
}
