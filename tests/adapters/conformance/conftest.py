"""One sandbox a module, and the subjects that every test of a module is put to."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.adapters.conformance.environment import Ground, sandbox
from tests.adapters.conformance.subjects import Subject, ready
from tests.adapters.conformance.walk import PASSED

READY = ready()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A sandbox for this module's tests together."""
    with sandbox(tmp_path_factory.mktemp("conformance")) as ground:
        yield ground


@pytest.fixture
def ground(shared: Ground) -> Ground:
    """The same without any fault of an earlier test."""
    shared.calm()
    return shared


@pytest.fixture(autouse=True)
def waiting_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapters' wall clock is ahead by what was waited for; deadlines of calls go by another clock."""
    real = time.time
    PASSED[0] = 0.0
    monkeypatch.setattr(time, "time", lambda: real() + PASSED[0])


@pytest.fixture(params=READY, ids=lambda s: s.name.replace(" ", "_"))
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each post kind of each platform that has an adapter and a stand-in."""
    found: Subject = request.param
    return found
