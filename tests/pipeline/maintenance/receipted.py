"""Helpers of the receipt tests: deliveries that end, and the receipts they have."""

from __future__ import annotations

import json
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


def read_progress(core: CoreFixture) -> Any:
    with core.context.database.begin() as c:
        return row(
            c, "SELECT *, (SELECT max(id) FROM moves) AS last FROM move_progress WHERE reader = 'receipts'"
        )
