"""LinkedIn's versioned REST API with its uploads, and its OAuth, as documented on 2026-11-24; and its posts.

Posts are created with duplicate detection, listed for organizations, read and deleted.
"""

import hashlib
import re
import secrets
import sys
from typing import Any

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import KINDS, Refused, check_fields, encode, fill, json_response
from adapters.sandbox.endpoint import Call, mount_routes, read_routes
from adapters.sandbox.linkedin import api, asset, comments
from adapters.sandbox.linkedin.api import TABLE, refuse
from adapters.sandbox.store import LivePost, Record

_DUPLICATE = "linkedin.twin"
_DUPLICATE_S = 600.0
_MAX_ALT_TEXT = 4086
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
    body = call.json("post")
    owner = api.authorize_author(call, body.get("author"), "author")
    _check_fields(body)
    kind, assets = _resolve_content(call, owner, body.get("content"))
    duplicate_key = _hash_post(body, assets)
    _check_not_duplicate(call, body, duplicate_key)
    call.count(TABLE["limits"]["posts"], owner["remote_id"])
    urn = f"urn:li:{'ugcPost' if kind == 'video' else 'share'}:{random_digits(19, '7')}"
    call.context.publish(
        owner,
        kind=kind,
        remote_id=urn,
        caption=render(body["commentary"]),
        media=[one["media"] for one in assets],
        url=f"https://www.linkedin.com/feed/update/{urn}/",
        late=call.take_visibility_delay(),
        public=body["visibility"] == "PUBLIC",
        body=body,
        thumbnail=next((one.get("thumbnail") for one in assets), None),
    )
    twin = {"key": duplicate_key, "urn": urn, "at": call.context.clock.now()}
    call.context.store.put(_DUPLICATE, duplicate_key, twin)
    return web.Response(status=201, headers={"x-restli-id": urn, "x-linkedin-id": urn})


def _hash_post(body: Record, assets: list[Record]) -> str:
    """Return the hash of what makes two posts duplicates: author, commentary and media (or content)."""
    facts = [body["author"], body["commentary"], [asset["key"] for asset in assets], body.get("content")]
    return hashlib.sha256(encode(facts[:3] if assets else facts).encode()).hexdigest()


def _check_not_duplicate(call: Call, body: Record, duplicate_key: str) -> None:
    earlier = call.context.store.get(_DUPLICATE, duplicate_key)
    if earlier is None or call.context.clock.now() >= earlier["at"] + _DUPLICATE_S:
        return
    raise Refused(
        json_response(fill(TABLE["answers"]["duplicate"], author=body["author"], twin=earlier), 422)
    )


def _post_to_dict(live: LivePost) -> Record:
    body = live.entry["extra"]["body"]
    post = fill(TABLE["answers"]["post"], entry=live.entry, at=int(live.created_at * 1000))
    return post | {name: body[name] for name in TABLE["shown"] if name in body}


def _check_readable(call: Call, account: Record, author: str) -> None:
    """Raise Refused unless `author` is an organization of the token; a member's own posts are not readable."""
    is_organization = author.startswith(api.ORGANIZATION) and api.acts_for(call, account, author)
    if not is_organization or not api.has_scope(call, account, api.READ_ORGANIZATION):
        raise refuse("missing_scope")


async def list_posts(call: Call, account: Record) -> web.Response:
    """GET /rest/posts?q=author&author=…: newest first."""
    query = call.request.query
    if query.get("q") != "author" or not query.get("author"):
        raise refuse("no_query_author")
    _check_readable(call, account, query["author"])
    rows = [_post_to_dict(live) for live in call.list_live(query["author"])]
    return json_response(api.paginate(call, rows))


async def read(call: Call, account: Record) -> web.Response:
    """GET /rest/posts/{urn}."""
    urn = api.get_path_urn(call)
    known = call.context.ledger.find(api.PLATFORM, urn)
    if known is not None:
        _check_readable(call, account, known.entry["account"])
    live = call.find_live(urn)
    if live is None:
        raise refuse("not_found", urn=urn)
    return json_response(_post_to_dict(live))


async def delete(call: Call) -> web.Response:
    """DELETE /rest/posts/{urn}: 204, also when repeated."""
    api.authenticate(call)
    urn = api.get_path_urn(call)
    live = call.context.ledger.find(api.PLATFORM, urn)
    if live is not None:
        api.authorize_author(call, live.entry["account"], "author")
        call.delete_live(live)
    return web.Response(status=204)


def find_owner(call: Call) -> Record | None:
    """Return the author that the request names, else the account of the token."""
    urn = call.request.query.get("author") or (call.json().get("author") if call.body else None)
    return api.find_owner(call, urn)


def _is_feed(value: Any, allowed: Any) -> bool:
    return value.get("feedDistribution") in allowed


def _check_fields(body: Record) -> None:
    """Raise Refused if a field other than the content is missing or invalid."""
    for name in TABLE["required"]:
        if body.get(name) is None:
            raise refuse("missing_field", name=name)
    check_fields(body, TABLE["post"], refuse, {**KINDS, "feed": _is_feed})


def _resolve_content(call: Call, owner: Record, given: Record | None) -> tuple[str, list[Record]]:
    """Return the kind of the post and its assets; raises Refused."""
    if given is None:
        return "text", []
    types = [kind for kind, inner in given.items() if inner is not None]
    if len(types) != 1 or types == ["carousel"]:  # carousels are for ads only
        raise refuse("content_type")
    inner = given[types[0]]
    if types == ["article"]:
        if not inner.get("source"):
            raise refuse("missing_field", name="content.article.source")
        return "article", []
    if types == ["media"]:
        record = _get_available(call, owner, inner)
        if record["kind"] == "document" and not inner.get("title"):
            raise refuse("missing_field", name="content.media.title")
        return record["kind"], [record]
    check_fields(inner, TABLE["multi_image"], refuse)
    assets = [_get_available(call, owner, one) for one in inner["images"]]
    if any(record["kind"] != "image" for record in assets):
        raise refuse("images_only")
    return "photos", assets


def _get_available(call: Call, owner: Record, given: Record) -> Record:
    urn = given.get("id")
    if len(given.get("altText") or "") > _MAX_ALT_TEXT:
        raise refuse("alt_text", most=_MAX_ALT_TEXT)
    if not isinstance(urn, str) or not urn.startswith(("urn:li:image:", "urn:li:video:", "urn:li:document:")):
        raise refuse("no_asset", urn=urn)
    record = call.context.store.get(asset.KIND, urn)
    if record is None:
        raise refuse("unknown_asset", urn=urn)
    if record["account"] != owner["remote_id"]:
        raise refuse("foreign_asset")
    if record["state"] != "AVAILABLE":
        raise refuse("failed_asset" if record["state"] == "PROCESSING_FAILED" else "waiting_asset", urn=urn)
    return record


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


_ROUTES = (
    *read_routes(TABLE["routes"], api=api, asset=asset, comments=comments, posts=sys.modules[__name__]),
    api.CONSENT.route("/linkedin-www/oauth/v2/authorization"),
    api.TOKENS.route("/linkedin-www/oauth/v2/accessToken"),
)


def _is_organization(options: Record) -> bool:
    return options.get("kind") == "organization"


def _list_scopes(options: Record) -> tuple[str, ...]:
    if _is_organization(options):
        return tuple(scope for scope in api.SCOPES if scope != api.WRITE[api.PERSON])
    return ("openid", "profile", api.WRITE[api.PERSON])


def _make_urn(options: Record) -> str:
    if _is_organization(options):
        return api.ORGANIZATION + random_digits(8, "5")
    return api.PERSON + secrets.token_urlsafe(8)[:10].replace("-", "x").replace("_", "y")


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve LinkedIn on `app`."""
    context.accounts.define(
        api.PLATFORM,
        AccountKind(
            new_id=_make_urn,
            scopes=_list_scopes,
            connection=lambda options: "organization" if _is_organization(options) else "person",
            has_refresh_token=lambda account: bool(account["options"].get("partner")),
            **api.TABLE["account"],
        ),
    )
    context.processing.define(asset.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
