"""Helpers of the receipt tests: deliveries that end, and the receipts they have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Published
from adapters.errors import Rejected
from pipeline.domain.delivery import Mover, State
from pipeline.domain.receipt import VerifiedChain, verify
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.store.database import row, rows
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.settle import settle as store_settle
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Post

FAILED = Verdict(state=State.FAILED, closes=Outcome.FAILED, disarm=True, error=Rejected("no"))


def read_receipts(core: CoreFixture, workspace: UUID | None = None) -> list[dict[str, Any]]:
    """Return the receipts of a workspace, oldest first, after verifying their chain."""
    with core.context.database.begin() as c:
        found = rows(
            c,
            "SELECT line FROM receipts WHERE workspace_id = :w ORDER BY sequence",
            w=workspace or core.workspace,
        )
    lines = [r.line for r in found]
    assert not lines or verify_lines(lines).receipts == len(lines)
    return [json.loads(line) for line in lines]


def verify_lines(lines: list[str]) -> VerifiedChain:
    return verify(line.encode() for line in lines)


def settle(
    c: Connection, core: CoreFixture, held: ClaimedDelivery, verdict: Verdict, mover: Mover = Mover.PUBLISH
) -> None:
    assert store_settle(c, core.ledger.vault, held, verdict, mover, origin=held.state) is not None


def settle_armed(
    core: CoreFixture, post: Post, verdict: Verdict | None = None, nth: int = 0
) -> ClaimedDelivery:
    """Arm and settle the nth delivery of a post."""
    held = core.ledger.armed(post, nth)
    with core.context.database.begin() as c:
        settle(c, core, held, verdict or published_verdict(held.id))
    return held


def published_verdict(remote: object) -> Verdict:
    return Verdict(
        state=State.PUBLISHED,
        spent=True,
        closes=Outcome.PUBLISHED,
        published=Published(remote_id=str(remote), url=f"https://t.example/{remote}"),
    )


def add_published_posts(core: CoreFixture, number: int = 1) -> list[Post]:
    """Add published posts that have moves but no attempts, for tests that only count receipts."""
    posts = core.ledger.posts(number, [core.accounts["one"]], State.PUBLISHED)
    with core.context.database.begin() as c:
        for post in posts:
            add_move(c, post.deliveries[0])
    return posts


def add_move(c: Connection, delivery: UUID) -> None:
    row(
        c,
        """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
           VALUES (:d, 'publish', 'publishing', 'published', 0, 1) RETURNING id""",
        d=delivery,
    )


def read_progress(core: CoreFixture, reader: str = "receipts") -> Any:
    sql = (
        "SELECT *, (SELECT coalesce(max(id), 0) FROM moves) AS last FROM move_progress WHERE reader = :reader"
    )
    with core.context.database.begin() as c:
        return row(c, sql, reader=reader)


# --- moves of 20,000 posts, for plans --------------------------------------------------------------------------------

FILLED = (
    """INSERT INTO posts (id, workspace_id, caption, media, due_at, status)
       SELECT md5(n::text)::uuid, (SELECT id FROM workspaces LIMIT 1), 'x', '{}', now(), 'posted'
       FROM generate_series(1, 20000) n""",
    """INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, published_at)
       SELECT p.id, p.id, p.workspace_id, (SELECT id FROM accounts LIMIT 1), 'tiktok', 'published', now(), now(), now()
       FROM posts p""",
    """INSERT INTO attempts (delivery_id, account_id, n, generation, fence)
       SELECT id, account_id, 1, 0, 1 FROM deliveries""",
    """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
       SELECT d.id, 'publish', x.origin, x.target, 0, 1 FROM deliveries d,
           (VALUES ('scheduled', 'queued'), ('queued', 'publishing'), ('publishing', 'published')) AS x (origin, target)
       ORDER BY d.id""",
    """INSERT INTO rewrites (post_id, content_sha256, due_at) SELECT id, 'x', due_at FROM posts""",
    """INSERT INTO receipts (workspace_id, sequence, move_id, issued_at, line)
       SELECT gen_random_uuid(), 1, id, now(), 'x' FROM moves WHERE target = 'published' AND id < 59000""",
    """UPDATE move_progress SET done = 58000 WHERE reader = 'receipts'""",
)


def nodes_of(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)
