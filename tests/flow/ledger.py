"""What the flow tests share: texts nobody else uses, and what to ask the ledger."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from pipeline.domain.receipt_chain import verify
from pipeline.store.database import row, rows
from tests.stack import Stack


def caption() -> str:
    """A text no other test uses."""
    return f"flow {uuid4().hex[:12]}"


def slideshow(stack: Stack, n: int = 2) -> dict[str, Any]:
    """A slideshow of the sandbox's samples."""
    return {"type": "slideshow", "urls": [stack.media(f"sample-{i + 1}.jpg") for i in range(n)]}


def delivery(stack: Stack, post: str) -> str:
    """The id of its one delivery."""
    with stack.context.database.begin() as c:
        found = row(c, "SELECT id FROM deliveries WHERE post_id = :id", id=UUID(post))
    assert found is not None
    return str(found.id)


def states_of(stack: Stack, post: str) -> set[str]:
    """Every state its deliveries were ever in."""
    with stack.context.database.begin() as c:
        found = row(
            c,
            """SELECT array_agg(DISTINCT m.target) AS states FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = :id""",
            id=UUID(post),
        )
    assert found is not None
    return set(found.states)


def receipts(stack: Stack, post: str) -> list[dict[str, Any]]:
    """What was written of a post, oldest first, out of a chain that holds."""
    with stack.context.database.begin() as c:
        found = rows(
            c, "SELECT line FROM receipts WHERE workspace_id = :w ORDER BY sequence", w=stack.workspace
        )
    if found:
        verify(r.line.encode() for r in found)
    return [line for r in found if (line := json.loads(r.line))["post"] == post]


def account(stack: Stack, platform: str) -> Any:
    """The account's row."""
    with stack.context.database.begin() as c:
        return row(c, "SELECT status FROM accounts WHERE id = :id", id=stack.accounts[platform])


def urls(post: dict[str, Any]) -> dict[str, str | None]:
    """Addresses by platform."""
    return {s["platform"]: s["published_url"] for s in post["accounts"]["states"]}
