"""`slipway post create --body FILE` with many posts in the file: a result for each, or all or none."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from tests.fork_server_client import Result
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.cli.test_post import Author
from tests.pipeline.store.ledger import Ledger


def post(author: Author, **more: Any) -> dict[str, Any]:
    return {
        "caption": uuid4().hex,
        "media": {"type": "video", "url": "https://cdn.example.com/v.mp4"},
        "accounts": [{"id": author.accounts[0]}],
        "scheduled_at": "2090-01-01T00:00:00Z",
        **more,
    }


def create(author: Author, body: dict[str, Any], *more: str) -> Result:
    return author.terminal.run(*author.words("create", "--body", "-", *more), stdin=json.dumps(body))


def test_each_post_of_a_file_has_a_result(terminal: Terminal, ledger: Ledger) -> None:
    author = Author(terminal, ledger)
    good = post(author)
    done = create(author, {"posts": [good, post(author, caption=""), good]}, "--json")
    found = json.loads(done.stdout)
    assert done.status == 1, "one is refused"
    assert [result["code"] for result in found["results"]] == [201, 422, 200]
    assert author.show(found["results"][0]["data"]["id"])["caption"] == good["caption"]
    text = create(author, {"posts": [good]})
    assert text.status == 0
    assert "0 stored, 1 accepted before, 0 refused" in text.stdout


def test_all_or_none(terminal: Terminal, ledger: Ledger) -> None:
    author = Author(terminal, ledger)
    done = create(author, {"posts": [post(author), post(author, caption="")], "atomic": True})
    assert (done.status, done.stdout) == (1, "")
    assert "1 of 2 posts is refused, so nothing was stored. Post 1: caption:" in done.stderr
    assert terminal.json("post list --workspace", str(author.workspace)) == []


def test_options_of_one_post_do_not_go_with_many(terminal: Terminal, ledger: Ledger) -> None:
    author = Author(terminal, ledger)
    done = create(author, {"posts": [post(author)]}, "--caption", "for all of them")
    assert (done.status, done.stdout) == (1, "")
    assert "caption" in done.stderr
