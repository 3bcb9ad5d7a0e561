"""Dead letters over HTTP: scopes, filters, replay, discard, and the dry run of a filter."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from sqlalchemy import text

from pipeline.domain.account import KeyLimits, Plan
from pipeline.store.auth.keys import Terms, create_key
from tests.pipeline.api.running_server import ABSENT, Server, Tenant, ask, video

URL = "/api/operator/v1/dead-letters"
TOKEN = "operator-of-the-tests-" + "0123456789"
SERVER_SETTINGS = {"SLIPWAY_API__OPERATOR_TOKEN": TOKEN}
DOWN = '{"code": "unavailable", "class": "Unavailable", "fault": "platform", "message": "It is down."}'


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def dead(server: Server, tenant: Tenant, platform: str = "tiktok", error: str = DOWN) -> str:
    """Make a failed delivery and return its id."""
    post = server.post(video(tenant, platform), tenant.key).json()["data"]["id"]
    with server.context.database.begin() as c:
        found = c.execute(
            text(
                "UPDATE deliveries SET state = 'failed', error = CAST(:e AS jsonb) WHERE post_id = :p RETURNING id"
            ),
            {"p": post, "e": error},
        ).one()
        c.execute(
            text(
                "UPDATE checks SET verdict = 'good', decided_at = now(), facts = '{\"content_type\": "
                '"video/mp4", "bytes": 9, "width": 1080, "height": 1920, "duration": 9.0}\' '
                "WHERE verdict IS NULL"
            )
        )
    return str(found.id)


def send(server: Server, verb: str, key: str | None, **body: Any) -> requests.Response:
    return ask(server, key, "POST", f"{URL}/{verb}", body)


def data(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def listed(server: Server, key: str, query: str = "") -> list[str]:
    return [x["id"] for x in data(server.send("GET", URL + query, key))["letters"]]


def test_a_key_sees_its_own_and_the_operator_all(server: Server, tenant: Tenant) -> None:
    other = server.tenant()
    mine, theirs = dead(server, tenant), dead(server, other)
    assert listed(server, tenant.key) == [mine]
    assert {mine, theirs} <= set(listed(server, TOKEN, "?limit=500"))
    assert listed(server, TOKEN, f"?workspace_id={other.workspace}") == [theirs]
    assert listed(server, tenant.key, f"?workspace_id={other.workspace}") == [mine], "never beyond its scope"
    seen = server.send("GET", f"{URL}/{theirs}", tenant.key)
    assert seen.status_code == 404
    assert seen.content == server.send("GET", f"{URL}/{ABSENT}", tenant.key).content
    for verb, more in (("replay", {}), ("discard", {"why": "x"})):
        told = data(send(server, verb, tenant.key, ids=[theirs], **more))
        absent = data(send(server, verb, tenant.key, ids=[ABSENT], **more))
        assert json.dumps(told).replace(theirs, ABSENT) == json.dumps(absent)
    assert listed(server, other.key) == [theirs]


def test_a_key_bound_to_an_account_sees_that_accounts_letters(server: Server, tenant: Tenant) -> None:
    tiktok, instagram = dead(server, tenant), dead(server, tenant, "instagram")
    bound = server.key(tenant, "instagram")
    assert listed(server, bound) == [instagram]
    assert data(send(server, "replay", bound, ids=[tiktok]))["replayed"] == 0


def test_evidence_is_shown(server: Server, tenant: Tenant) -> None:
    letter = dead(server, tenant)
    found = data(server.send("GET", f"{URL}/{letter}", tenant.key))
    assert (found["error"]["class"], found["crashes"], found["may_be_live"]) == ("Unavailable", 0, False)
    assert found["moves"][0]["target"] == "accepted"
    assert (found["attempts"], found["discards"]) == ([], [])


def test_letters_named_by_id_are_replayed_and_discarded(server: Server, tenant: Tenant) -> None:
    first, second = dead(server, tenant), dead(server, tenant)
    assert data(send(server, "replay", tenant.key, ids=[first, first]))["ids"] == [first]
    assert data(send(server, "discard", tenant.key, ids=[second], why="over")) == {
        "discarded": 1,
        "ids": [second],
        "skipped": [],
    }
    assert listed(server, tenant.key) == []
    assert data(send(server, "replay", tenant.key, ids=[first]))["skipped"][0]["id"] == first


def test_many_are_counted_first_and_then_dealt_with(server: Server, tenant: Tenant) -> None:
    letters = [dead(server, tenant) for _ in range(3)]
    other = dead(server, tenant, error='{"code": "rejected", "class": "Rejected"}')
    chosen = {"filter": {"error_class": "Unavailable"}}
    told = data(send(server, "replay", tenant.key, **chosen))
    assert (told["dry_run"], told["letters"], told["skipped"]) == (True, 3, [])
    assert told["causes"] == [
        {"platform": "tiktok", "error_class": "Unavailable", "code": "unavailable", "letters": 3}
    ]
    assert listed(server, tenant.key) == [*letters, other]
    done = data(send(server, "replay", tenant.key, **chosen, dry_run=False, per_minute=1))
    assert (done["replayed"], done["next_cursor"]) == (3, None)
    assert listed(server, tenant.key) == [other]


def test_pages_follow_each_other(server: Server, tenant: Tenant) -> None:
    letters = [dead(server, tenant) for _ in range(3)]
    page = data(server.send("GET", f"{URL}?limit=2", tenant.key))
    cursor = requests.utils.quote(page["next_cursor"], safe="")  # type: ignore[attr-defined]
    assert [x["id"] for x in page["letters"]] + listed(server, tenant.key, f"?cursor={cursor}") == letters
    assert listed(server, tenant.key, "?older_than=3600") == []


def test_each_letter_counts_against_the_keys_rate(server: Server, tenant: Tenant) -> None:
    letters = [dead(server, tenant) for _ in range(3)]
    with server.context.database.begin() as c:
        terms = Terms(limits=KeyLimits(posts_per_minute=2))
        key = create_key(c, tenant.workspace, "metered", terms)
    counted = send(server, "replay", key, filter={})
    assert "RateLimit-Limit" not in counted.headers, "nothing was done"
    done = send(server, "replay", key, ids=letters[:1])
    assert (done.status_code, done.headers["RateLimit-Remaining"]) == (200, "1")
    for selection in ({"ids": letters[1:]}, {"filter": {}, "dry_run": False}):
        refused = send(server, "discard", key, **selection, why="x")
        assert (refused.status_code, refused.headers["RateLimit-Remaining"]) == (429, "1")
    assert listed(server, tenant.key) == letters[1:]
    assert "RateLimit-Limit" not in send(server, "replay", TOKEN, ids=letters[1:]).headers


@pytest.mark.parametrize(
    ("verb", "body", "says"),
    [
        ("replay", {}, "either ids or a filter"),
        ("replay", {"ids": [ABSENT], "filter": {}}, "either ids or a filter"),
        ("replay", {"ids": ["x"]}, "UUID"),
        ("replay", {"ids": [ABSENT], "per_minute": 0}, "Must be 0.1 or more"),
        ("discard", {"ids": [ABSENT]}, "required"),
        ("discard", {"filter": {}, "why": "x", "cursor": "y"}, "cursor"),
    ],
)
def test_422_for_what_makes_no_sense(
    server: Server, tenant: Tenant, verb: str, body: dict[str, Any], says: str
) -> None:
    answer = send(server, verb, tenant.key, **body)
    assert answer.status_code == 422
    assert says in answer.text


def test_who_may_not(server: Server, shared_server: Server, tenant: Tenant) -> None:
    for guess in ("", TOKEN):
        assert shared_server.send("GET", URL, guess).status_code == 401, "it has no operator token"
    assert server.send("GET", URL).status_code == 401
    assert server.send("GET", URL, TOKEN[:-1] + "x").status_code == 401
    letter = dead(server, tenant)
    reader = server.key(tenant, read_only=True)
    assert listed(server, reader) == [letter]
    for verb in ("replay", "discard"):
        assert send(server, verb, reader, ids=[letter], why="x").status_code == 403
    poor = server.tenant(plan=Plan.NONE)
    assert send(server, "replay", poor.key, ids=[ABSENT]).status_code == 402
    assert data(send(server, "discard", poor.key, ids=[ABSENT], why="x"))["discarded"] == 0
