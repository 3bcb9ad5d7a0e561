"""What is counted of the moves: posts, settled deliveries, attempts, lateness, leases, checks, deliveries by state."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from adapters.contract import Pending, Platform, Published
from adapters.errors import CredentialsRevoked, OutcomeUnknown, RateLimited, Rejected
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import resolve
from pipeline.domain.delivery import State
from pipeline.domain.verdict import Verdict
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.stages.delay import release_due
from pipeline.stages.settle import keep_late_result
from pipeline.store.checks import checks
from pipeline.store.deliveries.pauses import lift, pause, pause_platform
from tests.actors import TESTER
from tests.pipeline.actions.test_edit import change
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import (
    count_rows,
    counting,
    export_all,
    read_all,
    states,
    without_states,
)
from tests.pipeline.scripted_adapter import Script, raising
from tests.pipeline.stages.test_publish import send
from tests.pipeline.store.ledger import HOUR, Post

DUE = "due_at = now() - CAST(:late AS interval)"


def accept(core: CoreFixture, accounts: int = 1) -> Post:
    """Accept a post as the API does; what is due at once is queued by ``send``."""
    core.decided()
    ids = [core.account(f"a{n}") for n in range(accounts)]
    accepted = core.accept(account_ids=ids)
    made = sorted(core.deliveries(accepted.id), key=lambda d: d.id)
    return Post(id=accepted.id, workspace=core.workspace, deliveries=[d.id for d in made])


def publish(core: CoreFixture, script: Script, post: Post, nth: int = 0) -> State | None:
    """Release a delivery as the delay stage does, and do one slice of work on it."""
    core.ledger.change(post.deliveries[nth], "next_at = least(next_at, now())")
    release_due(core.context)
    return send(core, script, post, nth)


def delay(core: CoreFixture, post: Post, seconds: float) -> None:
    core.ledger.change(post.deliveries[0], DUE, late=timedelta(seconds=seconds))


# --- what is counted -------------------------------------------------------------------------------------------------


def test_a_post_counts_once_and_each_of_its_deliveries_when_it_is_settled(core: CoreFixture) -> None:
    with counting(core) as changed:
        post = accept(core, accounts=3)
        assert publish(core, Script(), post, 0) is State.PUBLISHED
        assert publish(core, Script(finalize=raising(Rejected("no"))), post, 1) is State.FAILED
        assert steer.cancel(core.context, core.caller, [post.id]).ids
    counted = without_states(changed)
    lateness = {key: n for key, n in counted.items() if key[0].startswith("delivery_lateness")}
    assert sum(lateness.values()) == 2, "of those that were armed"
    assert {key: n for key, n in counted.items() if key not in lateness} == {
        ("posts_accepted", "partner_api"): 1,
        ("deliveries_settled", "", "published", "tiktok"): 1,
        ("deliveries_settled", "Rejected", "failed", "tiktok"): 1,
        ("deliveries_settled", "", "cancelled", "tiktok"): 1,
        ("dead_letters_added", "Rejected", "tiktok"): 1,
        ("attempts", "published", "tiktok"): 1,
        ("attempts", "failed", "tiktok"): 1,
        ("checks", "good"): 1,
    }
    assert states(changed) == {
        ("tiktok", "", "published"): 1,
        ("tiktok", "", "failed"): 1,
        ("tiktok", "", "cancelled"): 1,
    }


def test_every_attempt_counts_once_whenever_it_is_closed_and_exported(core: CoreFixture) -> None:
    with counting(core) as changed:
        post = accept(core)
        [delivery] = post.deliveries
        for error in (RateLimited("slow", retry_after=timedelta(0)), OutcomeUnknown("who knows")):
            publish(core, Script(finalize=raising(error)), post)
            export_all(core)
        assert core.ledger.state(delivery) is State.UNKNOWN
        core.ledger.change(delivery, "armed_deadline = now() - interval '1 hour'")
        resolve.publish_again(core.context, TESTER, delivery)
        export_all(core)
        assert publish(core, Script(), post) is State.PUBLISHED
    outcomes = [r.outcome for r in core.ledger.attempts(delivery)]
    assert len(outcomes) >= 2
    counted = {key: n for key, n in changed.items() if key[0] == "attempts"}
    assert counted == {("attempts", x, "tiktok"): outcomes.count(x) for x in outcomes}


def test_decided_checks_expired_leases_and_alarms_count_once(core: CoreFixture) -> None:
    with counting(core) as changed:
        core.decided("https://media.example/refused.mp4", verdict="refused", seen="no video")
        died, late = (core.ledger.post([core.account(name)]) for name in ("one", "two"))
        core.ledger.change(core.ledger.claimed(died).id, "lease_until = now() - interval '1 second'")
        rescue_expired_leases(core.context)
        held = core.ledger.armed(late)
        core.ledger.change(held.id, "state = 'failed', fence = fence + 1, lease_until = NULL")
        verdict = Verdict(state=State.PUBLISHED, published=Published(remote_id="r1"))
        keep_late_result(core.context, held, verdict, armed=True)
        with core.context.database.begin() as c:
            assert pause_platform(c, Platform.TIKTOK, "it refuses our app")
            assert not pause_platform(c, Platform.TIKTOK, "it refuses our app")
            check = checks.open_check(c, core.workspace, "video", "https://media.example/fault.mp4")
            checks.postpone_check(c, check.id, HOUR, None, "OSError")
            checks.postpone_check(c, check.id, HOUR, "it answered 500")
    assert {key: n for key, n in changed.items() if key[0] in ("checks", "lease_expiries", "alarms")} == {
        ("checks", "refused"): 1,
        ("lease_expiries",): 1,
        ("alarms", "app_refused"): 1,
        ("alarms", "check_fault"): 1,
        ("alarms", "late_proof"): 1,
    }


# --- lateness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "bucket"), [(0.0, None), (100.0, "300.0"), (7200.0, "+Inf")])
def test_lateness_is_from_the_due_time_to_the_first_arm(
    core: CoreFixture, late: float, bucket: str | None
) -> None:
    with counting(core) as changed:
        post = core.ledger.post([core.account("one")])
        delay(core, post, late)
        assert publish(core, Script(), post) is State.PUBLISHED
    [(key, n)] = [(k, n) for k, n in changed.items() if k[0] == "delivery_lateness_seconds_bucket"]
    assert n == 1
    assert bucket is None or key[1] == bucket
    total = changed["delivery_lateness_seconds_sum", "tiktok"]
    assert late <= total < late + 600


def test_it_counts_once_though_a_look_settles_it_later(core: CoreFixture) -> None:
    with counting(core) as changed:
        post = core.ledger.post([core.account("one")])
        assert publish(core, Script(finalize=raising(OutcomeUnknown("who knows"))), post) is State.UNKNOWN
        export_all(core)
        resolve.confirm_live(core.context, TESTER, post.deliveries[0], "https://t.example/x")
    assert sum(n for k, n in changed.items() if k[0] == "delivery_lateness_seconds_bucket") == 1


def wanted_by_rate(core: CoreFixture, post: Post) -> None:
    """It was put back past its time, by a limit of its platform."""
    core.ledger.change(post.deliveries[0], "state = 'queued', lease_until = now() + interval '5 minutes'")
    with core.context.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
               SELECT id, 'publish', 'publishing', 'scheduled', generation, fence, 'held: rate' FROM deliveries
               WHERE id = %s""",
            (post.deliveries[0],),
        )


def wanted_by_platform(core: CoreFixture, post: Post) -> None:
    """Its platform asks to wait, past its time."""
    busy = Script(prepare=raising(RateLimited("slow down", retry_after=timedelta(minutes=1))))
    assert publish(core, busy, post) is State.RETRYING
    assert core.ledger.delivery(post.deliveries[0]).held_for == "rate"


def wanted_by_pause(core: CoreFixture, post: Post) -> None:
    with core.context.database.begin() as c:
        pause(c, "workspace", str(post.workspace), "because")
    export_all(core)
    with core.context.database.begin() as c:
        lift(c, "workspace", str(post.workspace))


def wanted_by_person(core: CoreFixture, post: Post) -> None:
    core.decided()
    assert publish(core, Script(prepare=raising(Rejected("no"))), post) is State.FAILED
    assert steer.retry(core.context, core.caller, [post.id]).ids


@pytest.mark.parametrize("want", [wanted_by_rate, wanted_by_platform, wanted_by_pause, wanted_by_person])
def test_a_delay_that_somebody_wanted_is_no_lateness(core: CoreFixture, want: object) -> None:
    with counting(core) as changed:
        post = core.ledger.post([core.account("one")])
        delay(core, post, 100)
        want(core, post)  # type: ignore[operator]
        assert publish(core, Script(), post) is State.PUBLISHED
    assert not [k for k in changed if k[0].startswith("delivery_lateness")]


def test_the_platforms_processing_before_the_visible_call_is_no_lateness(core: CoreFixture) -> None:
    with counting(core) as changed:
        post = core.ledger.post([core.account("one")])
        delay(core, post, 1000)
        core.ledger.change(post.deliveries[0], "state = 'queued', lease_until = now() + interval '5 minutes'")
        with core.context.database.begin() as c:
            c.exec_driver_sql(
                """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, at)
                   SELECT id, mover, origin, target, generation, fence, due_at + after
                   FROM deliveries, (VALUES ('publish', 'publishing', 'preparing', interval '-10 s'),
                                            ('status', 'preparing', 'queued', interval '300 s'),
                                            ('publish', 'publishing', 'preparing', interval '310 s'),
                                            ('status', 'preparing', 'queued', interval '900 s'))
                                     AS processed (mover, origin, target, after) WHERE id = %s""",
                (post.deliveries[0],),
            )
        assert publish(core, Script(), post) is State.PUBLISHED
    assert sum(n for k, n in changed.items() if k[0] == "delivery_lateness_seconds_bucket") == 1
    assert 110 <= changed["delivery_lateness_seconds_sum", "tiktok"] < 400


# --- deliveries by state ---------------------------------------------------------------------------------------------


def test_folded_counts_are_those_of_the_rows_after_every_kind_of_move(core: CoreFixture) -> None:
    export_all(core)
    before = _difference(core)
    one, two, three = (accept(core, accounts=2) for _ in range(3))
    publish(core, Script(finalize=raising(CredentialsRevoked("gone"))), one, 0)
    export_all(core)
    assert core.ledger.delivery(one.deliveries[0]).reason == "reconnect"
    change(core, one.id, caption="other", scheduled_at=core.now() + HOUR)
    publish(core, Script(finalize=raising(OutcomeUnknown("who knows"))), two, 1)
    publish(core, Script(prepare=lambda _: Pending(checkpoint={"a": 1}, wait=HOUR)), two, 0)
    assert steer.cancel(core.context, core.caller, [three.id]).ids
    change(core, one.id, account_ids=[core.account("added")])
    export_all(core)
    assert _difference(core) == before


def _difference(core: CoreFixture) -> dict[tuple[str, ...], float]:
    """Folded minus counted: other tests of this module put deliveries into states without a move."""
    folded, counted = states(read_all(core)), count_rows(core)
    return {k: d for k in {*folded, *counted} if (d := folded.get(k, 0) - counted.get(k, 0))}


# --- logs ------------------------------------------------------------------------------------------------------------


def test_each_result_is_one_line_with_ids_and_no_text_of_anybody(
    core: CoreFixture, caplog: pytest.LogCaptureFixture
) -> None:
    export_all(core)
    caplog.set_level(logging.INFO, "slipway.deliveries")
    post = accept(core, accounts=4)
    with core.context.database.begin() as c:
        c.exec_driver_sql("UPDATE posts SET request_id = 'my-request' WHERE id = %s", (post.id,))
    refused = Rejected("the caption says hello", code="too_rude", platform_message="token=sesame hello")
    send(
        core,
        Script(finalize=lambda d, _: Published(remote_id=d.delivery_id, url="https://t.example/?k=v")),
        post,
        0,
    )
    publish(core, Script(finalize=raising(refused)), post, 1)
    publish(core, Script(finalize=raising(OutcomeUnknown("hello"))), post, 2)
    publish(core, Script(finalize=raising(CredentialsRevoked("hello"))), post, 3)
    export_all(core)
    mine = [r for r in caplog.records if r.name == "slipway.deliveries"]
    fields = [r.__dict__["fields"] for r in mine]
    found = {one["outcome"]: one for one in fields}
    assert set(found) == {"published", "failed", "unknown", "blocked"}
    assert len(mine) == 4, "one each"
    levels = {one["outcome"]: r.levelno for one, r in zip(fields, mine, strict=True)}
    assert (levels["published"], levels["failed"]) == (logging.INFO, logging.WARNING)
    failed = found["failed"]
    assert (failed["class"], failed["code"], failed["platform"]) == ("Rejected", "too_rude", "tiktok")
    assert failed["delivery"] == str(post.deliveries[1])
    assert (failed["post"], failed["workspace"]) == (str(post.id), str(core.workspace))
    assert 0 <= failed["lateness"] < 600
    assert found["blocked"]["reason"] == "reconnect"
    assert {one["request_id"] for one in fields} == {"my-request"}
    text = " ".join(r.getMessage() for r in mine)
    assert "outcome=failed platform=tiktok reason=- class=Rejected code=too_rude" in text
    assert not [word for word in ("hello", "https:", "sesame") if word in text]


def test_old_moves_are_counted_and_not_logged(core: CoreFixture, caplog: pytest.LogCaptureFixture) -> None:
    export_all(core)
    caplog.set_level(logging.INFO, "slipway.deliveries")
    with counting(core) as changed:
        post = core.ledger.post([core.account("one")])
        publish(core, Script(), post)
        with core.context.database.begin() as c:
            c.exec_driver_sql(
                "UPDATE moves SET at = at - interval '2 hours' WHERE delivery_id = %s", (post.deliveries[0],)
            )
    assert changed["deliveries_settled", "", "published", "tiktok"] == 1
    assert not [r for r in caplog.records if r.name == "slipway.deliveries"]
