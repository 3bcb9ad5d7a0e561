"""LinkedIn posts: creation with duplicate detection, listing for organizations, reading and deletion."""

import hashlib
import re
from typing import Any

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.clock import DAY, DailyQuota
from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.linkedin import api, asset
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import KINDS, check_fields

_DELETED = "linkedin.deleted"
_DUPLICATE = "linkedin.twin"
_DUPLICATE_S = 600.0
_POSTS_A_DAY = 150
_MAX_ALT_TEXT = 4086
_IMAGES = (2, 20)
_CONTENT_TYPES = ("media", "multiImage", "article")
_PART = re.compile(
    r"\\(?P<plain>[|{}@\[\]()<>#\\*_~])"
    r"|@\[(?P<name>(?:\\.|[^\\\]])+)\]\(urn:li:\w+:[\w-]+\)"
    r"|\{hashtag\|\\?#\|(?P<tag>[^|{}]+)\}"
    r"|(?P<hash>#\w+)"
    r"|(?P<text>[^|{}@\[\]()<>#\\*_~]+)"
)


async def create(call: Call) -> web.Response:
    """POST /rest/posts: 201 with an empty body, the URN in a header."""
    api.authenticate(call)
    body = call.json()
    owner = api.authorize_author(call, body.get("author"), "author")
    _check_fields(body)
    kind, assets = _resolve_content(call, owner, body.get("content"))
    duplicate_key = _hash_post(body, assets)
    _check_not_duplicate(call, body, duplicate_key)
    if not DailyQuota(call.context, "UTC").take(f"linkedin.posts:{owner['remote_id']}", _POSTS_A_DAY):
        raise Refused(api.quota_response(int(DAY)))
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


def _is_shown(call: Call, live: LivePost) -> bool:
    is_deleted = call.context.store.get(_DELETED, live.entry["remote_id"]) is not None
    return call.is_visible(live) and not is_deleted


def _post_to_dict(live: LivePost) -> Record:
    body, at = live.entry["extra"]["body"], int(live.created_at * 1000)
    post = {"id": live.entry["remote_id"], "lifecycleState": "PUBLISHED", "publishedAt": at}
    post |= {"createdAt": at, "lastModifiedAt": at, "lifecycleStateInfo": {"isEditedByAuthor": False}}
    kept = ("author", "commentary", "visibility", "distribution", "content", "isReshareDisabledByAuthor")
    return post | {name: body[name] for name in kept if name in body}


def _check_readable(call: Call, account: Record, author: str) -> None:
    """Raise Refused unless `author` is an organization of the token; a member's own posts are not readable."""
    is_organization = author.startswith(api.ORGANIZATION) and api.acts_for(call, account, author)
    if not is_organization or not api.has_scope(call, account, api.READ_ORGANIZATION):
        raise api.deny()


async def list_posts(call: Call) -> web.Response:
    """GET /rest/posts?q=author&author=…: newest first."""
    account = api.authenticate(call)
    query = call.request.query
    if query.get("q") != "author" or not query.get("author"):
        raise api.refuse("ILLEGAL_ARGUMENT", "The parameters q=author and author are required")
    _check_readable(call, account, query["author"])
    rows = [_post_to_dict(live) for live in call.list_live(query["author"]) if _is_shown(call, live)]
    return api.ok(api.paginate(query, rows))


async def read(call: Call) -> web.Response:
    """GET /rest/posts/{urn}."""
    account = api.authenticate(call)
    urn = api.get_path_urn(call, "urn")
    live = call.context.ledger.find(api.PLATFORM, urn)
    if live is not None:
        _check_readable(call, account, live.entry["account"])
    if live is None or not _is_shown(call, live) or call.take_fault("late-visibility") is not None:
        raise api.refuse("RESOURCE_NOT_FOUND", f"Could not find entity {urn}", 404)
    return api.ok(_post_to_dict(live))


async def delete(call: Call) -> web.Response:
    """DELETE /rest/posts/{urn}: 204, also when repeated."""
    api.authenticate(call)
    urn = api.get_path_urn(call, "urn")
    live = call.context.ledger.find(api.PLATFORM, urn)
    if live is not None:
        api.authorize_author(call, live.entry["account"], "author")
        call.context.store.put(_DELETED, urn, {"key": urn})
    return web.Response(status=204)


def find_owner(call: Call) -> Record | None:
    """Return the author that the request names, else the account of the token."""
    urn = call.request.query.get("author") or (call.json().get("author") if call.body else None)
    found = call.context.accounts.find(api.PLATFORM, urn) if isinstance(urn, str) else None
    return found or api.find_token_owner(call)


def _is_feed(value: Any, allowed: Any) -> bool:
    return isinstance(value, dict) and value.get("feedDistribution") in allowed


def _check_fields(body: Record) -> None:
    """Raise Refused if a field other than the content is missing or invalid."""
    for name in api.TABLE["required"]:
        if body.get(name) is None:
            raise api.refuse("MISSING_FIELD", f"Field {name} is required")
    check_fields(body, api.TABLE["post"], api.refuse, {**KINDS, "feed": _is_feed})


def _resolve_content(call: Call, owner: Record, given: object) -> tuple[str, list[Record]]:
    """Return the kind of the post and its assets; raises Refused."""
    if given is None:
        return "text", []
    types = [kind for kind in _CONTENT_TYPES if isinstance(given, dict) and kind in given]
    if not isinstance(given, dict) or len(types) != 1 or not isinstance(given[types[0]], dict):
        raise api.refuse(
            "INVALID_VALUE_FOR_FIELD", "Field content must have one of media, multiImage, article"
        )
    inner = given[types[0]]
    if types == ["article"]:
        if not inner.get("source"):
            raise api.refuse("MISSING_FIELD", "Field content.article.source is required")
        return "article", []
    if types == ["media"]:
        record = _get_available(call, owner, inner)
        return record["kind"], [record]
    images = inner.get("images")
    if not isinstance(images, list) or not _IMAGES[0] <= len(images) <= _IMAGES[1]:
        raise api.refuse(
            "INVALID_VALUE_FOR_FIELD", "Field content.multiImage.images must have from 2 to 20 images"
        )
    assets = [_get_available(call, owner, image if isinstance(image, dict) else {}) for image in images]
    if any(record["kind"] != "image" for record in assets):
        raise api.refuse("INVALID_URN_TYPE", "Field content.multiImage.images takes images only")
    return "photos", assets


def _get_available(call: Call, owner: Record, given: Record) -> Record:
    urn = given.get("id")
    if len(str(given.get("altText") or "")) > _MAX_ALT_TEXT:
        raise api.refuse("FIELD_LENGTH_TOO_LONG", f"Field altText: at most {_MAX_ALT_TEXT} characters")
    if not isinstance(urn, str) or not urn.startswith(("urn:li:image:", "urn:li:video:")):
        raise api.refuse("INVALID_URN_TYPE", f"Field id: {urn} is neither an image nor a video")
    record = call.context.store.get(asset.KIND, urn)
    if record is None:
        raise api.refuse("INVALID_URN_ID", f"Field id: {urn} does not exist")
    if record["account"] != owner["remote_id"]:
        raise api.refuse("INVALID_CONTENT_OWNERSHIP", "Content(s) you provided must be owned by post author")
    match record["state"]:
        case "AVAILABLE":
            return record
        case "PROCESSING_FAILED":
            raise api.refuse("MEDIA_ASSET_PROCESSING_FAILED", f"Media asset {urn} could not be processed")
        case _:
            raise api.refuse("MEDIA_ASSET_WAITING_UPLOAD", f"Media asset {urn} is not ready yet")


def render(commentary: str) -> str:
    r"""Return the visible text of a commentary in LinkedIn's "little text" format.

    Reserved characters need a backslash: | { } @ [ ] ( ) < > # \\ * _ ~. An unescaped one that starts no mention or
    hashtag truncates the text there, although the response is 201: github.com/ComposioHQ/composio issue 2710, read
    2026-11-24.
    """
    text, place = "", 0
    while (match := _PART.match(commentary, place)) is not None:
        place = match.end()
        tag = match["tag"]
        text += f"#{tag}" if tag else match["plain"] or match["name"] or match["hash"] or match["text"]
    return text
