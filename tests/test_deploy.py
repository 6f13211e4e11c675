"""What is in deploy/: valid by the schemas of those who read it, and true of the service."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import compose_spec
import httpx
import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from seedbed.cli.program import app as command_line
from seedbed.version import VERSION
from seedbed.web.settings import Settings
from tests.processes import run
from tests.web.local import Local

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "seedbed.json").read_text())
EXPRESSIONS = [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
]
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]

manifests = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted(KUBERNETES.glob("*.yaml"))
    if path.stem != "kustomization"
}


@pytest.mark.parametrize("name", manifests)
@pytest.mark.parametrize("release", ["1.31", "1.37"])
def test_manifests_are_valid(name: str, release: str) -> None:
    """Each manifest is what Kubernetes' own schema of its kind allows, and has nothing beside."""
    assert manifests[name]["metadata"]["name"] == "seedbed"
    kubernetes_validate.validate(manifests[name], release, strict=True)


RAY_JOB = yaml.safe_load((DEPLOY / "ray" / "rayjob.yaml").read_text())
RAY_GROUPS = [
    RAY_JOB["spec"]["rayClusterSpec"]["headGroupSpec"],
    *RAY_JOB["spec"]["rayClusterSpec"]["workerGroupSpecs"],
]


@pytest.mark.parametrize("release", ["1.31", "1.37"])
@pytest.mark.parametrize("group", RAY_GROUPS, ids=lambda group: group.get("groupName", "head"))
def test_pods_of_the_ray_job_are_valid(group: dict[str, Any], release: str) -> None:
    """Its pods are what Kubernetes' own schema allows, restricted as the others are."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]}
    kubernetes_validate.validate(pod, release, strict=True)
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["image"].endswith(f":{VERSION}")


def test_the_ray_job_runs_a_command() -> None:
    """Its entry point is a command line that plans, and its Ray is the one that is tested."""
    pinned = (ROOT / "constraints.txt").read_text().split()
    assert f"ray=={RAY_JOB['spec']['rayClusterSpec']['rayVersion']}" in pinned
    program, *words = shlex.split(RAY_JOB["spec"]["entrypoint"])
    done = CliRunner().invoke(command_line, [*words, "--dry-run"])
    assert (program, done.exit_code) == ("seedbed", 0), done.output


def test_schemas_would_find_mistakes() -> None:
    """A field that is misspelt is found: the schemas are strict."""
    wrong = json.loads(json.dumps(manifests["deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["redinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="redinessProbe"):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


def test_kustomization_names_every_manifest() -> None:
    """No manifest is forgotten, and none is named that is not there."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == [f"{name}.yaml" for name in manifests]


def test_manifests_fit_together() -> None:
    """Selectors, ports and targets name what is there, and a pod may take as long as it needs."""
    deployment = manifests["deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    (container,) = deployment["template"]["spec"]["containers"]
    for selector in (
        deployment["selector"]["matchLabels"],
        manifests["service"]["spec"]["selector"],
        manifests["pdb"]["spec"]["selector"]["matchLabels"],
        manifests["networkpolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector
        assert selector.items() <= labels
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in manifests["service"]["spec"]["ports"]} <= ports
    assert ports == {"http", "probes"}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "probes"
    numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
    annotations = deployment["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(numbers["probes"])
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"SEEDBED_PROBE_PORT={numbers['probes']} " in dockerfile
    assert f"EXPOSE {numbers['http']} {numbers['probes']}\n" in dockerfile
    (scraped,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    assert scraped["dns_sd_configs"][0]["port"] == numbers["probes"]
    target = manifests["hpa"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "seedbed")
    given = manifests["configmap"]["data"]
    stops = float(given["SEEDBED_DRAIN_SECONDS"]) + float(given["SEEDBED_SHUTDOWN_SECONDS"])
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] > stops


def test_who_may_reach_what() -> None:
    """Anyone may reach the service, and only the monitoring namespace health and metrics."""
    policy = manifests["networkpolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    from_whom = {
        port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]
    }
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert from_whom == {"http": None, "probes": [{"namespaceSelector": monitoring}]}
    assert {port["targetPort"] for port in manifests["service"]["spec"]["ports"]} == {"http"}


def test_images_have_a_version() -> None:
    """The manifests name this version's image, and compose no image without a tag but its own."""
    (container,) = manifests["deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"seedbed:{VERSION}"
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    (image,) = kustomization["images"]
    assert (image["name"], str(image["newTag"])) == ("seedbed", VERSION)
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name, service in compose.items():
        assert name == "seedbed" or re.search(r":v?\d", service["image"])


def test_pods_are_restricted() -> None:
    """A pod has no root, no capability, no writable file system and no way to gain any."""
    pod = manifests["deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    for kind in ("requests", "limits"):
        assert container["resources"][kind].keys() == {"cpu", "memory", "ephemeral-storage"}


def test_compose_file_is_valid() -> None:
    """The compose file is what the Compose Specification allows, and nobody in it is root's equal.

    Merge keys, which YAML has and JSON has not, are resolved before.
    """
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    compose = compose_spec.PyCompose.from_json(json.dumps(found))
    compose.validate()
    compose.validate_volumes()
    for service in found["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert source in found["volumes"] or (DEPLOY / source).exists()
    assert set(compose.service_names()) >= {"seedbed", "nginx", "prometheus", "grafana"}
    with pytest.raises(ValueError, match="readonly"):
        compose_spec.PyCompose.from_json('{"services": {"a": {"image": "a", "readonly": true}}}')


def settings_in(found: Any) -> dict[str, str]:
    """Settings that some part of a document gives."""
    if isinstance(found, list):
        return {k: v for part in found for k, v in settings_in(part).items()}
    if not isinstance(found, dict):
        return {}
    own = {k: v for k, v in found.items() if k.startswith("SEEDBED_") and isinstance(v, str)}
    if str(found.get("name", "")).startswith("SEEDBED_"):
        own[found["name"]] = "1"
    return own | {k: v for part in found.values() for k, v in settings_in(part).items()}


def test_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting that is given exists, and takes what it is given.

    But for the database, whose driver is an extra.
    """
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for given in (settings_in(compose), settings_in(list(manifests.values()))):
        assert given
        with monkeypatch.context() as patch:
            for name, value in given.items():
                assert name.removeprefix("SEEDBED_").lower() in Settings.model_fields
                patch.setenv(name, re.sub("^postgresql:.*", "none", value))
            Settings()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all series of a service that has done a bit of everything."""
    registry = f"sqlite:///{tmp_path_factory.mktemp('registry')}/registry.db"
    with Local(engine="numpy", registry_url=registry) as local:
        httpx.get(f"{local.url}/v1/tensors/orthogonal/4x4.safetensors")
        httpx.get(f"{local.url}/nowhere")
        httpx.get(f"{local.url}/readyz")
        text = httpx.get(f"{local.url}/metrics").text
    return {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *(rule["expr"] for rule in RULES)])
def test_queries_name_what_is_exported(exported: set[str], expression: str) -> None:
    """Each series in a panel of the dashboard or in a rule is exported, or recorded by a rule."""
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    names = set(re.findall(r"\b(?:seedbed|process)[a-z0-9_:]+(?=[\[{) ]|$)", expression))
    assert names or "up{" in expression
    assert names - exported - recorded == set()


def test_every_metric_is_shown(exported: set[str]) -> None:
    """No metric is forgotten in the dashboard."""
    text = " ".join(EXPRESSIONS)
    ours = {re.sub("_(sum|count|bucket)$", "", name) for name in exported}
    missing = {name for name in ours if name.startswith("seedbed_") and name not in text}
    assert missing == set()


def test_dockerfile_is_clean() -> None:
    """Hadolint has nothing to say against the Dockerfile."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = run(hadolint, ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, b"")
