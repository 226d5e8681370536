"""Keeps the label of this node's pod as its role is, in a thread: no decision waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from guarita.errors import TopologyError
from guarita.kubernetes.api import Api
from guarita.kubernetes.roles import label
from guarita.node.peers import Role

LOOK_S = 0.1
AGAIN_S = 1.0  # after a failure
REPEAT_S = 10.0  # somebody else may have changed it

_log = structlog.get_logger("guarita.node")


class PodLabel:
    """Of one pod, while it is started."""

    def __init__(
        self, api: Api, pod: str, others: tuple[str, ...], role: Callable[[], Role | None]
    ) -> None:
        """`role` is None while it is not known: then the label stays as it is."""
        self._api = api
        self._pod = pod
        self._others = others
        self._role = role
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guarita-label", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()

    def _run(self) -> None:
        told: Role | None = None
        due_s = 0.0
        while not self._over.wait(LOOK_S):
            role, now_s = self._role(), time.monotonic()
            if role is None or (role is told and now_s < due_s):
                continue
            try:
                label(self._api, self._pod, role, self._others)
            except TopologyError as exc:
                _log.warning("the pod is not labelled", role=role, reason=str(exc))
                self._over.wait(AGAIN_S)
                continue
            if role is not told:
                _log.info("the pod is labelled", role=role)
            told, due_s = role, now_s + REPEAT_S
