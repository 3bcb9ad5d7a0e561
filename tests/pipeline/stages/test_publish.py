"""The publish stage on real engines with a scripted platform: one slice of work at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import (
    Account,
    CannotTell,
    Draft,
    FinalizeResult,
    Pending,
    Platform,
    PrepareResult,
    Problem,
    Published,
    Ready,
)
from adapters.errors import (
    CredentialsExpired,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import DeadlinePassed
from adapters.limit import Rate
from pipeline.broker.queues import PUBLISH
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.media.relay import Transfers
from pipeline.runtime.context import Context
from pipeline.stages.publish import publish, publish_batch
from pipeline.store.accounts import accounts
from pipeline.store.deliveries.daily_quota import DailyQuota, count_sent, lock_daily_quota
from pipeline.store.deliveries.pauses import lift, pause
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.media.servers import Site
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, raising, with_script
from tests.pipeline.stages.test_holds import is_held
from tests.pipeline.store.ledger import HOUR, Post, credentials
from tests.stack import until

QUEUED_NOW = "state = 'queued', lease_until = now() + interval '5 minutes', reason = NULL"


@pytest.fixture
def post(core: CoreFixture) -> Post:
    core.account("one")
    return core.ledger.post([core.accounts["one"]], State.QUEUED)


def send(core: CoreFixture, script: Script, post: Post, nth: int = 0) -> State | None:
    """One slice, with the delivery put into the queue first."""
    delivery = post.deliveries[nth]
    if core.ledger.state(delivery) is not State.QUEUED:
        core.ledger.change(delivery, QUEUED_NOW)
    return publish(with_script(core.context, script), delivery, core.ledger.delivery(delivery).generation)


def status(core: CoreFixture) -> tuple[AccountStatus, int]:
    with core.context.database.begin() as c:
        _, version, found = accounts.read_account(c, core.context.vault, core.accounts["one"])
    return found, version


# --- the straight way ------------------------------------------------------------------------------------------------


def test_steps_are_committed_one_by_one_and_the_visible_call_is_made_once(
    core: CoreFixture, post: Post
) -> None:
    stored: list[Any] = []

    def prepare(checkpoint: Any) -> PrepareResult:
        stored.append(core.ledger.read_claimed(post.deliveries[0]).checkpoint)
        n = checkpoint.get("step", 0)
        return Ready(checkpoint=checkpoint) if n == 3 else Pending(checkpoint={"step": n + 1})

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        armed = core.ledger.delivery(post.deliveries[0])
        assert armed.armed_at is not None, "armed before the call"
        return Published(remote_id="r1", url="https://t.example/1")

    script = Script(prepare=prepare, finalize=finalize)
    assert send(core, script, post) is State.PUBLISHED
    assert stored == [{}, {"step": 1}, {"step": 2}, {"step": 3}]
    assert script.made("finalize") == 1
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.remote_id, found.url, found.prepares, found.spent) == ("r1", "https://t.example/1", 1, 1)
    assert core.status(post.id) == "posted"
    assert publish(with_script(core.context, script), post.deliveries[0], 0) is None
    assert script.made("finalize") == 1


def test_prepared_early_it_waits_for_exactly_its_time(core: CoreFixture) -> None:
    account = core.account("one")
    post = core.ledger.post([account], State.QUEUED, due=HOUR)
    script = Script()
    assert send(core, script, post) is State.SCHEDULED
    found = core.ledger.delivery(post.deliveries[0])
    assert found.next_at == found.due_at
    is_held(core, post, Hold.PREPARED_EARLY)
    assert found.armed_at is None
    assert script.made("finalize") == 0
    assert core.ledger.read_claimed(found.id).checkpoint == {"handle": "h"}
    core.ledger.change(found.id, "due_at = now()")
    assert send(core, script, post) is State.PUBLISHED
    assert script.calls[-1] == ("finalize", {"handle": "h"})


def test_what_the_platform_works_on_is_looked_at_later(core: CoreFixture, post: Post) -> None:
    wait = timedelta(seconds=7)
    script = Script(prepare=lambda _: Pending(checkpoint={"c": 1}, wait=wait))
    assert send(core, script, post) is State.PREPARING
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.armed_at, found.prepares) == (None, 1)
    assert (found.looks, found.absent_at) == (0, None), "nobody has looked yet"
    assert timedelta(seconds=5) < found.next_at - found.now <= wait
    assert core.ledger.read_claimed(found.id).checkpoint == {"c": 1}
    script = Script(finalize=lambda *_: Pending(checkpoint={"c": 2}, wait=wait))
    assert send(core, script, post) is State.PROCESSING
    assert core.ledger.read_claimed(found.id).checkpoint == {"c": 2}
    assert core.ledger.delivery(found.id).armed_at is not None


def test_what_comes_up_before_its_time_is_gone_on_with_when_it_can_be(core: CoreFixture) -> None:
    """Only what is prepared waits for the customer's time; a platform at work, or away, is asked again soon."""
    for script, wait in (
        (Script(prepare=lambda _: Pending(checkpoint={"c": 1}, wait=timedelta(seconds=7))), 7),
        (Script(prepare=raising(Unavailable("down", retry_after=timedelta(seconds=8)))), 8),
    ):
        post = core.ledger.post([core.account("one")], State.QUEUED, due=HOUR)
        assert send(core, script, post) in (State.PREPARING, State.RETRYING)
        found = core.ledger.delivery(post.deliveries[0])
        assert found.next_at - found.updated_at == timedelta(seconds=wait)


def test_a_handle_that_can_be_asked_at_once_is(core: CoreFixture, post: Post) -> None:
    seen: list[Any] = []

    def look(taken: Any) -> Published:
        seen.append(core.ledger.read_claimed(post.deliveries[0]).checkpoint)
        return Published(remote_id="at-once")

    script = Script(finalize=lambda *_: Pending(checkpoint={"publish_id": "p"}), look=look)
    assert send(core, script, post) is State.PUBLISHED
    assert seen == [{"publish_id": "p"}], "the handle is committed before it is asked"
    found = core.ledger.delivery(post.deliveries[0])
    assert script.armed_at == [found.armed_at]
    assert found.prepares == 0, "a handle of the visible call is no preparation from scratch"


@pytest.mark.parametrize("shows", [raising(Unavailable("x")), lambda _: CannotTell(reason="?")])
def test_a_handle_that_shows_nothing_yet_is_looked_at_again_soon(
    core: CoreFixture, post: Post, shows: Callable[..., Any]
) -> None:
    script = Script(finalize=lambda *_: Pending(checkpoint={"publish_id": "q"}), look=shows)
    assert send(core, script, post) is State.PROCESSING
    found = core.ledger.delivery(post.deliveries[0])
    assert found.next_at - found.updated_at == CAPABILITIES.look_every[0]
    assert core.ledger.read_claimed(found.id).checkpoint == {"publish_id": "q"}


def test_a_doorbell_is_rung_for_what_goes_on_and_none_for_what_does_not(
    core: CoreFixture, post: Post
) -> None:
    """After the visible call nothing is late any more: those share a slot that is wider."""
    # slots of a width that no other test has: each is rung once by a process
    hour = core.with_settings(delay={"look_slot": 3600.0, "slot": 0.0137, "horizon": 10.0})
    account = core.accounts["one"]

    def rings(says: Callable[..., Any]) -> int:
        before = core.messages("delay")
        for _ in range(3):
            send(hour, Script(finalize=says), core.ledger.post([account], State.QUEUED))
        return core.messages("delay") - before

    waits = iter((timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=3)))
    assert rings(lambda *_: Pending(checkpoint={"c": 1}, wait=next(waits))) in (1, 2), (
        "two around a full hour"
    )
    limits = iter((timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=30)))
    assert rings(lambda *_: raising(RateLimited("slow", retry_after=next(limits)))()) == 2, (
        "the horizon is nearer"
    )
    assert rings(raising(Rejected("no"))) == 0
    assert rings(lambda draft, _: Published(remote_id=draft.delivery_id)) == 0
    assert rings(raising(PermissionMissing("scope"))) == 0


def test_who_is_in_a_hurry_looks_sooner_than_the_platform_asks(core: CoreFixture, post: Post) -> None:
    hurried = core.with_settings(publish={"look_first": 2.0})
    for asked, wait in ((60, 2), (1, 1)):
        script = Script(finalize=lambda *_, s=asked: Pending(checkpoint={"c": 1}, wait=timedelta(seconds=s)))
        other = core.ledger.post([core.accounts["one"]], State.QUEUED)
        assert send(hurried, script, other) is State.PROCESSING
        found = core.ledger.delivery(other.deliveries[0])
        assert found.next_at - found.updated_at == timedelta(seconds=wait)


def test_the_end_of_a_slice_is_rung_again(core: CoreFixture, post: Post) -> None:
    steps = iter(range(1, 99))
    script = Script(prepare=lambda _: Pending(checkpoint={"step": next(steps)}))
    brief = core.with_settings(publish={"slice": 0.0001})
    before = core.messages(PUBLISH[Platform.TIKTOK])
    assert send(brief, script, post) is State.QUEUED
    assert script.made("prepare") == 1
    assert core.ledger.read_claimed(post.deliveries[0]).checkpoint == {"step": 1}
    assert core.messages(PUBLISH[Platform.TIKTOK]) == before + 1


# --- nothing is sent that should not be ------------------------------------------------------------------------------


def test_a_stale_message_sends_nothing(core: CoreFixture, post: Post) -> None:
    script = Script()
    assert publish(with_script(core.context, script), post.deliveries[0], 7) is None
    assert script.calls == []


@pytest.mark.parametrize("stands", ["reconnect", "inactive"])
def test_an_account_that_is_not_connected_waits_for_a_person(
    core: CoreFixture, post: Post, stands: str
) -> None:
    with core.context.database.begin() as c:
        values = {"s": stands, "i": core.accounts["one"]}
        c.exec_driver_sql("UPDATE accounts SET status = %(s)s WHERE id = %(i)s", values)
    script = Script()
    assert send(core, script, post) is State.BLOCKED
    assert script.calls == []
    assert core.ledger.delivery(post.deliveries[0]).reason == "reconnect"


def test_a_pause_between_preparing_and_sending_holds_it_back(core: CoreFixture, post: Post) -> None:
    account = str(core.accounts["one"])

    def prepare(checkpoint: Any) -> PrepareResult:
        with core.context.database.begin() as c:
            pause(c, "account", account, "trouble")
        return Ready(checkpoint={"handle": "h"})

    script = Script(prepare=prepare)
    assert send(core, script, post) is State.SCHEDULED
    assert script.made("finalize") == 0
    found = core.ledger.delivery(post.deliveries[0])
    assert found.next_at - found.updated_at == timedelta(seconds=5)
    assert core.ledger.read_claimed(found.id).checkpoint == {"handle": "h"}
    with core.context.database.begin() as c:
        lift(c, "account", account)
    assert send(core, Script(), post) is State.PUBLISHED


def test_an_edit_while_it_is_prepared_wins(core: CoreFixture, post: Post) -> None:
    def prepare(checkpoint: Any) -> PrepareResult:
        core.ledger.change(
            post.deliveries[0],
            "state = 'scheduled', generation = generation + 1, lease_until = NULL, checkpoint = NULL",
        )
        return Ready(checkpoint={"caption": "old"})

    script = Script(prepare=prepare)
    assert send(core, script, post) is None
    assert script.made("finalize") == 0
    assert core.ledger.state(post.deliveries[0]) is State.SCHEDULED
    assert core.ledger.read_claimed(post.deliveries[0]).checkpoint == {}, (
        "an old container carries the old caption"
    )


def test_the_bucket_of_the_invisible_steps_is_asked_before_them(core: CoreFixture) -> None:
    account = core.account("one")
    rates = (Rate(step="prepare", count=6, per=timedelta(minutes=1)),)
    script = Script(can=replace(CAPABILITIES, rates=rates))
    first, second = (core.ledger.post([account], State.QUEUED) for _ in range(2))
    assert send(core, script, first) is State.PUBLISHED
    assert send(core, script, second) is State.SCHEDULED
    assert script.made("prepare") == 1
    found = core.ledger.delivery(second.deliveries[0])
    assert timedelta(seconds=8) < found.next_at - found.now <= timedelta(seconds=10)
    core.ledger.change(found.id, "checkpoint = :c", c=core.context.vault.seal({"handle": "h"}, found.id))
    assert send(core, script, second) is State.PUBLISHED, "what is begun needs no place in it"


def test_a_delivery_is_put_off_while_its_workspace_has_its_share_of_slow_uploads(
    core: CoreFixture, post: Post
) -> None:
    transfers, script = Transfers(4), Script()
    mine = replace(core, context=replace(core.context, transfers=transfers))
    transfers.record(core.workspace, is_slow=True)
    assert send(mine, script, post) is State.SCHEDULED
    is_held(core, post, Hold.SLOW_MEDIA)
    assert script.made("prepare") == 0
    found = core.ledger.delivery(post.deliveries[0])
    assert found.next_at > found.now
    assert found.spent == 0
    transfers.record(core.workspace, is_slow=False)
    assert send(mine, script, post) is State.PUBLISHED


def test_a_worker_that_comes_too_late_sends_no_first_byte(core: CoreFixture, post: Post, site: Site) -> None:
    """Its slice ended between arm and the call: another worker may be sending it."""
    script = Script()

    def finalize(*_: object) -> FinalizeResult:
        try:
            script.clients[-1].call("GET", f"{site.origin}/visible-{post.id}", visible=True)
        except DeadlinePassed as error:
            raise Unavailable("too late to send") from error
        return Published(remote_id="sent")

    script.finalize = finalize
    none = core.with_settings(publish={"slice": 0.0})
    assert send(none, script, post) is State.RETRYING
    assert f"/visible-{post.id}" not in site.paths()
    assert send(core, script, post) is State.PUBLISHED
    assert site.paths().count(f"/visible-{post.id}") == 1


def test_the_bucket_of_the_visible_call_is_asked_right_before_it(core: CoreFixture) -> None:
    account = core.account("one")
    rates = (Rate(step="finalize", count=6, per=timedelta(minutes=1)),)
    script = Script(can=replace(CAPABILITIES, rates=rates))
    first, second = (core.ledger.post([account], State.QUEUED) for _ in range(2))
    assert send(core, script, first) is State.PUBLISHED
    assert send(core, script, second) is State.SCHEDULED
    found = core.ledger.delivery(second.deliveries[0])
    assert timedelta(seconds=8) < found.next_at - found.now <= timedelta(seconds=10)
    assert (found.armed_at, found.spent) == (None, 0)
    assert core.ledger.read_claimed(found.id).checkpoint == {"handle": "h"}, "its preparation is kept"
    assert send(core, script, second) is State.SCHEDULED, "nor is it let through because it is prepared"
    assert script.made("finalize") == 1


def test_an_apps_day_that_is_full_keeps_from_preparing_for_any_of_its_accounts(
    core: CoreFixture, post: Post
) -> None:
    other = core.ledger.post([core.account("two")], State.QUEUED)
    core.ledger.armed(other)
    with core.context.database.begin() as c:
        sent = count_sent(c, core.accounts["two"], DailyQuota(1, "app"))
    script = Script(can=replace(CAPABILITIES, daily_posts=sent, daily_per="app"))
    assert send(core, script, post) is State.SCHEDULED
    assert script.calls == []


def test_the_last_place_of_a_day_is_given_once(core: CoreFixture, post: Post) -> None:
    """Posts of the same app are counted under the lock that arming takes."""
    other = core.ledger.post([core.account("two")], State.QUEUED)
    with core.context.database.begin() as c:
        allowed = count_sent(c, core.accounts["two"], DailyQuota(1, "app")) + 1
    script = Script(can=replace(CAPABILITIES, daily_posts=allowed, daily_per="app"))
    with ThreadPoolExecutor(1) as pool:
        with core.context.database.begin() as c:
            lock_daily_quota(c, core.accounts["two"], "app")
            sent = pool.submit(send, core, script, post)
            until(core.ledger.waits, 10)
            core.ledger.armed(other)
        assert sent.result(120) is State.SCHEDULED
    found = core.ledger.delivery(post.deliveries[0])
    assert script.made("finalize") == 0
    assert (found.armed_at, found.spent) == (None, 0)
    assert timedelta(hours=23) < found.next_at - found.now < timedelta(hours=25)
    assert core.ledger.read_claimed(found.id).checkpoint == {"handle": "h"}, "its preparation is kept"


def test_preparing_from_scratch_is_capped_by_day(core: CoreFixture, post: Post) -> None:
    few = core.with_settings(publish={"prepares_per_day": 2})

    def again(_: Any) -> PrepareResult:
        return Pending(checkpoint={"upload": 1}, wait=timedelta(seconds=1))

    for _ in range(2):
        assert send(few, Script(prepare=again), post) is State.PREPARING
        core.ledger.change(post.deliveries[0], "checkpoint = NULL")
    script = Script(prepare=again)
    assert send(few, script, post) is State.RETRYING
    assert script.calls == []
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.spent, found.next_at - found.updated_at) == (0, 6 * HOUR)
    core.ledger.change(post.deliveries[0], "prepares_on = CURRENT_DATE - 1")
    assert send(few, script, post) is State.PREPARING, "a new day"


def test_what_the_adapter_refuses_never_reaches_the_platform(core: CoreFixture, post: Post) -> None:
    """Asked again before anything is prepared: the limits, or what is known of the media, may have changed."""
    problems = [
        Problem(severity="warn", code="trimmed", field="caption", message="It will be cut."),
        Problem(severity="refuse", code="MUSIC_NOT_SUPPORTED", field="music", message="No music here."),
        Problem(severity="refuse", code="validation_failed", field="caption", message="Too long."),
    ]
    script = Script(problems=problems)
    assert send(core, script, post) is State.FAILED
    assert script.calls == []
    error = core.ledger.delivery(post.deliveries[0]).error
    assert (error["code"], error["message"]) == ("MUSIC_NOT_SUPPORTED", "No music here.; Too long.")
    warned = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, Script(problems=problems[:1]), warned) is State.PUBLISHED


# --- what the platform refuses ---------------------------------------------------------------------------------------


def test_a_lost_answer_is_never_sent_again(core: CoreFixture, post: Post) -> None:
    script = Script(finalize=raising(ConnectionResetError("mid-answer")))
    assert send(core, script, post) is State.UNKNOWN
    found = core.ledger.delivery(post.deliveries[0])
    assert found.armed_at is not None
    assert found.error["code"] == "outcome_unknown"
    assert core.status(post.id) == "pending"
    assert publish(with_script(core.context, script), found.id, 0) is None
    assert script.made("finalize") == 1


def test_what_nobody_foresaw_is_tried_three_times_then_a_person_looks(core: CoreFixture, post: Post) -> None:
    script = Script(prepare=raising(ZeroDivisionError("bug")))
    assert [send(core, script, post) for _ in range(3)] == [State.RETRYING, State.RETRYING, State.BLOCKED]
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.reason, found.surprises) == ("person_needed", 3)
    assert "ZeroDivisionError" in found.error["message"]


# --- credentials -----------------------------------------------------------------------------------------------------


def test_a_stale_token_is_refreshed_and_the_post_goes_out(core: CoreFixture, post: Post) -> None:
    def finalize(draft: Draft, account: Account) -> FinalizeResult:
        if account.credentials.access_token.get_secret_value() == "token-1":
            raise CredentialsExpired("stale")
        return Published(remote_id="r")

    script = Script(finalize=finalize)
    assert send(core, script, post) is State.RETRYING
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.spent, found.armed_at) == (0, None)
    assert found.next_at <= found.now, "at once"
    [refused] = core.ledger.attempts(found.id)
    assert (refused.outcome, refused.error["message"]) == ("refused", "stale"), "what came of it is known"
    assert status(core) == (AccountStatus.ACTIVE, 2)
    assert send(core, script, post) is State.PUBLISHED
    assert script.made("refresh") == 1


def test_a_token_that_is_stale_however_often_it_is_refreshed_comes_to_an_end(
    core: CoreFixture, post: Post
) -> None:
    script = Script(finalize=raising(CredentialsExpired("stale")))
    tries = core.context.settings.publish.tries
    states = [send(core, script, post) for _ in range(tries + 1)]
    assert states == [State.RETRYING] * tries + [State.FAILED]
    assert script.made("finalize") == tries + 1


@pytest.mark.parametrize("error", [CredentialsRevoked("gone"), CredentialsExpired("stale")])
def test_a_revoked_grant_or_refresh_waits_for_a_person(
    core: CoreFixture, post: Post, error: Exception
) -> None:
    script = Script(prepare=raising(error), refresh=raising(CredentialsRevoked("gone")))
    assert send(core, script, post) is State.BLOCKED
    assert core.ledger.delivery(post.deliveries[0]).reason == "reconnect"
    assert status(core)[0] is AccountStatus.RECONNECT


def test_a_grant_that_a_person_renewed_meanwhile_is_not_marked_dead(core: CoreFixture, post: Post) -> None:
    def prepare(_: Any) -> PrepareResult:
        with core.context.database.begin() as c:
            accounts.store_credentials(c, core.context.vault, core.accounts["one"], credentials("new"))
        raise PermissionMissing("the old grant lacked it")

    assert send(core, Script(prepare=prepare), post) is State.BLOCKED
    assert status(core) == (AccountStatus.ACTIVE, 2)


# --- the claim is lost -----------------------------------------------------------------------------------------------


def lose(core: CoreFixture, delivery: UUID) -> None:
    """Its lease expires while it sends, and maintenance rescues it."""
    core.ledger.change(delivery, "lease_until = now() - interval '1 second'")
    rescue_expired_leases(with_script(core.context, Script()))


def test_proof_that_comes_after_the_claim_was_lost_settles_all_the_same(
    core: CoreFixture, post: Post
) -> None:
    [delivery] = post.deliveries

    def finalize(*_: object) -> FinalizeResult:
        lose(core, delivery)
        assert core.ledger.state(delivery) is State.UNKNOWN
        return Published(remote_id="late", url="https://t.example/late", delivered_as="inbox_draft")

    script = Script(finalize=finalize)
    assert send(core, script, post) is None
    found = core.ledger.delivery(delivery)
    assert (found.state, found.remote_id, found.delivered_as) == ("published", "late", "inbox_draft")
    assert core.status(post.id) == "posted"
    [attempt] = core.ledger.attempts(delivery)
    assert (attempt.outcome, attempt.late[0]["remote_id"]) == ("published", "late")


@pytest.mark.parametrize("wait", [0, 9])
def test_a_handle_that_comes_after_the_claim_was_lost_tells_where_to_look(
    core: CoreFixture, post: Post, wait: int
) -> None:
    [delivery] = post.deliveries

    def finalize(*_: object) -> FinalizeResult:
        lose(core, delivery)
        return Pending(checkpoint={"publish_id": "late"}, wait=timedelta(seconds=wait))

    assert send(core, Script(finalize=finalize), post) is None
    assert core.ledger.state(delivery) is State.UNKNOWN
    assert core.ledger.read_claimed(delivery).checkpoint == {"publish_id": "late"}


def test_a_refusal_that_comes_after_the_claim_was_lost_is_kept_and_moves_nothing(
    core: CoreFixture, post: Post
) -> None:
    [delivery] = post.deliveries

    def finalize(*_: object) -> FinalizeResult:
        lose(core, delivery)
        raise Rejected("no")

    assert send(core, Script(finalize=finalize), post) is None
    assert core.ledger.state(delivery) is State.UNKNOWN
    assert core.ledger.attempts(delivery)[0].late[0]["error"]["message"] == "no"


def test_a_claim_that_is_lost_between_two_steps_stops_the_worker(core: CoreFixture, post: Post) -> None:
    [delivery] = post.deliveries

    def prepare(_: Any) -> PrepareResult:
        lose(core, delivery)
        return Pending(checkpoint={"step": 1})

    script = Script(prepare=prepare)
    assert send(core, script, post) is None
    assert [name for name, _ in script.calls] == ["prepare"]
    assert core.ledger.state(delivery) is State.QUEUED
    assert core.ledger.read_claimed(delivery).checkpoint == {}
    [attempt] = core.ledger.attempts(delivery)
    assert attempt.late[0]["error"]["message"] == "the claim was lost"


def test_a_post_that_another_delivery_has_needs_a_person_and_is_never_lost(
    core: CoreFixture, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    def same(*_: object) -> FinalizeResult:
        return Published(remote_id="the same")

    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, Script(finalize=same), other) is State.PUBLISHED
    assert send(core, Script(finalize=same), post) is State.BLOCKED
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.reason, found.error["code"]) == ("is_it_live", "remote_id_taken")
    assert "the same" in found.error["message"]
    assert found.armed_at is not None
    assert core.status(post.id) == "pending"
    assert f"ALARM delivery {found.id}: The platform names the post the same" in caplog.text


def test_a_post_that_another_delivery_has_after_the_claim_was_lost_needs_a_person_too(
    core: CoreFixture, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    [delivery] = post.deliveries
    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, Script(finalize=lambda *_: Published(remote_id="same")), other) is State.PUBLISHED

    def finalize(*_: object) -> FinalizeResult:
        lose(core, delivery)
        return Published(remote_id="same")

    assert send(core, Script(finalize=finalize), post) is None
    found = core.ledger.delivery(delivery)
    assert (found.state, found.reason) == ("blocked", "is_it_live")
    assert core.ledger.attempts(delivery)[0].late[0]["remote_id"] == "same"
    assert f"ALARM delivery {delivery}: " in caplog.text
    assert "None" not in caplog.text


# --- several in one message ------------------------------------------------------------------------------------------


def test_one_that_breaks_does_not_take_the_others_of_its_message_along(core: CoreFixture) -> None:
    account = core.account("one")
    posts = [core.ledger.post([account], State.QUEUED) for _ in range(3)]
    core.ledger.change(posts[0].deliveries[0], "checkpoint = 'damaged'")
    script = Script()
    items = [(p.deliveries[0], 0) for p in posts]
    publish_batch(with_script(core.context, script), "tiktok", items)
    # what no key of the vault opens is prepared once more: nothing of it was sent
    assert [core.ledger.state(d) for d, _ in items] == [State.PUBLISHED] * 3


def test_what_does_not_fit_into_the_slice_is_handed_back_and_rung_again(core: CoreFixture) -> None:
    account = core.account("one")
    posts = [core.ledger.post([account], State.QUEUED) for _ in range(3)]
    none = core.with_settings(publish={"slice": 0.0})
    before = core.messages("publish.tiktok")
    script = Script()
    publish_batch(with_script(none.context, script), "tiktok", [(p.deliveries[0], 0) for p in posts])
    assert script.calls == []
    assert core.messages("publish.tiktok") == before + 3
    assert {core.ledger.state(p.deliveries[0]) for p in posts} == {State.QUEUED}


def test_a_message_of_one_is_as_any_other(core: CoreFixture, post: Post) -> None:
    publish_batch(with_script(core.context, Script()), "tiktok", [(post.deliveries[0], 0)])
    assert core.ledger.states(post) == [State.PUBLISHED]


def test_one_that_crashed_a_worker_travels_alone(core: CoreFixture) -> None:
    account = core.account("one")
    posts = [core.ledger.post([account], State.QUEUED) for _ in range(2)]
    core.ledger.change(posts[0].deliveries[0], "crashes = 1")
    before = core.messages("publish.tiktok")
    publish_batch(with_script(core.context, Script()), "tiktok", [(p.deliveries[0], 0) for p in posts])
    assert [core.ledger.state(p.deliveries[0]) for p in posts] == [State.QUEUED, State.PUBLISHED]
    assert core.messages("publish.tiktok") == before + 1


def test_one_whose_row_is_locked_for_a_moment_is_waited_for(core: CoreFixture, post: Post) -> None:
    """Its message is the only one: passing over it would cost the length of a lease."""
    context = with_script(core.context, Script())
    with ThreadPoolExecutor(1) as pool:
        with core.context.database.begin() as c:
            c.exec_driver_sql(
                "SELECT id FROM deliveries WHERE id = %(id)s FOR UPDATE", {"id": post.deliveries[0]}
            )
            sent = pool.submit(publish, context, post.deliveries[0], 0)
            until(core.ledger.waits, 10)
        assert sent.result(120) is State.PUBLISHED


def test_no_connection_is_held_while_the_platform_is_spoken_to(
    core: CoreFixture, post: Post, context: Context
) -> None:
    held: list[int] = []

    def counting(then: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            held.append(context.database.engine.pool.checkedout())  # type: ignore[attr-defined]
            return then(*args)

        return call

    script = Script(
        prepare=counting(lambda _: Ready(checkpoint={"c": 1})),
        finalize=counting(lambda *_: Pending(checkpoint={"c": 2})),
        look=counting(lambda _: Published(remote_id="r")),
    )
    assert send(core, script, post) is State.PUBLISHED
    assert held == [0, 0, 0]
