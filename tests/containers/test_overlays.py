"""compose.tls.yaml and compose.dev.yaml over the kit of Sentinels, both at once.

Nothing answers without TLS, names count, and the service runs from the source beside it. All of it
runs as a user that the image has never heard of, without capabilities and on a read-only root.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guarita.processes import wait_until

from .endpoints import check_endpoints
from .faults import load_through
from .running import Kit, Start

pytestmark = pytest.mark.container

NODES = tuple(f"{kind}-{n}" for kind in ("valkey", "sentinel") for n in (1, 2, 3))
USER = "12345:12345"
TAKEN_UP_S = 60.0

# Where somebody listens in a container, what he says without TLS, and whether he speaks it.
# 127.0.0.11 is Docker's own DNS.
LISTENERS = """
import json, pathlib, socket, ssl
found = {}
for name in ("tcp", "tcp6"):
    for line in pathlib.Path("/proc/net", name).read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == "0A" and not local.startswith("0B00007F"):
            found[int(local.split(":")[1], 16)] = ""
for port in found:
    for words in (b"PING\\r\\n", b"GET /livez HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"):
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.sendall(words)
            try:
                found[port] += plain.recv(1000).decode(errors="replace")
            except OSError:
                pass
    anybody = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with anybody.wrap_socket(plain) as secure:
            found[port] = [found[port], secure.version()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def kit(start: Start) -> Kit:
    return start("sentinel", overlays=("tls", "dev"), user=USER)


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


@pytest.mark.parametrize(
    ("instance", "ports"),
    [
        *((name, {6379, 8300}) for name in NODES[:3]),
        *((name, {26379, 8300}) for name in NODES[3:]),
        ("proxy", {8443}),
        ("service-1", set()),
        ("service-2", set()),
    ],
)
def test_no_port_is_open_that_answers_without_tls(kit: Kit, instance: str, ports: set[int]) -> None:
    told = kit.run_inside(instance, "python3", "-c", LISTENERS)
    found = {int(port): heard for port, heard in json.loads(told.stdout).items()}
    assert set(found) == ports
    for words, version in found.values():
        assert version in ("TLSv1.2", "TLSv1.3")
        assert "PONG" not in words
        assert "HTTP/1.1 2" not in words
        assert "HTTP/1.0 2" not in words
        assert "NOAUTH" not in words


def test_all_run_as_another_user_without_capabilities_on_a_read_only_root(kit: Kit) -> None:
    for instance in (*NODES, "proxy", "service-1", "service-2"):
        status = kit.run_inside(instance, "cat", "/proc/1/status").stdout.splitlines()
        values = dict(line.split(":", 1) for line in status)
        assert values["Uid"].split() == ["12345"] * 4
        assert values["CapEff"].split() == ["0" * 16]
        assert values["NoNewPrivs"].split() == ["1"]
        assert kit.run_inside(instance, "touch", "/here").returncode == 1


def test_all_are_healthy_by_their_own_health_checks(kit: Kit) -> None:
    for instance in (*NODES, "proxy", "service-1", "service-2"):
        told = kit.run_inside(instance, "guarita", "health")
        assert (told.returncode, told.stdout) == (0, "healthy\n"), told


def test_doctor_finds_nothing_wrong_and_asks_agents_over_tls(kit: Kit) -> None:
    kit.wait_well()
    agents = [f"--agent=valkey-{n}:8300" for n in (1, 2, 3)]
    told = kit.run_inside("service-1", "guarita", "doctor", "--json", *agents)
    assert told.returncode == 0, told.stdout


def test_a_certificate_for_another_name_is_refused_with_that_reason(kit: Kit) -> None:
    """The same Sentinel by its address, which its certificate is not for."""
    address = f"{kit.env['NETWORK']}.31"
    told = kit.run_inside(
        "service-1",
        "env",
        f"GUARITA_STORE__SENTINEL__NODES={address}:26379",
        "guarita",
        "doctor",
    )
    assert told.returncode == 1
    assert f"certificate is not valid for '{address}'" in " ".join(told.stdout.split())


def test_a_certificate_of_another_authority_is_refused_with_that_reason(kit: Kit) -> None:
    made = kit.run_inside("service-1", "guarita", "certs", "init", "/tmp/other", "anybody")
    assert made.returncode == 0, made
    told = kit.run_inside(
        "service-1",
        "env",
        "GUARITA_STORE__SENTINEL__TLS__CA_FILE=/tmp/other/ca.crt",
        "guarita",
        "doctor",
    )
    assert told.returncode == 1
    assert "certificate" in told.stdout


def test_under_load_no_request_fails_when_the_primary_is_killed(kit: Kit, tmp_path: Path) -> None:
    kit.wait_well()
    primary = kit.primary()
    load_through(
        kit,
        tmp_path,
        "kill the primary, with TLS",
        lambda: kit.docker("kill", primary),
        lambda: kit.docker("start", primary),
        replicas=2,
    )


def test_a_change_of_the_source_is_taken_up_by_both_instances(kit: Kit) -> None:
    health = kit.source / "api/health.py"
    health.write_text(health.read_text().replace("The store answers", "It is reloaded"))

    def says_so() -> bool:
        told = (kit.call("GET", "/auth/redis-health")[1]["message"] for _ in range(12))
        return set(told) == {"It is reloaded"}

    assert wait_until(says_so, timeout_s=TAKEN_UP_S, pause_s=0.5)


def test_nothing_is_left_of_it_when_it_is_taken_down(kit: Kit) -> None:
    kit.remove()
    assert kit.left_behind() == []
