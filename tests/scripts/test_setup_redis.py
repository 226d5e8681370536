"""What setup_redis.sh chooses on each system, on pretended machines."""

from __future__ import annotations

import pytest

from scripts.machine import Machine

SCRIPT = "setup_redis.sh"
VALKEY = "Valkey server v=8.1.1 sha=0 bits=64"
REDIS = "Redis server v=7.0.15 sha=0 bits=64"
OLD_REDIS = "Redis server v=6.2.20 sha=0 bits=64"


def candidates(machine: Machine, **versions: str) -> None:
    """An apt-cache that knows these versions, by package name with `_` for `-`."""
    cases = "".join(
        f"{name.replace('_', '-')}) echo '  Candidate: {version}' ;; "
        for name, version in versions.items()
    )
    machine.fake("apt-cache", f"case $2 in {cases} *) echo '  Candidate: (none)' ;; esac")


def dry_run(machine: Machine) -> list[str]:
    answer = machine.run(SCRIPT, "--dry-run")
    assert answer.returncode == 0, answer.stderr
    return [line for line in answer.stdout.splitlines() if not line.startswith(SCRIPT)]


def apt_installs(machine: Machine) -> str:
    line = next(line for line in dry_run(machine) if "apt-get install" in line)
    return line.split()[-1]


@pytest.mark.parametrize(
    ("name", "line"),
    [("redis-server", REDIS), ("valkey-server", VALKEY), ("redis-server", VALKEY)],
)
def test_nothing_is_done_where_a_server_is_installed(
    machine: Machine, name: str, line: str
) -> None:
    machine.fake(name, f"echo '{line}'", silent=True)
    machine.fake("apt-get")
    answer = machine.run(SCRIPT)
    assert answer.returncode == 0
    assert f"{name} {line.split('=')[1].split()[0]} is installed" in answer.stdout
    assert machine.calls == []


def test_apt_takes_valkey_where_the_distribution_has_it(machine: Machine) -> None:
    machine.fake("apt-get")
    candidates(machine, valkey_server="8.1.1+dfsg1-3", redis_server="5:8.0.2-3")
    assert apt_installs(machine) == "valkey-server"


def test_apt_takes_redis_where_there_is_no_valkey(machine: Machine) -> None:
    machine.fake("apt-get")
    candidates(machine, redis_server="5:7.0.15-1~deb12u5")
    assert apt_installs(machine) == "redis-server"


def test_apt_with_too_old_a_redis_installs_nothing(machine: Machine) -> None:
    machine.fake("apt-get")
    candidates(machine, redis_server="5:6.0.16-1ubuntu1")
    answer = machine.run(SCRIPT)
    assert answer.returncode == 3
    assert "make run STORE=memory" in answer.stderr
    assert not any("install" in call for call in machine.calls)


@pytest.mark.parametrize("manager", ["dnf", "yum"])
@pytest.mark.parametrize(("has_valkey", "package"), [(True, "valkey"), (False, "redis")])
def test_dnf_and_yum(machine: Machine, manager: str, has_valkey: bool, package: str) -> None:
    machine.fake(manager, "" if has_valkey else 'case "$*" in *list*) exit 1 ;; esac')
    assert dry_run(machine) == [f"{manager} install -y {package}"]


@pytest.mark.parametrize(("found", "package"), [("valkey-8.1.1-r0", "valkey"), ("", "redis")])
def test_apk(machine: Machine, found: str, package: str) -> None:
    machine.fake("apk", f'case "$1" in search) echo "{found}" ;; esac')
    assert dry_run(machine) == ["apk update -q", f"apk add {package}"]


def test_pacman(machine: Machine) -> None:
    machine.fake("pacman")
    assert dry_run(machine) == ["pacman -S --noconfirm --needed valkey"]


@pytest.mark.parametrize(("status", "package"), [(0, "valkey"), (104, "redis")])
def test_zypper(machine: Machine, status: int, package: str) -> None:
    machine.fake("zypper", f"exit {status}")
    assert dry_run(machine) == [f"zypper --non-interactive install {package}"]


def test_homebrew_is_never_run_by_root_rights(machine: Machine) -> None:
    machine.fake("uname", "echo Darwin", silent=True)
    machine.fake("id", "echo 501", silent=True)
    machine.fake("sudo")
    machine.installs("brew", "valkey-server", VALKEY)
    assert dry_run(machine) == ["brew install valkey"]
    assert machine.run(SCRIPT).returncode == 0
    assert machine.calls == ["brew install valkey"]


def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    machine.fake("id", "echo 1000", silent=True)
    machine.fake("sudo")
    machine.fake("dnf")
    assert dry_run(machine) == ["sudo dnf install -y valkey"]
    assert machine.calls == ["dnf -q list valkey"]


def test_an_install_is_looked_at_before_it_is_believed(machine: Machine) -> None:
    machine.installs("dnf", "redis-server", OLD_REDIS)
    answer = machine.run(SCRIPT)
    assert answer.returncode == 3
    assert "older than" in answer.stderr


def test_a_second_run_finds_what_the_first_installed(machine: Machine) -> None:
    machine.installs("dnf", "valkey-server", VALKEY)
    assert machine.run(SCRIPT).returncode == 0
    before = machine.calls
    assert machine.run(SCRIPT).returncode == 0
    assert machine.calls == before


def test_a_failed_install_says_so(machine: Machine) -> None:
    machine.fake("pacman", "echo 'no network' >&2; exit 1")
    answer = machine.run(SCRIPT)
    assert answer.returncode == 3
    assert "the installation failed (status 1" in answer.stderr
    assert "make run STORE=memory" in answer.stderr


@pytest.mark.parametrize(
    ("sudo", "reason"),
    [(None, "sudo is not here"), ("exit 1", "sudo asks for a password")],
)
def test_without_rights_one_sentence_offers_the_memory_store(
    machine: Machine, sudo: str | None, reason: str
) -> None:
    machine.fake("id", "echo 1000", silent=True)
    machine.fake("pacman")
    if sudo:
        machine.fake("sudo", sudo)
    answer = machine.run(SCRIPT)
    assert answer.returncode == 3
    assert reason in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert "make run STORE=memory" in answer.stderr


def test_sudo_is_used_where_it_asks_for_nothing(machine: Machine) -> None:
    machine.fake("id", "echo 1000", silent=True)
    machine.fake("sudo", '[ "$1" = -n ] || exit 9; shift; exec "$@"')
    machine.fake("true")
    machine.installs("pacman", "valkey-server", VALKEY)
    assert machine.run(SCRIPT).returncode == 0
    assert machine.calls[-1] == "pacman -S --noconfirm --needed valkey"


@pytest.mark.parametrize(("system", "word"), [("Linux", "package manager"), ("Darwin", "Homebrew")])
def test_an_unknown_system_gets_one_sentence(machine: Machine, system: str, word: str) -> None:
    machine.fake("uname", f"echo {system}", silent=True)
    answer = machine.run(SCRIPT)
    assert answer.returncode == 3
    assert word in answer.stderr
    assert "make run STORE=memory" in answer.stderr


def test_docker_is_taken_only_when_asked_for(machine: Machine) -> None:
    machine.fake("docker")
    assert machine.run(SCRIPT).returncode == 3
    assert machine.calls == []


@pytest.mark.parametrize(("exists", "command"), [(True, "start"), (False, "run -d")])
def test_docker_starts_a_container_on_loopback_or_the_one_it_made(
    machine: Machine, exists: bool, command: str
) -> None:
    machine.fake("docker", "" if exists else 'case "$1" in container) exit 1 ;; esac')
    answer = machine.run(SCRIPT, "--docker")
    assert answer.returncode == 0, answer.stderr
    assert machine.calls[1].startswith(f"docker {command}")
    assert exists or "-p 127.0.0.1:6379:6379" in machine.calls[1]


def test_docker_that_fails_says_so(machine: Machine) -> None:
    machine.fake("docker", "exit 1")
    answer = machine.run(SCRIPT, "--docker")
    assert answer.returncode == 3
    assert "docker could not run" in answer.stderr


def test_wrong_usage_and_help(machine: Machine) -> None:
    assert machine.run(SCRIPT, "--fast").returncode == 2
    answer = machine.run(SCRIPT, "--help")
    assert answer.returncode == 0
    assert "--dry-run" in answer.stdout
