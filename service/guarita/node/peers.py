"""What the agents of other data nodes say of them, asked over HTTP, all at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from guarita.clients import agent_connection
from guarita.config import Settings
from guarita.stores.durability import Address
from guarita.stores.guard import History


class Role(StrEnum):
    PRIMARY = "primary"
    REPLICA = "replica"


class State(StrEnum):
    """Of a data node under an agent."""

    BOOTING = "booting"  # nobody reaches its server
    RUNNING = "running"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class PeerState:
    """A data node, by the word of its agent."""

    node: Address
    state: State
    role: Role
    history: History | None  # None while it loads

    @property
    def leads(self) -> bool:
        """Whether it is a primary that others reach."""
        return self.role is Role.PRIMARY and self.state is not State.BOOTING

    def as_json(self) -> bytes:
        history = self.history
        return json.dumps(
            {
                "node": list(self.node),
                "state": self.state,
                "role": self.role,
                "history": history
                and {
                    "id": history.id.decode(),
                    "offset": history.offset,
                    "tallied": history.tallied,
                    "second_id": history.second_id.decode(),
                    "second_offset": history.second_offset,
                },
            }
        ).encode()

    @classmethod
    def from_json(cls, body: bytes) -> PeerState:
        """Raises `ValueError`, `KeyError` or `TypeError` on anything else."""
        data = json.loads(body)
        host, port = data["node"]
        return cls(
            (str(host), int(port)),
            State(data["state"]),
            Role(data["role"]),
            _history(data["history"]),
        )


def _history(data: Mapping[str, Any] | None) -> History | None:
    if data is None:
        return None
    return History(
        str(data["id"]).encode(),
        int(data["offset"]),
        int(data["tallied"]),
        str(data["second_id"]).encode(),
        int(data["second_offset"]),
    )


class Agents:
    """The agents of the other data nodes."""

    def __init__(self, settings: Settings, *, timeout_s: float) -> None:
        """`timeout_s`: to connect, and for each piece of an answer."""
        self._agents = tuple((each.host, each.port) for each in settings.node.other_agents)
        self._tls = settings.store.data.tls
        self._timeout_s = timeout_s
        self._executor = ThreadPoolExecutor(max(1, len(self._agents)), "guarita-agents")
        self._asked: dict[Address, Future[PeerState | None]] = {}

    def ask(self, peers: Iterable[Address]) -> dict[Address, PeerState | None]:
        """Each of these data nodes; None where its agent does not answer in time.

        One that hangs (its name does not resolve, say) is not asked again before it has answered;
        what it says then is of no use any more.
        """
        self._asked = {agent: each for agent, each in self._asked.items() if not each.done()}
        asked = {
            agent: self._executor.submit(self._ask, agent)
            for agent in self._agents
            if agent not in self._asked
        }
        self._asked |= asked
        done, _ = wait(asked.values(), 3 * self._timeout_s)
        said = {state.node: state for state in (each.result() for each in done) if state}
        return {peer: said.get(peer) for peer in peers}

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _ask(self, agent: Address) -> PeerState | None:
        try:
            connection = agent_connection(agent, self._tls, self._timeout_s)
        except OSError:
            return None
        try:
            connection.request("GET", "/node")
            response = connection.getresponse()
            body = response.read(65_536)
            return PeerState.from_json(body) if response.status == http.client.OK else None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None
        finally:
            connection.close()
