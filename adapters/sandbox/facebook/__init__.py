"""Facebook Pages on Meta's Graph API v25, as documented on 2026-11-24; Facebook Login, and the user of the Pages.

User tokens, the list of Pages with their tokens, permissions.
"""

import sys

from aiohttp import web

from adapters.sandbox import endpoint, graph
from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import fill
from adapters.sandbox.endpoint import Call, mount_routes
from adapters.sandbox.facebook import comments, post, story, video
from adapters.sandbox.facebook.post import DIALECT, PLATFORM, USER, ok, refuse
from adapters.sandbox.graph import TABLE
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, check_client
from adapters.sandbox.store import Record

USER_ID = "10158000000000001"
"""Id of the one user who manages every Page."""
_PAGE_TOKEN = "facebook.page_token"  # noqa: S105 - the kind of a record
_INSTAGRAM = "instagram"
_SHORT_S = 5400.0
_LONG_S = 60 * DAY
_IS_LONG_S = 7200.0


def _get_code_fields(_: SandboxContext, given: Record, pages: list[Record]) -> Record:
    """Return the fields of an authorization code: the Pages the user chose, and the granted scopes."""
    scopes = [scope for scope in parse_scopes(given) if scope in TABLE["user_scopes"]]
    return {
        "pages": [page["remote_id"] for page in pages],
        "scopes": scopes or list(TABLE["account"]["scopes"]),
    }


def _issue_user_token(context: SandboxContext, source: Record, life: float) -> Record:
    """Issue a user token for the Pages and scopes of `source` (a code or a token), valid for `life` seconds."""
    more = {
        "pages": source.get("pages", [source["remote_id"]]),
        "scopes": source.get("scopes", list(TABLE["account"]["scopes"])),
        "is_long": life > _IS_LONG_S,
    }
    owner = {"platform": PLATFORM, "remote_id": USER_ID}
    text = context.accounts.create_token(owner, USER, "EAA", life, 0.0, more)
    return {"access_token": text, "token_type": "bearer", "expires_in": int(life)}


_CONSENT = ConsentScreen(code_fields=_get_code_fields, **TABLE["consent"])
_CODES = TokenEndpoint(
    platform=PLATFORM,
    render=graph.error_response,
    read=graph.read_parameters,
    respond=graph.ok,
    grants=None,
    issue=lambda call, _, code: _issue_user_token(call.context, code, _SHORT_S),
    **TABLE["tokens"],
)


async def issue_token(call: Call) -> web.Response:
    """GET or POST /oauth/access_token."""
    given = graph.read_parameters(call)
    if given.get("grant_type") != "fb_exchange_token":
        return await _CODES.serve(call)
    try:
        check_client(call.context, PLATFORM, given.get("client_id"), given.get("client_secret"))
    except GrantRefused as refusal:
        raise _CODES.refuse(refusal) from None
    found = call.context.accounts.find_token(PLATFORM, str(given.get("fb_exchange_token") or ""))
    if found is None or found["role"] not in (USER, "short"):
        raise refuse("unknown_token")
    _check_state(call, found)
    return ok(_issue_user_token(call.context, found, _LONG_S))


def _check_state(call: Call, found: Record) -> None:
    if (state := call.context.accounts.get_token_state(found)) != "valid":
        raise refuse(state)


def get_token_step(call: Call) -> str:
    """Return `refresh` for the exchange of a user token."""
    return "refresh" if graph.read_parameters(call).get("grant_type") == "fb_exchange_token" else "oauth"


async def debug_token(call: Call) -> web.Response:
    """GET /debug_token?input_token=…&access_token=<app id>|<app secret>."""
    given = graph.read_parameters(call)
    app, _, secret = str(given.get("access_token") or "").partition("|")
    try:
        check_client(call.context, PLATFORM, app, secret)
    except GrantRefused:
        raise refuse("unknown_token") from None
    found = call.context.accounts.find_token(PLATFORM, str(given.get("input_token") or ""))
    known = fill(TABLE["answers"]["no_token"]) if found is None else _describe_token(call, app, found)
    return ok({"data": known})


def _describe_token(call: Call, app: str, found: Record) -> Record:
    accounts = call.context.accounts
    is_user, owner = found["role"] == USER, call.find_token_owner(found)
    scopes = list(found["scopes"]) if owner is None else accounts.list_granted_scopes(found, owner)
    targets = found["pages"] if is_user else [found["remote_id"]]
    facts = fill(
        TABLE["answers"]["debug_token"],
        app=app,
        type="USER" if is_user else "PAGE",
        expires_at=int(found["expires_at"] or 0),
        issued_at=int(found["issued_at"]),
        is_valid=accounts.get_token_state(found) == "valid",
        scopes=scopes,
        user=USER_ID,
        granular=[{"scope": one, "target_ids": targets} for one in scopes if one.startswith("pages_")],
    )
    return facts if is_user else facts | {"profile_id": found["remote_id"]}


def find_token_owner(call: Call) -> Record | None:
    """Return the first Page of the code or token among the parameters, or None."""
    given = graph.read_parameters(call)
    text = str(given.get("fb_exchange_token") or given.get("code") or "")
    found = call.context.accounts.find_token(PLATFORM, text)
    pages = [] if found is None else found.get("pages", [found["remote_id"]])
    return call.context.accounts.find(PLATFORM, pages[0]) if pages else None


def _find_user(call: Call) -> Record | None:
    """Return the record of the request's token if it is a user's, else None. Raises Refused if it is not valid."""
    token = call.find_token()
    if token is None or token["role"] != USER:
        return None
    _check_state(call, token)
    return token


def authenticate_user(call: Call) -> Record:
    """Return the record of the request's user token; raises Refused."""
    token = call.find_token()
    if token is None:
        raise refuse("unknown_token")
    _check_state(call, token)
    if token["role"] != USER:
        raise refuse("page_token")
    return token


def _get_page_token(call: Call, user: Record, account: Record) -> str:
    """Return this user's token for the Page; the same one each time while it is valid."""
    context, key = call.context, f"{graph.read_token(call)}:{account['remote_id']}"
    kept = context.store.get(_PAGE_TOKEN, key)
    if kept is not None:
        token = context.accounts.find_token(PLATFORM, kept["token"])
        if token is not None and context.accounts.get_token_state(token) == "valid":
            return str(kept["token"])
    more: Record = {"scopes": user["scopes"]}
    linked = _find_linked_instagram(context, account)
    if linked is not None and any(scope.startswith(_INSTAGRAM) for scope in user["scopes"]):
        more["acts_for"] = [f"{_INSTAGRAM}:{linked['remote_id']}"]
    # A long-lived user token gives a Page token that does not expire; a short-lived one expires with it.
    life = None if user["is_long"] else max(0.0, user["expires_at"] - context.clock.now())
    made = context.accounts.create_token(account, "access", "EAA", life, 0.0, more)
    context.store.put(_PAGE_TOKEN, key, {"token": made})
    return made


def _find_linked_instagram(context: SandboxContext, account: Record) -> Record | None:
    """Return the Instagram account linked to a Page: by option `instagram`, else by the same username."""
    name = account["options"].get("instagram", account["username"])
    return context.accounts.find_by_username(_INSTAGRAM, name)


def _page_to_dict(call: Call, account: Record, token: str | None) -> Record:
    linked = _find_linked_instagram(call.context, account)
    return fill(
        TABLE["answers"]["page"],
        account=account,
        token=token,
        tasks=list(account["options"].get("tasks", post.TASKS)),
        instagram=linked and {"id": linked["remote_id"], "username": linked["username"]},
    )


def _list_own_pages(call: Call, user: Record) -> list[Record]:
    found = (call.context.accounts.find(PLATFORM, key) for key in user["pages"])
    return [account for account in found if account is not None]


async def list_pages(call: Call, user: Record) -> web.Response:
    """GET /me/accounts: the user's Pages with their tokens, except Pages of a business (option `business`)."""
    listed = [one for one in _list_own_pages(call, user) if not one["options"].get("business")]
    rows = [_page_to_dict(call, one, _get_page_token(call, user, one)) for one in listed]
    return ok(graph.paginate(call, rows, "access_token,category,name,id,tasks"))


async def read_me(call: Call) -> web.Response:
    """GET /me: the user or the Page that the token belongs to."""
    if _find_user(call) is None:
        return await read_page(call)
    return ok(graph.select_fields(call, {"id": USER_ID, "name": "Sandbox Person"}, "id,name"))


async def revoke_permissions(call: Call, user: Record) -> web.Response:
    """DELETE /me/permissions: end the user's grant, and so all tokens that were made from it."""
    for key in user["pages"]:
        call.context.accounts.set_token_state(PLATFORM, key, "revoked")
    call.context.accounts.revoke_token(str(graph.read_token(call)), user)
    return ok({"success": True})


async def read_page(call: Call) -> web.Response:
    """GET /{page}; for a user token the response includes the Page's token, as in /me/accounts."""
    user, node = _find_user(call), graph.get_node_id(call.request)
    if user is None:
        account: Record | None = graph.check_node(call, call.authenticate())
    else:
        account = next((one for one in _list_own_pages(call, user) if one["remote_id"] == node), None)
    if account is None:
        raise graph.unknown_node(node)
    token = graph.read_token(call) if user is None else _get_page_token(call, user, account)
    page = graph.select_fields(call, _page_to_dict(call, account, token), "name,id")
    return ok(page, account if user is None else None)


def get_create_step(call: Call) -> str:
    """Return the step of POST /{page}/videos: the request that publishes is `finalize`."""
    given = graph.read_parameters(call)
    phase = graph.read_enum(given, "upload_phase")
    if phase == "FINISH" and graph.is_true(given, "published", default=True):
        return "finalize"
    return "upload" if phase == "TRANSFER" else "prepare"


def get_reel_step(call: Call) -> str:
    """Return the step of POST /{page}/video_reels: the finish as PUBLISHED is `finalize`."""
    given = graph.read_parameters(call)
    asked = tuple(graph.read_enum(given, name) for name in ("upload_phase", "video_state"))
    return "finalize" if asked == ("FINISH", "PUBLISHED") else "prepare"


_HOST = "facebook"
_UPLOADS = (
    video.UPLOAD.route("/rupload/video-upload/{version}/{video}"),
    video.UPLOAD.route("/rupload/video-upload/{video}"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Pages on `app`."""
    context.accounts.define(PLATFORM, AccountKind(**TABLE["account"], get_user=lambda _: USER_ID))
    context.processing.define(video.TASK)

    def is_me(node: str, request: web.Request) -> bool:
        return node == USER_ID or graph.is_me(node, request, context, PLATFORM)

    def is_page(node: str, request: web.Request) -> bool:
        return is_me(node, request) or context.accounts.find(PLATFORM, node) is not None

    owners: dict[str, graph.Owns] = {"me": is_me, "page": is_page}
    owners |= {name: graph.match_name(name) for name in ("oauth", "debug_token")}
    owners |= {kind: graph.match_record(context, kind) for kind in (post.KIND, post.PHOTO_KIND, video.KIND)}
    modules = {
        "pages": sys.modules[__name__],
        "comments": comments,
        "post": post,
        "story": story,
        "video": video,
        "endpoint": endpoint,
    }
    rows = graph.read_rows(TABLE["routes"], owners, **modules)
    rows.append((graph.match_name("dialog"), _CONSENT.route("oauth")))
    context.graph.add_routes(_HOST, PLATFORM, DIALECT, rows)
    context.graph.mount(app, _HOST)
    mount_routes(app, context, PLATFORM, DIALECT, _UPLOADS)
