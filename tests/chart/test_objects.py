"""What the chart makes: names, addresses, and who gets which secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from guarita.config import (
    Settings,
    check_cluster,
    check_data_node,
    check_lone_node,
    check_sentinel,
    load,
)

from .rendering import CHART, Rendered, helm, render

pytestmark = pytest.mark.chart

BASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*.yaml"))
each_base = pytest.mark.parametrize("base", BASES)
DOMAIN = "sign-in.svc.cluster.local"


@each_base
def test_helm_finds_nothing_to_complain_about(base: str) -> None:
    ended = helm("lint", "--strict", str(CHART), "--values", str(CHART / f"ci/{base}-values.yaml"))
    assert ended.returncode == 0, ended.stdout


@each_base
def test_no_object_is_there_twice_and_all_are_in_the_namespace(base: str) -> None:
    objects = render(base=base).objects
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    own = [each for each in objects if not each["metadata"]["name"].endswith("more")]
    assert {each["metadata"]["namespace"] for each in own} == {"sign-in"}


def _settings(config: Any, tmp_path: Path, **variables: str) -> Settings:
    """As a pod reads them, with the secrets that it gets."""
    text = yaml.safe_dump(config)
    for place in ("/run/guarita-external", "/run/guarita-tls", "/run/guarita"):
        text = text.replace(f"{place}/", f"{tmp_path}/")
    for key in _files_in(yaml.safe_load(text)):
        Path(key).write_text(f"{Path(key).name}-{'x' * 32}\n")
    file = tmp_path / "guarita.yaml"
    file.write_text(text)
    return load(file, variables, tmp_path)


def _files_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [
            found
            for key, inner in value.items()
            for found in ([inner] if key.endswith("_file") else _files_in(inner))
        ]
    return [found for each in value for found in _files_in(each)] if isinstance(value, list) else []


@each_base
def test_the_service_takes_the_configuration_that_it_gets(base: str, tmp_path: Path) -> None:
    config = render(base=base).config("auth-guarita")
    settings = _settings(config, tmp_path)
    assert settings.server.bind == "0.0.0.0:8000"


@pytest.mark.parametrize("tls", ["none", "job"])
def test_agents_take_the_configuration_that_they_get(tls: str, tmp_path: Path) -> None:
    config = render({"tls": {"source": tls}}).config("auth-guarita-node")
    node = f"auth-guarita-node-1.{DOMAIN}:6379"
    check_data_node(_settings(config, tmp_path, GUARITA_NODE__ANNOUNCE=node))
    sentinel = f"auth-guarita-sentinel-1.{DOMAIN}:26379"
    check_sentinel(_settings(config, tmp_path, GUARITA_NODE__ANNOUNCE=sentinel))


def test_a_cluster_is_of_six_nodes_that_are_formed_and_known_by_addresses_that_stay(
    tmp_path: Path,
) -> None:
    rendered = render(base="cluster")
    assert rendered.one("StatefulSet", "auth-guarita-node")["spec"]["replicas"] == 6
    settings = _settings(rendered.config("auth-guarita"), tmp_path)
    check_cluster(settings)
    for node in settings.store.cluster.nodes:
        service = rendered.one("Service", node.host.removesuffix(f".{DOMAIN}"))["spec"]
        assert service.get("clusterIP") is None
        assert {each["name"] for each in service["ports"]} == {"server", "agent", "bus"}
        assert {each["port"] for each in service["ports"]} == {6379, 8300, 16379}
    config = rendered.config("auth-guarita-node")
    check_lone_node(_settings(config, tmp_path, GUARITA_NODE__ANNOUNCE=str(node)))
    (container,) = _containers(rendered, "Deployment/auth-guarita-form")
    assert container["args"][:2] == ["cluster", "form"]


@pytest.mark.parametrize("tls", ["none", "job"])
def test_the_agent_of_a_standalone_server_takes_the_configuration_that_it_gets(
    tls: str, tmp_path: Path
) -> None:
    rendered = render({"tls": {"source": tls}}, base="standalone")
    (container,) = _containers(rendered, "StatefulSet/auth-guarita-node")
    assert container["args"] == ["node", "--alone"]  # it reads certificates that change
    node = f"auth-guarita-node-0.{DOMAIN}:6379"
    config = rendered.config("auth-guarita-node")
    check_lone_node(_settings(config, tmp_path, GUARITA_NODE__ANNOUNCE=node))


def test_every_pod_of_nodes_and_sentinels_has_an_address_that_stays() -> None:
    rendered = render({"nodes": {"replicas": 5}})
    config = rendered.config("auth-guarita")
    hosts = [each.partition(":")[0] for each in config["store"]["data_nodes"]]
    hosts += [each.partition(":")[0] for each in config["store"]["sentinel"]["nodes"]]
    assert len(hosts) == 8
    for host in hosts:
        name = host.removesuffix(f".{DOMAIN}")
        service = rendered.one("Service", name)["spec"]
        assert service["publishNotReadyAddresses"] is True
        assert service["selector"]["statefulset.kubernetes.io/pod-name"] == name
        assert service.get("clusterIP") is None


def test_the_service_to_the_primary_follows_the_label_of_the_agent() -> None:
    rendered = render()
    primary = rendered.one("Service", "auth-guarita-primary")["spec"]
    assert primary["selector"]["guarita/role"] == "primary"
    (container,) = _containers(rendered, "StatefulSet/auth-guarita-node")
    assert {"name": "GUARITA_NODE__POD", "value": "$(POD_NAME)"} in container["env"]
    role = rendered.one("Role", "auth-guarita-node")["rules"]
    pods = [f"auth-guarita-node-{n}" for n in range(3)]
    assert role == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"], "resourceNames": pods}
    ]


def test_without_labels_no_node_may_do_anything() -> None:
    rendered = render({"nodes": {"labelPods": False}})
    assert "auth-guarita-primary" not in rendered.of("Service")
    assert "auth-guarita-node" not in rendered.of("Role")
    spec = rendered.pod_specs()["StatefulSet/auth-guarita-node"]
    assert spec["automountServiceAccountToken"] is False


def _containers(rendered: Rendered, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered.pod_specs()[name]["containers"]
    return found


def _sources(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The Secrets that a pod mounts parts of."""
    sources = [
        source
        for volume in spec.get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
    ]
    return [each["secret"] for each in sources]


def _items(spec: dict[str, Any], *, optional: bool) -> list[dict[str, str]]:
    return [
        item
        for each in _sources(spec)
        if each.get("optional", False) is optional
        for item in each["items"]
    ]


def test_the_passwords_that_are_being_changed_are_seen_by_agents_alone() -> None:
    specs = render().pod_specs()
    beside = {item["key"] for item in _items(specs["StatefulSet/auth-guarita-node"], optional=True)}
    assert {"service-password-next", "service-password-previous"} <= beside
    assert _items(specs["Deployment/auth-guarita"], optional=True) == []


def test_another_rotation_is_another_job_that_knows_every_server() -> None:
    def job(rotation: str) -> tuple[str, list[str]]:
        ((name, spec),) = (
            (name, spec)
            for name, spec in render({"secrets": {"rotation": rotation}}).pod_specs().items()
            if name.startswith("Job/")
        )
        return name, spec["containers"][0]["args"]

    name, args = job("1")
    assert name != job("2")[0]
    assert args.count("--node") == args.count("--sentinel") == 3
    assert [args[at + 1] for at, word in enumerate(args) if word == "--rotation"] == ["1"]


def test_each_part_gets_the_secrets_that_it_needs_and_no_more() -> None:
    specs = render().pod_specs()

    def keys(name: str) -> set[str]:
        return {item["key"] for item in _items(specs[name], optional=False)}

    assert keys("Deployment/auth-guarita") == {
        "secret",
        "sentinel-password",
        "service-password",
        "api-key-default",
    }
    users = {f"{role}-password" for role in ("service", "agent", "sentinel-user", "replica")}
    needed = {*users, "exporter-password", "sentinel-password"}
    assert keys("StatefulSet/auth-guarita-node") == needed
    assert keys("StatefulSet/auth-guarita-sentinel") == needed


def test_the_job_makes_every_key_that_a_pod_mounts() -> None:
    for base in BASES:
        rendered = render(base=base)
        (job,) = (spec for name, spec in rendered.pod_specs().items() if name.startswith("Job/"))
        made = set(job["containers"][0]["args"])
        for spec in rendered.pod_specs().values():
            assert {item["key"] for item in _items(spec, optional=False)} <= made


def test_a_drill_plays_what_is_asked_for_and_leaves_its_report() -> None:
    rendered = render(
        {"drill": {"enabled": True, "scenarios": ["D1", "D4"]}, "durability": "strict"}
    )
    (container,) = _containers(rendered, "Job/auth-guarita-drill")
    assert container["args"][:4] == ["drill", "run", "D1", "D4"]
    assert container["image"] == "guarita-drill:0.1.0"
    assert set(container["args"][4:]) == {
        "--target=kubernetes",
        "--namespace=sign-in",
        "--yes-break-it=sign-in",
        "--durability=strict",
        "--rate=100",
        "--out=/reports",
    }
    claim = rendered.one("PersistentVolumeClaim", "auth-guarita-drill")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_with_a_secret_of_ones_own_nothing_is_made() -> None:
    rendered = render({"secrets": {"existingSecret": "mine"}})
    assert rendered.of("Job") == {}
    assert "auth-guarita-secrets" not in rendered.of("Role")
    for name, spec in rendered.pod_specs().items():
        assert {each["name"] for each in _sources(spec)} == {"mine"}, name


@each_base
def test_nothing_secret_is_rendered(base: str) -> None:
    assert render(base=base).of("Secret") == {}


def test_the_image_is_named_by_tag_and_digest() -> None:
    digest = "sha256:" + "ab" * 32
    image = {"registry": "r.example", "repository": "a/b", "tag": "1", "digest": digest}
    for spec in render({"image": image}).pod_specs().values():
        assert spec["containers"][0]["image"] == f"r.example/a/b:1@{digest}"
    (container,) = _containers(render(), "Deployment/auth-guarita")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert container["image"] == f"guarita:{version}"


def test_a_fullname_is_the_name_of_all() -> None:
    objects = render({"fullnameOverride": "doors"}).objects
    assert all(each["metadata"]["name"].startswith("doors") for each in objects)


def test_a_changed_setting_restarts_the_pods_that_read_it() -> None:
    def checksums(**values: Any) -> tuple[Any, ...]:
        rendered = render(values)
        return tuple(
            rendered.one(kind, name)["spec"]["template"]["metadata"]["annotations"]
            for kind, name in (
                ("Deployment", "auth-guarita"),
                ("StatefulSet", "auth-guarita-node"),
                ("StatefulSet", "auth-guarita-sentinel"),
            )
        )

    before = checksums()
    assert checksums() == before
    after = checksums(sessions={"ticketTtlSeconds": 900})
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
    after = checksums(sentinels={"downAfterMs": 1500})
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_each_source_of_a_certificate_leads_to_its_secret() -> None:
    def tls(**values: str) -> tuple[Rendered, set[str]]:
        rendered = render({"tls": values})
        specs = (spec for name, spec in rendered.pod_specs().items() if not name.startswith("Job/"))
        volumes = [volume for spec in specs for volume in spec["volumes"]]
        return rendered, {each["secret"]["secretName"] for each in volumes if each["name"] == "tls"}

    assert tls(source="none")[1] == set()
    assert tls(source="secret", existingSecret="mine")[1] == {"mine"}
    rendered, names = tls(source="certManager", issuerName="issuer")
    assert names == {"auth-guarita-tls"}
    certificate = rendered.one("Certificate", "auth-guarita-tls")["spec"]
    assert certificate["issuerRef"]["name"] == "issuer"
    hosts = set(certificate["dnsNames"])
    assert {
        f"auth-guarita-{name}.{DOMAIN}" for name in ("node-2", "sentinel-0", "primary")
    } <= hosts
    rendered, names = tls(source="job")
    assert names == {"auth-guarita-tls"}
    (job,) = (spec for name, spec in rendered.pod_specs().items() if name.startswith("Job/"))
    assert hosts <= set(job["containers"][1]["args"])


def test_volumes_stay_when_the_release_goes() -> None:
    for name in ("auth-guarita-node", "auth-guarita-sentinel"):
        spec = render().one("StatefulSet", name)["spec"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {
            "whenDeleted": "Retain",
            "whenScaled": "Retain",
        }
        assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "data"


def test_data_nodes_are_on_different_machines_and_in_different_zones_where_there_are() -> None:
    for part in ("node", "sentinel"):
        spec = render().pod_specs()[f"StatefulSet/auth-guarita-{part}"]
        rules = spec["affinity"]["podAntiAffinity"]
        (hard,) = rules["requiredDuringSchedulingIgnoredDuringExecution"]
        (soft,) = rules["preferredDuringSchedulingIgnoredDuringExecution"]
        assert hard["topologyKey"] == "kubernetes.io/hostname"
        assert soft["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
        assert hard["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == part
