"""config/kubernetes and the second machine's compose file: the services of docker-compose.yml, word for word.

`tests/test_compose.py` runs each of those commands as a process, with its environment, on a read-only root.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config.settings import Settings, SettingsError, load
from pipeline.api.ledger_metrics import GAUGES
from pipeline.broker.queues import WORKER_GROUPS
from tests.test_compose import OURS, ROOT, SERVICES, VARIABLE
from tests.test_compose_least import NETWORKS, SECRETS

FOLDER = ROOT / "config" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = KUSTOMIZATION["resources"]
MANIFESTS = [one for name in FILES for one in yaml.safe_load_all((FOLDER / name).read_text())]
VERSIONS = ("1.30", "1.37")
"""The oldest that kustomization.yaml promises, and the newest that the validator knows."""
REQUIRED = {
    "SLIPWAY_STORE__URL": "postgresql+psycopg://slipway:a-long-password@10.0.0.1/slipway",
    "SLIPWAY_BROKER__URL": "redis://:a-long-password@10.0.0.1:6379/0",
    "SLIPWAY_FLOWER__PASSWORD": "a-long-password",
    "SLIPWAY_API__PUBLIC_URL": "https://slipway.example.com",
    "SLIPWAY_FILES__BUCKET": "files",
}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in MANIFESTS if one["kind"] == kind}


DEPLOYMENTS, POLICIES, SCALERS = map(of_kind, ("Deployment", "NetworkPolicy", "HorizontalPodAutoscaler"))
TEMPLATES = {name: spec["template"] for name, spec in (DEPLOYMENTS | of_kind("Job")).items()}
PODS = {name: template["spec"] for name, template in TEMPLATES.items()}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
RUNNING = sorted({*OURS} - {"check-settings"})


def find_selected(labels: Mapping[str, str]) -> set[str]:
    return {name for name, one in TEMPLATES.items() if labels.items() <= one["metadata"]["labels"].items()}


def environment_in(name: str, secret: Mapping[str, str]) -> dict[str, str]:
    """Return what Kubernetes gives to a container: the Secret, if it has it, under its own. Raises KeyError."""
    found = dict(secret) if CONTAINERS[name].get("envFrom") else {}
    for one in CONTAINERS[name]["env"]:
        if "value" in one:
            found[one["name"]] = one["value"]
        elif (ref := one["valueFrom"]["secretKeyRef"])["key"] in secret or not ref.get("optional"):
            found[one["name"]] = secret[ref["key"]]
    return found


def environment_in_compose(name: str, file: Mapping[str, str]) -> dict[str, str]:
    own = {
        key: VARIABLE.sub(lambda found: file.get(found[1]) or found[2] or "", value)
        for key, value in SERVICES[name]["environment"].items()
    }
    return {**(file if SERVICES[name].get("env_file") else {}), **own}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_manifest_is_valid(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)
    assert "namespace" not in manifest["metadata"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**manifest, "spek": {}}, version, strict=True)


def test_the_kustomization_names_each_file_once_and_nothing_else() -> None:
    assert sorted([*FILES, "kustomization.yaml"]) == sorted(path.name for path in FOLDER.iterdir())
    assert {*KUSTOMIZATION} == {"apiVersion", "kind", "resources"}
    names = [(one["kind"], one["metadata"]["name"]) for one in MANIFESTS]
    assert len(names) == len({*names})


def test_each_service_of_compose_runs_with_its_command_and_image() -> None:
    assert sorted(TEMPLATES) == RUNNING
    for name, container in CONTAINERS.items():
        service = SERVICES[name]
        assert len(PODS[name]["containers"]) == 1
        assert "command" not in container, "the image's entry point stays"
        assert (container["args"], container["image"]) == (service["command"], service["image"]), name


@pytest.mark.parametrize("name", RUNNING)
def test_a_container_gets_the_environment_that_compose_gives(name: str) -> None:
    service = SERVICES[name]
    bucket = {"SLIPWAY_FILES__STORE": "s3"} if any("files:" in v for v in service.get("volumes", [])) else {}
    references = {key for key, _ in VARIABLE.findall(str(service["environment"]))}
    full = dict.fromkeys(SECRETS | references, "a value") | REQUIRED
    assert environment_in(name, full) == environment_in_compose(name, full) | bucket
    assert load(environment_in(name, REQUIRED)) == load(environment_in_compose(name, REQUIRED) | bucket)
    for key in re.findall(r"\$\{(\w+):\?", str(service["environment"])):
        with pytest.raises(KeyError):
            environment_in(name, {k: v for k, v in REQUIRED.items() if k != key})


def test_no_secret_has_a_value_here() -> None:
    assert of_kind("Secret") == {}
    for name, container in CONTAINERS.items():
        assert not any(one.get("value") for one in container["env"] if one["name"] in SECRETS), name
        refs = [*container.get("envFrom", []), *(one.get("valueFrom", {}) for one in container["env"])]
        assert {source["name"] for ref in refs for source in ref.values()} == {"slipway"}, name


def test_the_secret_is_made_from_the_settings_file_without_its_quotes(tmp_path: Path) -> None:
    [command] = re.findall(r"(sed .*) > secret\.env", (FOLDER / "kustomization.yaml").read_text())
    lines = ["SLIPWAY_MCP__KEY='a=b'", "#SLIPWAY_STORE__POOL='12'", "GRAFANA_PASSWORD='b'", "SLIPWAY_LEVEL=1"]
    (tmp_path / ".env").write_text("\n".join(lines))
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True)  # noqa: S607
    assert done.stdout.split() == ["SLIPWAY_MCP__KEY=a=b", "SLIPWAY_LEVEL=1"]


def test_every_pod_is_confined_as_in_compose() -> None:
    for name, pod in PODS.items():
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), (
            name
        )
        assert f"USER {context['runAsUser']}" in (ROOT / "config" / "Dockerfile").read_text()
        assert CONTAINERS[name]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert pod["automountServiceAccountToken"] is False, name
        limit = CONTAINERS[name]["resources"]["limits"]["memory"]
        assert limit.lower() == f"{SERVICES[name]['mem_limit']}i", name
        grace = SERVICES[name].get("stop_grace_period", "30s")  # Kubernetes' default, longer than Docker's
        assert f"{pod.get('terminationGracePeriodSeconds', 30)}s" == grace, name


def test_no_pod_gets_variables_of_services() -> None:
    """A Service `slipway-db` in the namespace would set SLIPWAY_DB_PORT, which every process refuses."""
    with pytest.raises(SettingsError):
        load({"SLIPWAY_DB_PORT": "tcp://10.0.0.1:80"})
    assert all(pod["enableServiceLinks"] is False for pod in PODS.values())


def test_a_probe_asks_what_the_health_check_asks_and_no_broker_kills_a_worker() -> None:
    for name, container in CONTAINERS.items():
        probes = {kind: container[kind] for kind in ("readinessProbe", "livenessProbe") if kind in container}
        check = SERVICES[name].get("healthcheck", {})
        assert bool(probes) == bool(check), name
        for probe in probes.values():
            times = [f"{probe[key]}s" for key in ("periodSeconds", "timeoutSeconds", "initialDelaySeconds")]
            assert times == [check["interval"], check["timeout"], check["start_period"]], name
            assert probe["failureThreshold"] == check["retries"], name
            kind, *words = check["test"]
            if "exec" in probe:
                shell = ["sh", "-c"] if kind == "CMD-SHELL" else []
                assert probe["exec"]["command"] == [*shell, *(word.replace("$$", "$") for word in words)]
                assert "livenessProbe" not in probes, name
            else:
                asked = probe["httpGet"]
                assert f"'http://127.0.0.1:{asked['port']}{asked['path']}'" in words[-1], name


def test_a_pod_writes_where_the_service_has_volumes_and_files_are_in_the_bucket() -> None:
    claims = of_kind("PersistentVolumeClaim")
    for name, pod in PODS.items():
        claimed = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
        mounts = [(mount["name"], mount["mountPath"]) for mount in CONTAINERS[name]["volumeMounts"]]
        inside = {volume.rpartition(":")[::2] for volume in SERVICES[name].get("volumes", [])}
        expected = {(source or "spool", path) for source, path in inside if source != "files"}
        assert {*mounts} == expected | {("tmp", "/tmp")}, name
        assert claimed == {source for source, _ in inside} - {"files", ""} <= {*claims}, name
    assert claims["mark"]["accessModes"] == ["ReadWriteMany"], "workers on every node keep the epoch file"
    assert DEPLOYMENTS["flower"]["strategy"] == {"type": "Recreate"}, "its disk is mounted once"


def test_each_deployment_has_its_budget() -> None:
    budgets = of_kind("PodDisruptionBudget")
    assert {*budgets} == {*DEPLOYMENTS}
    for name, spec in budgets.items():
        assert find_selected(spec["selector"]["matchLabels"]) == {name}
        assert find_selected(DEPLOYMENTS[name]["selector"]["matchLabels"]) == {name}
        assert spec["maxUnavailable"] == 1


def test_each_pod_is_in_the_networks_of_compose_and_all_else_is_denied() -> None:
    members = {key: find_selected(spec["podSelector"]["matchLabels"]) for key, spec in POLICIES.items()}
    assert members.pop("default-deny") == {*TEMPLATES}
    assert members.pop("proxy") == {"api"}
    assert members == {key: {name for name in RUNNING if key in NETWORKS[name]} for key in members}
    assert {*members} == {network for name in RUNNING for network in NETWORKS[name]}
    denied = POLICIES["default-deny"]
    assert (sorted(denied["policyTypes"]), denied.get("ingress")) == (["Egress", "Ingress"], None)
    assert {port["port"] for rule in denied["egress"] for port in rule["ports"]} == {53}
    for name, service in of_kind("Service").items():
        assert find_selected(service["selector"]) == {name}
        assert SERVICES[name]["ports"][0].endswith(f":{service['ports'][0]['port']}")


@pytest.mark.parametrize(
    "address", ["10.96.0.1", "172.17.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fd00:ec2::254"]
)
def test_the_internet_is_no_private_address(address: str) -> None:
    [rule] = POLICIES["internet"]["egress"]
    left_out = [ip_network(net) for to in rule["to"] for net in to["ipBlock"]["except"]]
    assert any(ip_address(address) in net for net in left_out)


def test_each_group_is_scaled_by_a_gauge_of_its_own_queues() -> None:
    gauges = {family.name: family.labels for reading in GAUGES for family in reading.families}
    [rules] = [yaml.safe_load(one["data"]["config.yaml"]) for one in MANIFESTS if one["kind"] == "ConfigMap"]
    served = {*re.findall(r"slipway_\w+", rules["externalRules"][0]["seriesQuery"])}
    assert {*SCALERS} == {f"worker-{group}" for group in WORKER_GROUPS}
    metrics = {name: spec["metrics"][0]["external"]["metric"] for name, spec in SCALERS.items()}
    assert {metric["name"] for metric in metrics.values()} == served
    for name, metric in metrics.items():
        for choice in metric.get("selector", {}).get("matchExpressions", []):
            assert choice["key"] in gauges[metric["name"]]
            assert choice["values"] == [*WORKER_GROUPS[name.removeprefix("worker-")]]
    assert served <= {*gauges}


def test_all_that_may_run_fits_into_the_database_s_connections() -> None:
    for name, spec in SCALERS.items():
        assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert "replicas" not in DEPLOYMENTS[name], "each apply would undo the scaling"
    pools = sum(spec["maxReplicas"] for spec in SCALERS.values()) + 2 * DEPLOYMENTS["api"]["replicas"]
    [limit] = re.findall(r"max_connections=(\d+)", str(SERVICES["postgres"]["command"]))
    assert (pools + 1) * Settings().store.pool < int(limit), "one more starts before one stops"


class Loader(yaml.SafeLoader):
    """Reads Compose's tag for a value that replaces the first file's instead of being merged."""

    def replace(self, node: yaml.MappingNode | yaml.SequenceNode) -> tuple[str, Any]:
        if isinstance(node, yaml.MappingNode):
            return "override", self.construct_mapping(node, deep=True)
        return "override", self.construct_sequence(node, deep=True)


def test_a_second_machine_runs_the_api_and_workers_on_what_the_first_machine_has() -> None:
    Loader.add_constructor("!override", Loader.replace)
    text = (ROOT / "config" / "docker-compose.second-machine.yml").read_text()
    changes = yaml.load(text, Loader)["services"]  # noqa: S506
    here = {"api", *(f"worker-{group}" for group in WORKER_GROUPS)}
    assert {*changes} == {*SERVICES} - {"check-settings"}
    for name, change in changes.items():
        if name not in here:
            assert change == {"profiles": ["first-machine"]}, name
            continue
        assert {*change} == {"depends_on", "networks", "environment"}, "all else is the first machine's"
        assert change["networks"] == ("override", ["internet"]), "those of the engines have no way out"
        assert change["depends_on"] == ("override", SERVICES["postgres"]["depends_on"])
        found = load(environment_in_compose(name, REQUIRED) | change["environment"])
        assert (found.files.store, found.mark.keep) == ("s3", False), name
        assert not {*change["environment"]} & {*SERVICES[name]["environment"]}, "nothing emptied comes back"
