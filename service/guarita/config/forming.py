"""What `guarita cluster form` needs of the settings."""

from __future__ import annotations

from guarita.config.settings import Settings
from guarita.errors import ConfigError

FEWEST_PRIMARIES = 3  # with two, none of them could be replaced: a majority must vote


def check_cluster(settings: Settings) -> None:
    """Whether a Cluster can be made of this. Raises `ConfigError`."""
    store = settings.store
    if store.topology != "cluster":
        raise ConfigError([f"store.topology: {store.topology}: guarita cluster needs cluster here"])
    count, needed = len(store.cluster.nodes), FEWEST_PRIMARIES * (1 + store.cluster.replicas)
    if count < needed:
        with_replicas = f"with {store.cluster.replicas} replicas each (store.cluster.replicas)"
        raise ConfigError(
            [
                f"store.cluster.nodes: there are {count}: {FEWEST_PRIMARIES} primaries "
                f"{with_replicas} take {needed}, and all must be named here"
            ]
        )
