"""Step 7: the entries for the registry and the suite's table of post cases, and a sandbox that serves Mammoth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import wiring
from tests.adapters.conformance.conftest import advance_clock_by_waits
from tests.adapters.conformance.environment import Environment, run_sandbox
from tests.adapters.conformance.post_cases import PHOTO, PHOTOS, VIDEO_2MB, PostCase
from tests.adapters.example.mammoth.adapter import Mammoth
from tests.adapters.example.settings import HOSTS, WithMammoth
from tests.adapters.example.word import MAMMOTH

__all__ = ["advance_clock_by_waits"]
README = Path(__file__).parent / "mammoth" / "README.md"


def _make_case(kind: str, files: tuple[str, ...], variant: str = "") -> PostCase:
    return PostCase(
        options={"spoiler_text": "tusks", "visibility": "unlisted"},
        platform=MAMMOTH,
        kind=kind,
        variant=variant,
        sandbox_platform="mammoth",
        files=files,
        is_searched=True,
        readme=README,
    )


POST_CASES = (
    _make_case("images", PHOTO, "one"),
    _make_case("images", PHOTOS),
    _make_case("video", VIDEO_2MB),
)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A sandbox that the tests of this process share."""
    folder = tmp_path_factory.mktemp("mammoth")
    with run_sandbox(folder, "tests.adapters.example.sandbox", adapters={MAMMOTH: Mammoth}) as environment:
        settings = WithMammoth.model_validate({"sandbox": {"url": environment.base}})
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(wiring.SANDBOX_HOSTS, MAMMOTH, HOSTS)
            environment.more_settings = {MAMMOTH: wiring.build_platform_settings(settings, MAMMOTH)}
        yield environment


@pytest.fixture
def environment(shared: Environment) -> Environment:
    """The shared sandbox, with the faults of earlier tests cleared."""
    shared.clear_faults()
    return shared


@pytest.fixture(params=POST_CASES, ids=lambda s: s.name.replace(" ", "_"))
def every_case(request: pytest.FixtureRequest) -> PostCase:
    """Each post kind of Mammoth."""
    found: PostCase = request.param
    return found


@pytest.fixture(params=POST_CASES[1:], ids=lambda s: s.name.replace(" ", "_"))
def post_case(request: pytest.FixtureRequest) -> PostCase:
    """Each that takes another way: one image is as several are."""
    found: PostCase = request.param
    return found
