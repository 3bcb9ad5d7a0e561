"""LinkedIn posts: creation with duplicate detection, listing for organizations, reading and deletion."""

import hashlib
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.daily_quota import DailyQuota
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.linkedin import post_body
from adapters.sandbox.linkedin.asset import find_token_owner
from adapters.sandbox.linkedin.dialect import (
    DIALECT,
    ORGANIZATION,
    PLATFORM,
    READ_ORGANIZATION,
    authenticate,
    authorize_author,
    deny,
    get_path_urn,
    get_token,
    has_scope,
    ok,
    paginate,
    quota_response,
    refuse,
)
from adapters.sandbox.linkedin.little_text import render
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_DELETED = "linkedin.deleted"
_DUPLICATE = "linkedin.twin"
_DUPLICATE_S = 600.0
_POSTS_A_DAY = 150


async def create(call: Call) -> web.Response:
    """POST /rest/posts: 201 with an empty body, the URN in a header."""
    authenticate(call)
    body = call.json()
    owner = authorize_author(call, body.get("author"), "author")
    post_body.check_fields(body)
    kind, assets = post_body.resolve_content(call, owner, body.get("content"))
    duplicate_key = _hash_post(body, assets)
    _check_not_duplicate(call, body, duplicate_key)
    if not DailyQuota(call.context, "UTC").take(f"linkedin.posts:{owner['remote_id']}", _POSTS_A_DAY):
        raise Refused(quota_response(int(DAY)))
    urn = f"urn:li:{'ugcPost' if kind == 'video' else 'share'}:{random_digits(19, '7')}"
    call.context.publish(
        owner,
        kind=kind,
        remote_id=urn,
        handle=urn,
        caption=render(body["commentary"]),
        media=[asset["media"] for asset in assets],
        url=f"https://www.linkedin.com/feed/update/{urn}/",
        late=call.take_visibility_delay(),
        extra={
            "public": body["visibility"] == "PUBLIC",
            "body": body,
            "thumbnail": next((asset.get("thumbnail") for asset in assets), None),
        },
    )
    call.context.store.put(
        _DUPLICATE, duplicate_key, {"key": duplicate_key, "urn": urn, "at": call.context.clock.now()}
    )
    return web.Response(status=201, headers={"x-restli-id": urn, "x-linkedin-id": urn})


def _hash_post(body: Record, assets: list[Record]) -> str:
    """Return the hash of what makes two posts duplicates: author, commentary and media (or content)."""
    facts = [body["author"], body["commentary"], [asset["key"] for asset in assets], body.get("content")]
    return hashlib.sha256(encode(facts[:3] if assets else facts).encode()).hexdigest()


def _check_not_duplicate(call: Call, body: Record, duplicate_key: str) -> None:
    earlier = call.context.store.get(_DUPLICATE, duplicate_key)
    if earlier is None or call.context.clock.now() >= earlier["at"] + _DUPLICATE_S:
        return
    description = {
        "description": "Duplicate post is detected",
        "input": {"inputPath": {"fieldPath": "commentary"}},
    }
    error = {
        "errorDetailType": "com.linkedin.common.error.BadRequest",
        "message": f"{body['author']}: Content is a duplicate of {earlier['urn']}",
        "errorDetails": {"inputErrors": [description | {"code": "DUPLICATE_POST"}]},
        "status": 422,
    }
    raise Refused(json_response(error, 422))


def _is_shown(context: "SandboxContext", live: LivePost) -> bool:
    return (
        live.visible_at <= context.clock.now()
        and context.store.get(_DELETED, live.entry["remote_id"]) is None
    )


def _post_to_dict(live: LivePost) -> Record:
    body, moment = live.entry["extra"]["body"], int(live.created_at * 1000)
    post = {"id": live.entry["remote_id"], "lifecycleState": "PUBLISHED", "publishedAt": moment}
    post |= {"createdAt": moment, "lastModifiedAt": moment, "lifecycleStateInfo": {"isEditedByAuthor": False}}
    kept = ("author", "commentary", "visibility", "distribution", "content", "isReshareDisabledByAuthor")
    return post | {name: body[name] for name in kept if name in body}


def _check_readable(call: Call, account: Record, author: str) -> None:
    """Raise Refused unless `author` is an organization of the token; a member's own posts are not readable."""
    mine = (f"{PLATFORM}:{account['remote_id']}", *get_token(call).get("acts_for", ()))
    is_organization = author.startswith(ORGANIZATION) and f"{PLATFORM}:{author}" in mine
    if not is_organization or not has_scope(call, account, READ_ORGANIZATION):
        raise deny()


async def list_posts(call: Call) -> web.Response:
    """GET /rest/posts?q=author&author=…: newest first."""
    account = authenticate(call)
    query = call.request.query
    if query.get("q") != "author" or not query.get("author"):
        raise refuse("ILLEGAL_ARGUMENT", "The parameters q=author and author are required")
    _check_readable(call, account, query["author"])
    rows = [
        _post_to_dict(live)
        for live in reversed(call.context.ledger.list_for(PLATFORM, query["author"]))
        if _is_shown(call.context, live)
    ]
    return ok(paginate(query, rows))


async def read(call: Call) -> web.Response:
    """GET /rest/posts/{urn}."""
    account = authenticate(call)
    urn = get_path_urn(call, "urn")
    live = call.context.ledger.find(PLATFORM, urn)
    if live is not None:
        _check_readable(call, account, live.entry["account"])
    if live is None or not _is_shown(call.context, live) or call.take_fault("late-visibility") is not None:
        raise refuse("RESOURCE_NOT_FOUND", f"Could not find entity {urn}", 404)
    return ok(_post_to_dict(live))


async def delete(call: Call) -> web.Response:
    """DELETE /rest/posts/{urn}: 204, also when repeated."""
    authenticate(call)
    urn = get_path_urn(call, "urn")
    live = call.context.ledger.find(PLATFORM, urn)
    if live is not None:
        authorize_author(call, live.entry["account"], "author")
        call.context.store.put(_DELETED, urn, {"key": urn})
    return web.Response(status=204)


def _find_owner(call: Call) -> Record | None:
    """Return the author that the request names, else the account of the token."""
    urn = call.request.query.get("author") or (call.json().get("author") if call.body else None)
    found = call.context.accounts.find(PLATFORM, urn) if isinstance(urn, str) else None
    return found or find_token_owner(call)


CREATE = Endpoint(
    platform=PLATFORM,
    step="finalize",
    handle=create,
    dialect=DIALECT,
    owner=_find_owner,
    quota_exhausted=lambda _: quota_response(int(DAY)),
)
LIST = Endpoint(platform=PLATFORM, step="look", handle=list_posts, dialect=DIALECT, owner=_find_owner)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
