"""A large video passes through a worker without staying in it, also when both lines are cut on the way."""

from __future__ import annotations

import pytest

from tests.bench.streams import MOST, PLATFORMS, SMALL, stream


@pytest.mark.parametrize("platform", PLATFORMS)
def test_memory_stays_flat_and_nothing_touches_the_disk(platform: str) -> None:
    found = stream(platform, SMALL)  # it raises when a single byte is not as it left
    assert found.rise < MOST
    assert found.written == 0
    assert found.files == ()
