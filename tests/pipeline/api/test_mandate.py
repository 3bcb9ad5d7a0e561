"""The mandate of a key: each limit at each door by which a key writes posts, over HTTP; a new door needs a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import PostForm
from pipeline.actions.steer_step import run_steering_step
from pipeline.domain.account import KINDS, KeyLimits
from pipeline.store.auth.keys import Terms, change_limits, create_key
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.reference.scene import fail
from tests.pipeline.api.running_server import Server, Tenant, ask, code, video

EXCEEDED = "mandate_exceeded"
TITLE: Mapping[str, Any] = {"tiktok": {"title": "Hello"}}


def later(**time: float) -> str:
    return f"{datetime.now(UTC) + timedelta(**time):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit, a post that breaks it, and words of the refusal: the limit and the value found."""

    limits: KeyLimits
    breaks: Callable[[], Mapping[str, Any]]
    """Made when a test begins: times are near."""
    says: str


LIMITS = {
    "lead": Limit(
        limits=KeyLimits(lead_minutes=30),
        breaks=lambda: {"scheduled_at": later(minutes=20)},
        says="due in 30 minutes at the earliest; this one is due at 20",
    ),
    "ahead": Limit(
        limits=KeyLimits(ahead_days=30),
        breaks=lambda: {"scheduled_at": later(days=40)},
        says="due within 30 days; this one is due at 20",
    ),
    "kinds": Limit(
        limits=KeyLimits(kinds=("image", "images")),
        breaks=dict,
        says="This key may send image, images; this is of kind video.",
    ),
    "options": Limit(
        limits=KeyLimits(options=("first_comment", "tiktok.privacy_level")),
        breaks=lambda: TITLE,
        says="This key may set first_comment, tiktok.privacy_level; tiktok.title is set.",
    ),
}


@dataclass(kw_only=True)
class Writer:
    """A workspace with a key that may do everything, and one with a mandate, in whose name ``ask`` sends."""

    server: Server
    tenant: Tenant
    key: str
    body: Mapping[str, Any]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask(self.server, self.key, method, path, body)

    def made(self, **more: Any) -> str:
        """A post that the other key has made."""
        answer = self.server.post({**self.body, **more}, self.tenant.key)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    def steer(self, job: Mapping[str, Any]) -> str:
        """Do a steering job; return what its receipts say."""
        run_steering_step(self.server.context, UUID(job["id"]))
        receipts = self.server.get(f"/posts/steer/{job['id']}/receipts", self.tenant.key).json()["data"]
        return " ".join(str(receipt["why"]) for receipt in receipts["receipts"])


def create(by: Writer) -> str:
    answer = by.ask("POST", "/posts", by.body)
    assert code(answer) == (403, EXCEEDED)
    return str(answer.json()["message"])


def create_many(by: Writer) -> str:
    [result] = by.ask("POST", "/posts/batch", {"posts": [by.body]}).json()["data"]["results"]
    assert (result["code"], result["error_code"]) == (403, EXCEEDED)
    return str(result["message"])


def validate(by: Writer) -> str:
    report = by.ask("POST", "/posts/validate", by.body).json()["data"]
    return " ".join(found["message"] for found in report["refused"] if found["code"] == EXCEEDED)


def edit(by: Writer) -> str:
    answer = by.ask("PATCH", f"/posts/{by.made()}", {"caption": "Other words"})
    assert code(answer) == (403, EXCEEDED)
    return str(answer.json()["message"])


def schedule(by: Writer) -> str:
    draft = by.made(draft=True, scheduled_at=None)
    time = by.body["scheduled_at"]
    answer = by.ask("POST", f"/posts/{draft}/schedule", {"scheduled_at": time})
    assert code(answer) == (403, EXCEEDED)
    return str(answer.json()["message"])


def retry(by: Writer) -> str:
    post = by.made()
    fail(by.server, post)
    [error] = by.ask("POST", "/posts/retry", {"post_ids": [post]}).json()["data"]["errors"].values()
    assert error.startswith(f"{EXCEEDED}: ")
    return str(error)


def steer_verb(verb: str, **more: Any) -> Callable[[Writer], str]:
    def door(by: Writer) -> str:
        post = by.made()
        if verb == "retry":
            fail(by.server, post)
        asked = {"verb": verb, "filter": {"platform": "tiktok"}, "confirm": True, **more}
        return by.steer(by.ask("POST", "/posts/steer", asked).json()["data"]["job"])

    return door


def resume(by: Writer) -> str:
    by.made()
    asked = {"verb": "pause", "filter": {"platform": "tiktok"}, "confirm": True}
    paused = ask(by.server, by.tenant.key, "POST", "/posts/steer", asked).json()["data"]["job"]
    assert by.steer(paused) == "None"
    return by.steer(by.ask("POST", "/posts/steer", {**asked, "verb": "resume"}).json()["data"]["job"])


def undo(by: Writer) -> str:
    by.made()
    asked = {"verb": "cancel", "filter": {"platform": "tiktok"}, "confirm": True}
    job = ask(by.server, by.tenant.key, "POST", "/posts/steer", asked).json()["data"]["job"]
    assert by.steer(job) == "None"
    return by.steer(by.ask("POST", f"/posts/steer/{job['id']}/undo").json()["data"])


def replay(by: Writer) -> str:
    post = by.made()
    fail(by.server, post)
    letters = by.ask("GET", "/api/operator/v1/dead-letters").json()["data"]["letters"]
    [letter] = [one["id"] for one in letters if one["post_id"] == post]
    answer = by.ask("POST", "/api/operator/v1/dead-letters/replay", {"ids": [letter]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"])


def plan_import(by: Writer) -> str:
    importer = Importer(server=by.server, tenant=Tenant(workspace=by.tenant.workspace, key=by.key))
    planned = importer.plan(by.body)
    assert planned["counts"]["rejected"] == 1, planned
    [row] = importer.records(planned["id"])
    return " ".join(issue["message"] for issue in row.issues)


DOORS: Mapping[str, Callable[[Writer], str]] = {
    "createPost": create,
    "createPosts": create_many,
    "validatePost": validate,
    "updatePost": edit,
    "schedulePost": schedule,
    "retryPosts": retry,
    "steerPosts": steer_verb("reschedule", shift_seconds=1),
    "steerPosts: retry": steer_verb("retry"),
    "steerPosts: resume": resume,
    "undoSteeringJob": undo,
    "replayDeadLetters": replay,
    "createImport": plan_import,
}
"""By operation: they send posts, or change what they send. Each returns what the refusal says."""
TAKES_BACK = {"cancelPosts", "deletePosts", "stopSteeringJob", "discardDeadLetters"}
APPROVES = {"approvePost", "sendBackPost", "createApprovalLink"}
"""A key needs ``may_approve``; a new time that it gives obeys as an edit does (``test_approvals.py``)."""
GOES_ON = {"applyImport", "pauseImport", "resumeImport", "cancelImport", "rollBackImport", "deleteImport"}
"""Of an import, whose rows are posts of the key that began it: ``createImport``, and again when they are applied."""
NO_POSTS = {
    *("createFile", "putFile", "connectAccount", "connectChoice", "changeTimes"),
    *(
        "createWebhook",
        "updateWebhook",
        "rotateWebhookSecret",
        "testWebhook",
        "replayWebhookEvents",
        "deleteWebhook",
    ),
}


@pytest.fixture(params=LIMITS)
def limit(request: pytest.FixtureRequest) -> Limit:
    return LIMITS[request.param]


@pytest.fixture
def writer(server: Server, limit: Limit) -> Writer:
    tenant = server.tenant()
    key = server.key(tenant, limits=limit.limits)
    body = {**video(tenant, scheduled_at=later(days=2)), **limit.breaks()}
    return Writer(server=server, tenant=tenant, key=key, body=body)


@pytest.mark.parametrize("door", DOORS)
def test_a_key_writes_nothing_outside_its_mandate_by_any_door(
    writer: Writer, limit: Limit, door: str
) -> None:
    assert limit.says in DOORS[door](writer)


def test_every_operation_that_writes_is_a_door_or_says_why_not(server: Server) -> None:
    writing = set()
    for document in ("/openapi.json", "/api/operator/v1/openapi.json"):
        for item in server.http.get(server.url + document, timeout=30).json()["paths"].values():
            writing |= {
                one["operationId"] for way, one in item.items() if way in ("post", "put", "patch", "delete")
            }
    known = {door.partition(":")[0] for door in DOORS} | TAKES_BACK | APPROVES | GOES_ON | NO_POSTS
    assert writing == known


def test_within_the_mandate_everything_goes(server: Server, tenant: Tenant) -> None:
    limits = KeyLimits(lead_minutes=30, ahead_days=30, kinds=("video",), options=("tiktok.title",))
    key = server.key(tenant, limits=limits)
    body = video(tenant, scheduled_at=later(days=2), **TITLE)
    post = server.post(body, key).json()["data"]["id"]
    assert ask(server, key, "PATCH", f"/posts/{post}", {"caption": "Other words"}).status_code == 200
    assert code(server.post({**body, "scheduled_at": None}, key)) == (403, EXCEEDED), "at once is too soon"
    draft = server.post({**body, "caption": "A draft", "scheduled_at": None, "draft": True}, key)
    assert draft.status_code == 201, "a draft has no time yet"
    own = [{"id": tenant.accounts["tiktok"], "scheduled_at": later(days=40)}]
    answer = server.post({**body, "accounts": own}, key)
    assert answer.json()["issues"][0]["path"] == f"accounts[{tenant.accounts['tiktok']}].scheduled_at"


def test_automatic_times_begin_after_the_lead(server: Server, tenant: Tenant) -> None:
    key = server.key(tenant, limits=KeyLimits(lead_minutes=4_320))
    answer = server.post(video(tenant, scheduled_at="auto"), key)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["scheduled_at"] > later(days=3)


def test_me_shows_what_the_key_may_and_what_is_left(server: Server, tenant: Tenant) -> None:
    limits = KeyLimits(posts_per_minute=50, posts_per_day=3, lead_minutes=30, kinds=("video",))
    account = UUID(tenant.accounts["tiktok"])
    with server.context.database.begin() as c:
        key = create_key(c, tenant.workspace, "agent", Terms(limits=limits, accounts=[account]))
    assert server.post(video(tenant, scheduled_at=later(days=2)), key).status_code == 201
    for answer in (server.get("/me", key), server.get("/me", key)):
        assert answer.status_code == 200, answer.text
        found = answer.json()["data"]
        assert (found["name"], found["public_id"]) == ("agent", key.partition(".")[0])
        assert (found["rights"], found["accounts"]) == (["read", "write", "publish"], [str(account)])
        assert [(p["seconds"], p["limit"], p["left"]) for p in found["posts"]] == [
            (60, 50, 49),
            (86400, 3, 2),
        ]
        assert found["mandate"] == {
            "lead_minutes": 30,
            "ahead_days": None,
            "kinds": ["video"],
            "options": None,
            "needs_approval": False,
            "may_approve": False,
        }
        assert key.partition(".")[2] not in answer.text
    with server.context.database.begin() as c:
        change_limits(c, key.partition(".")[0], {"options": ()})
    assert ask(server, tenant.key, "GET", "/me").json()["data"]["mandate"]["kinds"] is None


def test_the_kinds_of_a_mandate_are_the_forms_of_posts() -> None:
    assert list(PostForm) == list(KINDS)
