"""Helpers of the flow tests: unique captions, media, and reads of deliveries, receipts and accounts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from uuid import UUID, uuid4

from pipeline.domain.receipt import verify
from pipeline.store.database import row, rows
from tests.stack import Stack


def caption() -> str:
    """Return a unique caption."""
    return f"flow {uuid4().hex[:12]}"


def slideshow(stack: Stack, n: int = 2) -> dict[str, Any]:
    """Return a slideshow of *n* sandbox samples."""
    return {"type": "slideshow", "urls": [stack.media(f"sample-{i + 1}.jpg") for i in range(n)]}


def delivery(stack: Stack, post: str) -> str:
    """Return the id of the post's only delivery."""
    with stack.context.database.begin() as c:
        found = row(c, "SELECT id FROM deliveries WHERE post_id = :id", id=UUID(post))
    assert found is not None
    return str(found.id)


def states_of(stack: Stack, post: str) -> set[str]:
    """Return every state the post's deliveries have been in."""
    with stack.context.database.begin() as c:
        found = row(
            c,
            """SELECT array_agg(DISTINCT m.target) AS states FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = :id""",
            id=UUID(post),
        )
    assert found is not None
    return set(found.states)


def run_cli(stack: Stack, *arguments: str) -> str:
    """Run a command of the CLI against the stack and return what it prints."""
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    done = subprocess.run(command, env=stack.environment, check=True, capture_output=True, text=True)
    return done.stdout


def receipts(stack: Stack, post: str) -> list[dict[str, Any]]:
    """Verify the workspace's receipt chain and return the post's receipts, oldest first."""
    with stack.context.database.begin() as c:
        found = rows(
            c, "SELECT line FROM receipts WHERE workspace_id = :w ORDER BY sequence", w=stack.workspace
        )
    if found:
        verify(r.line.encode() for r in found)
    return [line for r in found if (line := json.loads(r.line))["post"] == post]


def account(stack: Stack, platform: str) -> Any:
    """Return the account's row."""
    with stack.context.database.begin() as c:
        return row(c, "SELECT status FROM accounts WHERE id = :id", id=stack.accounts[platform])


def urls(post: dict[str, Any]) -> dict[str, str | None]:
    """Return platform -> published URL."""
    return {s["platform"]: s["published_url"] for s in post["accounts"]["states"]}
