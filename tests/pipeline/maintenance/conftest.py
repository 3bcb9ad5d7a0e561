"""Fixtures of the maintenance tests: each has a database of its own, as a job concerns every row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.core_fixture import CoreFixture, open_core
from tests.pipeline.media.servers import Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback that counts as the sandbox's media host."""
    with serving() as running:
        yield running


@pytest.fixture
def core(environment: dict[str, str], site: Site, vault_key: str) -> Iterator[CoreFixture]:
    """A workspace on a database of this test's own, as a job concerns every row."""
    sandbox = {"SLIPWAY_SANDBOX__URL": site.origin, "SLIPWAY_SANDBOX__MEDIA_URL": site.origin}
    with open_core({**environment, **sandbox}, vault_key) as made:
        made.context.liveness.set_marker()  # the broker of a system that has run before
        yield made
