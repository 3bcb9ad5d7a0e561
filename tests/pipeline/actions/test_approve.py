"""Approvals: what waits, who may give one, what ends it, and that nothing is armed without one for what it sends."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Account, Draft, FinalizeResult, Platform, Published
from pipeline.actions import approve as actions
from pipeline.actions import cancel_delete_retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.account import KeyLimits
from pipeline.domain.delivery import State
from pipeline.domain.level import LEVEL, LEVELS
from pipeline.domain.own_content import OwnContent
from pipeline.domain.steering import Verb
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.stages.publish import publish
from pipeline.store.attention import read_matters
from pipeline.store.auth.keys import Caller, Terms, create_key, find_caller
from pipeline.store.database import new_id, rows
from pipeline.store.deliveries.arm import arm
from pipeline.store.deliveries.claim import claim
from pipeline.store.deliveries.release import release
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.approvals import Approval, read_approvals
from pipeline.store.posts.views import read_post
from tests.pipeline.actions.test_steering import ask, read, work
from tests.pipeline.core_fixture import GOOD_VIDEO, VIDEO, CoreFixture
from tests.pipeline.scripted_adapter import Script, with_script

DAY, LEASE = timedelta(days=1), timedelta(minutes=5)


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    return alone


def key(core: CoreFixture, **limits: Any) -> Caller:
    with core.context.database.begin() as c:
        found = find_caller(c, create_key(c, core.workspace, "k", Terms(limits=KeyLimits(**limits))))
    assert found is not None
    return found


@pytest.fixture
def agent(core: CoreFixture) -> CoreFixture:
    """The core, whose caller is a key that needs approval."""
    core.caller = key(core, needs_approval=True)
    return core


@pytest.fixture
def approver(core: CoreFixture) -> Caller:
    return key(core, may_approve=True)


def post(core: CoreFixture, due: timedelta = DAY, **given: Any) -> UUID:
    at = (datetime.now(UTC) + due).replace(microsecond=0)
    return core.accept(scheduled_at=at, **{"caption": new_id().hex, **given}).id


def approval(core: CoreFixture, identity: UUID) -> Approval:
    with core.context.database.begin() as c:
        return read_approvals(c, [identity])[identity]


def approve(core: CoreFixture, approver: Caller, identity: UUID, **given: Any) -> Approval:
    shown = given.pop("shown", None) or approval(core, identity).hash
    return actions.approve(core.context, approver, identity, shown, **given)


def refused(work: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Refusal) as refusal:
        work()
    return refusal.value.status, refusal.value.code


def make_due(core: CoreFixture, identity: UUID) -> None:
    """Make a post due as if time had passed: not by an edit, which would end an approval of other times."""
    core.run(
        "UPDATE approvals SET digest = NULL, approver = NULL, approved_at = NULL WHERE post_id = :id",
        id=identity,
    )
    core.run("UPDATE deliveries SET due_at = now(), next_at = now() WHERE post_id = :id", id=identity)
    core.run("UPDATE posts SET due_at = now() WHERE id = :id", id=identity)


def give(core: CoreFixture, identity: UUID) -> None:
    """Approve whatever the post is, due or not."""
    core.run(
        """UPDATE approvals SET digest = post_digest(post_id), approver = 'x', approved_at = now()
           WHERE post_id = :id""",
        id=identity,
    )


def released(core: CoreFixture) -> int:
    with core.context.database.begin() as c:
        return len(release(c, Platform.TIKTOK, 10, LEASE))


def held_for(core: CoreFixture, identity: UUID) -> set[str | None]:
    with core.context.database.begin() as c:
        found = read_post(c, core.workspace, identity)
    assert found is not None
    return {one.held_for for one in found.deliveries}


def test_a_post_of_such_a_key_waits_and_older_workers_leave_it(agent: CoreFixture) -> None:
    waits = post(agent)
    assert held_for(agent, waits) == {"approval"}
    assert {d.level for d in agent.deliveries(waits)} == {LEVELS["hold.approval"]}
    make_due(agent, waits)
    assert released(agent) == 0
    give(agent, waits)
    assert held_for(agent, waits) == {None}
    assert released(agent) == 1


def test_an_approval_names_who_gave_it_and_the_post_goes_out(agent: CoreFixture, approver: Caller) -> None:
    waits = post(agent)
    found = approve(agent, approver, waits)
    assert (found.is_approved, found.approver, found.author) == (True, approver.author, agent.caller.author)
    assert approve(agent, approver, waits).approved_at is not None, "twice is once"
    agent.run("UPDATE approvals SET digest = NULL, approver = NULL, approved_at = NULL")
    make_due(agent, waits)
    give(agent, waits)
    context = with_script(agent.context, Script())
    assert released(agent) == 1
    [delivery] = agent.deliveries(waits)
    assert publish(context, delivery.id, delivery.generation) is State.PUBLISHED


WHO: dict[str, Callable[[CoreFixture], Caller]] = {
    "its own key": lambda core: core.caller,
    "another agent": lambda core: key(core, needs_approval=True),
    "a key without the right": key,
}


@pytest.mark.parametrize("who", WHO)
def test_these_do_not_approve(agent: CoreFixture, who: str) -> None:
    waits = post(agent)
    caller = WHO[who](agent)
    assert refused(lambda: approve(agent, caller, waits)) == (403, "mandate_exceeded")
    assert refused(lambda: actions.make_link(agent.context, caller, [waits], DAY)) == (
        403,
        "mandate_exceeded",
    )
    assert not approval(agent, waits).is_approved


def test_who_changed_it_last_does_not_approve_it(agent: CoreFixture, approver: Caller) -> None:
    waits, other = post(agent), key(agent, may_approve=True)
    edit(agent.context, approver, waits, Change(given=frozenset({"caption"}), caption="mine"))
    assert refused(lambda: approve(agent, approver, waits)) == (403, "mandate_exceeded")
    assert approve(agent, other, waits).is_approved


def test_a_workspace_of_one_may_let_authors_approve(core: CoreFixture) -> None:
    core.run("UPDATE workspaces SET needs_approval = true, self_approval = true")
    core.caller = key(core, may_approve=True)
    waits = post(core)
    assert held_for(core, waits) == {"approval"}
    assert approve(core, replace(core.caller, approves_all=True, self_approval=True), waits).is_approved


EDITS: dict[str, Callable[[CoreFixture, UUID], Change]] = {
    "caption": lambda *_: Change(given=frozenset({"caption"}), caption="another"),
    "time": lambda core, _: Change(given=frozenset({"scheduled_at"}), scheduled_at=core.now() + 2 * DAY),
    "accounts": lambda core, _: Change(given=frozenset({"accounts"}), account_ids=[core.accounts["two"]]),
    "one account's words": lambda core, _: Change(
        given=frozenset({"accounts"}),
        account_ids=[core.accounts["one"]],
        own={core.accounts["one"]: OwnContent(caption="only here")},
    ),
    "options": lambda *_: Change(
        given=frozenset({"options"}), options={Platform.TIKTOK: {"title": "t", "post_mode": "DIRECT_POST"}}
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_every_change_ends_the_approval_in_its_transaction(
    agent: CoreFixture, approver: Caller, what: str
) -> None:
    waits = post(agent)
    shown = approve(agent, approver, waits).hash
    edit(agent.context, agent.caller, waits, EDITS[what](agent, waits))
    now = approval(agent, waits)
    assert not now.is_approved
    assert now.approver is None
    assert held_for(agent, waits) >= {"approval"}
    assert refused(lambda: approve(agent, approver, waits, shown=shown)) == (409, "approval_changed")


def test_a_cancel_of_one_account_leaves_the_rest_approved(agent: CoreFixture, approver: Caller) -> None:
    waits = post(agent, account_ids=[agent.accounts["one"], agent.accounts["two"]])
    approve(agent, approver, waits)
    cancel_delete_retry.cancel(agent.context, agent.caller, [waits], [agent.accounts["two"]])
    assert approval(agent, waits).is_approved


def test_media_that_were_checked_anew_with_another_version_end_it_before_anything_is_sent(
    agent: CoreFixture,
) -> None:
    waits = post(agent)
    make_due(agent, waits)
    give(agent, waits)
    assert released(agent) == 1
    newer = agent.decided(facts={**GOOD_VIDEO, "etag": '"2"'})
    agent.run("UPDATE post_checks SET check_id = :new WHERE post_id = :id", new=newer, id=waits)
    [delivery] = agent.deliveries(waits)
    script = Script()
    assert publish(with_script(agent.context, script), delivery.id, delivery.generation) is State.SCHEDULED
    assert script.calls == []
    assert held_for(agent, waits) == {"approval"}


def test_arm_refuses_what_differs_from_the_approval(agent: CoreFixture) -> None:
    """The last guard: whatever changed the row without ending the approval, nothing is armed."""
    waits = post(agent)
    make_due(agent, waits)
    give(agent, waits)
    assert released(agent) == 1
    [delivery] = agent.deliveries(waits)
    with agent.context.database.begin() as c:
        claimed = claim(c, agent.context.vault, delivery.id, delivery.generation, LEASE, LEVEL)
    assert claimed is not None
    agent.run("UPDATE posts SET caption = 'forged' WHERE id = :id", id=waits)
    with agent.context.database.begin() as c:
        assert arm(c, agent.context.vault, claimed, {}, LEASE) is None
    give(agent, waits)
    with agent.context.database.begin() as c:
        assert arm(c, agent.context.vault, claimed, {}, LEASE) is not None


def test_media_whose_server_names_no_version_are_said(core: CoreFixture, agent: CoreFixture) -> None:
    agent.decided(facts={**GOOD_VIDEO, "etag": None})
    assert approval(agent, post(agent)).unpinned == [VIDEO]


def test_a_post_that_is_past_needs_a_new_time_or_now(agent: CoreFixture, approver: Caller) -> None:
    waits = post(agent)
    make_due(agent, waits)
    assert refused(lambda: approve(agent, approver, waits)) == (400, "validation_failed")
    found = approve(agent, approver, waits, due_at=agent.now() + DAY)
    assert (found.is_approved, found.editor) == (True, agent.caller.author)
    assert {d.due_at > agent.now() for d in agent.deliveries(waits)} == {True}


def test_sent_back_it_waits_until_it_is_changed(agent: CoreFixture, approver: Caller) -> None:
    waits = post(agent)
    shown = approve(agent, approver, waits).hash
    found = actions.send_back(agent.context, approver, waits, shown, "the price is wrong")
    assert (found.is_approved, found.sent_back) == (False, "the price is wrong")
    edit(agent.context, agent.caller, waits, Change(given=frozenset({"caption"}), caption="right"))
    assert approval(agent, waits).sent_back is None


def test_an_edit_and_a_retry_by_such_a_key_need_approval_too(core: CoreFixture) -> None:
    theirs, failed = post(core), post(core)
    core.run(
        """UPDATE deliveries SET state = 'failed', error = '{"class": "Rejected"}' WHERE post_id = :id""",
        id=failed,
    )
    caller = key(core, needs_approval=True)
    edit(core.context, caller, theirs, Change(given=frozenset({"caption"}), caption="mine"))
    assert not cancel_delete_retry.retry(core.context, caller, [failed]).errors
    assert [approval(core, one).is_approved for one in (theirs, failed)] == [False, False]


def test_a_demand_holds_what_is_scheduled_and_nothing_that_was_sent(core: CoreFixture) -> None:
    waits, live = post(core), post(core)
    core.run("UPDATE posts SET status = 'posted' WHERE id = :id", id=live)
    assert actions.demand(core.context, core.caller) == 1
    assert actions.demand(core.context, core.caller) == 0
    assert held_for(core, waits) == {"approval"}


def test_a_filter_approves_what_was_counted_and_skips_what_changed(
    agent: CoreFixture, approver: Caller
) -> None:
    same, changed, mine = post(agent), post(agent), post(agent)
    edit(agent.context, approver, mine, Change(given=frozenset({"caption"}), caption="by the approver"))
    author, agent.caller = agent.caller, approver
    counted = ask(agent, Verb.APPROVE, ListFilter(unsent=True))
    assert counted.count.posts == 3
    edit(agent.context, author, changed, Change(given=frozenset({"caption"}), caption="since"))
    job = ask(agent, Verb.APPROVE, ListFilter(unsent=True), token=counted.token).job
    assert job is not None
    work(agent, job.id)
    assert (read(agent, job.id).done, read(agent, job.id).skipped) == (1, 2)
    assert [approval(agent, one).is_approved for one in (same, changed, mine)] == [True, False, False]


def test_a_link_answers_once_for_its_posts_and_no_others(agent: CoreFixture, approver: Caller) -> None:
    waits, other = post(agent), post(agent)
    token, link = actions.make_link(agent.context, approver, [waits], DAY)
    with agent.context.database.begin() as c:
        assert token not in str(rows(c, "SELECT * FROM approval_links"))

    def answer(one: UUID, shown: str | None = None) -> None:
        actions.answer_by_link(agent.context, token, one, shown or approval(agent, one).hash, None)

    assert refused(lambda: answer(other)) == (404, "not_found")
    assert refused(lambda: answer(waits, "0" * 64)) == (409, "approval_changed")
    answer(waits)
    assert approval(agent, waits).approver == f"system approval link {link.id}"
    assert refused(lambda: answer(waits)) == (409, "approval_changed")
    agent.run("UPDATE approval_links SET expires_at = now()")
    assert refused(lambda: answer(waits)) == (404, "not_found")


def test_attention_counts_posts_and_no_drafts(agent: CoreFixture) -> None:
    post(agent, account_ids=[agent.accounts["one"], agent.accounts["two"]])
    agent.accept(caption="draft", draft=True)
    with agent.context.database.begin() as c:
        found = [m for m in read_matters(c, queues=(), silent=DAY) if m.kind == "approval"]
    assert [m.count for m in found] == [1]


ROUNDS = int(os.environ.get("SLIPWAY_APPROVAL_ROUNDS", "20"))


def test_an_approval_against_an_edit_sends_nothing_that_nobody_approved(
    agent: CoreFixture, approver: Caller
) -> None:
    """Both within 0.2 s, while what may go out goes out: the edited words never do."""
    sent, chance = list[str](), random.Random(7)

    def send(draft: Draft, _: Account) -> FinalizeResult:
        sent.append(draft.caption)
        return Published(remote_id=str(draft.delivery_id))

    context = with_script(agent.context, Script(finalize=send))
    for n in range(ROUNDS):
        waits = post(agent, caption=f"shown {n}")
        shown, at = approval(agent, waits).hash, agent.now()
        change = Change(given=frozenset({"caption"}), caption=f"forged {n}")
        run_at_once(
            [0.0, chance.uniform(0, 0.2)],
            lambda: send_due(context, agent, waits),  # noqa: B023  it ends in the round
            lambda: actions.approve(agent.context, approver, waits, shown, at),  # noqa: B023
            lambda: n and edit(agent.context, agent.caller, waits, change),  # noqa: B023  the first one goes out
        )
        send_due(context, agent, waits)
    assert not [one for one in sent if one.startswith("forged")]
    assert len(set(sent)) == len(sent)
    assert "shown 0" in sent[0]


def send_due(context: Context, core: CoreFixture, identity: UUID) -> None:
    core.run("DELETE FROM brought_forward")  # as when the epoch file has recorded it
    released(core)
    [delivery] = core.deliveries(identity)
    publish(context, delivery.id, delivery.generation)


def run_at_once(
    delays: Sequence[float], meanwhile: Callable[[], object], *works: Callable[[], object]
) -> None:
    """Run each on a thread of its own after its delay, and *meanwhile* until all have ended."""
    started = threading.Event()

    def run(delay: float, work: Callable[[], object]) -> None:
        started.wait()
        time.sleep(delay)  # the race is the subject
        with suppress(Refusal):
            work()

    threads = [threading.Thread(target=run, args=one) for one in zip(delays, works, strict=True)]
    for one in threads:
        one.start()
    started.set()
    while any(one.is_alive() for one in threads):
        meanwhile()
