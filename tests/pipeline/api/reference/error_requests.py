"""A request for each error code of the API, as a client would make it by mistake."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import requests
from sqlalchemy import text

from pipeline.api.http.envelope import failure, render_internal_error, render_refusal, render_unreachable
from pipeline.api.http.request import BODY_SECONDS
from pipeline.api.server.http_protocol import HEAD_BYTES
from pipeline.domain.account import KeyLimits, Plan, Subscription
from pipeline.domain.level import LEVEL
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Terms, create_key
from tests.pipeline.api.imports.importing import do_step
from tests.pipeline.api.reference.scene import Scene, list_files
from tests.pipeline.api.running_server import ABSENT, BASE, ask, post_refused_media, video

JSON = {"Content-Type": "application/json"}


def _post(scene: Scene, key: str | None = None, **changes: Any) -> requests.Response:
    body = {**video(scene.tenant, scheduled_at=scene.names["time"]), **changes}
    return scene.server.post(body, key or scene.tenant.key)


def _send(scene: Scene, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    return ask(scene.server, scene.tenant.key, method, path, body, **headers)


def _edit(scene: Scene, body: Any, **headers: str) -> requests.Response:
    return _send(scene, "PATCH", f"/posts/{scene.names['failed_post']}", body, **headers)


def _use_upload_url(scene: Scene, content: bytes, change: str = "") -> requests.Response:
    url = scene.variables["UPLOAD_URL"]
    return requests.put(url + change, data=content, headers={"Content-Type": "image/png"}, timeout=30)


def _require_plan(scene: Scene, plan: Plan, subscription: Subscription) -> requests.Response:
    other = scene.server.tenant(plan, subscription)
    return scene.server.post(video(other), other.key)


def _post_with(scene: Scene, terms: Terms) -> requests.Response:
    with scene.server.context.database.begin() as c:
        key = create_key(c, scene.tenant.workspace, "reporting", terms)
    return _post(scene, key)


def _reuse_external_id(scene: Scene) -> requests.Response:
    _post(scene, external_id="order-1042")
    return _post(scene, external_id="order-1042", caption="Another mug")


def _reuse_idempotency_key(scene: Scene) -> requests.Response:
    key = {"Idempotency-Key": "mug-video"}
    _send(scene, "POST", "/files", {"contentType": "image/png"}, **key)
    return _send(scene, "POST", "/files", {"contentType": "video/mp4"}, **key)


def _apply_another_plan(scene: Scene) -> requests.Response:
    made = scene.server.send("POST", f"{BASE}/imports", scene.tenant.key, list_files(scene)["march.ndjson"])
    job = made.json()["data"]["id"]
    do_step(scene.server.context, UUID(job))
    return _send(scene, "POST", f"/imports/{job}/apply", {"plan": "0" * 64})


def _edit_while_sending(scene: Scene) -> requests.Response:
    post = _post(scene).json()["data"]["id"]
    with scene.server.context.database.begin() as c:
        armed = "state = 'processing', armed_at = now(), armed_deadline = now()"
        c.execute(text(f"UPDATE deliveries SET {armed} WHERE post_id = :post"), {"post": post})  # noqa: S608  a constant
    return _send(scene, "PATCH", f"/posts/{post}", {"caption": "Too late"})


def _edit_of_a_newer_server(scene: Scene) -> requests.Response:
    post = _post(scene, caption="With an option of a newer version").json()["data"]["id"]
    scene.server.sql("UPDATE deliveries SET level = :n WHERE post_id = :post", n=LEVEL + 1, post=post)
    return _send(scene, "PATCH", f"/posts/{post}", {"caption": "New"})


def _undo_an_undo(scene: Scene) -> requests.Response:
    undone = _send(scene, "POST", f"/posts/steer/{scene.names['steering_job']}/undo").json()["data"]["id"]
    return _send(scene, "POST", f"/posts/steer/{undone}/undo")


def _reconnect_inactive(scene: Scene) -> requests.Response:
    other = scene.server.tenant()
    account = other.accounts["tiktok"]
    scene.server.sql("UPDATE accounts SET status = 'inactive' WHERE id = :id", id=UUID(account))
    return ask(scene.server, other.key, "POST", "/connect/tiktok", {"reconnect": account})


def _exceed_rate(scene: Scene) -> requests.Response:
    other = scene.server.tenant()
    answer = scene.server.post(video(other), other.key)
    while answer.status_code == 201:
        answer = scene.server.post(video(other), other.key)
    return answer


def _read_past_the_end(scene: Scene) -> requests.Response:
    headers = {"Range": "bytes=1000000000-"}
    return requests.get(scene.variables["FILE_URL"], headers=headers, timeout=30)


REQUESTS: Mapping[str, Callable[[Scene], requests.Response]] = {
    "400 invalid_json": lambda s: s.server.post(b'{"caption" "Our new mug"}', s.tenant.key),
    "400 unknown_accounts": lambda s: _post(s, accounts=[{"id": ABSENT}]),
    "400 missing_accounts": lambda s: _post(s, accounts=[]),
    "400 validation_failed": lambda s: _post(s, scheduled_at="2025-02-01T15:00:00Z"),
    "400 invalid_music_url": lambda s: _post(s, music_url="https://example.com/song"),
    "400 too_many_post_ids": lambda s: _send(s, "POST", "/posts/cancel", {"post_ids": [ABSENT] * 51}),
    "400 batch_refused": lambda s: _send(s, "POST", "/posts/batch", {"atomic": True, "posts": [{}]}),
    "401 invalid_token": lambda s: s.server.get("/posts", "slw_live_0123456789abcdef.unknown"),
    "402 subscription_required": lambda s: _require_plan(s, Plan.BUSINESS, Subscription.CANCELED),
    "403 tier_not_allowed": lambda s: _require_plan(s, Plan.SCHEDULER, Subscription.ACTIVE),
    "403 insufficient_scope": lambda s: _post_with(s, Terms(read_only=True)),
    "403 mandate_exceeded": lambda s: _post_with(s, Terms(limits=KeyLimits(kinds=("image", "images")))),
    "403 invalid_upload_url": lambda s: _use_upload_url(s, b"", "x"),
    "404 not_found": lambda s: s.server.get(f"/posts/{ABSENT}", s.tenant.key),
    "405 method_not_allowed": lambda s: _send(s, "PUT", "/posts"),
    "409 create_failed": _reuse_external_id,
    "409 post_in_flight": _edit_while_sending,
    "409 newer_version": _edit_of_a_newer_server,
    "409 cannot_undo": _undo_an_undo,
    "409 approval_changed": lambda s: _send(
        s, "POST", f"/posts/{s.names['unapproved_post']}/approve", {"hash": "0" * 64}
    ),
    "409 external_id_immutable": lambda s: _edit(s, {"external_id": "order-1043"}),
    "409 import_state": lambda s: _send(s, "POST", f"/imports/{s.names['import']}/resume"),
    "409 plan_changed": _apply_another_plan,
    "409 file_immutable": lambda s: _use_upload_url(s, b"\x89PNG\r\n\x1a\nother bytes"),
    "409 idempotency_key_reused": _reuse_idempotency_key,
    "409 account_inactive": _reconnect_inactive,
    "412 precondition_failed": lambda s: _edit(s, {"caption": "New"}, **{"If-Match": '"an-old-version"'}),
    "413 payload_too_large": lambda s: s.server.post(b" " * 1_000_001, s.tenant.key),
    "415 unsupported_media_type": lambda s: _send(s, "POST", "/posts", {}, **{"Content-Type": "text/plain"}),
    "416 range_not_satisfiable": _read_past_the_end,
    "422 invalid_payload": lambda s: _post(s, captoin="Our new mug"),
    "429 rate_limited": _exceed_rate,
    "500 not_configured": lambda s: _send(s, "POST", "/connect/pinterest", {}),
    # the last: from then on, posts wait for a worker
    "400 media_unreachable": lambda s: post_refused_media(s.server, s.server.tenant()),
}
"""By status and error code; the scene has uploaded its file."""


def build_others() -> dict[str, Any]:
    """Return the answers that need a fault or a long wait, from the functions that answer then."""
    refused = Refusal(408, "request_timeout", f"The body did not arrive within {BODY_SECONDS:.0f} seconds.")
    answers = {
        "400 bad_request": failure(400, "bad_request", "The request is not valid HTTP."),
        "408 request_timeout": render_refusal(refused),
        "431 headers_too_large": failure(
            431, "headers_too_large", f"The request's head is larger than {HEAD_BYTES:,} bytes."
        ),
        "500 create_failed": render_internal_error("POST", f"{BASE}/posts"),
        "500 internal_error": render_internal_error("GET", f"{BASE}/posts"),
        "503 unavailable": render_unreachable(),
    }
    return {name: json.loads(bytes(answer.body)) for name, answer in answers.items()}
