"""Step 7: the entries for the registry and the suite's table of subjects, and a sandbox that serves Mammoth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import wiring
from tests.adapters.conformance.conftest import waiting_passes
from tests.adapters.conformance.environment import Ground, sandbox
from tests.adapters.conformance.subjects import MB2, PHOTO, PHOTOS, Subject
from tests.adapters.example.mammoth.adapter import Mammoth
from tests.adapters.example.settings import HOSTS, WithMammoth
from tests.adapters.example.word import MAMMOTH

__all__ = ["waiting_passes"]
README = Path(__file__).parent / "mammoth" / "README.md"


def _subject(kind: str, files: tuple[str, ...], variant: str = "") -> Subject:
    return Subject(
        options={"spoiler_text": "tusks", "visibility": "unlisted"},
        platform=MAMMOTH,
        kind=kind,
        variant=variant,
        stand_in="mammoth",
        files=files,
        searched=True,
        readme=README,
    )


SUBJECTS = (_subject("images", PHOTO, "one"), _subject("images", PHOTOS), _subject("video", MB2))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A sandbox that the tests of a module share."""
    folder = tmp_path_factory.mktemp("mammoth")
    with sandbox(folder, "tests.adapters.example.sandbox", adapters={MAMMOTH: Mammoth}) as ground:
        settings = WithMammoth.model_validate({"sandbox": {"url": ground.base}})
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(wiring.SANDBOX_HOSTS, MAMMOTH, HOSTS)
            ground.more_settings = {MAMMOTH: wiring.build_platform_settings(settings, MAMMOTH)}
        yield ground


@pytest.fixture
def ground(shared: Ground) -> Ground:
    """The shared sandbox, with the faults of earlier tests cleared."""
    shared.calm()
    return shared


@pytest.fixture(params=SUBJECTS, ids=lambda s: s.name.replace(" ", "_"))
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each post kind of Mammoth."""
    found: Subject = request.param
    return found
