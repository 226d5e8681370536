"""What `make up` does before anything is started, and what stands in the kits."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

import kit_env
from guarita import certs
from guarita.config import Settings, check_data_node, check_sentinel, load
from guarita.topology.local.ports import free_ports

import kit

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """A directory with all that `make up` needs, but no kit."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(DEPLOY.parent / "pyproject.toml", tmp_path)
    for name in ("kit.py", "kit_env.py"):
        shutil.copy(DEPLOY / name, tmp_path / "deploy")
    return tmp_path / "deploy"


@pytest.fixture
def env(deploy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in kit_env.CHOICES:
        monkeypatch.delenv(name, raising=False)
    path = deploy / ".env"
    assert kit_env.make_env(path)
    [port] = free_ports(1)
    _replace(path, r"^HTTPS_PORT=.*", f"HTTPS_PORT={port}")
    return path


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(re.sub(old, new, path.read_text(), flags=re.MULTILINE))


# An engine that builds nothing: what comes before that is tried here.
ENGINE = """
echo "$*" >>"${0%/*}/asked"
case "$1 $2" in
"info --format") echo 28.0;;
"network ls") echo one two;;
"network inspect") echo "bridge;;172.17.0.0/16 "; echo "MORE";;
"ps --filter="*) echo "FILES";;
"ps --quiet") case "$*" in *publish=PUBLISHED) echo container;; esac;;
"buildx build") exit 1;;
esac
"""
NOT_BUILT = "docker buildx build ended with 1: see above\n"


def _engine(network: str = "none;;", published: int = 0, files: str = "") -> str:
    return (
        ENGINE.replace("MORE", network).replace("PUBLISHED", str(published)).replace("FILES", files)
    )


def _up(
    deploy: Path, docker: str | None, *options: str, action: str = "up", **variables: str
) -> subprocess.CompletedProcess[str]:
    """`make up` there, or another `action`, where `docker` is this shell script."""
    if docker is not None:
        (deploy / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (deploy / "docker").chmod(0o755)
    return subprocess.run(
        [sys.executable, str(deploy / "kit.py"), *options, action, "sentinel"],
        env={"PATH": str(deploy), **variables},
        capture_output=True,
        text=True,
    )


# Obstacles: one sentence, and status 2


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        (None, "docker is not installed: https://docs.docker.com/engine/install/"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "start it, then try again"),
        ('[ "$1" = info ] && echo 28.0', "docker compose is missing"),
        ('[ "$1" = info ] && echo 28.0; [ "$1" != buildx ]', "docker buildx is missing"),
    ],
)
def test_without_an_engine_or_its_plugins(deploy: Path, docker: str | None, words: str) -> None:
    result = _up(deploy, docker)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (deploy / ".env").exists()


def test_with_a_directory_that_cannot_be_written(deploy: Path) -> None:
    draft = deploy / ".env.draft"
    draft.mkdir()  # root may write where the mode says that nobody may
    result = _up(deploy, _engine())
    assert result.returncode == 2
    assert result.stderr == (
        f"{draft}: {os.strerror(21)}: give yourself the right to read and write all of {deploy}\n"
    )


def test_with_a_port_taken(env: Path, deploy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _replace(env, r"^HTTPS_PORT=.*", f"HTTPS_PORT={port}")
        result = _up(deploy, _engine())
    assert result.returncode == 2
    assert result.stderr == (
        f"127.0.0.1:{port} cannot be listened at (Address already in use): set HTTPS_PORT in {env} "
        "to another port, or stop what listens there\n"
    )
    assert not (deploy / ".secrets").exists()


def test_the_port_of_a_kit_that_runs_is_its_own_but_not_a_new_one(env: Path, deploy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _replace(env, r"^HTTPS_PORT=.*", f"HTTPS_PORT={port}")
        assert _up(deploy, _engine(published=port)).stderr == NOT_BUILT
        assert f"127.0.0.1:{port} cannot be" in _up(deploy, _engine(published=port + 1)).stderr


def test_with_another_kit_in_the_same_network(env: Path, deploy: Path) -> None:
    result = _up(deploy, _engine("guarita-cluster_guarita;guarita-cluster;172.30.57.0/24 "))
    assert result.returncode == 2
    assert result.stderr == (
        "172.30.57.0/24 overlaps with the network guarita-cluster_guarita of this engine: "
        f"`make down KIT=cluster`, or set NETWORK in {env} to another one\n"
    )


def test_with_a_greater_network_of_somebody_else(env: Path, deploy: Path) -> None:
    result = _up(deploy, _engine("theirs;shop;fd00::/64 172.30.0.0/16 "))
    assert result.returncode == 2
    assert ": end what has that one, or set NETWORK in " in result.stderr


@pytest.mark.parametrize("project", ["guarita-sentinel", "mine"])
def test_the_network_of_a_kit_that_runs_is_its_own(env: Path, deploy: Path, project: str) -> None:
    env.write_text(f"{env.read_text()}COMPOSE_PROJECT_NAME={project}\n")
    assert _up(deploy, _engine(f"a;{project};172.30.57.0/24 ")).stderr == NOT_BUILT


KIT = "/k/deploy/compose.sentinel.yaml"


@pytest.mark.parametrize(
    ("files", "overlays", "how"),
    [(KIT, "tls", "without"), (f"{KIT},/k/deploy/compose.tls.yaml", "", "with")],
)
def test_between_with_and_without_tls_lies_a_make_down(
    env: Path, deploy: Path, files: str, overlays: str, how: str
) -> None:
    result = _up(deploy, _engine(files=files), f"--overlays={overlays}")
    assert result.returncode == 2
    assert result.stderr == (
        f"the kit runs {how} TLS: `make down KIT=sentinel` first, which keeps its data\n"
    )
    assert not (deploy / ".secrets").exists()


@pytest.mark.parametrize(
    ("files", "overlays"), [(KIT, "dev"), (f"{KIT},/k/deploy/compose.tls.yaml", "tls"), ("", "tls")]
)
def test_other_overlays_need_none(env: Path, deploy: Path, files: str, overlays: str) -> None:
    assert _up(deploy, _engine(files=files), f"--overlays={overlays}").stderr == NOT_BUILT


def test_a_port_that_only_the_engine_may_publish_is_no_obstacle(
    env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Socket(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError(errno.EACCES, "a low port, and we are not root")

    monkeypatch.setattr(kit.socket, "socket", Socket)
    kit.check_port(443, "HTTPS_PORT", env)


def test_it_is_ready_whosever_its_certificate_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no `ca.crt` here, and it is for another name."""
    certs.init(tmp_path, (certs.Leaf("www", ("www.example",)),))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "www.crt", tmp_path / "www.key")
    monkeypatch.setattr(kit, "HERE", tmp_path / "nothing")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as caller:
                caller.recv(4096)
                caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        kit.await_ready("sentinel", listener.getsockname()[1])
        thread.join()


def test_another_kit_of_the_same_project_is_not_taken_for_this_one(env: Path, deploy: Path) -> None:
    result = _up(deploy, _engine(files="/k/compose.cluster.yaml"), COMPOSE_PROJECT_NAME="mine")
    assert result.returncode == 2
    assert result.stderr.startswith("another kit runs as mine: end it first, or unset COMPOSE_PROJ")
    assert result.stderr.count("\n") == 1


def test_between_other_passwords_lies_a_make_down(env: Path, deploy: Path) -> None:
    kit_env.write_secrets(deploy / ".secrets", kit_env.read_env(env))
    assert _up(deploy, _engine(files=KIT)).stderr == NOT_BUILT
    _replace(env, r"^AGENT_PASSWORD=.*", "AGENT_PASSWORD=" + 4 * "0123456789abcdef")
    result = _up(deploy, _engine(files=KIT))
    assert result.returncode == 2
    assert result.stderr == (
        "the kit runs with another agent-password than .env has: `make down KIT=sentinel` first, "
        "which keeps its data\n"
    )
    assert _up(deploy, _engine()).stderr == NOT_BUILT


def test_no_new_passwords_are_made_for_a_kit_that_is_there(env: Path, deploy: Path) -> None:
    env.unlink()
    result = _up(deploy, _engine().replace('"ps --quiet"', '"ps --all") echo c;;\n"ps --quiet"'))
    assert result.returncode == 2
    assert result.stderr == (
        f"the kit is there, and {env} with its passwords is not: bring that back, or `make down "
        "KIT=sentinel` first, which keeps its data\n"
    )
    assert not env.exists()


def test_a_kit_can_be_taken_down_without_its_env(env: Path, deploy: Path) -> None:
    env.unlink()
    assert _up(deploy, _engine(), action="down").returncode == 0
    asked = (deploy / "asked").read_text().splitlines()
    assert asked[-1] == "compose --project-name=guarita-sentinel down"


def test_no_other_env_and_no_variable_is_in_its_way(env: Path, deploy: Path) -> None:
    assert kit.compose("sentinel")[2] == f"--env-file={DEPLOY / '.env'}"
    result = _up(deploy, _engine(), API_KEY_SHA256=64 * "a")
    assert result.returncode == 2
    assert result.stderr.startswith(f"API_KEY_SHA256={64 * 'a'} in the environment is not what")


def test_what_the_proxy_reads_can_be_read_by_it_whatever_the_umask_was(
    env: Path, deploy: Path
) -> None:
    conf = deploy / "config" / "nginx.conf"
    conf.parent.mkdir()
    conf.touch(mode=0o600)
    readable = conf.with_name("other.conf")
    readable.touch()
    readable.chmod(0o604)  # it may be somebody else's, whose mode is not ours to change
    _up(deploy, _engine().replace('"buildx build") exit 1;;', ""))
    assert conf.stat().st_mode & 0o777 == 0o644
    assert readable.stat().st_mode & 0o777 == 0o604


def test_a_certificate_without_its_key_is_told_by_who_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(kit, "_run", lambda command, **_: asked.append(command))
    (tmp_path / "proxy.crt").touch()
    with pytest.raises(FileNotFoundError):  # nobody has made it here
        kit.make_certificates(tmp_path, "guarita:latest", (kit.PROXY_CERTIFICATE,))
    assert asked[0][-3:] == ["init", "/certs", kit.PROXY_CERTIFICATE]


@pytest.mark.parametrize("action", ["ps", "logs"])
def test_without_a_kit_the_others_say_what_makes_one(deploy: Path, action: str) -> None:
    result = _up(deploy, _engine(), action=action)
    assert result.returncode == 2
    assert result.stderr == f"there is no {deploy / '.env'}: `make up` makes it\n"


def test_with_a_broken_env(env: Path, deploy: Path) -> None:
    _replace(env, r"^SERVICE_PASSWORD=.*", "SERVICE_PASSWORD=secret")
    result = _up(deploy, _engine())
    assert result.returncode == 2
    assert result.stderr.startswith(f"{env}: SERVICE_PASSWORD must be 32 or more letters")
    assert result.stderr.count("\n") == 1
    assert not (deploy / ".secrets").exists()


# What was chosen


def test_what_stands_in_the_env_reaches_the_build(env: Path, deploy: Path) -> None:
    _replace(env, r"^SERVER=.*", "SERVER=redis")
    _replace(env, r"^TAG=.*", "TAG=blue")
    assert _up(deploy, _engine()).stderr == NOT_BUILT
    [build] = re.findall(r"^buildx build.*", (deploy / "asked").read_text(), re.MULTILINE)
    assert "--build-arg SERVER=redis " in build
    assert "--tag guarita:blue " in build


def test_what_the_first_make_up_is_told_is_kept(deploy: Path) -> None:
    _up(deploy, _engine(), SERVER="redis", TAG="blue")
    values = kit_env.read_env(deploy / ".env")
    assert (values["SERVER"], values["TAG"]) == ("redis", "blue")


def test_what_a_later_one_is_told_must_stand_there(env: Path, deploy: Path) -> None:
    result = _up(deploy, _engine(), SERVER="redis")
    assert result.returncode == 2
    assert result.stderr == (
        f"SERVER=redis in the environment is not what {env} says (valkey): write it there, where "
        "`docker compose` finds it later, or unset it here\n"
    )
    assert _up(deploy, _engine(), SERVER="valkey").stderr == NOT_BUILT


# What stands in the compose files


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        (
            "cluster",
            ["tls"],
            "OVERLAYS=tls does not go with KIT=cluster: it goes with KIT=sentinel",
        ),
        ("sentinel", ["ssl"], "OVERLAYS=ssl does not go with KIT=sentinel: there are tls, dev"),
    ],
)
def test_an_overlay_that_does_not_fit_is_told_in_one_sentence(
    name: str, wanted: list[str], words: str
) -> None:
    with pytest.raises(kit.Obstacle, match=words):
        kit.check_overlays(name, wanted)


def test_overlays_have_one_order(deploy: Path) -> None:
    assert kit.check_overlays("sentinel", ["dev", "tls"]) == ("tls", "dev")
    assert _up(deploy, _engine(), "--overlays=nothing").returncode == 2


@pytest.mark.parametrize(
    ("name", "overlay"), [(name, each) for name, every in kit.OVERLAYS.items() for each in every]
)
def test_an_overlay_adds_to_what_the_kit_has_and_opens_no_port(name: str, overlay: str) -> None:
    services = yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())["services"]
    document = yaml.safe_load((DEPLOY / f"compose.{overlay}.yaml").read_text())
    assert set(document["services"]) <= set(services)
    assert not any("ports" in service for service in document["services"].values())
    made = {each.partition("=")[0] for each in (kit.PROXY_CERTIFICATE, *kit.NODE_CERTIFICATES)}
    for file in document.get("secrets", {}).values():
        assert Path(file["file"]).stem in made | {"ca"}


@pytest.mark.parametrize("name", kit.KITS)
def test_a_kit_exposes_this_machine_only_and_limits_each_container(name: str) -> None:
    document = yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())
    for service in document["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["read_only"] is True
        assert service["init"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pull_policy"] == "never"
        for needed in ("restart", "mem_limit", "stop_grace_period", "logging"):
            assert service.get(needed), needed
        # Where guarita itself or the proxy runs, the image has one.
        assert service.get("healthcheck") or "entrypoint" not in service


@pytest.mark.parametrize("name", kit.KITS)
def test_what_a_kit_takes_from_its_env_is_there(name: str, env: Path) -> None:
    values = kit_env.read_env(env)
    text = (DEPLOY / f"compose.{name}.yaml").read_text()
    asked = {found[1] for found in re.finditer(r"\$\{(\w+)(:-\w+)?", text) if not found[2]}
    assert asked <= set(values)
    files = re.findall(r"file: \.secrets/([\w.-]+)}", text)
    kit_env.write_secrets(env.parent / "s", values)
    assert set(files) <= {each.name for each in (env.parent / "s").iterdir()}


def _settings(name: str, env: Path) -> dict[str, tuple[str, Settings]]:
    """By container: its command, and what it makes of its variables."""
    values, secrets = kit_env.read_env(env), env.parent / "s"
    kit_env.write_secrets(secrets, values)

    def written(value: object) -> str:
        text = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], str(value))
        return text.replace("/run/secrets", str(secrets))

    document = yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())
    found = {}
    for service, its in document["services"].items():
        if "environment" in its:
            environ = {each: written(value) for each, value in its["environment"].items()}
            found[service] = (its["command"][0], load(environ=environ, cwd=secrets))
    return found


@pytest.mark.parametrize("name", kit.KITS)
def test_the_settings_of_every_container_are_good(name: str, env: Path) -> None:
    checks = {"node": check_data_node, "sentinel": check_sentinel}
    found = _settings(name, env)
    assert "serve" in {command for command, _ in found.values()}
    for command, settings in found.values():
        if command in checks:
            checks[command](settings)


def test_services_know_the_data_nodes_as_these_announce_themselves(env: Path) -> None:
    found = _settings("sentinel", env).values()
    nodes = {settings.node.announce for command, settings in found if command == "node"}
    services = [settings for command, settings in found if command == "serve"]
    assert len(nodes) == 3
    assert [set(each.store.data_nodes) for each in services] == [nodes, nodes]
    assert all(each.demo.enabled for each in services)
