"""Fixtures: one sandbox for each test process, and the post cases that parametrize its tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.adapters.conformance.environment import Environment, run_sandbox
from tests.adapters.conformance.post_cases import PostCase, list_runnable_cases
from tests.adapters.conformance.simulation import CLOCK_OFFSET

CASES = list_runnable_cases()
DISTINCT = {
    "tiktok creator video, chunks",
    "tiktok creator photos, public",
    "tiktok creator draft",
    "tiktok creator draft of a video, chunks",
    "tiktok business video, with a sound",
    "tiktok business photos, public",
    "tiktok business draft of a video",
    "instagram carousel",
    "instagram reel, bytes",
    "instagram story, image",
    "facebook feed post",
    "facebook feed post, direct",
    "facebook reel, bytes",
    "facebook video",
    "facebook story, photo",
    "facebook story, video",
    "youtube video, chunks",
    "pinterest image, with a link",
    "pinterest image, without a link",
    "pinterest image, in a section",
    "pinterest video, with a link",
    "linkedin image of a member",
    "linkedin video of an organization",
    "linkedin document of an organization",
    "linkedin text of an organization, link",
}
"""Each visible call of each platform, with each way to it and each way to find its post; the others repeat these."""
DISTINCT_CASES = [case for case in CASES if case.name in DISTINCT]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Run a sandbox that all tests of this process share."""
    with run_sandbox(tmp_path_factory.mktemp("conformance")) as environment:
        yield environment


@pytest.fixture(scope="module")
def shared(running: Environment) -> Environment:
    """The sandbox, without what earlier modules left in it."""
    running.reset()
    return running


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


@pytest.fixture(params=DISTINCT_CASES, ids=lambda s: s.name.replace(" ", "_"))
def post_case(request: pytest.FixtureRequest) -> PostCase:
    """Each post kind that takes another way through an adapter."""
    found: PostCase = request.param
    return found


@pytest.fixture(params=CASES, ids=lambda s: s.name.replace(" ", "_"))
def every_case(request: pytest.FixtureRequest) -> PostCase:
    """Each post kind of each platform that has an adapter and a sandbox."""
    found: PostCase = request.param
    return found
