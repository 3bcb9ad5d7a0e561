from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.media.fetch import Fetcher, FetchPolicy
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.media.servers import serving, status
from tests.pipeline.webhooks.receiver import Receiver


@pytest.fixture
def receiver(core: CoreFixture) -> Iterator[Receiver]:
    """A customer's server on loopback that answers 200, and a workspace whose webhooks may reach it."""
    with serving() as site:
        site.routes["/hook"] = status(200)
        policy = FetchPolicy(allowed_origins=frozenset({site.origin}))
        made = Receiver(
            site=site, core=replace(core, context=replace(core.context, receivers=Fetcher(policy)))
        )
        yield made
        made.read(
            "UPDATE webhooks SET deleted_at = now() WHERE workspace_id = :w RETURNING id", w=core.workspace
        )
