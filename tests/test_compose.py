"""Test docker-compose.yml without Docker: run each Slipway service as a plain process.

The command is the image's entry point plus the service's command. The environment is .env.example overridden by the
service's own; only addresses are the test's. The health check in the file decides whether a service is healthy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from dotenv import dotenv_values

from config.safety import ALERT_WEBHOOK_URL, COMPOSE_SECRETS
from config.settings import PREFIX, load
from pipeline.embedded.process import wait_until
from tests.conftest import Engines, free_ports

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("slipway:")]
ANSWERING = [name for name in OURS if "healthcheck" in SERVICES[name]]
PORTS = {"8000": "SLIPWAY_API__PORT", "5555": "SLIPWAY_FLOWER__PORT"}
ONCE = ("check-settings", "migrate")
"""Services that end, in the order of their starts."""
STARTS_WITHIN = 180.0
VARIABLE = re.compile(r"\$\{(\w+)(?::(?:-|\?[^}]*)([^}]*))?\}")
READ_ONLY = """
count=$1; shift
mount --make-rprivate /
while [ "$count" -gt 0 ]; do mount --bind "$1" "$1"; count=$((count - 1)); shift; done
mount -o remount,bind,ro /
exec "$@"
"""
"""Arguments: the number of folders that stay writable, the folders, the command."""
CLOSING = 5
"""Seconds a service may take beyond its shutdown setting, to close connections."""


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    """Port in the file -> port used here."""
    return dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))


@pytest.fixture(scope="module")
def production(module_environment: dict[str, str], ports: dict[str, str]) -> dict[str, str]:
    """The file .env: .env.example, filled in with the test's engines and passwords."""
    example = {name: value or "" for name, value in dotenv_values(ROOT / "config" / ".env.example").items()}
    ours = {name: value for name, value in module_environment.items() if name.startswith(PREFIX)}
    passwords = dict.fromkeys([*COMPOSE_SECRETS, "SLIPWAY_FLOWER__PASSWORD"], "a password for a test") | {
        ALERT_WEBHOOK_URL: "https://alerts.example.com/"
    }
    here = {name: ports[port] for port, name in PORTS.items()}
    return {**example, **passwords, **ours, **here, "SLIPWAY_API__PUBLIC_URL": "https://slipway.example.com"}


@pytest.fixture(scope="module")
def running(
    production: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """Start every Slipway service, on files it may only read, except its volumes. Long-running service -> its log."""
    logs = tmp_path_factory.mktemp("logs")
    started: dict[str, subprocess.Popen[bytes]] = {}
    for name in OURS:
        environment = environment_of(name, production)
        with (logs / name).open("wb") as log:
            started[name] = subprocess.Popen(
                [*make_read_only(name, Path(environment["SLIPWAY_FOLDER"])), *command_of(name)],
                env=environment,
                cwd=logs,
                stdout=log,
                stderr=log,
            )
        if name in ONCE:
            assert started.pop(name).wait(STARTS_WITHIN) == 0, (logs / name).read_text()
    yield {name: logs / name for name in started}
    ended = [name for name, process in started.items() if process.poll() is not None]
    for process in started.values():
        process.terminate()
    _, alive = psutil.wait_procs([psutil.Process(p.pid) for p in started.values() if p.poll() is None], 40)
    for process in started.values():
        process.kill()
        process.wait()
    assert ended == []
    assert alive == []
    assert {name: process.returncode for name, process in started.items()} == dict.fromkeys(started, 0)


def command_of(name: str) -> list[str]:
    entry = re.search(r"^ENTRYPOINT (.*)$", (ROOT / "config" / "Dockerfile").read_text(), re.MULTILINE)
    assert entry
    return [*json.loads(entry[1]), *SERVICES[name]["command"]]


def environment_of(name: str, production: dict[str, str]) -> dict[str, str]:
    """Return a service's environment as compose makes it: the file, if it has it, under its own; bind loopback."""
    image = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    image |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLIPWAY_FOLDER": production["SLIPWAY_FOLDER"],
    }
    own = {
        key: VARIABLE.sub(lambda found: production.get(found[1]) or found[2] or "", value)
        for key, value in SERVICES[name].get("environment", {}).items()
    }
    here = {key: production[key] for key in PORTS.values() if key in own}
    given = production if SERVICES[name].get("env_file") == ".env" else {}
    return {**image, **given, **{k: v.replace("0.0.0.0", "127.0.0.1") for k, v in own.items()}, **here}  # noqa: S104


def make_read_only(name: str, folder: Path) -> list[str]:
    """Return the start of a command line that may write only the service's volumes; empty where this is forbidden."""
    mount = ["unshare", "--mount", "sh", "-euc", READ_ONLY, "sh"]
    if subprocess.run([*mount, "0", "true"], capture_output=True, check=False).returncode:
        return []
    targets = (volume.rpartition(":")[2] for volume in SERVICES[name].get("volumes", []))
    writable = [folder / Path(target).name for target in targets]
    for volume in writable:
        volume.mkdir(exist_ok=True)
    return [*mount, str(len(writable)), *map(str, writable)]


def check_of(name: str, ports: dict[str, str]) -> list[str]:
    """Return the service's health check as a command, with the ports used here."""
    kind, *words = SERVICES[name]["healthcheck"]["test"]
    here = [re.sub("|".join(ports), lambda found: ports[found[0]], word).replace("$$", "$") for word in words]
    return here if kind == "CMD" else ["sh", "-c", *here]


def well(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def test_every_service_that_production_needs_is_there_and_the_sandbox_is_not() -> None:
    groups = {"worker-publish", "worker-reachability", "worker-upkeep"}
    assert {*OURS} == {*ONCE, "api", "beat", "flower", *groups}
    assert {*SERVICES} - {*OURS} == {"postgres", "valkey", "prometheus", "alertmanager", "grafana"}
    assert "sandbox" not in json.dumps(SERVICES)


def test_every_worker_group_has_its_service() -> None:
    from pipeline.broker.queues import WORKER_GROUPS

    assert {SERVICES[name]["command"][1] for name in OURS if name.startswith("worker-")} == {*WORKER_GROUPS}


def test_no_secret_stands_in_the_file_and_nothing_is_published_beyond_loopback() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            is_secret = "PASSWORD" in key or key == "ALERT_WEBHOOK_URL"
            assert not is_secret or not value or value.startswith("${"), f"{name}: {key}"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_durability_is_not_switched_off() -> None:
    words = " ".join(SERVICES["postgres"]["command"])
    assert not re.search(r"fsync|synchronous_commit|full_page_writes", words)
    assert "--maxmemory-policy noeviction" in SERVICES["valkey"]["command"][-1]


def test_the_epoch_file_is_outside_the_database_where_all_that_send_see_it() -> None:
    docker = (ROOT / "config" / "Dockerfile").read_text()
    [home] = re.findall(r"SLIPWAY_FOLDER=(\S+)", docker)
    folders = re.findall(rf"{home}/\w+", docker)
    for name in (name for name in OURS if name == "api" or name.startswith("worker-")):
        assert f"mark:{home}/mark" in SERVICES[name]["volumes"], name
        targets = {volume.rpartition(":")[2] for volume in SERVICES[name]["volumes"]}
        assert targets <= {*folders}, "made for our user, or the volume would be root's"
    assert not any("mark" in volume for volume in SERVICES["postgres"]["volumes"])


def test_every_part_is_given_longer_to_stop_than_it_takes() -> None:
    s = load({})
    takes = {
        "api": s.api.shutdown,
        **{name: s.worker.shutdown for name in OURS if name.startswith("worker-")},
    }
    for name in OURS:
        given = re.fullmatch(r"(\d+)s", SERVICES[name].get("stop_grace_period", "10s"))  # Docker's default
        assert given, name
        assert int(given[1]) > takes.get(name, 0) + CLOSING, name


@pytest.mark.parametrize("name", ANSWERING)
def test_each_service_starts_and_its_health_check_is_content(
    name: str, running: dict[str, Path], production: dict[str, str], ports: dict[str, str]
) -> None:
    check, environment = check_of(name, ports), environment_of(name, production)
    assert wait_until(lambda: well(check, environment), STARTS_WITHIN), running[name].read_text()[-4000:]


def test_flower_asks_for_the_password(
    running: dict[str, Path], ports: dict[str, str], production: dict[str, str]
) -> None:
    origin = f"http://127.0.0.1:{ports['5555']}/"

    def status(password: str, page: str = "") -> int:
        try:
            return requests.get(origin + page, auth=("operator", password), timeout=60).status_code
        except requests.ConnectionError:
            return 0

    assert wait_until(lambda: status("wrong") == 401, STARTS_WITHIN), running["flower"].read_text()[-4000:]
    for page in ("", "metrics"):
        assert status(production["SLIPWAY_FLOWER__PASSWORD"], page) == 200
        assert status("wrong", page) == requests.get(origin + page, timeout=60).status_code == 401


def test_beat_rings_and_the_reachability_worker_hears(
    running: dict[str, Path], engines: Engines, production: dict[str, str]
) -> None:
    client = engines.valkey.client(int(production["SLIPWAY_BROKER__URL"].rpartition("=")[2]))
    assert wait_until(lambda: bool(client.exists("pulse:reachability")), STARTS_WITHIN), running[
        "beat"
    ].read_text()[-4000:]
    client.close()
