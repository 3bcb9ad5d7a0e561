"""Instagram's Content Publishing API v25, on both of its hosts, and Instagram Login, as documented on 2026-11-24.

Publication of containers, the daily publishing limit, reads, and authorization codes, short-lived and long-lived
tokens. There are no refresh tokens.

The owner of media comments on it, and lists its comments, newest first, 50 a page: developers.facebook.com
ig-media/comments, v25.0 text of 2026-09-11, read 2026-11-29. The ids of authors are scoped to the app, so they are not
those of accounts.
"""

import hashlib
import sys

from aiohttp import web

from adapters.sandbox import comments, graph
from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import fill, json_response
from adapters.sandbox.endpoint import Call, Limit, Route, mount_routes
from adapters.sandbox.instagram import container
from adapters.sandbox.instagram.container import DIALECT, KIND, PLATFORM, TABLE, authenticate_account, refuse
from adapters.sandbox.oauth import TokenEndpoint
from adapters.sandbox.store import LivePost, Record

_SHORT_S = 3600.0
_COMMENTS_PAGE = 50
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _get_limit(account: Record) -> Limit:
    name, total, span, error = TABLE["limits"]["posts"]
    return name, int(account["options"].get("quota_total", total)), span, error


async def publish(call: Call, account: Record) -> web.Response:
    """POST /{ig}/media_publish: publish a container, once; a repetition is refused."""
    record = _get_ready(
        call, account, str(graph.read_typed(call, "IGUser.create_media_publish").get("creation_id") or "")
    )
    call.count(_get_limit(account), account["remote_id"])
    media_id = random_digits(17, "179")
    call.context.publish(
        account,
        kind=record["kind"],
        remote_id=media_id,
        handle=record["key"],
        caption=record["caption"],
        media=record["media"],
        url=_build_permalink(account, record, media_id),
        late=call.take_visibility_delay() + record.get("late", 0.0),
        public=record["kind"] != "story",
        **record["extra"],
    )
    call.save(KIND, record, state="PUBLISHED", media_id=media_id)
    return graph.ok({"id": media_id})


def _get_ready(call: Call, account: Record, key: str) -> Record:
    if not key:
        raise refuse("no_creation_id")
    record = call.context.store.get(KIND, key)
    if record is None:
        raise refuse("unknown_container")
    if record["account"] != account["remote_id"] or record["child"]:
        raise refuse("foreign_container")
    state = container.get_state(call.context, record)
    if state != "FINISHED":
        raise refuse("expired_container" if state == "EXPIRED" else "unready_container")
    return record


def _build_permalink(account: Record, record: Record, media_id: str) -> str:
    if record["kind"] == "story":
        return f"https://www.instagram.com/stories/{account['username']}/{media_id}/"
    number, short = int(media_id), ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        short = _ALPHABET[digit] + short
    path = "reel" if record["kind"] == "reel" else "p"
    return f"https://www.instagram.com/{path}/{short}/"


async def read_limit(call: Call, account: Record) -> web.Response:
    """GET /{ig}/content_publishing_limit?fields=quota_usage,config."""
    fields = call.request.query.get("fields", "quota_usage").split(",")
    name, total, span, _ = _get_limit(account)
    used = call.context.rate_windows.count_used(f"{name}:{account['remote_id']}", span)
    if call.take_fault("quota-exhausted") is not None:
        used = total
    known = {"quota_usage": used, "config": {"quota_total": total, "quota_duration": span}}
    return graph.ok({"data": [{name: known[name] for name in fields if name in known}]})


async def read_container(call: Call) -> web.Response:
    """GET /{container}?fields=status_code,status."""
    record = graph.get_own(call, call.authenticate(), KIND)
    known = {"id": record["key"], "status_code": container.get_state(call.context, record)}
    known["status"] = container.describe_status(call.context, record)
    return graph.ok(graph.select_fields(call, known, "id"))


def _media_to_dict(live: LivePost) -> Record:
    entry = live.entry
    media = fill(
        TABLE["answers"]["media"],
        entry=entry,
        timestamp=graph.to_time(live.created_at),
        type=TABLE["media_types"].get(entry["kind"]) or _name_type(entry["media"][0]),
        product=TABLE["product_types"].get(entry["kind"], "FEED"),
        shortcode=entry["url"].rstrip("/").rpartition("/")[2],
    )
    return media | {"children": _children_to_dict(entry)}


def _children_to_dict(entry: Record) -> Record | None:
    """Return the parts of a carousel; other media have none."""
    if entry["kind"] != "carousel":
        return None
    types = map(_name_type, entry["media"])
    return {"data": [{"id": f"{entry['remote_id']}{n}", "media_type": one} for n, one in enumerate(types)]}


def _name_type(media: Record) -> str:
    return "VIDEO" if "duration" in media else "IMAGE"


async def read_media(call: Call, account: Record) -> web.Response:
    """GET /{media}?fields=id,permalink,timestamp,media_type,media_product_type,caption,comments_count."""
    key = graph.get_node_id(call.request)
    live = call.find_live(key)
    if live is None or live.entry["account"] != account["remote_id"]:
        raise graph.unknown_node(key)
    known = _media_to_dict(live) | {"comments_count": comments.count(call.context, live)}
    return graph.ok(graph.select_fields(call, known, "id"))


async def list_media(call: Call, is_story: bool) -> web.Response:
    """GET /{ig}/media: newest first, without stories; or /{ig}/stories: for 24 hours."""
    account, oldest = authenticate_account(call), call.context.clock.now() - DAY
    listed = [
        live
        for live in graph.list_live(call, account)
        if (live.entry["kind"] == "story") == is_story and (not is_story or live.created_at >= oldest)
    ]
    rows = [_media_to_dict(live) for live in listed]
    return graph.ok(graph.paginate(call, rows, "id"))


async def read_account(call: Call) -> web.Response:
    """GET /me, or /{ig}."""
    known = fill(TABLE["answers"]["account"], account=authenticate_account(call))
    return graph.ok(graph.select_fields(call, known, "id"))


def _issue_short_lived(call: Call, account: Record, code: Record) -> Record:
    accounts = call.context.accounts
    scopes = accounts.list_granted_scopes(code, account)
    text = accounts.create_token(account, "short", "IGAA", _SHORT_S, 0.0, {"scopes": scopes})
    return {"access_token": text, "user_id": int(account["remote_id"]), "permissions": scopes}


def _check_grant_type(_: Call, given: Record) -> None:
    if given.get("grant_type") != "authorization_code":
        raise refuse("grant_type", grant="authorization_code")


_CONSENT = ConsentScreen(**TABLE["consent"])
_TOKENS = TokenEndpoint(
    platform=PLATFORM,
    # api.instagram.com has an envelope of its own
    render=lambda message: json_response(fill(TABLE["answers"]["oauth_error"], message=message), 400),
    read=graph.read_parameters,
    check=_check_grant_type,
    issue=_issue_short_lived,
    **TABLE["tokens"],
)


def _authenticate_token(call: Call, grant: str, role: str) -> tuple[Record, Record]:
    """Return the request's token and account. Raises Refused unless the grant type and the token's role match."""
    if call.request.query.get("grant_type") != grant:
        raise refuse("grant_type", grant=grant)
    account = call.authenticate()
    token = call.find_token()
    if token is None or token["role"] != role:
        raise refuse("token_role", role=role)
    return token, account


def _issue_long_lived(call: Call, account: Record, source: Record) -> web.Response:
    issued = call.context.accounts.issue_tokens(account, source=source)
    return graph.ok(fill(TABLE["answers"]["token"], issued=issued))


async def refresh(call: Call) -> web.Response:
    """GET /refresh_access_token: renew a token that is at least a day old and has not expired."""
    token, account = _authenticate_token(call, "ig_refresh_token", "access")
    if call.context.clock.now() < token["issued_at"] + DAY:
        raise refuse("young_token")
    return _issue_long_lived(call, account, token)


async def exchange(call: Call) -> web.Response:
    """GET /access_token: exchange a short-lived token for a long-lived one."""
    if not call.request.query.get("client_secret"):
        raise refuse("no_secret")
    short, account = _authenticate_token(call, "ig_exchange_token", "short")
    return _issue_long_lived(call, account, short)


async def create_comment(call: Call, account: Record) -> web.Response:
    """POST /{media}/comments."""
    text = str(graph.read_typed(call, "IGMedia.create_comment").get("message") or "")
    live = _get_commented(call, account)
    if not text.strip():
        raise refuse("no_message")
    return graph.ok({"id": comments.publish(call, account, live, text)["key"]})


async def list_comments(call: Call, account: Record) -> web.Response:
    """GET /{media}/comments: the top level; no filter by time."""
    rows = [_comment_to_dict(one) for one in comments.list_on(call, _get_commented(call, account))]
    return graph.ok(graph.paginate(call, rows, "id,text,timestamp", _COMMENTS_PAGE))


def _get_commented(call: Call, account: Record) -> LivePost:
    key = graph.get_node_id(call.request)
    return comments.get_post(call, key, account, graph.unknown_node(key))


def _comment_to_dict(record: Record) -> Record:
    scoped = str(int(hashlib.sha256(record["author"].encode()).hexdigest()[:12], 16))
    at = graph.to_time(record["created"])
    return fill(TABLE["answers"]["comment"], record=record, created=at, author=scoped)


_UPLOAD = container.UPLOAD.route("/rupload/ig-api-upload/{version}/{container}")


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Instagram on `app`."""
    context.accounts.define(
        PLATFORM, AccountKind(**TABLE["account"], get_user=lambda account: account["remote_id"])
    )
    context.processing.define(container.TASK)
    for host in ("instagram", "facebook"):
        context.graph.add_routes(host, PLATFORM, DIALECT, _list_rows(context, host))
        context.graph.mount(app, host)
    login = [(graph.match_name("oauth"), _CONSENT.route("authorize"))]
    login.append((graph.match_name("oauth"), _TOKENS.route("access_token", step="oauth")))
    context.graph.add_routes("instagram", PLATFORM, DIALECT, login)
    mount_routes(app, context, PLATFORM, DIALECT, (_UPLOAD,))


def _list_rows(context: SandboxContext, host: str) -> list[tuple[graph.Owns, Route]]:
    """Return the rows of a host; those of Instagram Login are on Instagram's own only."""

    def is_account(node: str, request: web.Request) -> bool:
        is_own = graph.is_me(node, request, context, PLATFORM) or (node == "me" and host == "instagram")
        return is_own or context.accounts.find(PLATFORM, node) is not None

    owners: dict[str, graph.Owns] = {"account": is_account, KIND: graph.match_record(context, KIND)}
    owners["media"] = lambda node, _: context.ledger.find(PLATFORM, node) is not None
    if host == "instagram":
        owners |= {name: graph.match_name(name) for name in ("refresh_access_token", "access_token")}
    modules = {"container": container, "call": Call, "media": sys.modules[__name__]}
    return graph.read_rows(TABLE["routes"], owners, **modules)
