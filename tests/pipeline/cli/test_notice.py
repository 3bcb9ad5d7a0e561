"""`slipway notice` with a real worker and a receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.media.servers import Site, serving, status
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack


@pytest.fixture(scope="module")
def site(module_environment: dict[str, str], sandbox: Stack) -> Iterator[Site]:
    """A server that takes notices, and a worker that may send to it."""
    with serving() as running:
        running.routes["/hush"] = status(204)
        module_environment["SLIPWAY_WEBHOOKS__TRIAL_ORIGIN"] = running.origin
        sandbox.start_worker("upkeep")
        yield running


def test_a_target_is_added_tested_listed_and_removed(terminal: Terminal, ledger: Ledger, site: Site) -> None:
    workspace = str(ledger.workspace())
    made = terminal.json("notice add", workspace, "--discord", f"{site.origin}/hush", "--kind", "reconnect")
    assert (made["form"], made["kinds"], made["address"]) == ("discord", "reconnect", "https://127.0.0.1/…")
    ended = terminal.json("notice test", made["id"])
    assert (ended["state"], ended["status"], ended["error"]) == ("delivered", 204, None)
    [(_, _, body)] = site.posts
    assert json.loads(body)["content"].startswith("This is a test.")
    site.routes["/hush"] = status(404)
    refused = terminal.run("notice test", made["id"])
    assert (refused.status, "HTTP 404" in refused.stdout) == (1, True)
    [listed] = terminal.json("notice list", "--workspace", workspace)
    assert (listed["id"], listed["kinds"], listed["paused"]) == (made["id"], "reconnect", None)
    assert "hush" not in terminal.text("notice list")
    assert f"There is no webhook {made['id']}" in terminal.refusal("webhook show", made["id"])
    assert terminal.json("notice remove", made["id"]) == {"id": made["id"], "removed": True}
    assert terminal.json("notice list", "--workspace", workspace) == []
    assert "There is no target of notices" in terminal.refusal("notice test", made["id"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--slack", "https://10.0.0.1/hush"),
            "slack: this URL cannot be used: it must be a public https address.",
        ),
        (("--email", "ops"), "email: it must be the address of one mailbox: 'ops'."),
        (("nobody", "--slack", "https://a.example/hush"), "nobody"),
        (
            ("--slack", "https://a.example/hush", "--email", "a@b.example"),
            "Give one of --slack, --discord and --email.",
        ),
        (("--slack", "https://a.example/hush", "--kind", "love"), "'love' is not one of 'unread', 'restore'"),
    ],
)
def test_what_is_wrong_is_one_sentence(terminal: Terminal, words: tuple[str, ...], sentence: str) -> None:
    ended = terminal.run("notice add", *words)
    assert ended.status in {1, 2}
    assert sentence in ended.stderr
    assert "hush" not in ended.stderr
