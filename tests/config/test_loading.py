"""Where settings come from: the file, the variables and `.env`, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from guarita.config import Level, Settings, Topology, load, load_with_origins
from guarita.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def problems_of(path: Path | None, environ: dict[str, str], cwd: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ, cwd)
    return caught.value.problems


def test_without_anything_the_published_default_holds(tmp_path: Path) -> None:
    settings = load(None, {}, tmp_path)
    assert settings == Settings()
    assert settings.store.topology is Topology.STANDALONE
    assert (settings.store.standalone.host, settings.store.standalone.port) == ("localhost", 6379)
    assert settings.server.bind == "127.0.0.1:8000"
    assert settings.sessions.key_prefix == "auth_session:"


def test_guarita_variables_win_over_published_ones_and_both_over_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "g.yaml",
        "store: {standalone: {host: from-file, port: 1}, data: {db: 1}, deadline_s: 3}\n",
    )
    environ = {
        "REDIS_HOST": "from-published",
        "REDIS_PORT": "2",
        "GUARITA_STORE__STANDALONE__HOST": "from-guarita",
    }
    loaded = load_with_origins(file, environ, tmp_path)
    store = loaded.settings.store
    assert (store.standalone.host, store.standalone.port) == ("from-guarita", 2)
    assert (store.data.db, store.deadline_s) == (1, 3.0)
    assert loaded.origins == {
        ("store", "standalone", "host"): "GUARITA_STORE__STANDALONE__HOST",
        ("store", "standalone", "port"): "REDIS_PORT",
        ("store", "data", "db"): str(file),
        ("store", "deadline_s"): str(file),
    }


def test_redis_host_alone_means_standalone(tmp_path: Path) -> None:
    settings = load(None, {"REDIS_HOST": "redis", "REDIS_DB": "3"}, tmp_path)
    assert settings.store.topology is Topology.STANDALONE
    assert (settings.store.standalone.host, settings.store.data.db) == ("redis", 3)


def test_guarita_config_names_the_file_unless_the_command_line_does(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "region: {name: a}\n")
    b = write(tmp_path / "b.yaml", "region: {name: b}\n")
    environ = {"GUARITA_CONFIG": "a.yaml"}
    assert load(None, environ, tmp_path).region.name == "a"
    assert load(b, environ, tmp_path).region.name == "b"


def test_dotenv_is_read_and_the_environment_wins_over_it(tmp_path: Path) -> None:
    write(
        tmp_path / ".env",
        "# comment\nREDIS_HOST=dotenv\nexport REDIS_PORT='7000'\nOTHER_PROGRAM=1\nEMPTY\n"
        "REDIS_PASSWORD='pa${HOME}ss'\nGUARITA_STORE__DEADLINE_S=7\n",
    )
    settings = load(None, {"REDIS_HOST": "environment"}, tmp_path)
    assert settings.store.standalone.host == "environment"
    assert settings.store.standalone.port == 7000
    assert settings.store.deadline_s == 7.0
    assert settings.store.data.current_password() == "pa${HOME}ss"


def test_a_mistake_in_dotenv_names_its_line_or_its_variable(tmp_path: Path) -> None:
    write(tmp_path / ".env", "REDIS_PORT=x\nnot a line ='\n")
    assert problems_of(None, {}, tmp_path) == [
        f"{tmp_path / '.env'}:2: not NAME=value",
        "store.standalone.port (from REDIS_PORT in .env): x: not a whole number",
    ]


@pytest.mark.parametrize("text", ["s1:1,s2:2", " s1:1 , s2:2 ", '["s1:1", "s2:2"]'])
def test_lists_are_json_or_separated_by_commas(tmp_path: Path, text: str) -> None:
    settings = load(None, {"GUARITA_STORE__SENTINEL__NODES": text}, tmp_path)
    assert [str(node) for node in settings.store.sentinel.nodes] == ["s1:1", "s2:2"]


def test_an_ipv6_list_is_not_taken_for_json(tmp_path: Path) -> None:
    environ = {"GUARITA_STORE__CLUSTER__NODES": "[::1]:1,[::2]:2"}
    nodes = load(None, environ, tmp_path).store.cluster.nodes
    assert [(node.host, node.port) for node in nodes] == [("::1", 1), ("::2", 2)]


def test_sections_and_lists_of_sections_are_json(tmp_path: Path) -> None:
    digest = "a" * 64
    environ = {
        "GUARITA_STORE": '{"topology": "memory", "deadline_s": 2}',
        "GUARITA_STORE__DEADLINE_S": "3",
        "GUARITA_SECURITY__TENANTS": f'[{{"name": "acme", "key_sha256": "{digest}"}}]',
        "GUARITA_REGION": '{"name": "eu"}',
        "GUARITA_REGION__PEERS": '{"us-east": {"url": "https://us.example"}}',
    }
    settings = load(None, environ, tmp_path)
    assert settings.store.topology is Topology.MEMORY
    assert settings.store.deadline_s == 3.0
    assert settings.security.tenants[0].key_sha256 == (digest,)
    assert settings.region.peers["us-east"].url == "https://us.example"


def test_a_variable_that_needs_json_says_so_and_shows_no_value(tmp_path: Path) -> None:
    environ = {"GUARITA_STORE__DATA": '{"password": "hunter2"', "GUARITA_SECURITY__TENANTS": "acme"}
    assert problems_of(None, environ, tmp_path) == [
        "store.data (from GUARITA_STORE__DATA): not JSON, which this variable needs",
        "security.tenants (from GUARITA_SECURITY__TENANTS): not JSON, which this variable needs",
    ]


def test_empty_variables_count_as_not_set(tmp_path: Path) -> None:
    file = write(tmp_path / "g.yaml", "store: {standalone: {host: from-file}}\n")
    environ = {"REDIS_HOST": "", "REDIS_PASSWORD": "", "GUARITA_STORE__DEADLINE_S": ""}
    settings = load(file, environ, tmp_path)
    assert settings.store.standalone.host == "from-file"
    assert settings.store.data.current_password() is None


def test_unknown_guarita_variables_are_mistakes_with_a_suggestion(tmp_path: Path) -> None:
    environ = {
        "GUARITA_CONFG": "x",
        "GUARITA_STORE__DEADLNE_S": "1",
        "GUARITA_STOR__DEADLINE_S": "1",
        "GUARITA_WHATEVER": "hunter2",
    }
    assert problems_of(None, environ, tmp_path) == [
        "GUARITA_CONFG: unknown variable, did you mean GUARITA_CONFIG?",
        "GUARITA_STORE__DEADLNE_S: unknown variable, did you mean GUARITA_STORE__DEADLINE_S?",
        "GUARITA_STOR__DEADLINE_S: unknown variable, did you mean GUARITA_STORE__DEADLINE_S?",
        "GUARITA_WHATEVER: unknown variable",
    ]


def test_variables_of_kubernetes_services_are_ignored(tmp_path: Path) -> None:
    environ = {
        "GUARITA_SERVICE_HOST": "10.0.0.1",
        "GUARITA_SERVICE_PORT_HTTP": "8000",
        "GUARITA_PORT": "tcp://10.0.0.1:8000",
        "GUARITA_PORT_8000_TCP_ADDR": "10.0.0.1",
        "GUARITA_SENTINEL_SERVICE_HOST": "10.0.0.2",
        "REDIS_PORT": "tcp://10.0.0.3:6379",
    }
    assert load(None, environ, tmp_path) == Settings()


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({"DEBUG": "true"}, Level.DEBUG),
        ({"DEBUG": "1", "LOG_LEVEL": "WARNING"}, Level.WARNING),
        ({"DEBUG": "False"}, Level.INFO),
        ({"LOG_LEVEL": "Error"}, Level.ERROR),
        ({"LOG_LEVEL": "error", "GUARITA_LOGS__LEVEL": "critical"}, Level.CRITICAL),
    ],
)
def test_debug_and_log_level_set_the_level(
    tmp_path: Path, environ: dict[str, str], level: Level
) -> None:
    assert load(None, environ, tmp_path).logs.level is level


def test_debug_that_is_neither_true_nor_false_is_a_mistake(tmp_path: Path) -> None:
    assert problems_of(None, {"DEBUG": "maybe"}, tmp_path) == ["DEBUG: maybe: not true or false"]


def test_a_stronger_password_replaces_a_weaker_password_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("of-file\n")
    file = write(tmp_path / "g.yaml", "store: {data: {password_file: ./pw}}\n")
    assert load(file, {}, tmp_path).store.data.current_password() == "of-file"
    by_variable = load(file, {"REDIS_PASSWORD": "of-variable"}, tmp_path)
    assert by_variable.store.data.current_password() == "of-variable"
    environ = {"REDIS_PASSWORD": "x", "GUARITA_STORE__DATA__PASSWORD_FILE": "./pw"}
    assert load(None, environ, tmp_path).store.data.current_password() == "of-file"


def test_a_password_file_is_read_again_each_time(tmp_path: Path) -> None:
    secret = tmp_path / "pw"
    secret.write_bytes(b"first\r\n")
    environ = {"GUARITA_STORE__SENTINEL__PASSWORD_FILE": str(secret)}
    sentinel = load(None, environ, tmp_path).store.sentinel
    assert sentinel.current_password() == "first"
    secret.write_text("second")
    assert sentinel.current_password() == "second"


def test_relative_paths_start_at_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "s").write_text("x" * 32 + "\n")
    environ = {"GUARITA_SECURITY__SECRET_FILE": "secrets/s", "GUARITA_LOGS__FILE": "logs/app.log"}
    settings = load(None, environ, tmp_path)
    assert settings.security.current_secret() == "x" * 32
    assert settings.logs.file == tmp_path / "logs" / "app.log"


def test_a_variable_does_not_hide_a_file_section_of_the_wrong_shape(tmp_path: Path) -> None:
    file = write(tmp_path / "g.yaml", "store: hunter2\n")
    assert problems_of(file, {"GUARITA_STORE__DEADLINE_S": "3"}, tmp_path) == [
        "store: must be a mapping of settings"
    ]


def test_sections_with_nothing_in_them_are_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path / "g.yaml", "store:\n  data:\n    tls:\nlogs:\n")
    environ = {"GUARITA_STORE__DATA__DB": "1"}
    assert load(file, environ, tmp_path).store.data.db == 1


def test_the_working_directory_and_the_environment_are_the_processs_own_unless_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUARITA_REGION__NAME", "eu-west")
    assert load().region.name == "eu-west"
