"""One sandbox per test session, reset before each test, and a factory for sandboxes to kill."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.sandbox.server import make_samples
from tests.adapters.sandbox.clients import Business, Instagram, TikTok
from tests.adapters.sandbox.process import Sandbox


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    make_samples(folder)
    return folder


def _with_samples(folder: Path, samples: Path) -> Path:
    (folder / "media").mkdir(parents=True)
    for path in samples.iterdir():
        os.link(path, folder / "media" / path.name)
    return folder


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(folder=_with_samples(tmp_path_factory.mktemp("sandbox"), samples))
    sandbox.start()
    yield sandbox
    assert sandbox.stop() == 0


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """Reset the shared sandbox: real pace, limits enforced."""
    running.control_json("POST", "reset", {"ledger": True})
    return running


@pytest.fixture
def quick(sandbox: Sandbox) -> Sandbox:
    """Reset the shared sandbox: instant pace, no limits."""
    sandbox.pace("instant", quotas=False)
    return sandbox


@pytest.fixture
def new_sandbox(tmp_path: Path, samples: Path) -> Iterator[Callable[[], Sandbox]]:
    """Return a factory of sandboxes that a test may kill."""
    made: list[Sandbox] = []

    def make() -> Sandbox:
        sandbox = Sandbox(folder=_with_samples(tmp_path / f"sandbox-{len(made)}", samples))
        made.append(sandbox)
        sandbox.start()
        return sandbox

    yield make
    for sandbox in made:
        if sandbox.process is not None and sandbox.process.poll() is None:
            sandbox.kill()
        shutil.rmtree(sandbox.folder)


@pytest.fixture(scope="session")
def video_bytes(samples: Path) -> bytes:
    return (samples / "sample.mp4").read_bytes()


@pytest.fixture(scope="session")
def large(samples: Path) -> bytes:
    return (samples / "sample-large.mp4").read_bytes()


@pytest.fixture
def tiktok(sandbox: Sandbox) -> TikTok:
    return TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))


@pytest.fixture
def business(sandbox: Sandbox) -> Business:
    return Business(sandbox=sandbox, account=sandbox.account("tiktok_business"))


@pytest.fixture
def instagram(sandbox: Sandbox) -> Instagram:
    return Instagram(sandbox=sandbox, account=sandbox.account("instagram"))
