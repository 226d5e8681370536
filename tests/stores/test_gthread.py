"""The service in plain threads, as gunicorn's `gthread` workers run it, on real Sentinels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guarita import processes
from guarita.topology.local import ports

from ..serving import Running
from .conftest import Servers, store_settings

TICKETS = 60
RIVALS = ("first-attempt", "second-attempt", "third-attempt")
APP = "from guarita.config import load\nfrom guarita.wsgi import build\n\napp = build(load())\n"


@pytest.fixture
def service(servers: Servers, tmp_path: Path) -> Iterator[Running]:
    settings = {
        "store": store_settings(servers.get("sentinel")),
        "sessions": {"key_prefix": "threads:", "stats_key": "threads-stats"},
        "security": {"secret": "shared by both workers " * 2},
    }
    (tmp_path / "guarita.yaml").write_text(json.dumps(settings))
    (tmp_path / "threaded.py").write_text(APP)
    (port,) = ports.free_ports(1)
    argv = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "16"]
    argv += ["--workers", "2", "--bind", f"127.0.0.1:{port}", "threaded:app"]
    with subprocess.Popen(
        argv,
        cwd=tmp_path,
        env={"GUARITA_CONFIG": "guarita.yaml", "PATH": ""},
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert processes.wait_until(lambda: ports.answers(port), timeout_s=30)
            yield Running(process, port, tmp_path)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_in_plain_threads_each_ticket_is_admitted_once(service: Running) -> None:
    def created(_number: int) -> str:
        answer = service.call("POST", "/auth/create-session", {})
        assert answer.status == 200, answer
        return str(answer.json["session_id"])

    def redeemed(rival: tuple[str, str]) -> tuple[str, int]:
        id, attempt = rival
        body = {"session_id": id, "attempt": attempt}
        return id, service.call("POST", "/auth/redeem", body).status

    with ThreadPoolExecutor(24) as callers:
        ids = list(callers.map(created, range(TICKETS)))
        answers = list(callers.map(redeemed, [(id, each) for id in ids for each in RIVALS]))
    assert Counter(status for _, status in answers) == {200: TICKETS, 401: 2 * TICKETS}
    assert Counter(id for id, status in answers if status == 200) == dict.fromkeys(ids, 1)
