"""The next action of an explanation is one that the caller may do: a key makes the call, a read-only one reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.contract import Platform
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import Reason, State
from pipeline.domain.explanation_action import Action, Right
from pipeline.domain.explanation_rules import LIFT_OWN, RULES
from pipeline.store.checks.checks import postpone_check
from pipeline.store.database import row
from pipeline.store.posts.approvals import demand_of
from tests.pipeline.api.running_server import Server, Tenant, ask, video
from tests.pipeline.store.ledger import HOUR, Ledger, Post

ERROR = {
    "class": "Rejected",
    "fault": "customer",
    "code": "rejected",
    "message": "Not allowed.",
    "retryable": False,
}


SERVER_SETTINGS = {"SLIPWAY_API__PUBLIC_URL": "https://posts.example.com", "SLIPWAY_TIKTOK__APP_ID": "app"}


@pytest.fixture(scope="module")
def ledger(server: Server) -> Iterator[Ledger]:
    made = Ledger(server.context.settings.store.url.get_secret_value(), server.context.vault)
    yield made
    made.database.close()


def fail(ledger: Ledger, post: Post, **error: Any) -> Post:
    ledger.put(post, State.FAILED)
    stored = json.dumps({**ERROR, **error})
    ledger.change(post.deliveries[0], "error = CAST(:e AS jsonb)", e=stored)
    return post


def set_status(ledger: Ledger, account: UUID, status: AccountStatus) -> None:
    with ledger.database.begin() as c:
        row(c, "UPDATE accounts SET status = :s WHERE id = :id RETURNING id", s=status, id=account)


def arrange(ledger: Ledger, case: str, workspace: UUID) -> Post:
    """Return a post of two accounts at most whose first delivery is in the case's state."""
    account = ledger.account(workspace)
    if case == "seen":
        check = ledger.check(workspace, f"https://media.example/{uuid4()}.mp4")
        post = ledger.post([account], State.ACCEPTED, due=HOUR, checks={0: check})
        with ledger.database.begin() as c:
            postpone_check(c, check, timedelta(minutes=5), "it answered 404")
        return post
    if case == "out":
        post = ledger.post([account, ledger.account(workspace)])
        fail(ledger, post)
        ledger.change(post.deliveries[1], "state = 'published', published_at = now(), error = NULL")
        return post
    post = ledger.post([account], due=HOUR)
    match case:
        case "slow media":
            ledger.change(post.deliveries[0], "held_for = 'slow_media'")
        case "own pause":
            with ledger.database.begin() as c:
                row(
                    c,
                    """INSERT INTO paused_deliveries (delivery_id, job_id, why) VALUES (:id, :job, 'wait')
                       RETURNING delivery_id""",
                    id=post.deliveries[0],
                    job=uuid4(),
                )
        case "approval":
            with ledger.database.begin() as c:
                demand_of(c, [post.id], "key 1")
        case "needs an operator":
            ledger.put(post, State.BLOCKED, reason=Reason.PERSON_NEEDED)
        case "reconnect":
            ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
            set_status(ledger, account, AccountStatus.RECONNECT)
        case "failed, reconnect":
            fail(ledger, post)
            set_status(ledger, account, AccountStatus.RECONNECT)
        case _:
            code, _, fault = case.partition(" by ")
            fail(ledger, post, code=code, fault=fault)
    return post


CASES = {
    "seen": (State.ACCEPTED, "seen"),
    "slow media": (State.SCHEDULED, "slow_media"),
    "own pause": (State.SCHEDULED, "ahead"),
    "approval": (State.SCHEDULED, "approval"),
    "needs an operator": (State.BLOCKED, Reason.PERSON_NEEDED),
    "reconnect": (State.BLOCKED, Reason.RECONNECT),
    "failed, reconnect": (State.FAILED, Reason.RECONNECT),
    "out": (State.FAILED, "out"),
    "rejected by customer": (State.FAILED, "customer"),
    "media_unreachable by customer": (State.FAILED, "media"),
    "expired by customer": (State.FAILED, "unsent"),
    "platform_outage by platform": (State.FAILED, "platform"),
    "internal_error by us": (State.FAILED, "us"),
}


def find_action(case: str) -> Action:
    action = LIFT_OWN if case == "own pause" else RULES[CASES[case]].action
    assert action is not None
    return action


def test_every_action_that_has_a_call_is_tried_here() -> None:
    callable_ = [rule.action for rule in RULES.values() if rule.action is not None and rule.action.call]
    tried = [find_action(case) for case in CASES]
    assert all(action in tried for action in callable_)


@pytest.mark.parametrize("case", CASES)
def test_the_action_named_for_a_key_is_answered_and_a_read_only_key_is_offered_reads(
    server: Server, ledger: Ledger, case: str
) -> None:
    tenant = server.tenant()
    post, wanted = arrange(ledger, case, tenant.workspace), find_action(case)
    reader = server.key(tenant, read_only=True)

    def read_action(key: str) -> Any:
        answer = server.get(f"/posts/{post.id}/explain", key)
        assert answer.status_code == 200, answer.text
        accounts = answer.json()["data"]["accounts"]
        return next(one for one in accounts if one["delivery_id"] == str(post.deliveries[0]))["action"]

    action, offered = read_action(tenant.key), read_action(reader)
    assert wanted.call is not None
    assert action["text"] == wanted.says
    if wanted.call.right is Right.READ:
        assert offered == action
    else:
        assert (offered["method"], offered["path"]) == (None, None)
        assert offered["text"] == wanted.ask or "a key that may" in offered["text"]
    body = action["body"] or {"PATCH": {"caption": "Better", "scheduled_at": None}}.get(action["method"])
    if action["path"].endswith("/posts"):
        body = video(tenant)
    sent = ask(server, tenant.key, action["method"], action["path"], body)
    assert sent.status_code in {200, 201}, (action, sent.text)
    data = sent.json()["data"]
    if action["path"].endswith("/retry"):
        assert (data["retried"], data["failed"]) == (1, []), data
    if action["path"].endswith("/replay"):
        assert not data.get("skipped"), data
    if action["method"] == "PATCH":
        assert ledger.state(post.deliveries[0]) is not State.FAILED, "it goes on"
    if action["path"].endswith("/steer"):
        assert data["count"]["deliveries"] == 1, data


@pytest.mark.parametrize(
    ("state", "reason", "armed"),
    [(State.BLOCKED, Reason.IS_IT_LIVE, True), (State.UNKNOWN, None, True)],
    ids=["is it live?", "unknown"],
)
def test_what_only_an_operator_may_do_is_offered_to_no_key(
    server: Server, ledger: Ledger, tenant: Tenant, state: State, reason: Reason | None, armed: bool
) -> None:
    post = ledger.post([ledger.account(tenant.workspace)], due=-HOUR)
    ledger.put(post, state, armed=armed, reason=reason)
    [account] = server.get(f"/posts/{post.id}/explain", tenant.key).json()["data"]["accounts"]
    if state is State.UNKNOWN:
        assert account["action"] is None, "it is looked at: a key has nothing to do"
    else:
        assert account["action"]["method"] is None
        assert account["action"]["text"].startswith("Ask the operator")
    refused = ask(server, tenant.key, "POST", "/posts/retry", {"post_ids": [str(post.id)]}).json()["data"]
    assert refused["retried"] == 0


def test_a_pause_of_an_account_is_the_operators_to_lift(
    server: Server, ledger: Ledger, tenant: Tenant
) -> None:
    account = ledger.account(tenant.workspace, Platform.TIKTOK)
    post = ledger.post([account], due=-HOUR)
    with ledger.database.begin() as c:
        row(
            c,
            "INSERT INTO pauses (scope, target, why) VALUES ('account', :id, 'review') RETURNING scope",
            id=str(account),
        )
    [found] = server.get(f"/posts/{post.id}/explain", tenant.key).json()["data"]["accounts"]
    assert (found["turn"], found["action"]["method"]) == ("operator", None)
    assert found["action"]["text"] == "Ask the operator of this server to lift the pause."
