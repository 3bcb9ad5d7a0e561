"""Start one whole system for the flow tests: real servers, workers and files, with the sandbox as the platforms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.contract import Platform
from config.settings import PREFIX
from tests.conftest import Engines, environment_of, free_ports
from tests.stack import FAST, Stack, run_stack, until
from tests.test_compose import SERVICES


def without_platform_secrets() -> dict[str, Any]:
    """Return what docker-compose.yml empties for the worker that reads media of others: vault key, app secrets."""
    given = SERVICES["worker-reachability"]["environment"]
    return {name: value for name, value in given.items() if name.startswith(PREFIX) and not value}


@pytest.fixture(scope="package")
def stack(
    engines: Engines, package_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """API, beat, a worker of each group and the sandbox, with an account on each platform."""
    folder: Path = tmp_path_factory.mktemp("flow")
    environment = environment_of(package_database_url, engines.valkey.url, vault_key, folder) | FAST
    environment["SLIPWAY_MCP__ENABLED"] = "true"
    with run_stack(environment, folder, free_ports(3), forks=True) as stack:
        stack.start_sandbox()
        stack.start_beat()
        for group in ("publish", "upkeep"):
            stack.start_worker(group)
        stack.start_worker("reachability", **without_platform_secrets())
        stack.start_api()
        stack.seed()
        until(lambda: stack.context.liveness.is_alive("reachability"), 60)
        yield stack


@pytest.fixture(autouse=True)
def reset(stack: Stack) -> Iterator[None]:
    """Delete faults of earlier tests, connect new accounts with a full daily quota, and restart a killed worker."""
    stack.control("DELETE", "faults")
    until(stack.context.liveness.has_marker, 60)  # maintenance refills a flushed broker, not delay
    stack.owner = f"tester{uuid4().hex[:8]}"
    for platform in Platform:
        stack.accounts[platform] = stack.connect(platform, stack.owner)
    yield
    stack.control("DELETE", "faults")
    if stack.parts["publish"].poll() is not None:
        stack.start_worker("publish")
