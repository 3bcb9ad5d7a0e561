"""Fixtures: one sandbox for each test module, and the post cases that parametrize its tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.adapters.conformance.environment import Environment, run_sandbox
from tests.adapters.conformance.post_cases import PostCase, list_runnable_cases
from tests.adapters.conformance.simulation import CLOCK_OFFSET

CASES = list_runnable_cases()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Run a sandbox that the tests of a module share."""
    with run_sandbox(tmp_path_factory.mktemp("conformance")) as environment:
        yield environment


@pytest.fixture
def environment(shared: Environment) -> Environment:
    """The shared sandbox, with the faults of earlier tests cleared."""
    shared.clear_faults()
    return shared


@pytest.fixture(autouse=True)
def advance_clock_by_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance ``time.time`` by simulated waits. Call deadlines use the monotonic clock and are unaffected."""
    real = time.time
    CLOCK_OFFSET[0] = 0.0
    monkeypatch.setattr(time, "time", lambda: real() + CLOCK_OFFSET[0])


@pytest.fixture(params=CASES, ids=lambda s: s.name.replace(" ", "_"))
def post_case(request: pytest.FixtureRequest) -> PostCase:
    """Each post kind of each platform that has an adapter and a sandbox."""
    found: PostCase = request.param
    return found
