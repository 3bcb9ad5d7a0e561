"""A large upload does not accumulate in memory or on disk, also when both connections are cut."""

from __future__ import annotations

import pytest

from tests.bench.streams import MOST, PLATFORMS, SMALL, stream


@pytest.mark.parametrize("platform", PLATFORMS)
def test_memory_stays_flat_and_nothing_touches_the_disk(platform: str) -> None:
    found = stream(platform, SMALL)  # raises if a byte differs
    assert found.rise < MOST
    assert found.written == 0
    assert found.files == ()
