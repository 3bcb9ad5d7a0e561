"""Retry and replay of a failed account: siblings that wait are not waited for, and keep the checks they had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.actions import dead_letters
from pipeline.actions.cancel_delete_retry import LIVE, retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import Reason, State
from pipeline.domain.steering import Verb
from pipeline.maintenance.rescue_expired_leases import redispatch_checks
from pipeline.runtime.send_guard import SendGuard
from pipeline.stages import reachability
from pipeline.store.checks import checks
from pipeline.store.database import jsonb, row
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.pins import read_pins
from tests.pipeline.actions.test_cancel_delete_retry import attempt, part
from tests.pipeline.actions.test_dead_letters import act
from tests.pipeline.actions.test_edit import stored
from tests.pipeline.core_fixture import GOOD_VIDEO, CoreFixture
from tests.pipeline.store.ledger import HOUR, Post

CHANGED = {"code": "media_changed", "class": "Rejected", "message": "The file changed."}
NEW_FACTS = {**GOOD_VIDEO, "etag": '"new"'}
Recovery = Callable[[CoreFixture, Post, int], None]


def retry_one(core: CoreFixture, post: Post, n: int) -> None:
    account = core.ledger.delivery(post.deliveries[n]).account_id
    done = retry(core.context, core.caller, [post.id], [account])
    assert (done.ids, done.errors, done.left) == ([post.id], {}, {})


def replay_one(core: CoreFixture, post: Post, n: int) -> None:
    scope = Scope(workspace=core.workspace)
    done = act(core.context, Verb.REPLAY, scope, [post.deliveries[n]], per_minute=6000)
    assert (done.done, done.skipped) == ([post.deliveries[n]], {})
    assert core.messages("reachability.bulk") >= 1, "media that changed are looked at again first"


RECOVERIES = pytest.mark.parametrize("recover", [retry_one, replay_one])


def fail(core: CoreFixture, post: Post, n: int, error: dict[str, Any] | None = None) -> None:
    core.ledger.put(part(post, n), State.FAILED)
    core.ledger.change(post.deliveries[n], "error = CAST(:e AS jsonb)", e=jsonb(error or CHANGED))


def beside(core: CoreFixture, sibling: State = State.SCHEDULED) -> Post:
    """A post whose first delivery failed because its file changed; the second is in this state."""
    post = stored(core, accounts=2)
    if sibling is not State.SCHEDULED:
        core.ledger.put(part(post, 1), sibling)
    fail(core, post, 0)
    return post


def pins(core: CoreFixture, post: Post) -> list[UUID]:
    """Return the check that each delivery goes by."""
    with core.context.database.begin() as c:
        found = read_pins(c, post.id)
    return [found[d][0].id for d in post.deliveries]


def decide(core: CoreFixture, check: UUID, verdict: checks.Verdict = "good") -> None:
    with core.context.database.begin() as c:
        known = checks.read_checks(c, [check])[check]
        facts = NEW_FACTS if verdict == "good" else None
        reachability._decide_check(core.context, c, known, verdict, facts, "seen")


def etags(core: CoreFixture, post: Post) -> list[str | None]:
    """Return the ETag that each delivery's worker compares the file with."""
    return [core.ledger.read_claimed(d).facts["0"].get("etag") for d in post.deliveries]


def columns(core: CoreFixture, delivery: UUID) -> dict[str, Any]:
    return {name: value for name, value in core.ledger.delivery(delivery)._mapping.items() if name != "now"}


@RECOVERIES
@pytest.mark.parametrize("sibling", [s for s in State if s not in (State.FAILED, State.ACCEPTED)])
def test_a_failed_account_waits_for_no_sibling_and_changes_nothing_of_it(
    core: CoreFixture, recover: Recovery, sibling: State
) -> None:
    post = beside(core, sibling)
    before, old = columns(core, post.deliveries[1]), pins(core, post)[1]
    recover(core, post, 0)
    assert core.ledger.states(post) == [State.ACCEPTED, sibling]
    retried, kept = pins(core, post)
    assert retried != old
    settled = sibling in (State.PUBLISHED, State.CANCELLED)
    assert kept == (retried if settled else old), "what is settled goes by nothing any more"
    decide(core, retried)
    assert core.ledger.states(post)[0] in (State.SCHEDULED, State.QUEUED)
    assert columns(core, post.deliveries[1]) == before
    if not settled:
        assert etags(core, post) == ['"new"', GOOD_VIDEO.get("etag")]


@RECOVERIES
def test_a_bad_new_check_fails_the_retried_delivery_alone(core: CoreFixture, recover: Recovery) -> None:
    post = beside(core)
    recover(core, post, 0)
    decide(core, pins(core, post)[0], "refused")
    assert core.ledger.states(post) == [State.FAILED, State.SCHEDULED]
    assert core.ledger.delivery(post.deliveries[0]).error["code"] == "media_unreachable"
    assert core.ledger.status(post) == "scheduled"


@RECOVERIES
def test_two_failed_accounts_are_retried_one_after_the_other(core: CoreFixture, recover: Recovery) -> None:
    post = stored(core, accounts=3)
    old = pins(core, post)[2]
    fail(core, post, 0)
    fail(core, post, 1)
    recover(core, post, 0)
    recover(core, post, 1)
    first, second, kept = pins(core, post)
    assert (first == second, kept) == (True, old)
    decide(core, first)
    assert core.ledger.states(post) == [State.SCHEDULED] * 3


def test_a_second_retry_leaves_the_sibling_where_it_was(core: CoreFixture) -> None:
    post = beside(core)
    old = pins(core, post)[1]
    for _ in range(2):
        retry_one(core, post, 0)
        decide(core, pins(core, post)[0])
        fail(core, post, 0)
    assert pins(core, post)[1] == old
    retry_one(core, post, 0)
    last = pins(core, post)[0]
    change = Change(given=frozenset({"caption"}), caption="new words")
    edit(core.context, core.caller, post.id, change)
    assert pins(core, post) == [last, last], "an edit gives all of them the newest check"


def test_a_worker_that_died_between_verdict_and_moves_is_made_up_for(core: CoreFixture) -> None:
    post = beside(core)
    retry_one(core, post, 0)
    core.ledger.change(post.deliveries[0], "updated_at = now() - interval '1 minute'")
    redispatch_checks(core.context)
    assert core.ledger.states(post)[0] is State.ACCEPTED, "its new check is undecided, the sibling's is not"
    with core.context.database.begin() as c:
        assert checks.decide_check(c, pins(core, post)[0], "good", facts=NEW_FACTS, seen="ok")
    redispatch_checks(core.context)
    assert core.ledger.states(post) == [State.SCHEDULED, State.SCHEDULED]


# --- what is told ----------------------------------------------------------------------------------------------------


def test_each_chosen_account_that_is_not_retried_has_its_reason(core: CoreFixture) -> None:
    post = stored(core, accounts=4)
    for n in (0, 1):
        fail(core, post, n)
    attempt(core, post.deliveries[1], "failed", '[{"remote_id": "7", "url": null}]')
    core.ledger.put(part(post, 2), State.PUBLISHED)
    accounts = [core.ledger.delivery(d).account_id for d in post.deliveries]
    done = retry(core.context, core.caller, [post.id], accounts[:3])
    assert (done.ids, done.errors) == ([post.id], {})
    assert done.left == {
        post.id: {
            accounts[1]: f"post_in_flight: {LIVE}",
            accounts[2]: "validation_failed: It is posted: only failed ones are retried.",
        }
    }
    again = retry(core.context, core.caller, [post.id], accounts[2:])
    assert "has not failed at any of these accounts" in again.errors[post.id]


def dead_beside(core: CoreFixture, check: UUID) -> Post:
    """A dead letter whose post is under way at another account."""
    post = core.ledger.post([core.accounts["one"], core.accounts["two"]], checks={0: check}, due=HOUR)
    fail(core, post, 0, {"code": "unavailable", "class": "Unavailable", "message": "It is down."})
    return post


def test_what_a_count_promises_is_what_is_done(core: CoreFixture) -> None:
    core.account("one")
    core.account("two")
    check = core.decided()
    posts = [dead_beside(core, check) for _ in range(5)]
    attempt(core, posts[2].deliveries[0], "failed", '[{"remote_id": "7", "url": null}]')
    core.ledger.put(part(posts[3], 0), State.BLOCKED, reason=Reason.PERSON_NEEDED, armed=True)
    core.ledger.change(posts[4].deliveries[0], "armed_at = now()")
    chosen = ListFilter(scope=Scope(workspace=core.workspace))
    letters = [p.deliveries[0] for p in posts]

    promised = dead_letters.count_letters(core.context, Verb.REPLAY, chosen)
    assert (promised.letters, promised.skipped) == (2, {LIVE: 1, dead_letters.MAY_BE_LIVE: 2})
    assert [(x.platform, x.code, x.letters) for x in promised.causes] == [("tiktok", "unavailable", 2)]
    discardable = dead_letters.count_letters(core.context, Verb.DISCARD, chosen)
    assert (discardable.letters, discardable.skipped) == (3, {dead_letters.MAY_BE_LIVE: 2})

    done = act(core.context, Verb.REPLAY, chosen.scope, letters, per_minute=6000)
    assert done.done == letters[:2]
    armed = dict.fromkeys(letters[3:], dead_letters.MAY_BE_LIVE)
    assert done.skipped == {letters[2]: LIVE, **armed}
    gone = act(core.context, Verb.DISCARD, chosen.scope, letters[2:], why="over")
    assert (gone.done, gone.skipped) == ([letters[2]], armed)


def test_while_a_restore_is_not_accepted_the_count_is_zero_with_the_reason(core: CoreFixture) -> None:
    core.account("one")
    core.account("two")
    post = dead_beside(core, core.decided())
    # a guard without an epoch file reads the database, as one does that has just started
    context = replace(
        core.context, send_guard=SendGuard(core.context.database, None, timedelta(seconds=60), logs=False)
    )
    # as its own: a row that another has written is taken for a restored one by the tests that follow
    hold = "UPDATE mark SET held_at = :at, held_why = :why, writer = pg_current_xact_id()::xid RETURNING one"
    with context.database.begin() as c:
        row(c, hold, at=core.now(), why="declared")
    try:
        chosen = ListFilter(scope=Scope(workspace=core.workspace))
        promised = dead_letters.count_letters(context, Verb.REPLAY, chosen)
        done = act(context, Verb.REPLAY, chosen.scope, post.deliveries[:1])
    finally:
        with context.database.begin() as c:
            row(c, hold, at=None, why=None)
    assert (promised.letters, done.done) == (0, [])
    assert dict.fromkeys(done.skipped.values(), 1) == promised.skipped


def test_a_link_that_can_no_longer_be_resolved_is_a_reason_not_a_crash(core: CoreFixture) -> None:
    core.account("one")
    core.account("two")
    post = dead_beside(core, core.decided())
    core.ledger.update("posts", post.id, "music_url = 'no link'")
    done = act(core.context, Verb.REPLAY, Scope(), post.deliveries[:1])
    assert "music_url" in done.skipped[post.deliveries[0]]
