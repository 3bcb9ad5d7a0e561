"""A worker that has done many imports. A slow one delays nothing else: tests/pipeline/imports/test_slices.py."""

from __future__ import annotations

from uuid import UUID

import psutil
import requests

from pipeline.store.database import row
from tests.flow.ledger import slideshow
from tests.pipeline.api.imports.importing import LATER, write_lines
from tests.stack import Stack, until


def import_file(stack: Stack, text: str, count: int) -> None:
    """Upload a file of posts, and wait until it is planned."""
    accounts = [{"id": str(stack.accounts["tiktok"])}]
    body = {"media": slideshow(stack), "accounts": accounts, "scheduled_at": LATER}
    answer = requests.post(
        f"{stack.api}/api/partner/v1/imports",
        data=write_lines(*({"caption": f"{text} {n}", **body} for n in range(count))),
        timeout=30,
        headers={"Authorization": f"Bearer {stack.key}", "Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code < 300, answer.text
    identity = UUID(answer.json()["data"]["id"])

    def read_state() -> str:
        with stack.context.database.read() as c:
            found = row(c, "SELECT state FROM imports WHERE id = :id", id=identity)
        assert found is not None
        return str(found.state)

    until(lambda: read_state() == "planned", 60, read_state)


def test_a_workers_memory_after_ten_imports_is_as_after_the_first(stack: Stack) -> None:
    """`bulk` of tests/bench measures it with files of 20,000 rows."""
    worker, found = psutil.Process(stack.parts["upkeep"].pid), []
    for n in range(10):
        import_file(stack, f"file {n}", 500)
        found.append(worker.memory_info().rss)
    assert max(found) - found[0] < 20e6
