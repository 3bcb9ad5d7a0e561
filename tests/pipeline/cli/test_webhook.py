"""`slipway webhook|notice` with a real worker and a receiver that verifies as a customer would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.media.servers import Site, serving, status
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack


@pytest.fixture(scope="module")
def site(module_environment: dict[str, str], sandbox: Stack) -> Iterator[Site]:
    """A customer's server, and a worker that may send to it."""
    with serving() as running:
        running.routes["/hook"] = status(200)
        module_environment["SLIPWAY_WEBHOOKS__TRIAL_ORIGIN"] = running.origin
        sandbox.start_worker("upkeep")
        yield running


def create(terminal: Terminal, site: Site, workspace: Any, *more: str, path: str = "/hook") -> dict[str, Any]:
    words = ("webhook create", f"{site.origin}{path}", "--workspace", str(workspace), *more)
    return dict(terminal.json(*words))


def test_a_test_event_arrives_and_says_so(terminal: Terminal, ledger: Ledger, site: Site) -> None:
    workspace = ledger.workspace()
    made = create(terminal, site, workspace, "--event", "post.canceled", "--description", "Ours")
    told = terminal.text("webhook test", made["id"])
    assert "delivered" in told
    _, headers, body = site.posts[-1]
    assert Verifier(made["secret"]).verify(body, headers)["type"] == "webhook.test"
    [event] = terminal.json("webhook events", made["id"])
    assert (event["state"], event["attempts"][0]["status"]) == ("delivered", 200)
    assert "webhook.test" in terminal.text("webhook events", made["id"])
    site.routes["/hook"] = status(500)
    ended = terminal.run("webhook test", made["id"])
    site.routes["/hook"] = status(200)
    assert (ended.status, "HTTP 500" in ended.stdout) == (1, True)


def test_it_is_changed_paused_rotated_and_deleted(terminal: Terminal, ledger: Ledger, site: Site) -> None:
    workspace = ledger.workspace()
    made = create(terminal, site, workspace)
    secret = made.pop("secret")
    assert terminal.json("webhook show", made["id"]) == made
    changed = terminal.json("webhook update", made["id"], "--event", "post.failed", "--pause")
    assert (changed["events"], changed["paused"]["why"]) == (["post.failed"], "person")
    assert made["id"] in terminal.text("webhook list --paused")
    assert terminal.json("webhook update", made["id"], "--all-events", "--resume")["paused"] is None
    rotated = terminal.text("webhook rotate", made["id"])
    assert "whsec_" in rotated
    assert secret not in rotated
    assert "not shown again" in rotated
    assert [w["id"] for w in terminal.json("webhook list --workspace", str(workspace))] == [made["id"]]
    assert terminal.json("webhook delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert f"There is no webhook {made['id']}" in terminal.refusal("webhook show", made["id"])


def test_what_is_wrong_is_one_sentence(terminal: Terminal, ledger: Ledger, site: Site) -> None:
    workspace = ledger.workspace()
    made = create(terminal, site, workspace)["id"]
    begun = ("webhook create", "https://10.0.0.1/", "--workspace", str(workspace))
    assert "public https address" in terminal.refusal(*begun)
    assert "Give at least one of" in terminal.refusal("webhook update", made)
    assert "Give --id, or --since" in terminal.refusal("webhook replay", made)


def test_a_target_is_added_tested_listed_and_removed(terminal: Terminal, ledger: Ledger, site: Site) -> None:
    site.routes["/hush"] = status(204)
    workspace = str(ledger.workspace())
    made = terminal.json("notice add", workspace, "--discord", f"{site.origin}/hush", "--kind", "reconnect")
    assert (made["form"], made["kinds"], made["address"]) == ("discord", "reconnect", "https://127.0.0.1/…")
    ended = terminal.json("notice test", made["id"])
    assert (ended["state"], ended["status"], ended["error"]) == ("delivered", 204, None)
    [body] = [body for path, _, body in site.posts if path == "/hush"]
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
        (("--slack", "https://10.0.0.1/hush"), "it must be a public https address."),
        (
            ("--slack", "https://a.example/hush", "--email", "a@b.example"),
            "Give one of --slack, --discord and --email.",
        ),
        (("--slack", "https://a.example/hush", "--kind", "love"), "'love' is not one of 'unread', 'restore'"),
    ],
)
def test_what_is_wrong_with_a_target_is_one_sentence(
    terminal: Terminal, words: tuple[str, ...], sentence: str
) -> None:
    ended = terminal.run("notice add", *words)
    assert ended.status in {1, 2}
    assert sentence in ended.stderr
    assert "hush" not in ended.stderr
