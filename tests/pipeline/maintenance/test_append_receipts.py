"""Every last word on a delivery gets one receipt, which says what was so at that time, in its workspace's one chain."""

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
from pipeline.domain.retry_policy import Outcome, Verdict
from pipeline.maintenance.append_receipts import append_receipts
from pipeline.maintenance.fill_urls import fill_urls
from pipeline.store.database import jsonb, row, rows
from pipeline.store.deliveries import moves as store
from tests.pipeline.actions.test_edit import change, stored
from tests.pipeline.core_fixture import House
from tests.pipeline.maintenance.receipted import FAILED, ends, live, posted, told
from tests.pipeline.scripted_adapter import Script, playing
from tests.pipeline.store.deliveries.test_late_results import absent, lose, prove
from tests.pipeline.store.ledger import HOUR, MEDIA

# --- what a receipt says ---------------------------------------------------------------------------------------------


def test_what_went_live_is_told_as_the_ledger_has_it(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]])
    held = ends(house, post, live("r1"))
    assert append_receipts(house.context) == 1
    found = house.ledger.delivery(held.id)
    [attempt] = house.ledger.attempts(held.id)
    [receipt] = told(house)
    with house.context.database.begin() as c:
        account = row(c, "SELECT remote_id FROM accounts WHERE id = :id", id=held.account_id)
    assert account
    assert {k: receipt[k] for k in receipt if k not in ("hash", "issued_at", "at")} == {
        "version": 1,
        "workspace": str(house.workspace),
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
    }
    assert "hello" not in json.dumps(receipt), "of what was said only a hash"
    assert receipt["at"] <= receipt["issued_at"]
    assert append_receipts(house.context) == 0, "once"


def written(moment: Any) -> str:
    text: str = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text


@pytest.mark.parametrize("late", [False, True])
def test_a_failed_one_that_is_retried_and_goes_live_has_two(house: House, *, late: bool) -> None:
    house.decided()
    post = house.ledger.post([house.accounts["one"]])
    ends(house, post, FAILED)
    if not late:
        assert append_receipts(house.context) == 1
    assert steer.retry(house.context, house.caller, [post.id]).ids
    ends(house, post)
    append_receipts(house.context)
    first, second = told(house)
    assert (first["outcome"], first["error_code"], first["attempts"], first["remote_id"]) == (
        "failed",
        "rejected",
        1,
        None,
    )
    assert (second["outcome"], second["error_code"], second["attempts"]) == ("published", None, 2)
    assert first["armed_at"] < second["armed_at"]


def test_what_a_person_decided_is_told(house: House) -> None:
    account = [house.accounts["one"]]
    seen, again = (house.ledger.post(account) for _ in range(2))
    for post in (seen, again):
        house.ledger.put(post, State.UNKNOWN, armed=True)
        house.ledger.change(post.deliveries[0], "armed_deadline = now() - interval '1 hour'")
    decide.it_is_live(house.context, seen.deliveries[0], "https://t.example/seen")
    decide.publish_again(house.context, again.deliveries[0])
    taken_back = stored(house)
    assert steer.cancel(house.context, house.caller, [taken_back.id]).ids
    append_receipts(house.context)
    assert [(r["outcome"], r["mover"], r["url"]) for r in told(house)] == [
        ("published", "decide", "https://t.example/seen"),
        ("again", "decide", None),
        ("cancelled", "cancel", None),
    ]


def test_an_address_that_was_found_later_is_a_receipt_of_its_own(house: House) -> None:
    post = stored(house, accounts=2)
    house.ledger.change(post.deliveries[0], "due_at = now()")
    bare = Verdict(state=State.PUBLISHED, closes=Outcome.PUBLISHED, published=Published(remote_id="r9"))
    held = ends(house, post, bare)
    append_receipts(house.context)
    change(house, post.id, caption="new", scheduled_at=house.now() + HOUR)  # for the other account
    house.ledger.change(held.id, "next_at = now()")
    script = Script(look=lambda _: Published(remote_id="r9", url="https://t.example/r9"))
    assert fill_urls(playing(house.context, script)) == 1
    append_receipts(house.context)
    before, after = told(house)
    assert (before["url"], after["url"]) == (None, "https://t.example/r9")
    assert (before["mover"], after["mover"]) == ("publish", "urls")
    assert before["content_sha256"] == content_sha256("hello", MEDIA)
    same = ("outcome", "delivery", "remote_id", "published_at", "content_sha256", "due_at", "attempts")
    assert {k: before[k] for k in same} == {k: after[k] for k in same}


def test_a_receipt_that_is_written_after_an_edit_tells_what_went_out_before(house: House) -> None:
    post = stored(house, accounts=2)
    first, _ = post.deliveries
    house.ledger.change(first, "due_at = now()")
    due = house.ledger.delivery(post.deliveries[1]).due_at
    ends(house, post)
    change(house, post.id, caption="new", scheduled_at=None)
    change(house, post.id, caption="newer")
    ends(house, post, nth=1)
    append_receipts(house.context)
    old, new = told(house)
    assert (old["delivery"], old["content_sha256"]) == (str(first), content_sha256("hello", MEDIA))
    assert old["due_at"] == written(due)
    assert new["content_sha256"] == content_sha256("newer", MEDIA)
    assert new["due_at"] < old["due_at"]


def test_late_proof_tells_what_its_own_attempt_said(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], checks={0: house.decided()})
    held = house.ledger.armed(post)
    lose(house.ledger, held)
    absent(house.ledger, held)
    house.ledger.change(held.id, "checkpoint = NULL")
    change(house, post.id, caption="new")
    armed_at = house.ledger.attempts(held.id)[0].armed_at
    house.ledger.armed(post)
    assert prove(house.ledger, held).settled
    append_receipts(house.context)
    [receipt] = told(house)
    assert (receipt["mover"], receipt["attempts"]) == ("proof", 2)
    assert receipt["content_sha256"] == content_sha256("hello", MEDIA)
    assert receipt["armed_at"] == written(armed_at)


def test_a_failure_after_an_edit_and_without_another_try_tells_the_new_words(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], checks={0: house.decided()})
    refused = Verdict(state=State.RETRYING, closes=Outcome.REFUSED, disarm=True, error=Rejected("not now"))
    ends(house, post, refused)
    house.ledger.change(post.deliveries[0], "checkpoint = NULL")
    change(house, post.id, caption="new")
    with house.context.database.begin() as c:
        assert store.move(
            c,
            delivery=post.deliveries[0],
            post=post.id,
            origin=State.SCHEDULED,
            target=State.FAILED,
            mover=Mover.DELAY,
            generation=1,
            changes={"error": jsonb({"code": "expired"})},
        )
    change(house, post.id, caption="newer")
    append_receipts(house.context)
    [receipt] = told(house)
    assert receipt["content_sha256"] == content_sha256("new", MEDIA)
    assert receipt["outcome"] == "failed"


def test_what_says_nothing_new_has_no_receipt(house: House) -> None:
    post = stored(house)
    house.ledger.change(post.deliveries[0], "due_at = now()")
    ends(house, post, FAILED)
    change(house, post.id, caption="still failed")
    append_receipts(house.context)
    assert [(r["outcome"], r["content_sha256"]) for r in told(house)] == [
        ("failed", content_sha256("hello", MEDIA))
    ]
    assert house.ledger.moves(post.deliveries[0])[-1] == ("edit", "failed", "failed")


def test_a_post_that_was_deleted_has_its_receipts_all_the_same(house: House) -> None:
    [before, after] = (house.ledger.post([house.accounts["one"]]) for _ in range(2))
    ends(house, before, FAILED)
    append_receipts(house.context)
    ends(house, after, FAILED)
    assert len(steer.delete(house.context, house.caller, [before.id, after.id]).ids) == 2
    append_receipts(house.context)
    assert [r["post"] for r in told(house)] == [str(before.id), str(after.id)]


# --- the chain -------------------------------------------------------------------------------------------------------


def test_each_workspace_has_a_chain_of_its_own(house: House) -> None:
    others = [house.ledger.fresh() for _ in range(2)]
    ours = house.ledger.posts(3, [house.accounts["one"]])
    for post in (ours[0], others[0], ours[1], others[1], ours[2]):
        ends(house, post)
    assert append_receipts(house.context, batch=2) == 5
    assert [r["post"] for r in told(house)] == [str(p.id) for p in ours]
    for post in others:
        assert [(r["post"], r["sequence"], r["previous"]) for r in told(house, post.workspace)] == [
            (str(post.id), 1, None)
        ]
    again = ends(house, house.ledger.post([house.accounts["one"]]))
    append_receipts(house.context)
    assert [r["sequence"] for r in told(house)] == [1, 2, 3, 4]
    assert told(house)[-1]["delivery"] == str(again.id)


def test_receipts_are_only_ever_added_to(house: House) -> None:
    posted(house)
    append_receipts(house.context)
    for sql in ("UPDATE receipts SET line = line", "DELETE FROM receipts", "TRUNCATE receipts"):
        with (
            pytest.raises(sa.exc.DBAPIError, match="only ever added to"),
            house.context.database.begin() as c,
        ):
            c.exec_driver_sql(sql)
    assert len(told(house)) == 1


def test_a_clock_that_is_set_back_does_not_set_the_chain_back(house: House) -> None:
    posted(house)
    append_receipts(house.context)
    with house.context.database.begin() as c:
        c.exec_driver_sql("UPDATE receipt_heads SET issued_at = now() + interval '1 hour'")
    posted(house, 2)
    append_receipts(house.context)
    with house.context.database.begin() as c:
        at = [r.issued_at for r in rows(c, "SELECT issued_at FROM receipts ORDER BY sequence")]
    assert at[1] == at[2] > at[0] + 0.9 * HOUR
