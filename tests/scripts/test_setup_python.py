"""What setup_python.sh does to .venv, on pretended machines with a pretended Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.machine import REPOSITORY, Machine

SCRIPT = "setup_python.sh"

# Answers what the script asks: its version, ensurepip, venv, pip, and the digest (of the lock).
PYTHON = r"""
self=$(readlink -f "$0")
case "$*" in
    *"version_info < (3, 11)"*) exit 0 ;;
    *--enable-optimizations*) [ ! -e "$(dirname "$self")/OPTIMIZATIONS_MISSING" ] ;;
    *"%d.%d"*) echo 3.13 ;;
    *"import ensurepip"*) [ ! -e ENSUREPIP_MISSING ] ;;
    --version) echo "Python 3.13.5" ;;
    -) cat >/dev/null; cat requirements.lock ;;
    "-m venv .venv")
        mkdir -p .venv/bin
        cp "$self" .venv/bin/python
        printf '#!/bin/sh\n[ "$1" != config ] || cat INDEX\n' >.venv/bin/pip
        chmod 755 .venv/bin/pip ;;
    "-m pip install --quiet --require-hashes --no-deps"*)
        printf '#!/bin/sh\necho "$@" "from $UV_DEFAULT_INDEX" >>uv.calls\n' >.venv/bin/uv
        printf '[ ! -e UV_FAILS ]\n' >>.venv/bin/uv
        chmod 755 .venv/bin/uv ;;
    "-m pip install --quiet --require-hashes"*) [ ! -e PIP_FAILS ] ;;
    "-m pip install"*"-e .") printf '#!/bin/sh\n' >.venv/bin/guarita; chmod 755 .venv/bin/guarita ;;
esac
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy = tmp_path / "repository"
    (copy / "deploy/scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "deploy/scripts" / SCRIPT, copy / "deploy/scripts")
    (copy / "requirements.lock").write_text("first\n")
    (copy / "pyproject.toml").write_text("")
    return copy


@pytest.fixture
def python(machine: Machine) -> None:
    for name in ("mkdir", "cp", "readlink"):
        machine.link(name)
    machine.fake("python3.13", PYTHON)


def pip_calls(machine: Machine) -> list[str]:
    return [call for call in machine.calls if "-m pip install" in call]


@pytest.mark.usefixtures("python")
def test_a_second_run_does_nothing(machine: Machine, repository: Path) -> None:
    answer = machine.run(SCRIPT, repository=repository)
    assert answer.returncode == 0, answer.stderr
    assert len(pip_calls(machine)) == 2
    (call,) = (repository / "uv.calls").read_text().splitlines()
    assert "--require-hashes -r requirements.lock" in call
    assert machine.run(SCRIPT, repository=repository).stdout == ""
    assert len(pip_calls(machine)) == 2


@pytest.mark.usefixtures("python")
def test_uv_is_the_one_of_the_lock(machine: Machine, repository: Path) -> None:
    lock = (
        "tool==1 \\\n    --hash=a\nuv==1.2 \\\n    --hash=b \\\n    --hash=c\n    # via x\nx==2\n"
    )
    (repository / "requirements.lock").write_text(lock)
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    of_uv = (repository / ".venv/uv.lock").read_text()
    assert of_uv == "uv==1.2 \\\n    --hash=b \\\n    --hash=c\n"


@pytest.mark.usefixtures("python")
def test_uv_asks_the_index_that_pip_is_told_to_ask(machine: Machine, repository: Path) -> None:
    (repository / "INDEX").write_text("https://packages.example/simple\n")
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    (call,) = (repository / "uv.calls").read_text().splitlines()
    assert call.endswith("from https://packages.example/simple")


@pytest.mark.usefixtures("python")
def test_where_uv_cannot_install_pip_does(machine: Machine, repository: Path) -> None:
    (repository / "UV_FAILS").touch()
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    assert "--require-hashes -r requirements.lock --no-compile" in pip_calls(machine)[1]


@pytest.mark.usefixtures("python")
def test_a_changed_lock_is_installed_into_the_same_environment(
    machine: Machine, repository: Path
) -> None:
    machine.run(SCRIPT, repository=repository)
    (repository / ".venv/kept").touch()
    (repository / "requirements.lock").write_text("second\n")
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    assert len(pip_calls(machine)) == 4
    assert (repository / ".venv/kept").exists()


@pytest.mark.usefixtures("python")
def test_an_install_that_failed_is_taken_up_again(machine: Machine, repository: Path) -> None:
    for name in ("UV_FAILS", "PIP_FAILS"):
        (repository / name).touch()
    answer = machine.run(SCRIPT, repository=repository)
    assert answer.returncode == 3
    assert "run it again" in answer.stderr
    (repository / "PIP_FAILS").unlink()
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    assert (repository / ".venv/bin/guarita").exists()


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("broken", ["python", "pip"])
def test_a_broken_environment_is_made_anew(machine: Machine, repository: Path, broken: str) -> None:
    machine.run(SCRIPT, repository=repository)
    (repository / ".venv/old").touch()
    (repository / ".venv/guarita.stamp").unlink()
    (repository / ".venv/bin" / broken).write_text("#!/no/such/interpreter\n")
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    assert not (repository / ".venv/old").exists()


@pytest.mark.usefixtures("python")
def test_debian_gets_the_package_that_makes_environments(
    machine: Machine, repository: Path
) -> None:
    (repository / "ENSUREPIP_MISSING").touch()
    machine.fake("apt-get")
    assert machine.run(SCRIPT, repository=repository).returncode == 0
    assert any(
        call.endswith("install -y -q --no-install-recommends python3.13-venv")
        for call in machine.calls
    )


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("has_apt", [True, False])
def test_without_rights_or_apt_one_sentence_says_what_to_install(
    machine: Machine, repository: Path, has_apt: bool
) -> None:
    (repository / "ENSUREPIP_MISSING").touch()
    machine.fake("id", "echo 1000", silent=True)
    if has_apt:
        machine.fake("apt-get")
    answer = machine.run(SCRIPT, repository=repository)
    assert answer.returncode == 3
    assert ("python3.13-venv" if has_apt else "ensurepip") in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.usefixtures("python")
def test_a_python_with_optimizations_is_taken_before_a_newer_one_without(
    machine: Machine, repository: Path
) -> None:
    (machine.programs / "OPTIMIZATIONS_MISSING").touch()
    second = machine.directory / "second"
    second.mkdir()
    shutil.copy(machine.programs / "python3.13", second / "python3.11")
    answer = machine.run(SCRIPT, repository=repository, path=f"{machine.programs}:{second}")
    assert answer.returncode == 0, answer.stderr
    assert f"({second / 'python3.11'})" in answer.stdout
    assert "without optimizations" not in answer.stdout


@pytest.mark.usefixtures("python")
def test_a_python_without_optimizations_is_taken_with_a_word_where_there_is_no_other(
    machine: Machine, repository: Path
) -> None:
    (machine.programs / "OPTIMIZATIONS_MISSING").touch()
    answer = machine.run(SCRIPT, repository=repository)
    assert answer.returncode == 0, answer.stderr
    assert "without optimizations" in answer.stdout


def test_without_a_new_enough_python_one_sentence_says_so(
    machine: Machine, repository: Path
) -> None:
    machine.fake("python3", "exit 1")
    answer = machine.run(SCRIPT, repository=repository)
    assert answer.returncode == 3
    assert "Python 3.11 or newer is needed" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_every_make_target_is_printed_with_what_it_does() -> None:
    for word in ("help", "setup", "run", "test", "lint", "types", "format", "lock", "clean"):
        lines = (REPOSITORY / "Makefile").read_text().splitlines()
        assert any(line.startswith(f"{word}:") and " ## " in line for line in lines), word
