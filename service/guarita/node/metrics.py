"""What Prometheus reads of an agent: a registry of its own, without the service's metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from guarita.metrics import CONTENT_TYPE
from guarita.node.endpoint import Answer

REGISTRY = CollectorRegistry()

ACTIONS = Counter(
    "guarita_node_actions",
    "What the agent did to its server or to a Sentinel, by its kind.",
    ["action"],
    registry=REGISTRY,
)


def exposition() -> Answer:
    """All metrics as text."""
    return Answer(200, generate_latest(REGISTRY), CONTENT_TYPE)
