"""The status stage on real engines with a scripted platform: one look at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Absent, CannotTell, Ended, LookResult, Pending, Published, Ready
from adapters.errors import CredentialsExpired, CredentialsRevoked, OutcomeUnknown, Rejected, Unavailable
from adapters.limit import Rate
from pipeline.actions import resolve
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.stages.platform_limits import may_appear_until
from pipeline.stages.publish import publish
from pipeline.stages.status import look, look_batch
from pipeline.store.accounts.accounts import read_account
from pipeline.store.database import new_id, rows
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, raising, with_script
from tests.pipeline.stages.test_outages import send
from tests.pipeline.store.ledger import Post
from tests.stack import until

LATE = "armed_deadline = now() - interval '1 hour'"


@pytest.fixture
def unknown(core: CoreFixture) -> Post:
    """Return a delivery that is armed and whose outcome is not known."""
    core.account("one")
    return core.ledger.post([core.accounts["one"]], State.UNKNOWN)


def see(core: CoreFixture, post: Post, seen: LookResult | Script) -> State | None:
    """One look that shows this."""
    script = seen if isinstance(seen, Script) else Script(look=lambda _: seen)
    now = core.ledger.delivery(post.deliveries[0])
    return look(with_script(core.context, script), now.id, now.generation, now.fence)


def wait(core: CoreFixture, post: Post) -> float:
    """Seconds until the next look."""
    found = core.ledger.delivery(post.deliveries[0])
    seconds: float = (found.next_at - found.now).total_seconds()
    return seconds


def test_found_live_it_is_published(core: CoreFixture, unknown: Post) -> None:
    armed_at = core.ledger.delivery(unknown.deliveries[0]).armed_at
    script = Script(look=lambda _: Published(remote_id="r", url="https://t.example/r"))
    assert see(core, unknown, script) is State.PUBLISHED
    assert script.armed_at == [armed_at], "the adapter looks from there on"
    found = core.ledger.delivery(unknown.deliveries[0])
    assert (found.remote_id, found.url, found.error) == ("r", "https://t.example/r", None)
    assert [a.outcome for a in core.ledger.attempts(found.id)] == ["published"]
    assert core.status(unknown.id) == "posted"


def test_a_stale_ring_looks_at_nothing(core: CoreFixture, unknown: Post) -> None:
    script = Script()
    now = core.ledger.delivery(unknown.deliveries[0])
    assert look(with_script(core.context, script), now.id, now.generation, now.fence - 1) is None
    assert look(with_script(core.context, script), now.id, now.generation + 1, now.fence) is None
    assert script.calls == []


def test_absence_is_believed_after_two_looks_that_were_late_enough(core: CoreFixture, unknown: Post) -> None:
    [delivery] = unknown.deliveries
    absent = Absent(checkpoint={"handle": "again"})
    for _ in range(3):
        assert see(core, unknown, absent) is State.UNKNOWN, "too early to mean anything, however often"
        assert core.ledger.delivery(delivery).absent_at is None
    assert wait(core, unknown) > 25, "it is looked at again when the settle window is over"
    core.ledger.change(delivery, LATE)
    blind = CannotTell(reason="no such call")
    for shows, state in ((Pending(checkpoint={}), State.PROCESSING), (blind, State.UNKNOWN)):
        assert see(core, unknown, absent) is State.UNKNOWN
        assert see(core, unknown, shows) is state, "absent is not what it shows: it starts over"
        assert core.ledger.delivery(delivery).absent_at is None
    assert see(core, unknown, absent) is State.UNKNOWN
    assert see(core, unknown, Script(look=raising(Unavailable("x")))) is State.UNKNOWN, "this one saw nothing"
    assert see(core, unknown, absent) is State.RETRYING
    found = core.ledger.delivery(delivery)
    assert (found.armed_at, found.armed_deadline, found.spent) == (None, None, 1)
    assert core.ledger.read_claimed(delivery).checkpoint == {"handle": "again"}
    assert [a.outcome for a in core.ledger.attempts(delivery)] == ["absent"]
    assert core.status(unknown.id) == "retry"


def test_what_nobody_can_tell_becomes_a_persons_question_past_the_limit(
    core: CoreFixture, unknown: Post
) -> None:
    assert see(core, unknown, CannotTell(reason="no such call")) is State.UNKNOWN
    core.ledger.change(unknown.deliveries[0], "working_since = now() - interval '31 minutes'")
    assert see(core, unknown, CannotTell(reason="no such call")) is State.BLOCKED
    found = core.ledger.delivery(unknown.deliveries[0])
    assert (found.reason, found.armed_at is not None) == ("is_it_live", True)
    assert core.status(unknown.id) == "pending"


@pytest.mark.parametrize("error", [Unavailable("down"), CredentialsRevoked("gone")])
def test_time_in_which_it_could_not_be_looked_at_never_counts(
    core: CoreFixture, unknown: Post, error: Exception
) -> None:
    """Hours of outage, or of a dead grant, and the first look that works still has the platform's whole limit."""
    [delivery] = unknown.deliveries
    for _ in range(40):
        assert see(core, unknown, Script(look=raising(error))) is State.UNKNOWN
        seconds = wait(core, unknown)
        core.ledger.change(  # that much time passes
            delivery, "working_since = working_since - make_interval(secs => :s), next_at = now()", s=seconds
        )
    assert see(core, unknown, CannotTell(reason="?")) is State.UNKNOWN
    assert core.ledger.delivery(delivery).spent == 0


def test_looks_get_rarer(core: CoreFixture, unknown: Post) -> None:
    waits = []
    for _ in range(5):
        see(core, unknown, CannotTell(reason="?"))
        waits.append(round(wait(core, unknown)))
    assert waits == [5, 10, 20, 40, 60]


def test_a_dead_grant_marks_the_account_and_leaves_the_delivery(core: CoreFixture, unknown: Post) -> None:
    assert see(core, unknown, Script(look=raising(CredentialsRevoked("gone")))) is State.UNKNOWN
    with core.context.database.begin() as c:
        assert read_account(c, core.context.vault, core.accounts["one"])[2] is AccountStatus.RECONNECT


def test_a_stale_token_is_refreshed_at_once_but_not_over_and_over(core: CoreFixture, unknown: Post) -> None:
    script = Script(look=raising(CredentialsExpired("stale")))
    assert see(core, unknown, script) is State.UNKNOWN
    assert wait(core, unknown) <= 0
    assert see(core, unknown, script) is State.UNKNOWN
    assert wait(core, unknown) > 5, "at the pace of looks"
    assert script.made("refresh") == 2


def test_an_empty_bucket_postpones_the_look(core: CoreFixture, unknown: Post) -> None:
    rates = (Rate(step="look", count=2, per=timedelta(minutes=1)),)
    script = Script(look=lambda _: CannotTell(reason="?"), can=replace(CAPABILITIES, rates=rates))
    [delivery] = unknown.deliveries
    moves = core.ledger.moves(delivery)
    for _ in range(3):
        assert see(core, unknown, script) is State.UNKNOWN
    assert script.made("look") == 1
    assert wait(core, unknown) > 25
    found = core.ledger.delivery(delivery)
    assert (found.absent_at, found.held_for, core.ledger.moves(delivery)) == (None, Hold.RATE, moves)
    core.ledger.change(delivery, "absent_at = now() - interval '1 minute'")
    seen = core.ledger.delivery(delivery).absent_at
    assert see(core, unknown, script) is State.UNKNOWN
    assert core.ledger.delivery(delivery).absent_at == seen, "a look that was not made has seen nothing else"


def test_a_post_that_another_delivery_has_is_not_adopted_and_if_insisted_on_needs_a_person(
    core: CoreFixture, unknown: Post
) -> None:
    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    owner = Script(finalize=lambda *_: Published(remote_id="theirs"))
    assert publish(with_script(core.context, owner), other.deliveries[0], 0) is State.PUBLISHED
    known: list[bool] = []

    def looking(taken: Any) -> LookResult:
        known.append("theirs" in taken)
        return Published(remote_id="theirs")

    assert see(core, unknown, Script(look=looking)) is State.BLOCKED
    assert known == [True]
    assert core.ledger.delivery(unknown.deliveries[0]).error["code"] == "remote_id_taken"


def test_proof_that_comes_after_the_claim_was_lost_settles_all_the_same(
    core: CoreFixture, unknown: Post
) -> None:
    [delivery] = unknown.deliveries

    def looking(_: Any) -> LookResult:
        core.ledger.change(delivery, "fence = fence + 5")  # rung again, and another looks
        return Published(remote_id="late")

    assert see(core, unknown, Script(look=looking)) is None
    assert core.ledger.state(delivery) is State.PUBLISHED
    assert core.ledger.attempts(delivery)[0].late[0]["remote_id"] == "late"


def test_a_handle_seen_by_a_look_that_lost_its_claim_is_not_taken(core: CoreFixture, unknown: Post) -> None:
    """Only the worker that made the visible call knows better than the ledger where to look."""
    [delivery] = unknown.deliveries

    def looking(_: Any) -> LookResult:
        core.ledger.change(delivery, "fence = fence + 5")
        return Pending(checkpoint={"publish_id": "older"})

    assert see(core, unknown, Script(look=looking)) is None
    assert core.ledger.read_claimed(delivery).checkpoint == {}


def test_a_doorbell_is_rung_for_what_goes_on_and_none_for_what_does_not(core: CoreFixture) -> None:
    wide = core.with_settings(delay={"look_slot": 3001.0, "horizon": 10.0})

    def rings(*shows: LookResult) -> int:
        before = core.messages("delay")
        for post, seen in zip(several(core, [State.PROCESSING] * 3), shows, strict=True):
            see(wide, post, seen)
        return core.messages("delay") - before

    soon = [Pending(checkpoint={}, wait=timedelta(seconds=n)) for n in (2, 4, 6)]
    assert rings(*soon) in (1, 2), "they share a slot"
    assert rings(*[Pending(checkpoint={}, wait=timedelta(seconds=30))] * 3) == 0, "the sweep's to ring"
    assert rings(*[Ended(error=Rejected("no"))] * 3) == 0


# --- before arm ------------------------------------------------------------------------------------------------------


@pytest.fixture
def preparing(core: CoreFixture) -> Post:
    core.account("one")
    return core.ledger.post([core.accounts["one"]], State.PREPARING)


def test_prepared_it_is_queued_and_rung(core: CoreFixture, preparing: Post) -> None:
    before = core.messages("publish.tiktok")
    assert see(core, preparing, Ready(checkpoint={"container": 1})) is State.QUEUED
    assert core.messages("publish.tiktok") == before + 1
    script = Script()
    assert publish(with_script(core.context, script), preparing.deliveries[0], 0) is State.PUBLISHED
    assert script.calls[0] == ("prepare", {"container": 1})


def test_preparation_that_takes_too_long_starts_over(core: CoreFixture, preparing: Post) -> None:
    core.ledger.change(preparing.deliveries[0], "working_since = now() - interval '31 minutes'")
    assert see(core, preparing, Pending(checkpoint={"c": 1})) is State.RETRYING
    assert core.ledger.read_claimed(preparing.deliveries[0]).checkpoint == {}
    assert core.ledger.delivery(preparing.deliveries[0]).spent == 1


def test_what_nobody_foresaw_while_it_is_prepared_is_counted_too(core: CoreFixture, preparing: Post) -> None:
    states = []
    for _ in range(3):
        states.append(see(core, preparing, Script(look=raising(ZeroDivisionError("bug")))))
        if states[-1] is State.RETRYING:
            core.ledger.change(preparing.deliveries[0], "state = 'preparing'")
    assert states == [State.RETRYING, State.RETRYING, State.BLOCKED]


def test_found_live_although_never_armed_it_is_published(core: CoreFixture, preparing: Post) -> None:
    assert see(core, preparing, Published(remote_id="surprise")) is State.PUBLISHED
    assert core.ledger.moves(preparing.deliveries[0])[-1] == ("proof", "preparing", "published")


# --- several in one message ------------------------------------------------------------------------------------------


def test_one_look_that_breaks_does_not_take_the_others_along(core: CoreFixture, unknown: Post) -> None:
    others = core.ledger.posts(2, [core.accounts["one"]], State.UNKNOWN)
    core.ledger.change(unknown.deliveries[0], "checkpoint = 'damaged'")
    items: list[tuple[UUID, int, int]] = [(p.deliveries[0], 0, 1) for p in (unknown, *others)]
    script = Script(look=lambda _: CannotTell(reason="?"))
    look_batch(with_script(core.context, script), items)
    assert script.made("look") == 2


def several(core: CoreFixture, states: list[State]) -> list[Post]:
    account = core.accounts.get("one") or core.account("one")
    return [core.ledger.post([account], state) for state in states]


def look_at(core: CoreFixture, posts: list[Post], see: Script) -> None:
    held = [core.ledger.delivery(p.deliveries[0]) for p in posts]
    look_batch(with_script(core.context, see), [(d.id, d.generation, d.fence) for d in held])


def test_several_that_are_found_are_all_published_and_so_are_their_posts(core: CoreFixture) -> None:
    posts = several(core, [State.UNKNOWN, State.PROCESSING, State.UNKNOWN])
    seen: Iterator[LookResult] = iter(
        [Published(remote_id="a"), Pending(checkpoint={"x": 1}), Published(remote_id="b")]
    )
    look_at(core, posts, Script(look=lambda _: next(seen)))
    found = [core.ledger.delivery(p.deliveries[0]) for p in posts]
    assert sorted(d.state for d in found) == ["processing", "published", "published"]
    assert {d.remote_id for d in found} == {"a", "b", None}
    assert sorted(core.status(p.id) for p in posts) == ["pending", "posted", "posted"]
    assert transactions(core, posts) == 1


def transactions(core: CoreFixture, posts: list[Post]) -> int:
    """How many commits stored what these deliveries say now."""
    ids = [p.deliveries[0] for p in posts]
    with core.context.database.begin() as c:
        return len(
            {r.x for r in rows(c, "SELECT xmin::text AS x FROM deliveries WHERE id = ANY(:ids)", ids=ids)}
        )


@pytest.mark.parametrize("number", [2, 3])
def test_what_is_one_statement_each_is_stored_with_one_commit_and_rung(
    core: CoreFixture, number: int
) -> None:
    posts = several(core, [State.PREPARING] * number)
    before = core.messages("publish.tiktok")
    brief = core.with_settings(delay={"queued_lease": 77.0})
    look_at(brief, posts, Script(look=lambda _: Ready(checkpoint={"container": 1})))
    found = [core.ledger.delivery(p.deliveries[0]) for p in posts]
    assert {(d.state, d.lease_until - d.updated_at) for d in found} == {("queued", timedelta(seconds=77))}
    assert transactions(core, posts) == 1
    assert core.messages("publish.tiktok") == before + number


@pytest.mark.parametrize(
    ("error", "refreshed", "stands"),
    [
        (CredentialsExpired("stale"), 1, AccountStatus.ACTIVE),
        (CredentialsRevoked("gone"), 0, AccountStatus.RECONNECT),
    ],
)
def test_one_that_needs_more_than_a_statement_gets_it_and_the_others_their_one_commit(
    core: CoreFixture, error: Exception, refreshed: int, stands: AccountStatus
) -> None:
    """An expired token is refreshed and a revoked one marked, whatever else is in the message."""
    posts = several(core, [State.UNKNOWN] * 3)
    seen: Iterator[LookResult | None] = iter([None, CannotTell(reason="?"), CannotTell(reason="?")])

    def looking(_: object) -> LookResult:
        shows = next(seen)
        if shows is None:
            raise error
        return shows

    script = Script(look=looking)
    look_at(core, posts, script)
    assert script.made("refresh") == refreshed
    with core.context.database.begin() as c:
        assert read_account(c, core.context.vault, core.accounts["one"])[2] is stands
    assert [core.ledger.delivery(p.deliveries[0]).looks for p in posts] == [1, 1, 1], "each is stored once"
    assert transactions(core, posts) == 2


def test_a_slow_platform_costs_the_rest_of_a_message_its_turn_but_not_what_was_seen(
    core: CoreFixture,
) -> None:
    """Half of the lease is for looking; deliveries not looked at by then are dispatched again when it expires."""
    posts = several(core, [State.UNKNOWN] * 3)
    brief = core.with_settings(publish={"lease": 0.5})

    def slow(_: object) -> LookResult:
        until(lambda: half_of_it_is_over(core, posts), 10)
        return CannotTell(reason="?")

    script = Script(look=slow)
    look_at(brief, posts, script)
    assert script.made("look") == 1
    assert sum(core.ledger.delivery(p.deliveries[0]).looks for p in posts) == 1


def half_of_it_is_over(core: CoreFixture, posts: list[Post]) -> bool:
    found = core.ledger.delivery(posts[0].deliveries[0])
    return bool(found.now - found.updated_at > timedelta(seconds=0.3))


def test_one_that_is_anothers_post_costs_the_others_nothing(core: CoreFixture) -> None:
    posts = several(core, [State.UNKNOWN] * 3)
    seen = iter([Published(remote_id="a"), Published(remote_id="a"), Published(remote_id="b")])
    look_at(core, posts, Script(look=lambda _: next(seen)))
    found = sorted(core.ledger.delivery(p.deliveries[0]).state for p in posts)
    assert found == ["blocked", "published", "published"]


def test_one_whose_claim_is_lost_meanwhile_keeps_its_proof_and_costs_the_others_nothing(
    core: CoreFixture,
) -> None:
    posts = several(core, [State.UNKNOWN] * 3)

    def overtaken(_: object) -> Published:
        core.ledger.change(posts[0].deliveries[0], "fence = fence + 1")
        return Published(remote_id=str(new_id()))

    look_at(core, posts, Script(look=overtaken))
    assert [core.ledger.delivery(p.deliveries[0]).state for p in posts] == ["published"] * 3
    assert core.ledger.moves(posts[0].deliveries[0])[-1] == ("proof", "unknown", "published")


def test_what_no_look_can_show_waits_for_the_end_of_the_window_and_then_for_an_operator(
    core: CoreFixture, unknown: Post
) -> None:
    [delivery], context = unknown.deliveries, with_script(core.context, Script())
    final = CannotTell(reason="a member's posts cannot be listed", is_final=True)
    assert see(core, unknown, final) is State.UNKNOWN
    found, s = core.ledger.delivery(delivery), core.context.settings
    until = may_appear_until(found.armed_deadline, s, CAPABILITIES)
    assert until is not None
    assert timedelta(0) <= found.next_at - until < timedelta(seconds=10), "the very end, not its look_limit"
    assert found.error["last_look"]["code"] == "cannot_be_asked"
    with pytest.raises(resolve.CannotResolve, match=f"until {until:%Y-%m-%d %H:%M:%S} UTC"):
        resolve.publish_again(context, TESTER, delivery)
    core.ledger.change(delivery, LATE)
    assert see(core, unknown, final) is State.BLOCKED
    found = core.ledger.delivery(delivery)
    assert (found.reason, "cannot be asked" in found.error["message"]) == ("is_it_live", True)
    resolve.publish_again(context, TESTER, delivery)
    assert core.ledger.state(delivery) is State.RETRYING


@pytest.mark.parametrize("fails", [CredentialsExpired("stale"), Unavailable("down")])
def test_a_failed_look_at_a_processing_post_is_kept_until_the_next_one(
    core: CoreFixture, fails: Exception
) -> None:
    post = core.ledger.post([core.account("one")], State.PROCESSING)
    [delivery] = post.deliveries
    assert see(core, post, Script(look=raising(fails))) is State.PROCESSING
    stored = core.ledger.delivery(delivery).error
    assert (stored["class"], stored["last_look"]["class"]) == ("OutcomeUnknown", type(fails).__name__)
    assert see(core, post, Pending(checkpoint={})) is State.PROCESSING
    assert core.ledger.delivery(delivery).error is None


# --- a platform that refuses the visible call by a code that no table lists: what it said reaches the person ---------

SENTENCE = "We blocked this link because it may lead to spam."
UNCLEAR = OutcomeUnknown("It did not confirm the publish.", platform_code="98", platform_message=SENTENCE)


LOOK_FAILS = Unavailable("down", platform_code="2", platform_message="Service temporarily unavailable")


@pytest.mark.parametrize("fails", [False, True], ids=["looks answer", "looks fail first"])
@pytest.mark.parametrize(
    ("shown", "since", "state", "code"),
    [
        (Absent(), LATE, State.RETRYING, "proven_absent"),
        (CannotTell(reason="no such call"), "working_since = now() - interval '1 day'", State.BLOCKED, None),
    ],
    ids=["absent", "cannot tell"],
)
def test_its_code_and_sentence_stay_when_the_looks_are_over(
    core: CoreFixture, shown: LookResult, since: str, state: State, code: str | None, fails: bool
) -> None:
    post = core.ledger.post([core.account("one")], State.QUEUED)
    [delivery] = post.deliveries
    assert send(core, Script(finalize=raising(UNCLEAR)), post) is State.UNKNOWN
    for error in [LOOK_FAILS, CredentialsExpired("stale")] * fails:
        assert see(core, post, Script(look=raising(error))) is State.UNKNOWN
        stored = core.ledger.delivery(delivery).error
        assert (stored["code"], stored["platform_code"]) == (OutcomeUnknown.code, "98"), "a look has its own"
        last = stored["last_look"]
        assert (last["code"], last["platform_message"]) == (error.code, error.platform_message)
    assert see(core, post, shown) is State.UNKNOWN
    core.ledger.change(delivery, since)
    while see(core, post, shown) is State.UNKNOWN:
        pass
    found = core.ledger.delivery(delivery)
    assert found.state == state
    assert found.error["code"] == (code or OutcomeUnknown.code)
    assert (found.error["platform_code"], found.error["platform_message"]) == ("98", SENTENCE)
    assert "last_look" not in found.error
    assert SENTENCE not in found.error["message"]


def test_a_refusal_for_good_is_not_sent_again_once_absence_is_proven_though_looks_fail_in_between(
    core: CoreFixture,
) -> None:
    blocked = OutcomeUnknown("It did not confirm the publish.", platform_code="368")
    blocked.refusal = Rejected("blocked", code="blocked_by_policy", platform_code="368", next_action="Wait.")
    post = core.ledger.post([core.account("one")], State.QUEUED)
    [delivery] = post.deliveries
    assert send(core, Script(finalize=raising(blocked)), post) is State.UNKNOWN
    assert see(core, post, Script(look=raising(LOOK_FAILS))) is State.UNKNOWN
    core.ledger.change(delivery, LATE)
    while see(core, post, Absent()) is State.UNKNOWN:
        pass
    found = core.ledger.delivery(delivery)
    assert found.state == State.FAILED
    assert (found.error["class"], found.error["fault"]) == ("Rejected", "customer")
    assert (found.error["code"], found.error["next_action"]) == ("blocked_by_policy", "Wait.")


def test_a_later_try_that_the_platform_did_not_answer_is_not_told_with_the_sentence_of_the_earlier_one(
    core: CoreFixture,
) -> None:
    post = core.ledger.post([core.account("one")], State.QUEUED)
    [delivery] = post.deliveries
    for error, told in ((UNCLEAR, SENTENCE), (OutcomeUnknown("The connection broke."), None)):
        assert send(core, Script(finalize=raising(error)), post) is State.UNKNOWN
        assert see(core, post, Script(look=raising(LOOK_FAILS))) is State.UNKNOWN
        core.ledger.change(delivery, LATE)
        while see(core, post, Absent()) is State.UNKNOWN:
            pass
        found = core.ledger.delivery(delivery)
        assert (found.error["code"], found.error["platform_message"]) == ("proven_absent", told)
