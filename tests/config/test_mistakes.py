"""Every mistake at once, each in one line with its path, and never a secret."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from guarita.config import Settings, load
from guarita.errors import ConfigError

DIGEST = "ab" * 32
OTHER_DIGEST = "cd" * 32


def mistakes(settings: object, tmp_path: Path) -> list[str]:
    file = tmp_path / "g.yaml"
    file.write_text(yaml.safe_dump(settings), "utf-8")
    try:
        load(file, {}, tmp_path)
    except ConfigError as exc:
        return exc.problems
    return []


def at(path: str, value: object) -> dict[str, Any]:
    """`at("a.b", 1)` is `{"a": {"b": 1}}`."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value  # type: ignore[return-value]


WRONG_VALUES = [
    ("store.sentinel.nodes", ["s1:1", "s2:70000"], "[1]: s2:70000: 70000 is not a port"),
    ("store.sentinel.nodes", ["s2:0"], "[0]: s2:0: 0 is not a port"),
    ("store.sentinel.nodes", ["s2"], "[0]: s2: has no port: write host:port"),
    ("store.sentinel.nodes", ["[::1]"], "[0]: [::1]: has no port: write host:port"),
    ("store.sentinel.nodes", ["::1:26379"], "[0]: ::1:26379: an IPv6 address stands in brackets"),
    ("store.sentinel.nodes", ["1.2.3:1"], "[0]: 1.2.3:1: 1.2.3 is not a host name or an address"),
    ("store.sentinel.nodes", [":1"], "[0]: :1: has no host"),
    ("store.sentinel.nodes", ["a b:1"], "[0]: a b:1: a b is not a host name or an address"),
    ("store.sentinel.nodes", ["redis://u:hunter2@h:1"], "[0]: redis://***@h:1: not host:port"),
    ("store.sentinel.nodes", ["s1:1", "s1:1"], ": s1:1 is named twice"),
    ("store.sentinel.nodes", "s1:26379", ": s1:26379: must be a list"),
    ("store.sentinel.nodes", [5], "[0]: 5: not host:port"),
    ("store.sentinel.primary_name", "a b", ": a b: a name has 1 to 64"),
    ("store.sentinel.timeout_s", 0, ": 0: must be more than 0"),
    ("store.standalone.port", 70000, ": 70000: 70000 is not a port"),
    ("store.standalone.port", True, ": true: not a number"),
    ("store.standalone.port", "x", ": x: not a whole number"),
    ("store.standalone.host", "a:1", ": a:1: an IPv6 address stands in brackets"),
    ("store.standalone.host", 5, ": 5: must be text: put it in quotes"),
    (
        "store.topology",
        "sentinal",
        ": sentinal: not one of memory, standalone, sentinel, ",
    ),
    ("store.topology", None, ": null: not one of memory"),
    ("store.deadline_s", -1, ": -1: must be more than 0"),
    ("store.deadline_s", float("inf"), ": inf: must be at most 3600"),
    ("store.deadline_s", None, ": null: not a number"),
    ("store.max_waiting", 0, ": 0: must be at least 1"),
    ("store.data.tls.enabled", 1, ": 1: not true or false"),
    ("store.data.tls.enabled", "maybe", ": maybe: not true or false"),
    ("store.data.tls.ca_file", "/no/such", ": /no/such: no such file"),
    ("store.data.tls.ca_file", "/", ": /: is a directory, not a file"),
    ("store.data.password_file", "/no/such", ": /no/such: no such file"),
    ("store.data.password_file", "hunter2", ": ***: no such file"),
    ("store.data.password", 12345678, ": ***: must be text: put it in quotes"),
    ("store.data.password", "", ": ***: must not be empty"),
    ("store.data", "hunter2", ": must be a mapping of settings"),
    ("store.data.pasword", "hunter2", ": unknown setting, did you mean password?"),
    ("store.data.db", -1, ": -1: must be at least 0"),
    ("server.workers", 1.5, ": 1.5: not a whole number"),
    ("server.kind", "uvicorn", ": uvicorn: not one of gunicorn, granian"),
    ("server.bind", ":8000", ": :8000: has no host: write host:port"),
    ("server.bind", "unix:guarita.sock", ": unix:guarita.sock: a Unix socket needs an absolute"),
    ("server.bind", "localhost:http", ": localhost:http: http is not a port"),
    ("server.public_url", "auth.example", ": auth.example: a URL here is http(s)://"),
    ("server.public_url", "https://u:hunter2@a", ": https://***@a: a URL here is http(s)://"),
    ("server.public_url", "https://a/?b", ": https://a/?b: a URL here is http(s)://"),
    ("server.public_url", "https://a:0", ": https://a:0: has no real port"),
    ("server.trusted_proxies", ["10.0.0.1/8"], "[0]: 10.0.0.1/8: has bits set outside its mask: "),
    ("server.trusted_proxies", ["proxy"], "[0]: proxy: not an address or network"),
    ("sessions.key_prefix", "a{b}", ": a{b}: must not hold { or }"),
    ("sessions.key_prefix", "", ': "": must not be empty'),
    ("sessions.stats_key", "a\nb", r': "a\nb": must be printable ASCII'),
    ("sessions.ticket_ttl_s", 0, ": 0: must be at least 1"),
    ("sessions.max_sesions", 5, ": unknown setting, did you mean max_sessions?"),
    ("sessions.deadline_s", 5, ": unknown setting, did you mean store.deadline_s?"),
    ("security.profile", "strict", ": strict: not available in this version"),
    ("security.secret", "short-hunter2", ": ***: 13 characters, needs at least 32"),
    ("region.name", "EU", ": EU: a region name has 1 to 32"),
    ("region.name", "-eu", ": -eu: a region name has 1 to 32"),
    ("region.peers", {"us": {}}, ".us.url: is needed here"),
    ("region.peers", {"us": {"url": "ftp://a"}}, ".us.url: ftp://a: a URL here is http(s)://"),
    ("region.peers", {"US": {"url": "http://a"}}, ".US: US: a region name has 1 to 32"),
    ("logs.level", "inof", ": inof: not one of debug, info, warning, error, critical, did you "),
    ("logs.file", "/", ": /: is a directory; name a file in it"),
    ("demo.host_origins", ["http://localhost:9000/"], "[0]: http://localhost:9000/: an origin is"),
]


@pytest.mark.parametrize(("path", "value", "rest"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_path(
    path: str, value: object, rest: str, tmp_path: Path
) -> None:
    found = mistakes(at(path, value), tmp_path)
    assert found
    assert found[0].startswith(path + rest)
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("https://a/", "without a path or a slash at the end"),
        ("https://a/b", "without a path"),
        ("https://a?b", "without a path"),
        ("https://a#", "without a path"),
        ("null", "there is no wildcard and no null"),
        ("*", "there is no wildcard"),
        ("https://*.a", "there is no wildcard"),
        ("a.example", "an origin is scheme://host"),
        ("ftp://a", "an origin is scheme://host"),
        ("https://", "an origin is scheme://host"),
        ("https://A.example", "write https://a.example"),
        ("https://a:443", "leave out port 443"),
        ("http://a:80", "leave out port 80"),
        ("https://a:", "has no real port"),
        ("https://a:99999", "an origin is scheme://host"),
        ("https://a b", "in printable ASCII"),
        ("https://münchen.example", "in printable ASCII"),
        ("https://u:hunter2@a", "without a user or password"),
    ],
)
def test_an_origin_that_no_browser_sends_is_a_mistake(
    origin: str, why: str, tmp_path: Path
) -> None:
    tenant = {"name": "acme", "key_sha256": DIGEST, "origins": ["https://ok.example", origin]}
    (found,) = mistakes({"security": {"tenants": [tenant]}}, tmp_path)
    assert found.startswith("security.tenants[0].origins[1]: ")
    assert why in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "origin", ["https://a.example", "http://localhost:9000", "https://[::1]:8443"]
)
def test_origins_as_browsers_send_them_are_taken(origin: str, tmp_path: Path) -> None:
    assert mistakes({"demo": {"host_origins": [origin]}}, tmp_path) == []


@pytest.mark.parametrize("digest", ["the-api-key-hunter2", "ab" * 31, [DIGEST] * 3, [], 5])
def test_a_wrong_key_digest_is_never_shown(digest: object, tmp_path: Path) -> None:
    found = mistakes({"security": {"tenants": [{"name": "a", "key_sha256": digest}]}}, tmp_path)
    assert found
    assert found[0].startswith("security.tenants[0].key_sha256")
    assert not any("hunter2" in line or DIGEST in line for line in found)


RULES = [
    (at("store.topology", "sentinel"), "store.sentinel.nodes: topology sentinel needs"),
    (at("store.topology", "cluster"), "store.cluster.nodes: topology cluster needs"),
    (
        at("store", {"topology": "cluster", "cluster": {"nodes": ["a:1"]}, "data": {"db": 1}}),
        "store.data.db: 1: a Cluster has only database 0",
    ),
    (
        {"server": {"kind": "granian", "reload": True}},
        "server.reload: true: needs server.kind gunicorn",
    ),
    (
        {"store": {"topology": "memory"}, "server": {"workers": 2}},
        "server.workers: 2: the memory store lives in one process",
    ),
    (
        at("store.data", {"password": "hunter2", "password_file": "/etc/hostname"}),
        "store.data.password: ***: set this or password_file, not both",
    ),
    (
        at("store.sentinel.tls", {"cert_file": "/etc/hosts"}),
        "store.sentinel.tls.cert_file: /etc/hosts: needs key_file",
    ),
    (
        at("store.data.tls", {"key_file": "/etc/hosts"}),
        "store.data.tls.key_file: /etc/hosts: needs cert_file",
    ),
    (
        at("sessions.stats_key", "auth_session:stats"),
        "sessions.stats_key: auth_session:stats: begins with sessions.key_prefix",
    ),
    (
        at("security.secret_file", "/etc/hostname"),
        "security.secret_file: /etc/hostname: holds",
    ),
    (
        at("security.tenants", [{"name": "a", "key_sha256": d} for d in (DIGEST, OTHER_DIGEST)]),
        "security.tenants[1].name: a: another tenant has this name",
    ),
    (
        at("security.tenants", [{"name": n, "key_sha256": [DIGEST]} for n in "ab"]),
        "security.tenants[1].key_sha256: ***: another tenant has this key",
    ),
    (
        at("security.tenants", [{"name": "a"}]),
        "security.tenants[0].key_sha256: needed: make it with",
    ),
    (
        at("security.tenants", [{"name": "a", "key_sha256": DIGEST, "key_file": "/etc/hostname"}]),
        "security.tenants[0].key_file: /etc/hostname: set this or key_sha256, not both",
    ),
    (
        at("security.tenants", [{"name": n, "key_file": "/etc/hostname"} for n in "ab"]),
        "security.tenants[1].key_file: ***: another tenant has this key",
    ),
    (
        at("region", {"name": "eu", "peers": {"eu": {"url": "http://a"}}}),
        "region.peers.eu: is this region itself",
    ),
    (at("region.peers", {"us": {"url": "http://a"}}), "region.name: needed since region.peers"),
    (
        at("logs", {"file": "a.log", "security_file": "a.log"}),
        "logs.security_file: ",
    ),
]


@pytest.mark.parametrize(("settings", "problem"), RULES)
def test_a_rule_between_settings_is_checked(
    settings: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    if "/etc/hostname" in str(settings):
        short = tmp_path / "short"
        short.write_text("hunter2\n")
        as_text = yaml.safe_dump(settings).replace("/etc/hostname", str(short))
        settings, problem = yaml.safe_load(as_text), problem.replace("/etc/hostname", str(short))
    (found,) = mistakes(settings, tmp_path)
    assert found.startswith(problem)
    assert "hunter2" not in found


@pytest.mark.parametrize("bind", ["0.0.0.0:8000", "[::]:8000", "10.0.0.1:8000", "guarita:8000"])
def test_outside_loopback_tenants_and_a_secret_are_needed(bind: str, tmp_path: Path) -> None:
    secret, tenants = mistakes({"server": {"bind": bind}}, tmp_path)
    assert secret.startswith(f"security.secret: needed since server.bind is {bind}, not loopback")
    assert tenants.startswith(f"security.tenants: needed since server.bind is {bind}")
    security = {"secret": "x" * 32, "tenants": [{"name": "a", "key_sha256": DIGEST}]}
    assert mistakes({"server": {"bind": bind}, "security": security}, tmp_path) == []


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/run/guarita.sock"]
)
def test_on_loopback_the_service_may_be_open(bind: str, tmp_path: Path) -> None:
    assert mistakes({"server": {"bind": bind}}, tmp_path) == []


def test_the_memory_store_has_one_worker_unless_told_otherwise() -> None:
    assert Settings.model_validate({"store": {"topology": "memory"}}).server.workers == 1
    assert Settings.model_validate({}).server.workers == 2


def test_every_mistake_is_reported_at_once_and_each_once(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {}
    expected = 0
    for (path, value, _), _ in itertools.groupby(WRONG_VALUES):
        target = wrong
        *above, last = path.split(".")
        for name in above:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                break
        else:
            if last not in target:
                target[last] = value
                expected += 1
    found = mistakes(wrong, tmp_path)
    assert len(found) == len(set(found)) >= expected


def test_rules_are_checked_beside_wrong_values_that_they_do_not_read(tmp_path: Path) -> None:
    wrong = {
        "server": {"bind": "0.0.0.0:8000", "workers": "many"},
        "store": {"topology": "cluster", "deadline_s": "soon", "data": {"db": 1}},
        "security": {"tenants": [{"name": "acme"}]},
    }
    assert [problem.split(":")[0] for problem in mistakes(wrong, tmp_path)] == [
        "server.workers",
        "store.deadline_s",
        "store.cluster.nodes",
        "store.data.db",
        "security.secret",
        "security.tenants[0].key_sha256",
    ]


def test_a_password_file_must_be_one_readable_line(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    for content, why in [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\nb\n", "has more than one line"),
        (b"\xff", "is not UTF-8 text"),
    ]:
        file.write_bytes(content)
        found = mistakes(at("store.data.password_file", str(file)), tmp_path)
        assert found == [f"store.data.password_file: {file}: {why}"]


def test_settings_cannot_be_changed_and_show_no_secret() -> None:
    settings = Settings.model_validate({"store": {"data": {"password": "hunter2"}}})
    with pytest.raises(ValueError, match="frozen"):
        settings.region = Settings().region  # type: ignore[misc]
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
