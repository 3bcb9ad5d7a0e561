"""The log of a worker: one line for each retry, refusal and long hold, with every id and no text of a customer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.contract import Pending
from adapters.errors import CredentialsRevoked, OutcomeUnknown, Rejected, Unavailable
from adapters.limit import Rate
from config.logging import Json
from pipeline.domain.delivery import State
from pipeline.stages.status import look, look_batch
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, raising, with_script
from tests.pipeline.stages.test_outages import change, send
from tests.pipeline.store.ledger import HOUR, Post

PRIVATE = "hello token=sesame"


@pytest.fixture
def post(core: CoreFixture) -> Iterator[Post]:
    core.account("one")
    change(core, "DELETE FROM platform_health RETURNING platform")
    yield core.ledger.post([core.accounts["one"]], State.QUEUED)
    change(core, "DELETE FROM platform_health RETURNING platform")


@pytest.fixture
def log(core: CoreFixture, post: Post, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the worker logs; the post was made by a request."""
    with core.context.database.begin() as c:
        c.exec_driver_sql("UPDATE posts SET request_id = 'my-request' WHERE id = %s", (post.id,))
    caplog.set_level(logging.INFO, "slipway.work")
    return caplog


def require_line(log: pytest.LogCaptureFixture, core: CoreFixture, post: Post, **fields: str) -> str:
    """Require that the worker wrote one line, with the ids and these fields; return its message."""
    [record] = [r for r in log.records if r.name == "slipway.work"]
    ids = {"post": post.id, "delivery": post.deliveries[0], "request_id": "my-request", **fields}
    as_json = json.loads(Json().format(record))
    for name, value in ids.items():
        assert f" {name}={value} " in f"{record.getMessage()} "
        assert str(as_json[name]) == str(value)
    assert not [word for word in PRIVATE.split() if word in record.getMessage()]
    assert str(core.workspace) in record.getMessage()
    return record.getMessage()


@pytest.mark.parametrize(
    ("error", "event", "state"),
    [
        (Unavailable(PRIVATE), "retry", State.RETRYING),
        (Rejected(PRIVATE, code="too_rude", platform_message=PRIVATE), "refusal", State.FAILED),
        (CredentialsRevoked(PRIVATE), "refusal", State.BLOCKED),
        (OutcomeUnknown(PRIVATE), "outcome unknown", State.UNKNOWN),
    ],
    ids=["retry", "refusal", "revoked", "unknown"],
)
def test_a_try_that_fails_is_one_line(
    core: CoreFixture,
    post: Post,
    log: pytest.LogCaptureFixture,
    error: Exception,
    event: str,
    state: State,
) -> None:
    assert send(core, Script(finalize=raising(error)), post) is state
    line = require_line(log, core, post, state=state, **{"class": type(error).__name__})
    assert line.startswith(f"{event} ")
    assert ("next_at=- " in line) is (state in {State.FAILED, State.BLOCKED})


def test_a_try_that_succeeds_and_a_short_hold_are_none(
    core: CoreFixture, post: Post, log: pytest.LogCaptureFixture
) -> None:
    rate = Rate(step="prepare", count=1, per=timedelta(seconds=30))
    script = Script(can=replace(CAPABILITIES, rates=(rate,)))
    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, script, other) is State.PUBLISHED
    assert send(core, script, post) is State.SCHEDULED
    assert not [r for r in log.records if r.name == "slipway.work"]


def test_a_hold_of_more_than_a_minute_is_one_line(
    core: CoreFixture, post: Post, log: pytest.LogCaptureFixture
) -> None:
    core.ledger.change(post.deliveries[0], "due_at = now() + CAST(:by AS interval)", by=HOUR)
    assert send(core, Script(), post) is State.SCHEDULED
    assert require_line(log, core, post, held_for="prepared_early").startswith("hold ")


def test_a_look_that_fails_is_one_line_alone_and_in_a_batch(
    core: CoreFixture, post: Post, log: pytest.LogCaptureFixture
) -> None:
    waits = Script(
        finalize=lambda *_: Pending(checkpoint={"h": 1}, wait=timedelta(hours=1)),
        look=raising(Unavailable(PRIVATE)),
    )
    assert send(core, waits, post) is State.PROCESSING
    context = with_script(core.context, waits)
    core.ledger.change(post.deliveries[0], "next_at = now()")
    found = core.ledger.delivery(post.deliveries[0])
    assert look(context, found.id, found.generation, found.fence) is State.PROCESSING
    require_line(log, core, post, state="processing", **{"class": "Unavailable"})
    log.clear()
    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, waits, other) is State.PROCESSING
    items = []
    for one in (post, other):
        core.ledger.change(one.deliveries[0], "next_at = now()")
        found = core.ledger.delivery(one.deliveries[0])
        items.append((found.id, found.generation, found.fence))
    look_batch(context, items)
    assert len([r for r in log.records if r.name == "slipway.work"]) == 2
