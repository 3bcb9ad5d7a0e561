"""A platform refuses our app as a whole: wherever that shows, the platform is paused and nothing is lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from adapters.contract import Platform
from adapters.errors import AppRefused, CredentialsExpired
from pipeline.domain.delivery import State
from pipeline.stages.status import look
from pipeline.store.deliveries.pauses import Pause, lift, list_pauses
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.stages.test_outages import change, send
from tests.pipeline.store.ledger import Post

REFUSED = AppRefused("The app is on trial.", next_action="Apply for access.", platform_message="No.")


@pytest.fixture
def post(core: CoreFixture) -> Iterator[Post]:
    core.account("one")
    change(core, "DELETE FROM platform_health RETURNING platform")
    yield core.ledger.post([core.accounts["one"]], State.QUEUED)
    with core.context.database.begin() as c:
        lift(c, "platform", Platform.TIKTOK)


def read_pause(core: CoreFixture) -> Pause | None:
    with core.context.database.begin() as c:
        found = [pause for pause in list_pauses(c) if pause.target == Platform.TIKTOK]
    return found[0] if found else None


@pytest.mark.parametrize(
    "script",
    [
        Script(prepare=raising(REFUSED)),
        Script(finalize=raising(REFUSED)),
        Script(discover=raising(REFUSED)),
        Script(prepare=raising(CredentialsExpired("stale")), refresh=raising(REFUSED)),
    ],
    ids=["prepare", "finalize", "sign of life", "refresh"],
)
def test_the_platform_is_paused_with_its_why_and_the_post_waits(
    core: CoreFixture, post: Post, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert send(core, script, post) is State.RETRYING
    pause = read_pause(core)
    assert pause is not None
    assert pause.why == "The app is on trial. Apply for access. No."
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.spent, found.armed_at) == (0, None)
    assert [r.message for r in caplog.records if "ALARM" in r.message] == [
        f"ALARM publishing to tiktok is paused: {pause.why} Then: slipway pause lift platform tiktok"
    ]


def test_nothing_is_sent_while_it_is_paused_and_there_is_one_alarm(
    core: CoreFixture, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            send(core, Script(prepare=raising(REFUSED)), post)
    assert sum("ALARM" in r.message for r in caplog.records) == 1
    script = Script()
    assert send(core, script, post) is State.SCHEDULED, "not armed"
    assert script.made("finalize") == 0
    with core.context.database.begin() as c:
        assert lift(c, "platform", Platform.TIKTOK)
    assert send(core, Script(), post) is State.PUBLISHED


def test_a_look_that_is_refused_pauses_it_and_the_armed_delivery_stays(core: CoreFixture, post: Post) -> None:
    held = core.ledger.armed(core.ledger.post([core.accounts["one"]]))
    core.ledger.change(held.id, "state = 'processing', lease_until = NULL, next_at = now()")
    found = core.ledger.delivery(held.id)
    context = with_script(core.context, Script(look=raising(REFUSED)))
    assert look(context, held.id, found.generation, found.fence) is State.PROCESSING
    assert read_pause(core) is not None


def test_the_pause_of_an_operator_keeps_its_why(core: CoreFixture, post: Post) -> None:
    change(
        core,
        "INSERT INTO pauses (scope, target, why) VALUES ('platform', 'tiktok', 'under review') RETURNING scope",
    )
    send(core, Script(prepare=raising(REFUSED)), post)
    pause = read_pause(core)
    assert pause is not None
    assert pause.why == "under review"
