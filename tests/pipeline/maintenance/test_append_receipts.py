"""Each final move of a delivery gets one receipt, with the facts of that time, in its workspace's chain."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.contract import Published
from adapters.errors import Rejected
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import resolve as decide
from pipeline.domain.delivery import Mover, State
from pipeline.domain.receipt import content_sha256
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.maintenance.finish_published import fill_urls
from pipeline.maintenance.read_moves import append_receipts
from pipeline.store.database import jsonb, row, rows
from pipeline.store.deliveries.move import move
from tests.actors import TESTER
from tests.pipeline.actions.test_edit import change, stored
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.receipted import (
    FAILED,
    add_published_posts,
    published_verdict,
    read_receipts,
    settle_armed,
)
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.store.deliveries.test_late_results import absent, lose, prove
from tests.pipeline.store.ledger import HOUR, MEDIA

# --- what a receipt says ---------------------------------------------------------------------------------------------


def test_what_went_live_is_told_as_the_ledger_has_it(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]])
    held = settle_armed(core, post, published_verdict("r1"))
    assert append_receipts(core.context) == 1
    found = core.ledger.delivery(held.id)
    [attempt] = core.ledger.attempts(held.id)
    [receipt] = read_receipts(core)
    with core.context.database.begin() as c:
        account = row(c, "SELECT remote_id FROM accounts WHERE id = :id", id=held.account_id)
    assert account
    assert {k: receipt[k] for k in receipt if k not in ("hash", "issued_at", "at")} == {
        "version": 1,
        "workspace": str(core.workspace),
        "sequence": 1,
        "previous": None,
        "outcome": "published",
        "mover": "publish",
        "delivery": str(held.id),
        "post": str(post.id),
        "account": str(held.account_id),
        "platform": "tiktok",
        "account_remote_id": account.remote_id,
        "attempts": 1,
        "content_sha256": content_sha256("hello", MEDIA),
        "due_at": written(found.due_at),
        "armed_at": written(attempt.armed_at),
        "published_at": written(found.published_at),
        "remote_id": "r1",
        "url": "https://t.example/r1",
        "delivered_as": "post",
        "error_code": None,
        "error_message": None,
        "platform_message": None,
    }
    assert "hello" not in json.dumps(receipt), "of what was said only a hash"
    assert receipt["at"] <= receipt["issued_at"]
    assert append_receipts(core.context) == 0, "once"


def written(moment: Any) -> str:
    text: str = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text


@pytest.mark.parametrize("late", [False, True])
def test_a_failed_one_that_is_retried_and_goes_live_has_two(core: CoreFixture, *, late: bool) -> None:
    core.decided()
    post = core.ledger.post([core.accounts["one"]])
    settle_armed(core, post, FAILED)
    if not late:
        assert append_receipts(core.context) == 1
    assert steer.retry(core.context, core.caller, [post.id]).ids
    settle_armed(core, post)
    append_receipts(core.context)
    first, second = read_receipts(core)
    assert (first["outcome"], first["error_code"], first["attempts"], first["remote_id"]) == (
        "failed",
        "rejected",
        1,
        None,
    )
    assert (second["outcome"], second["error_code"], second["attempts"]) == ("published", None, 2)
    assert first["armed_at"] < second["armed_at"]


def test_what_a_person_decided_is_told(core: CoreFixture) -> None:
    account = [core.accounts["one"]]
    seen, again = (core.ledger.post(account) for _ in range(2))
    for post in (seen, again):
        core.ledger.put(post, State.UNKNOWN, armed=True)
        core.ledger.change(post.deliveries[0], "armed_deadline = now() - interval '1 hour'")
    decide.confirm_live(core.context, TESTER, seen.deliveries[0], "https://t.example/seen")
    decide.publish_again(core.context, TESTER, again.deliveries[0])
    taken_back = stored(core)
    assert steer.cancel(core.context, core.caller, [taken_back.id]).ids
    append_receipts(core.context)
    assert [(r["outcome"], r["mover"], r["url"]) for r in read_receipts(core)] == [
        ("published", "decide", "https://t.example/seen"),
        ("again", "decide", None),
        ("cancelled", "cancel", None),
    ]


def test_an_address_that_was_found_later_is_a_receipt_of_its_own(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    core.ledger.change(post.deliveries[0], "due_at = now()")
    bare = Verdict(state=State.PUBLISHED, closes=Outcome.PUBLISHED, published=Published(remote_id="r9"))
    held = settle_armed(core, post, bare)
    append_receipts(core.context)
    change(core, post.id, caption="new", scheduled_at=core.now() + HOUR)  # for the other account
    core.ledger.change(held.id, "next_at = now()")
    script = Script(look=lambda _: Published(remote_id="r9", url="https://t.example/r9"))
    assert fill_urls(with_script(core.context, script)) == 1
    append_receipts(core.context)
    before, after = read_receipts(core)
    assert (before["url"], after["url"]) == (None, "https://t.example/r9")
    assert (before["mover"], after["mover"]) == ("publish", "urls")
    assert before["content_sha256"] == content_sha256("hello", MEDIA)
    same = ("outcome", "delivery", "remote_id", "published_at", "content_sha256", "due_at", "attempts")
    assert {k: before[k] for k in same} == {k: after[k] for k in same}


def test_a_receipt_that_is_written_after_an_edit_tells_what_went_out_before(core: CoreFixture) -> None:
    post = stored(core, accounts=2)
    first, _ = post.deliveries
    core.ledger.change(first, "due_at = now()")
    due = core.ledger.delivery(post.deliveries[1]).due_at
    settle_armed(core, post)
    change(core, post.id, caption="new", scheduled_at=None)
    change(core, post.id, caption="newer")
    settle_armed(core, post, nth=1)
    append_receipts(core.context)
    old, new = read_receipts(core)
    assert (old["delivery"], old["content_sha256"]) == (str(first), content_sha256("hello", MEDIA))
    assert old["due_at"] == written(due)
    assert new["content_sha256"] == content_sha256("newer", MEDIA)
    assert new["due_at"] < old["due_at"]


def test_late_proof_tells_what_its_own_attempt_said(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]], checks={0: core.decided()})
    held = core.ledger.armed(post)
    lose(core.ledger, held)
    absent(core.ledger, held)
    core.ledger.change(held.id, "checkpoint = NULL")
    change(core, post.id, caption="new")
    armed_at = core.ledger.attempts(held.id)[0].armed_at
    core.ledger.armed(post)
    assert prove(core.ledger, held).settled
    append_receipts(core.context)
    [receipt] = read_receipts(core)
    assert (receipt["mover"], receipt["attempts"]) == ("proof", 2)
    assert receipt["content_sha256"] == content_sha256("hello", MEDIA)
    assert receipt["armed_at"] == written(armed_at)


def test_a_failure_after_an_edit_and_without_another_try_tells_the_new_words(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]], checks={0: core.decided()})
    refused = Verdict(state=State.RETRYING, closes=Outcome.REFUSED, disarm=True, error=Rejected("not now"))
    settle_armed(core, post, refused)
    core.ledger.change(post.deliveries[0], "checkpoint = NULL")
    change(core, post.id, caption="new")
    with core.context.database.begin() as c:
        assert move(
            c,
            delivery=post.deliveries[0],
            post=post.id,
            origin=State.SCHEDULED,
            target=State.FAILED,
            mover=Mover.DELAY,
            generation=1,
            changes={"error": jsonb({"code": "expired"})},
        )
    change(core, post.id, caption="newer")
    append_receipts(core.context)
    [receipt] = read_receipts(core)
    assert receipt["content_sha256"] == content_sha256("new", MEDIA)
    assert receipt["outcome"] == "failed"


def test_what_says_nothing_new_has_no_receipt(core: CoreFixture) -> None:
    post = stored(core)
    core.ledger.change(post.deliveries[0], "due_at = now()")
    settle_armed(core, post, FAILED)
    change(core, post.id, caption="still failed")
    append_receipts(core.context)
    assert [(r["outcome"], r["content_sha256"]) for r in read_receipts(core)] == [
        ("failed", content_sha256("hello", MEDIA))
    ]
    assert core.ledger.moves(post.deliveries[0])[-1] == ("edit", "failed", "failed")


def test_a_post_that_was_deleted_has_its_receipts_all_the_same(core: CoreFixture) -> None:
    [before, after] = (core.ledger.post([core.accounts["one"]]) for _ in range(2))
    settle_armed(core, before, FAILED)
    append_receipts(core.context)
    settle_armed(core, after, FAILED)
    assert len(steer.delete(core.context, core.caller, [before.id, after.id]).ids) == 2
    append_receipts(core.context)
    assert [r["post"] for r in read_receipts(core)] == [str(before.id), str(after.id)]


# --- the chain -------------------------------------------------------------------------------------------------------


def test_each_workspace_has_a_chain_of_its_own(core: CoreFixture) -> None:
    others = [core.ledger.fresh() for _ in range(2)]
    ours = core.ledger.posts(3, [core.accounts["one"]])
    for post in (ours[0], others[0], ours[1], others[1], ours[2]):
        settle_armed(core, post)
    assert append_receipts(core.context, batch=2) == 5
    assert [r["post"] for r in read_receipts(core)] == [str(p.id) for p in ours]
    for post in others:
        assert [(r["post"], r["sequence"], r["previous"]) for r in read_receipts(core, post.workspace)] == [
            (str(post.id), 1, None)
        ]
    again = settle_armed(core, core.ledger.post([core.accounts["one"]]))
    append_receipts(core.context)
    assert [r["sequence"] for r in read_receipts(core)] == [1, 2, 3, 4]
    assert read_receipts(core)[-1]["delivery"] == str(again.id)


def test_receipts_are_only_ever_added_to(core: CoreFixture) -> None:
    add_published_posts(core)
    append_receipts(core.context)
    for sql in ("UPDATE receipts SET line = line", "DELETE FROM receipts", "TRUNCATE receipts"):
        with (
            pytest.raises(sa.exc.DBAPIError, match="only ever added to"),
            core.context.database.begin() as c,
        ):
            c.exec_driver_sql(sql)
    assert len(read_receipts(core)) == 1


def test_a_clock_that_is_set_back_does_not_set_the_chain_back(core: CoreFixture) -> None:
    add_published_posts(core)
    append_receipts(core.context)
    core.run("UPDATE receipt_heads SET issued_at = now() + interval '1 hour'")
    add_published_posts(core, 2)
    append_receipts(core.context)
    with core.context.database.begin() as c:
        at = [r.issued_at for r in rows(c, "SELECT issued_at FROM receipts ORDER BY sequence")]
    assert at[1] == at[2] > at[0] + 0.9 * HOUR
