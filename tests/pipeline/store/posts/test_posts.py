"""Posts: insert, recognise repeats, read back and list."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import Mover, State
from pipeline.store.database import new_id, row
from pipeline.store.posts import actions, idempotency
from pipeline.store.posts import insert_batch as store
from pipeline.store.posts.insert_batch import NewDelivery, NewPost
from pipeline.store.posts.pages import count_by_status, list_posts
from pipeline.store.posts.undo_log import delete_expired, keep_tokens, log_change
from pipeline.store.posts.views import read_post
from tests.pipeline.store.ledger import HOUR, MEDIA, Ledger, make_post, together

WINDOW = timedelta(minutes=10)


def new(ledger: Ledger, account: UUID, token: str | None, *, body: bytes = b"b1") -> NewPost:
    found = ledger.do(row, "SELECT workspace_id FROM accounts WHERE id = :id", id=account)
    assert found is not None
    now = datetime.now(UTC)
    delivery = NewDelivery(id=new_id(), account_id=account, platform="tiktok", state="scheduled", next_at=now)
    return make_post(
        found.workspace_id,
        external_id=token.removeprefix("id:") if token and token.startswith("id:") else None,
        replay_token=token,
        fingerprint=body,
        deliveries=[delivery],
    )


def keep(ledger: Ledger, post: NewPost, window: timedelta = WINDOW) -> bool:
    stored, *_ = ledger.do(store.store_posts, [post], window)
    return stored == {post.id}


def find(ledger: Ledger, post: NewPost, window: timedelta = WINDOW) -> idempotency.Replay | None:
    with ledger.database.begin() as c:
        assert post.replay_token is not None
        name = (post.workspace_id, post.replay_token)
        return idempotency.find_replays(c, [name], window, importing=False).get(name)


@pytest.mark.parametrize("kind", ["id:", "body:"])
def test_equal_requests_at_once_make_one_post(shared: Ledger, kind: str) -> None:
    account = shared.account(shared.workspace())
    for n in range(10):
        posts = [new(shared, account, f"{kind}{n}") for _ in range(8)]
        kept = together(*[partial(keep, shared, p) for p in posts])
        assert sum(kept) == 1
        winner = posts[kept.index(True)]
        for post in posts:
            found = find(shared, post)
            assert found is not None
            assert found.post_id == winner.id


def test_a_request_that_was_never_stored_leaves_its_token_free(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    post = new(shared, account, "id:a")

    def broken_off() -> None:
        with shared.database.begin() as c:
            assert store.store_posts(c, [post], WINDOW)[0] == {post.id}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert find(shared, post) is None
    assert keep(shared, post)


def test_an_id_is_known_for_ever_and_tells_another_body(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    post = new(shared, account, "id:order-7")
    assert keep(shared, post)
    with shared.database.begin() as c:
        c.exec_driver_sql("UPDATE replays SET created_at = now() - interval '1 year'")
        c.exec_driver_sql(
            "UPDATE posts SET status = 'failed', deleted_at = now() WHERE id = %(i)s", {"i": post.id}
        )
    found = find(shared, post)
    assert found is not None
    assert (found.post_id, found.fingerprint) == (post.id, b"b1")
    assert not keep(shared, new(shared, account, "id:order-7"))


def test_an_id_is_of_one_workspace(shared: Ledger) -> None:
    for _ in range(2):
        assert keep(shared, new(shared, shared.account(shared.workspace()), "id:order-7"))


def test_an_equal_body_counts_within_the_window(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    post = new(shared, account, "body:7")
    assert keep(shared, post)
    assert find(shared, post) is not None
    assert not keep(shared, new(shared, account, "body:7"))
    with shared.database.begin() as c:
        c.exec_driver_sql("UPDATE replays SET created_at = now() - interval '11 minutes'")
    assert find(shared, post) is None
    again = new(shared, account, "body:7")
    assert keep(shared, again)
    found = find(shared, again)
    assert found is not None
    assert found.post_id == again.id


@pytest.mark.parametrize("death", ["status = 'failed'", "status = 'canceled'", "deleted_at = now()"])
def test_an_equal_body_is_never_a_dead_post(shared: Ledger, death: str) -> None:
    account = shared.account(shared.workspace())
    post = new(shared, account, "body:7")
    assert keep(shared, post)
    with shared.database.begin() as c:
        c.exec_driver_sql(f"UPDATE posts SET {death} WHERE id = %(id)s", {"id": post.id})  # noqa: S608
    assert find(shared, post) is None
    assert keep(shared, new(shared, account, "body:7"))


def test_no_token_no_recognising(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    for _ in range(2):
        assert keep(shared, new(shared, account, None))


def test_a_post_is_stored_whole(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    check = shared.check(workspace, "https://media.example/v.mp4")
    post = replace(
        new(shared, account, "id:whole"),
        options={Platform.TIKTOK: {"title": "t"}},
        music_url="https://www.tiktok.com/x",
        checks={0: check, -1: check},
        on_late="hold",
        caption="日本語 \U0001f600 %s :name",
    )
    assert keep(shared, post)
    with shared.database.begin() as c:
        found = read_post(c, workspace, post.id)
        pins = c.exec_driver_sql(
            "SELECT position FROM post_checks WHERE post_id = %(id)s", {"id": post.id}
        ).all()
    assert found is not None
    assert found.caption == post.caption
    assert (found.media, found.options, found.music_url) == (MEDIA, post.options, post.music_url)
    assert (found.external_id, found.on_late, found.source) == ("whole", "hold", "partner_api")
    assert (found.status, found.due_at) == ("scheduled", post.due_at)
    [delivery] = found.deliveries
    assert (delivery.account_id, delivery.state, delivery.generation) == (account, "scheduled", 0)
    assert sorted(p.position for p in pins) == [-1, 0]
    assert shared.moves(delivery.id) == [("ingest", None, "scheduled")]


def test_a_post_of_another_workspace_or_a_deleted_one_is_not_there(shared: Ledger) -> None:
    post = shared.fresh()
    with shared.database.begin() as c:
        assert read_post(c, post.workspace, post.id) is not None
        assert read_post(c, shared.workspace(), post.id) is None
        c.exec_driver_sql("UPDATE posts SET deleted_at = now() WHERE id = %(id)s", {"id": post.id})
        assert read_post(c, post.workspace, post.id) is None
        assert list_posts(c, post.workspace) == []


def test_drafts_are_no_status_of_a_list_and_counts_can_be_bounded(shared: Ledger) -> None:
    workspace = shared.workspace()
    shared.post([shared.account(workspace)])
    with shared.database.begin() as c:
        assert list_posts(c, workspace, status="draft") == []
        assert count_by_status(c, workspace, since=datetime.now(UTC) + HOUR).by_status == {}


def test_a_post_is_locked_with_its_own_deliveries_alone(shared: Ledger) -> None:
    mine, other = shared.fresh(), shared.fresh()
    with shared.database.begin() as c, shared.database.begin() as d:
        c.exec_driver_sql("SELECT 1 FROM deliveries WHERE post_id = %s FOR UPDATE", (other.id,))
        d.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        found = actions.read(d, mine.workspace, mine.id, lock=True)
        assert found is not None
        assert [one.id for one in found.deliveries] == mine.deliveries


@pytest.mark.parametrize(
    "changed", ["generation = generation + 1", "state = 'queued', lease_until = now() + interval '1 hour'"]
)
def test_a_delivery_that_is_not_as_it_was_locked_is_not_moved(shared: Ledger, changed: str) -> None:
    mine, now = shared.fresh(), datetime.now(UTC)
    target, by = State.CANCELLED, Mover.CANCEL
    with shared.database.begin() as c:
        found = actions.read(c, mine.workspace, mine.id, lock=True)
        assert found is not None
        c.exec_driver_sql(f"UPDATE deliveries SET {changed} WHERE post_id = %s", (mine.id,))  # noqa: S608
        [part] = found.deliveries
        with pytest.raises(LookupError, match="under its lock"):
            actions.move_locked(c, shared.vault, part, target, by, due_at=now, next_at=now, why="a test")


def test_a_move_leaves_other_attempts_and_pauses_as_they_are(shared: Ledger) -> None:
    """Each is paused and has an attempt that failed and an open one; one is cancelled, one edited, one decided."""
    post, now = shared.fresh(accounts=4), datetime.now(UTC)
    attempts = f"""INSERT INTO attempts (delivery_id, account_id, n, generation, fence, closed_at, outcome)
        SELECT d.id, account_id, n, generation, fence, CASE n WHEN 1 THEN now() END, CASE n WHEN 1 THEN 'failed' END
        FROM deliveries d, generate_series(1, 2) n WHERE post_id = '{post.id}'"""  # noqa: S608
    with shared.database.begin() as c:
        c.exec_driver_sql(attempts)
        paused = "INSERT INTO paused_deliveries (delivery_id, job_id, why) SELECT id, id, 'x' FROM deliveries"
        c.exec_driver_sql(f"{paused} WHERE post_id = %s", (post.id,))
        found = actions.read(c, post.workspace, post.id, lock=True)
        assert found is not None
        moved = {State.CANCELLED: Mover.CANCEL, State.ACCEPTED: Mover.EDIT}
        for part, (target, by) in zip(found.deliveries, moved.items(), strict=False):
            actions.move_locked(c, shared.vault, part, target, by, due_at=now, next_at=now, why="a test")
        paused_left = c.exec_driver_sql("SELECT delivery_id FROM paused_deliveries WHERE why = 'x'").scalars()
        assert set(paused_left) == set(post.deliveries[1:])
        assert [
            *c.exec_driver_sql("SELECT * FROM brought_forward WHERE delivery_id = %s", (post.deliveries[0],))
        ] == []
        actions.close_attempt_as_decided(c, post.deliveries[2])
        outcomes = "SELECT outcome FROM attempts WHERE delivery_id = %s ORDER BY n"
        assert [[*c.exec_driver_sql(outcomes, (one,)).scalars()] for one in post.deliveries] == [
            *3 * [["failed", "decided"]],
            ["failed", None],
        ]


def test_a_delivery_that_is_added_gets_the_level_of_its_post(shared: Ledger) -> None:
    mine, other = shared.fresh(), shared.fresh()
    shared.change(other.deliveries[0], "level = 3")
    account, now = shared.account(mine.workspace), datetime.now(UTC)
    new = NewDelivery(id=new_id(), account_id=account, platform="tiktok", state="scheduled", next_at=now)
    with shared.database.begin() as c:
        found = actions.read(c, mine.workspace, mine.id, lock=True)
        assert found is not None
        actions.add_delivery(c, found, new, due_at=now, why="a test")
    assert shared.delivery(new.id).level == 1


def test_the_tokens_of_a_post_are_kept_if_it_has_all_of_them(ledger: Ledger) -> None:
    workspace, elsewhere = ledger.workspace(), ledger.workspace()
    mine, other = (new(ledger, ledger.account(workspace), token) for token in ("id:mine", "id:other"))
    twin = new(ledger, ledger.account(elsewhere), "id:mine")
    with ledger.database.begin() as c:
        for post in (mine, other, twin):
            store.store_posts(c, [post], WINDOW)
        c.exec_driver_sql("UPDATE replays SET released = true")
        assert not keep_tokens(c, mine.id, ["id:mine", "id:other"])
        assert keep_tokens(c, mine.id, ["id:mine"])
        assert keep_tokens(c, twin.id, [])
        kept = c.exec_driver_sql("SELECT post_id FROM replays WHERE NOT released AND kept_in IS NOT NULL")
        assert kept.scalars().all() == [mine.id]


def test_old_changes_leave_the_log_oldest_first(ledger: Ledger) -> None:
    with ledger.database.begin() as c:
        c.exec_driver_sql("DELETE FROM undo_log")
        for audit in (1, 2, 3, 4):
            log_change(c, audit, new_id(), {})
        c.exec_driver_sql(
            "UPDATE undo_log SET made_at = now() - audit_id * interval '1 hour' WHERE audit_id > 1"
        )
        assert delete_expired(c, 2) == 2
        assert sorted(c.exec_driver_sql("SELECT audit_id FROM undo_log").scalars()) == [1, 2]
        assert delete_expired(c, 2) == 1
