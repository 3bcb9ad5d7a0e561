"""Edit, cancel, delete, retry and validate over HTTP: bodies, error codes, versions, scopes, responses."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import requests

from pipeline.api.http.response_models import ResponseModel, Success
from pipeline.api.posts.action_response_models import (
    CancelResult,
    DeleteResult,
    RetryResult,
    UpdatedPost,
    ValidationReport,
)
from pipeline.domain.account import Plan, Subscription
from tests.pipeline.api.running_server import ABSENT, Server, Tenant, ask, code, video

LATER, STILL_LATER = "2099-01-01T00:00:00Z", "2099-01-02T00:00:00.000Z"
ROUTES = [
    ("PATCH", f"/posts/{ABSENT}"),
    ("POST", "/posts/retry"),
    ("POST", "/posts/cancel"),
    ("POST", "/posts/delete"),
    ("POST", "/posts/validate"),
]


def patch(server: Server, tenant: Tenant, post: str, body: Any, **headers: str) -> requests.Response:
    return ask(server, tenant.key, "PATCH", f"/posts/{post}", body, **headers)


def steer(server: Server, tenant: Tenant, verb: str, body: Any) -> requests.Response:
    return ask(server, tenant.key, "POST", f"/posts/{verb}", body)


def data_of(answer: requests.Response, model: type[ResponseModel]) -> dict[str, Any]:
    """Return the data of a successful response that matches its model."""
    assert answer.status_code == 200, answer.text
    Success[model].model_validate_json(answer.content)  # type: ignore[valid-type]
    data: dict[str, Any] = answer.json()["data"]
    return data


def created(server: Server, tenant: Tenant, **more: Any) -> str:
    answer = server.post(video(tenant, **{"scheduled_at": LATER, **more}), tenant.key)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["data"]["id"]
    return identity


def put(server: Server, post: str, assignments: str) -> None:
    """Set columns of the post's deliveries, as a worker would."""
    server.sql(f"UPDATE deliveries SET {assignments} WHERE post_id = :id", id=post)  # noqa: S608


FAILED = "state = 'failed', error = '{\"code\": \"rejected\"}'"
ARMED = "state = 'processing', armed_at = now(), armed_deadline = now()"


# --- PATCH -----------------------------------------------------------------------------------------------------------


def test_an_edit_is_answered_and_read_back(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant)
    body = {"caption": "new", "scheduled_at": STILL_LATER, "tiktok": {"title": "t", "disable_duet": None}}
    answer = patch(server, tenant, post, body)
    data = data_of(answer, UpdatedPost)
    assert answer.json()["message"] == "Post updated"
    assert (data["id"], data["status"], data["scheduled_at"]) == (post, "scheduled", STILL_LATER)
    read = server.get(f"/posts/{post}", tenant.key)
    assert read.headers["ETag"] == answer.headers["ETag"]
    found = read.json()["data"]
    assert (found["caption"], found["tiktok"], found["scheduled_at"]) == ("new", {"title": "t"}, STILL_LATER)
    assert data_of(patch(server, tenant, post, {"tiktok": None}), UpdatedPost)
    assert server.get(f"/posts/{post}", tenant.key).json()["data"]["tiktok"] is None


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({}, "", "Nothing to change"),
        ([], "", "JSON object"),
        ({"captoin": "x"}, "captoin", "did you mean `caption`"),
        ({"tiktok": {}, "pinterest": {}}, "pinterest", "together"),
        (
            {"media": {"type": "video", "url": "https://x.y/v.mp4"}, "tiktok": {"post_mode": "MEDIA_UPLOAD"}},
            "tiktok.post_mode",
            "slideshow",
        ),
    ],
)
def test_422_for_a_change_that_makes_no_sense(
    server: Server, tenant: Tenant, body: Any, path: str, says: str
) -> None:
    answer = patch(server, tenant, str(uuid4()), body)
    assert code(answer) == (422, "invalid_payload")
    assert any(i["path"] == path and says in i["message"] for i in answer.json()["issues"]), answer.text


def test_409_for_an_external_id_whatever_its_value(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, external_id=str(uuid4()))
    for value in (str(uuid4()), None, 5):  # it is decided before the payload
        assert code(patch(server, tenant, post, {"external_id": value})) == (409, "external_id_immutable")


def test_412_for_an_old_version(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant)
    tag = server.get(f"/posts/{post}", tenant.key).headers["ETag"]
    first = patch(server, tenant, post, {"caption": "two"}, **{"If-Match": tag})
    assert first.status_code == 200
    assert code(patch(server, tenant, post, {"caption": "three"}, **{"If-Match": tag})) == (
        412,
        "precondition_failed",
    )
    assert code(patch(server, tenant, post, {"caption": "x"}, **{"If-Match": "W/" + tag}))[0] == 412
    assert patch(server, tenant, post, {"caption": "four"}, **{"If-Match": "*"}).status_code == 200


# --- many at once ----------------------------------------------------------------------------------------------------


def test_posts_are_canceled(server: Server, tenant: Tenant) -> None:
    post, flying = created(server, tenant), created(server, tenant)
    put(server, flying, ARMED)
    answer = steer(server, tenant, "cancel", {"post_ids": [post, post, flying]})
    data = data_of(answer, CancelResult)
    assert (data["canceled"], data["failed"], list(data["errors"])) == (1, 1, [flying])
    assert data["errors"][flying].startswith("post_in_flight: ")
    assert server.get(f"/posts/{post}", tenant.key).json()["data"]["status"] == "canceled"
    only = steer(
        server, tenant, "cancel", {"post_ids": [post], "account_ids": [tenant.accounts["instagram"]]}
    )
    assert data_of(only, CancelResult)["failed"] == 1


@pytest.mark.parametrize("name", ["postIds", "post_ids"])
def test_posts_are_deleted_by_either_name(server: Server, tenant: Tenant, name: str) -> None:
    post, posted, absent = created(server, tenant), created(server, tenant), str(uuid4())
    put(server, posted, "state = 'published', published_at = now()")
    answer = steer(server, tenant, "delete", {name: [post, posted, absent]})
    data = data_of(answer, DeleteResult)
    assert answer.json()["message"] == "Posts deleted"
    assert data == {
        "deletedIds": [post],
        "blockedStatuses": [{"id": posted, "status": "posted"}],
        "skipped": [absent],
    }
    assert server.get(f"/posts/{post}", tenant.key).status_code == 404


def test_failed_posts_are_retried(server: Server, tenant: Tenant) -> None:
    broken, fine = created(server, tenant), created(server, tenant)
    put(server, broken, FAILED)
    answer = steer(server, tenant, "retry", {"post_ids": [broken, fine], "account_ids": None})
    data = data_of(answer, RetryResult)
    assert answer.json()["message"] == "Posts queued for retry"
    assert (data["retried"], data["ids"], data["failed"]) == (1, [broken], [fine])
    assert list(data["errors"]) == [fine]


def test_a_retry_of_more_than_twenty_is_a_payload_error(server: Server, tenant: Tenant) -> None:
    answer = steer(server, tenant, "retry", {"post_ids": [str(uuid4()) for _ in range(21)]})
    assert code(answer) == (422, "invalid_payload")
    [issue] = answer.json()["issues"]
    assert issue == {"path": "post_ids", "message": "20 at most; there are 21.", "type": "too_long"}
    nothing = steer(server, tenant, "retry", {"post_ids": [str(uuid4())] * 20})
    assert data_of(nothing, RetryResult)["retried"] == 0
    assert nothing.json()["message"].startswith("No post is queued for retry")


@pytest.mark.parametrize(("verb", "name"), [("delete", "postIds"), ("cancel", "post_ids")])
def test_too_many_are_refused_and_as_many_as_allowed_are_taken(
    server: Server, tenant: Tenant, verb: str, name: str
) -> None:
    answer = steer(server, tenant, verb, {name: [str(uuid4()) for _ in range(51)]})
    assert code(answer) == (400, "too_many_post_ids")
    assert steer(server, tenant, verb, {name: [str(uuid4()) for _ in range(50)]}).status_code == 200


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
def test_422_for_ids_that_make_no_sense(server: Server, tenant: Tenant, verb: str) -> None:
    nowhere = {"post_ids": [str(uuid4())], "account_ids": list[str]()}
    bodies: list[Any] = [b"", {"post_ids": []}, {"post_ids": ["x"]}, [], nowhere]
    for body in bodies:
        assert code(steer(server, tenant, verb, body)) == (422, "invalid_payload"), body


# --- validate --------------------------------------------------------------------------------------------------------


def test_validate_says_how_it_was_understood(server: Server) -> None:
    tenant = server.tenant()
    server.sql("UPDATE workspaces SET time_zone = 'Asia/Tokyo' WHERE id = :id", id=tenant.workspace)
    tenant.key = server.key(tenant)  # the server keeps the old one with its zone for a moment
    body = {**video(tenant), "accounts": [{"id": i} for i in tenant.accounts.values()], "scheduled_at": LATER}
    data = data_of(steer(server, tenant, "validate", body), ValidationReport)
    assert data["valid"] is True
    assert (data["status"], data["scheduled_at"]) == ("scheduled", "2099-01-01T00:00:00.000Z")
    assert (data["scheduled_at_local"], data["time_zone"]) == ("2099-01-01T09:00:00.000+09:00", "Asia/Tokyo")
    assert {a["platform"]: a["kind"] for a in data["accounts"]} == {"tiktok": "video", "instagram": "reel"}
    assert {w["code"] for w in data["warnings"]} >= {"REACHABILITY_PENDING"}
    assert server.get("/posts", tenant.key).json()["data"]["summary"]["total"] == 0


def test_validate_tells_everything_and_for_each_account(server: Server, tenant: Tenant) -> None:
    urls = [f"https://x.y/{n}.jpg" for n in range(12)]
    body = {
        **video(tenant),
        "media": {"type": "slideshow", "urls": urls},
        "music_url": "https://x.y/z",
        "accounts": [{"id": tenant.accounts["instagram"]}, {"id": str(uuid4())}],
        "scheduled_at": "2020-01-01T00:00:00Z",
    }
    data = data_of(steer(server, tenant, "validate", body), ValidationReport)
    assert data["valid"] is False
    assert {f["code"] for f in data["refused"]} == {
        "unknown_accounts",
        "validation_failed",
        "invalid_music_url",
    }
    [judged] = [f for f in data["refused"] if f["account_id"]]
    assert (judged["account_id"], judged["platform"]) == (tenant.accounts["instagram"], "instagram")
    assert (judged["field"], judged["limit"], judged["found"]) == ("media", 10, 12)
    assert code(steer(server, tenant, "validate", {"caption": "x"})) == (422, "invalid_payload")


# --- who may ---------------------------------------------------------------------------------------------------------


def test_401_without_a_key_and_415_for_another_format(server: Server, tenant: Tenant) -> None:
    for method, path in ROUTES:
        assert code(ask(server, None, method, path, {})) == (401, "invalid_token")
        answer = ask(server, tenant.key, method, path, b"x", **{"Content-Type": "text/plain"})
        assert code(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("plan", "subscription", "wanted"),
    [
        (Plan.SCHEDULER, Subscription.ACTIVE, (403, "tier_not_allowed")),
        (Plan.BUSINESS, Subscription.CANCELED, (402, "subscription_required")),
    ],
)
def test_without_a_plan_nothing_is_published_but_everything_can_be_stopped(
    server: Server, plan: Plan, subscription: Subscription, wanted: tuple[int, str]
) -> None:
    lapsed = server.tenant(plan, subscription)
    ids = {"post_ids": [str(uuid4())]}
    for method, path, body in (
        ("PATCH", f"/posts/{uuid4()}", {"caption": "x"}),
        ("POST", "/posts/retry", ids),
        ("POST", "/posts/validate", {}),
    ):
        assert code(ask(server, lapsed.key, method, path, body)) == wanted
    assert steer(server, lapsed, "cancel", ids).status_code == 200
    assert steer(server, lapsed, "delete", ids).status_code == 200


def test_a_strangers_post_is_answered_exactly_as_one_that_is_not_there(
    server: Server, tenant: Tenant
) -> None:
    stranger, post, absent = server.tenant(), created(server, tenant), str(uuid4())
    assert (
        patch(server, stranger, post, {"caption": "x"}).content
        == patch(server, stranger, absent, {"caption": "x"}).content
    )
    for verb in ("retry", "cancel", "delete"):
        seen = steer(server, stranger, verb, {"post_ids": [post]}).text.replace(post, absent)
        assert seen == steer(server, stranger, verb, {"post_ids": [absent]}).text
    taken = patch(server, stranger, post, {"accounts": [{"id": tenant.accounts["tiktok"]}]})
    assert code(taken) == (404, "not_found")
    own = created(server, stranger)
    body = {"accounts": [{"id": tenant.accounts["tiktok"]}]}
    assert code(patch(server, stranger, own, body)) == (400, "unknown_accounts")
    assert server.get(f"/posts/{post}", tenant.key).json()["data"]["status"] == "scheduled"
