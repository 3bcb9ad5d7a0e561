"""Start one system for the proof, with new accounts for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Engines, environment_of, free_ports
from tests.fork_server_client import ForkServer
from tests.proof.points import PROVEN
from tests.proof.scenario import CrashScenario
from tests.stack import FAST, Stack, run_stack, until

SETTINGS = FAST | {
    # longer than a worker needs to reach a failpoint on every target; tests expire leases themselves
    "SLIPWAY_PUBLISH__SLICE": "60",
    "SLIPWAY_PUBLISH__LEASE": "130",
    "SLIPWAY_PUBLISH__CALL": "5",
    "SLIPWAY_WORKER__SHUTDOWN": "7",
    # crashes are far more frequent here than in production
    "SLIPWAY_PUBLISH__CRASHES": "50",
    "SLIPWAY_PUBLISH__TRIES": "20",
}


@pytest.fixture(scope="package")
def stack(
    engines: Engines, package_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """API, beat, a worker of each group and the sandbox."""
    folder: Path = tmp_path_factory.mktemp("proof")
    environment = environment_of(package_database_url, engines.valkey.url, vault_key, folder) | SETTINGS
    with run_stack(environment, folder, free_ports(3)) as stack:
        stack.start_sandbox()
        stack.start_beat()
        for group in ("publish", "reachability", "upkeep"):
            stack.start_worker(group)
        stack.start_api()
        stack.seed()
        until(lambda: stack.context.liveness.is_alive("reachability"), 60)
        until(stack.context.liveness.has_marker, 60)
        yield stack


@pytest.fixture
def scenario(
    stack: Stack, request: pytest.FixtureRequest, tmp_path: Path, fork_server: ForkServer
) -> Iterator[CrashScenario]:
    """An account for every target. Afterwards, check that a process crashed at each failpoint on each target."""
    stack.control("DELETE", "faults")
    scenario = CrashScenario(stack=stack, folder=tmp_path, fork_server=fork_server)
    scenario.connect()
    yield scenario
    scenario.check_crashes(PROVEN[request.node.originalname])
