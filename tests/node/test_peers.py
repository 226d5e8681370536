"""What the agents of other data nodes are asked, and which of their answers count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from guarita.config import Settings
from guarita.node.peers import Agents, PeerState, Role, State

from .facts import A, peer


class Agent(ThreadingHTTPServer):
    """One that says what `says` is."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says: PeerState = peer(A)
        self.asked = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        agent = self.server
        assert isinstance(agent, Agent)
        agent.asked += 1
        body = agent.says.as_json()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent() as agent:
        yield agent
        agent.shutdown()


@pytest.fixture
def agents(agent: Agent) -> Iterator[Agents]:
    node = {"agents": [f"127.0.0.1:{agent.server_port}"], "peers": ["n2:2"]}
    settings = Settings.model_validate({"node": node})
    agents = Agents(settings, timeout_s=1.0)
    yield agents
    agents.close()


def test_what_an_agent_says_is_told_as_it_was_said(agents: Agents, agent: Agent) -> None:
    agent.says = peer(A, 7, Role.PRIMARY, State.LEAVING)
    assert agents.ask([A]) == {A: agent.says}
    agent.says = peer(A, None)
    assert agents.ask([A]) == {A: agent.says}


def test_an_answer_that_came_too_late_is_never_used(agents: Agents, agent: Agent) -> None:
    """It tells how far the node was then, and the next question may come months later."""
    late: Future[PeerState | None] = Future()
    agents._asked = dict.fromkeys(agents._agents, late)
    assert agents.ask([A]) == {A: None}
    assert agent.asked == 0  # one that hangs is not asked again before it has answered
    late.set_result(peer(A))
    agent.says = peer(A, 11)
    assert agents.ask([A]) == {A: agent.says}
