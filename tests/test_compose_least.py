"""Test docker-compose.yml: each service gets only what it needs, and no more of the host than it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr

from config.safety import COMPOSE_SECRETS
from config.settings import PREFIX, Settings, load
from pipeline.media.probe.probe_worker import CONVERSION_MEMORY, MEMORY
from tests.test_compose import COMPOSE, OURS, ROOT, SERVICES, environment_of, make_read_only

DOCKERFILE = ROOT / "config" / "Dockerfile"
URLS = {"SLIPWAY_STORE__URL", "SLIPWAY_BROKER__URL"}
SECRETS = {
    f"{PREFIX}{group}__{name}".upper()
    for group, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    for name, leaf in info.annotation.model_fields.items()
    if leaf.annotation is SecretStr
} | {*COMPOSE_SECRETS}
SENDING = SECRETS - {*COMPOSE_SECRETS, "SLIPWAY_FLOWER__PASSWORD"}
"""What the API may have; the workers do without the operator's token."""
PLATFORM_SECRETS = {"SLIPWAY_VAULT__KEYS", *(name for name in SECRETS if name.endswith("APP_SECRET"))}
"""What opens accounts on the platforms: the worker that reads media of others has none of it."""
ALLOWED = {
    "check-settings": SECRETS,
    "migrate": {"SLIPWAY_STORE__URL"},
    "beat": URLS,
    "flower": {"SLIPWAY_BROKER__URL", "SLIPWAY_FLOWER__PASSWORD"},
    "api": SENDING,
    **dict.fromkeys(("worker-publish", "worker-upkeep"), SENDING - {"SLIPWAY_API__OPERATOR_TOKEN"}),
    "worker-reachability": SENDING - {"SLIPWAY_API__OPERATOR_TOKEN"} - PLATFORM_SECRETS,
}
"""Service -> the secrets it may have."""
WRITING = {"api", "worker-publish", "worker-reachability", "worker-upkeep"}
NETWORKS = {
    "migrate": {"database"},
    "postgres": {"database"},
    "valkey": {"broker"},
    "beat": {"database", "broker"},
    "flower": {"broker", "monitoring"},
    "api": {"database", "broker", "internet", "monitoring"},
    "prometheus": {"monitoring"},
    "alertmanager": {"monitoring"},
    "grafana": {"monitoring"},
    "check-settings": set[str](),
    **{key: {"database", "broker", "internet"} for key in WRITING - {"api"}},
}
LONG = {
    "SLIPWAY_DELAY__HORIZON": "300",
    "SLIPWAY_DELAY__SWEEP": "290",
    "SLIPWAY_BROKER__VISIBILITY_TIMEOUT": "1800",
    "SLIPWAY_PUBLISH__SLICE": "300",
    "SLIPWAY_PUBLISH__LEASE": "600",
    "SLIPWAY_PUBLISH__CALL": "100",
    "SLIPWAY_WORKER__SHUTDOWN": "120",
    "SLIPWAY_REACHABILITY__SLICE": "300",
    "SLIPWAY_REACHABILITY__LEASE": "700",
    "SLIPWAY_REACHABILITY__WAIT": "30",
    "SLIPWAY_API__SHUTDOWN": "60",
}
SHORT = {
    "SLIPWAY_DELAY__HORIZON": "2",
    "SLIPWAY_BROKER__VISIBILITY_TIMEOUT": "30",
    "SLIPWAY_PUBLISH__SLICE": "10",
    "SLIPWAY_PUBLISH__LEASE": "20",
    "SLIPWAY_PUBLISH__CALL": "5",
    "SLIPWAY_WORKER__SHUTDOWN": "8",
    "SLIPWAY_REACHABILITY__SLICE": "10",
    "SLIPWAY_REACHABILITY__LEASE": "20",
}


@pytest.fixture(scope="module")
def filled() -> dict[str, str]:
    """The file .env with every setting in it, secrets included."""
    example = {name: value or "" for name, value in dotenv_values(ROOT / "config" / ".env.example").items()}
    secret = {name: f"secret-of-{name}" for name in SECRETS} | {
        "SLIPWAY_STORE__URL": "postgresql+psycopg://slipway:a-long-password@postgres/slipway",
        "SLIPWAY_BROKER__URL": "redis://:a-long-password@valkey:6379/0",
        "SLIPWAY_TRACING__HEADERS": "authorization=a-long-password",
    }
    commented = re.findall(
        r"^#(SLIPWAY_\w+)='(.*)'$", (ROOT / "config" / ".env.example").read_text(), re.MULTILINE
    )
    url = {"SLIPWAY_API__PUBLIC_URL": "https://slipway.example.com", "SLIPWAY_API__OPERATOR_TOKEN": "t" * 32}
    return {**example, **dict(commented), **secret, **url}


@pytest.mark.parametrize("name", OURS)
def test_a_service_gets_no_secret_that_it_does_not_need(name: str, filled: dict[str, str]) -> None:
    given = environment_of(name, filled)
    assert {variable for variable in SECRETS if given.get(variable)} == ALLOWED[name]


@pytest.mark.parametrize("given", [{}, LONG, SHORT], ids=["defaults", "long", "short"])
@pytest.mark.parametrize("name", OURS)
def test_settings_that_fit_together_fit_in_every_service(
    name: str, given: dict[str, str], filled: dict[str, str]
) -> None:
    load(environment_of(name, filled | given))


@pytest.mark.parametrize("name", ["beat", "flower", "migrate"])
def test_a_service_without_the_file_gets_its_settings_or_else_their_defaults(
    name: str, filled: dict[str, str]
) -> None:
    assert "env_file" not in SERVICES[name]
    needed = {
        "SLIPWAY_FOLDER": ".slipway",
        "SLIPWAY_FLOWER__PORT": "5555",
        "SLIPWAY_FLOWER__PASSWORD": "p" * 12,
    }
    given = {variable: value for variable, value in environment_of(name, needed).items() if value}
    found = load(given)
    for group in ("log", "delay", "broker", "publish", "reachability", "worker"):
        assert getattr(found, group) == getattr(Settings(), group), group
    assert load(environment_of(name, {**filled, "SLIPWAY_LOG__LEVEL": "DEBUG"})).log.level == "DEBUG"


def test_the_tests_of_the_services_run_them_on_a_read_only_root(tmp_path: Path) -> None:
    start = make_read_only("api", tmp_path)
    if not start:
        pytest.skip("NOT TESTED: this user may not mount, so that services run with a writable root")

    def touch(where: Path) -> int:
        return subprocess.run([*start, "touch", where], capture_output=True, check=False).returncode

    assert [touch(tmp_path / "files" / "x"), touch(tmp_path / "mark" / "x")] == [0, 0]
    assert touch(Path("/slipway-read-only")) != 0


def test_only_what_sends_posts_has_our_volumes() -> None:
    mounted = {name for name in OURS if SERVICES[name].get("volumes")}
    assert mounted == WRITING | {"flower"}
    assert SERVICES["flower"]["volumes"] == ["flower:/var/lib/slipway/flower"], "none that another has"


def test_every_service_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["pids_limit"] > 0, name
        assert {"max-size", "max-file"} <= service["logging"]["options"].keys(), name
        assert all(re.search(r":size=\d+m\b", tmpfs) for tmpfs in service.get("tmpfs", [])), name


def test_the_memory_that_settings_promise_fits_into_the_limits() -> None:
    def limit(name: str) -> int:
        number, unit = re.fullmatch(r"(\d+)([mg])", SERVICES[name]["mem_limit"]).groups()  # type: ignore[union-attr]
        return int(number) << {"m": 20, "g": 30}[unit]

    s, worker = Settings(), 300 << 20
    assert limit("worker-reachability") >= s.reachability.probe_memory + worker
    assert limit("worker-publish") >= CONVERSION_MEMORY + MEMORY + worker
    assert limit("api") >= s.api.processes * (s.api.max_body_sum + worker)
    assert limit("valkey") > 700 << 20, "the fork that rewrites the file copies pages"
    threads = {name: s.worker.slots for name in OURS if name.startswith("worker-")}
    assert all(SERVICES[name]["pids_limit"] >= 4 * slots for name, slots in threads.items())


def test_engines_share_a_network_only_with_what_uses_them() -> None:
    assert {name: {*service.get("networks", [])} for name, service in SERVICES.items()} == NETWORKS
    assert SERVICES["check-settings"]["network_mode"] == "none"
    assert {name for name, network in COMPOSE["networks"].items() if network} == {"database", "broker"}
    assert all(COMPOSE["networks"][name]["internal"] for name in ("database", "broker"))
    published = {name for name, service in SERVICES.items() if service.get("ports")}
    assert all(NETWORKS[name] - {"database", "broker"} for name in published), (
        "no port of an internal network opens"
    )


def test_every_password_is_checked_before_an_engine_starts() -> None:
    for name in ("postgres", "valkey", "grafana", "alertmanager"):
        assert SERVICES[name]["depends_on"]["check-settings"] == {
            "condition": "service_completed_successfully"
        }
    for name in {*OURS} - {"check-settings", "migrate"}:
        assert {*SERVICES[name]["depends_on"]} == {"migrate", "valkey"}
    assert {*SERVICES["migrate"]["depends_on"]} == {"postgres"}


def test_every_image_has_an_exact_version_and_ours_is_the_project_s() -> None:
    images = [service["image"] for service in SERVICES.values()]
    bases = re.findall(r"^(?:FROM |COPY --from=)(\S+[:/]\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert len(bases) == 3
    for image in [*images, *bases]:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z-]+)?$", image), image
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {SERVICES[name]["image"] for name in OURS} == {f"slipway:{version}"}


def test_production_runs_the_engines_that_the_tests_run_on() -> None:
    from pipeline.embedded import valkey
    from pipeline.embedded.postgres import find_binary

    def find_version(program: Path) -> str:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        return str(re.findall(r"\d+(?:\.\d+)+", said)[0])

    assert SERVICES["postgres"]["image"] == f"postgres:{find_version(find_binary('postgres'))}"
    assert SERVICES["valkey"]["image"] == f"valkey/valkey:{find_version(valkey.find_binary())}"


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
