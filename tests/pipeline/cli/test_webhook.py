"""`slipway webhook` with a real worker and a receiver that verifies as a customer would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from config.settings import load
from pipeline.actions.cancel_delete_retry import cancel
from pipeline.store.auth.keys import read_caller
from pipeline.wiring import build_context
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.media.servers import Site, serving, status
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.stack import Stack
from tests.waiting import until


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
    [(_, headers, body)] = site.posts
    assert Verifier(made["secret"]).verify(body, headers)["type"] == "webhook.test"
    [event] = terminal.json("webhook events", made["id"])
    assert (event["state"], event["attempts"][0]["status"]) == ("delivered", 200)
    assert "webhook.test" in terminal.text("webhook events", made["id"])
    site.routes["/hook"] = status(500)
    ended = terminal.run("webhook test", made["id"])
    site.routes["/hook"] = status(200)
    assert (ended.status, "HTTP 500" in ended.stdout) == (1, True)


def test_events_of_a_post_are_sent_by_the_worker_alone(
    terminal: Terminal, ledger: Ledger, site: Site
) -> None:
    post = ledger.post([ledger.account(ledger.workspace())], due=HOUR)
    made = create(terminal, site, post.workspace, path="/second")
    site.routes["/second"] = status(200)
    context = build_context(load(terminal.environment))
    with context.database.begin() as c:
        caller = read_caller(c, post.workspace, None)
    assert caller is not None
    assert cancel(context, caller, [post.id]).ids
    context.database.close()

    def arrived() -> list[tuple[str, dict[str, str], bytes]]:
        return [one for one in site.posts if one[0] == "/second"]

    until(lambda: bool(arrived()), 60)
    _, headers, body = arrived()[0]
    assert Verifier(made["secret"]).verify(body, headers)["type"] == "post.canceled"
    assert terminal.json("webhook replay", made["id"], "--since", "1h") == {"replayed": 1}
    until(lambda: len(arrived()) == 2, 60)
    assert arrived()[1][2] == body


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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("create", "https://10.0.0.1/"), "public https address"),
        (("create", "https://a.example/", "--event", "post.exploded"), "must be one of post.scheduled"),
        (("update", "ID"), "Give at least one of"),
        (("replay", "ID"), "Give --id, or --since"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    terminal: Terminal, ledger: Ledger, site: Site, words: tuple[str, ...], sentence: str
) -> None:
    workspace = ledger.workspace()
    made = create(terminal, site, workspace)
    given = [made["id"] if word == "ID" else word for word in words]
    where = ("--workspace", str(workspace)) if words[0] == "create" else ()
    assert sentence in terminal.refusal("webhook", *given, *where)
