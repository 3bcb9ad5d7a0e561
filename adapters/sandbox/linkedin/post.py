"""Posts of the LinkedIn stand-in: made live in one call, refused when they are made twice, listed for organizations."""

import hashlib
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.daily_quota import DailyQuota
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.linkedin import post_body
from adapters.sandbox.linkedin.asset import token_owner
from adapters.sandbox.linkedin.dialect import (
    DIALECT,
    ORGANIZATION,
    PLATFORM,
    READ_ORGANIZATION,
    acting,
    denied,
    limited,
    may,
    member,
    ok,
    refuse,
    token,
    urn_of,
)
from adapters.sandbox.linkedin.little_text import shown
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

_GONE = "linkedin.deleted"
_TWIN = "linkedin.twin"
_TWIN_S = 600.0
_POSTS_A_DAY = 150
_PAGE_MOST = 100


async def create(call: Call) -> web.Response:
    """POST /rest/posts: 201 with an empty body, the URN in a header."""
    member(call)
    body = call.json()
    owner = acting(call, body.get("author"), "author")
    post_body.check(body)
    kind, assets = post_body.content(call, owner, body.get("content"))
    twin = _twin(body, assets)
    _refuse_twice(call, body, twin)
    if not DailyQuota(call.context, "UTC").take(f"linkedin.posts:{owner['remote_id']}", _POSTS_A_DAY):
        raise Refused(limited(int(DAY)))
    urn = f"urn:li:{'ugcPost' if kind == 'video' else 'share'}:{random_digits(19, '7')}"
    call.context.publish(
        owner,
        kind=kind,
        remote_id=urn,
        handle=urn,
        caption=shown(body["commentary"]),
        media=[asset["media"] for asset in assets],
        url=f"https://www.linkedin.com/feed/update/{urn}/",
        late=call.take_visibility_delay(),
        extra={"public": body["visibility"] == "PUBLIC", "body": body},
    )
    call.context.store.put(_TWIN, twin, {"key": twin, "urn": urn, "at": call.context.clock.now()})
    return web.Response(status=201, headers={"x-restli-id": urn, "x-linkedin-id": urn})


def _twin(body: Record, assets: list[Record]) -> str:
    """What makes two posts the same: who says what and shows which media."""
    facts = [body["author"], body["commentary"], [asset["key"] for asset in assets], body.get("content")]
    return hashlib.sha256(encode(facts[:3] if assets else facts).encode()).hexdigest()


def _refuse_twice(call: Call, body: Record, twin: str) -> None:
    earlier = call.context.store.get(_TWIN, twin)
    if earlier is None or call.context.clock.now() >= earlier["at"] + _TWIN_S:
        return
    description = {
        "description": "Duplicate post is detected",
        "input": {"inputPath": {"fieldPath": "commentary"}},
    }
    answer = {
        "errorDetailType": "com.linkedin.common.error.BadRequest",
        "message": f"{body['author']}: Content is a duplicate of {earlier['urn']}",
        "errorDetails": {"inputErrors": [description | {"code": "DUPLICATE_POST"}]},
        "status": 422,
    }
    raise Refused(json_response(answer, 422))


def _is_shown(context: "SandboxContext", live: LivePost) -> bool:
    return (
        live.visible_at <= context.clock.now() and context.store.get(_GONE, live.entry["remote_id"]) is None
    )


def _told(live: LivePost) -> Record:
    body, moment = live.entry["extra"]["body"], int(live.created_at * 1000)
    told = {"id": live.entry["remote_id"], "lifecycleState": "PUBLISHED", "publishedAt": moment}
    told |= {"createdAt": moment, "lastModifiedAt": moment, "lifecycleStateInfo": {"isEditedByAuthor": False}}
    kept = ("author", "commentary", "visibility", "distribution", "content", "isReshareDisabledByAuthor")
    return told | {name: body[name] for name in kept if name in body}


def _readable(call: Call, account: Record, author: str) -> None:
    """Only what an organization has posted can be read; a member's own posts cannot. Raises Refused."""
    mine = (f"{PLATFORM}:{account['remote_id']}", *token(call).get("acts_for", ()))
    is_organization = author.startswith(ORGANIZATION) and f"{PLATFORM}:{author}" in mine
    if not is_organization or not may(call, account, READ_ORGANIZATION):
        raise denied()


async def listing(call: Call) -> web.Response:
    """GET /rest/posts?q=author&author=…: newest first."""
    account = member(call)
    query = call.request.query
    if query.get("q") != "author" or not query.get("author"):
        raise refuse("ILLEGAL_ARGUMENT", "The parameters q=author and author are required")
    _readable(call, account, query["author"])
    start, count = (_number(query.get(name), default) for name, default in (("start", 0), ("count", 10)))
    rows = [
        _told(live)
        for live in reversed(call.context.ledger.list_for(PLATFORM, query["author"]))
        if _is_shown(call.context, live)
    ]
    paging = {"start": start, "count": count, "links": [], "total": len(rows)}
    return ok({"paging": paging, "elements": rows[start : start + min(count, _PAGE_MOST)]})


def _number(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not text.isdecimal():
        raise refuse("ILLEGAL_ARGUMENT", "start and count must be numbers")
    return int(text)


async def read(call: Call) -> web.Response:
    """GET /rest/posts/{urn}."""
    account = member(call)
    urn = urn_of(call, "urn")
    live = call.context.ledger.find(PLATFORM, urn)
    if live is not None:
        _readable(call, account, live.entry["account"])
    if live is None or not _is_shown(call.context, live) or call.take_fault("late-visibility") is not None:
        raise refuse("RESOURCE_NOT_FOUND", f"Could not find entity {urn}", 404)
    return ok(_told(live))


async def delete(call: Call) -> web.Response:
    """DELETE /rest/posts/{urn}: 204, however often."""
    member(call)
    urn = urn_of(call, "urn")
    live = call.context.ledger.find(PLATFORM, urn)
    if live is not None:
        acting(call, live.entry["account"], "author")
        call.context.store.put(_GONE, urn, {"key": urn})
    return web.Response(status=204)


def _owner(call: Call) -> Record | None:
    """The author, as far as the request says so; else the one whose token it is."""
    urn = call.request.query.get("author") or (call.json().get("author") if call.body else None)
    found = call.context.accounts.find(PLATFORM, urn) if isinstance(urn, str) else None
    return found or token_owner(call)


CREATE = Endpoint(
    platform=PLATFORM,
    step="finalize",
    handle=create,
    dialect=DIALECT,
    owner=_owner,
    quota_exhausted=lambda _: limited(int(DAY)),
)
LISTING = Endpoint(platform=PLATFORM, step="look", handle=listing, dialect=DIALECT, owner=_owner)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
DELETE = Endpoint(platform=PLATFORM, step="cancel", handle=delete, dialect=DIALECT)
