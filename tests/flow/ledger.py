"""Helpers of the flow tests: unique captions, media, requests, commands, and reads of deliveries and receipts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import requests

from pipeline.domain.receipt import verify
from pipeline.store.database import row, rows
from tests.forked_program import start_program
from tests.stack import Stack


def caption() -> str:
    """Return a unique caption."""
    return f"flow {uuid4().hex[:12]}"


def slideshow(stack: Stack, n: int = 2) -> dict[str, Any]:
    """Return a slideshow of *n* sandbox samples."""
    return {"type": "slideshow", "urls": [stack.media(f"sample-{i + 1}.jpg") for i in range(n)]}


def ask(stack: Stack, method: str, path: str, body: Any = None, origin: str = "") -> requests.Response:
    """Send a request of the client's key. *path*: behind the API's prefix. *origin*: of another server."""
    return requests.request(
        method,
        f"{origin or stack.api}/api/partner/v1{path}",
        json=body,
        timeout=60,
        headers={"Authorization": f"Bearer {stack.key}"},
    )


def sample(stack: Stack, name: str) -> bytes:
    """Return a sandbox sample."""
    answer = requests.get(stack.media(name), timeout=30)
    assert answer.status_code == 200
    return answer.content


def upload(stack: Stack, kind: str, data: bytes) -> str:
    """Upload a file as a client does, and return its URL."""
    answer = ask(stack, "POST", "/files", {"contentType": kind})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    stored = requests.put(made["uploadUrl"], data=data, headers={"Content-Type": kind}, timeout=60)
    assert stored.status_code == 200, stored.text
    url: str = made["url"]
    return url


def delivery(stack: Stack, post: str) -> str:
    """Return the id of one of the post's deliveries: the only one of most posts."""
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


def end_cli(environment: Mapping[str, str], folder: Path, *words: str) -> tuple[int, str]:
    """Run a command of the CLI; return its exit status and what it prints, which is kept in *folder*."""
    log = folder / f"command-{uuid4().hex[:12]}"
    command = start_program("pipeline.cli", *words, environment=environment, log=log)
    return command.wait(240), log.read_text()


def run_cli(stack: Stack, *words: str) -> str:
    """Run a command of the CLI that succeeds against the stack, and return what it prints."""
    status, said = end_cli(stack.environment, stack.folder, *words)
    assert status == 0, said
    return said


def receipts(stack: Stack, post: str) -> list[dict[str, Any]]:
    """Verify the workspace's receipt chain and return the post's receipts, oldest first."""
    with stack.context.database.begin() as c:
        found = rows(
            c, "SELECT line FROM receipts WHERE workspace_id = :w ORDER BY sequence", w=stack.workspace
        )
    if found:
        verify(r.line.encode() for r in found)
    return [line for r in found if (line := json.loads(r.line))["post"] == post]
