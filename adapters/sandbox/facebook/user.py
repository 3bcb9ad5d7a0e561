"""Facebook Login, and the user who manages the Pages: user tokens, the list of Pages with their tokens, permissions."""

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.clock import DAY
from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import api
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, check_client
from adapters.sandbox.store import Record

USER_ID = "10158000000000001"
"""Id of the one user who manages every Page."""
SCOPES = (
    "pages_show_list",
    "pages_read_engagement",
    "pages_manage_posts",
    "instagram_basic",
    "instagram_content_publish",
    "business_management",
    "public_profile",
)
_PAGE_TOKEN = "facebook.page_token"  # noqa: S105 - the kind of a record
_INSTAGRAM = "instagram"


_SHORT_S = 5400.0
_LONG_S = 60 * DAY
_IS_LONG_S = 7200.0


def _get_code_fields(_: SandboxContext, given: Record, pages: list[Record]) -> Record:
    """Return the fields of an authorization code: the Pages the user chose, and the granted scopes."""
    scopes = [scope for scope in parse_scopes(given) if scope in SCOPES]
    return {"pages": [page["remote_id"] for page in pages], "scopes": scopes or list(SCOPES[:3])}


def _create_user_token(context: SandboxContext, source: Record, life: float) -> str:
    """Create a user token for the Pages and scopes of `source` (a code or a token), valid for `life` seconds."""
    more = {
        "pages": source.get("pages", [source["remote_id"]]),
        "scopes": source.get("scopes", list(SCOPES[:3])),
        "is_long": life > _IS_LONG_S,
    }
    return context.accounts.create_token(
        {"platform": api.PLATFORM, "remote_id": USER_ID}, api.USER, "EAA", life, 0.0, more
    )


CONSENT = ConsentScreen(code_fields=_get_code_fields, **graph.TABLE["consent"])


def _token_to_dict(text: str, life: float) -> Record:
    return {"access_token": text, "token_type": "bearer", "expires_in": int(life)}


def _issue_short_lived(call: Call, _: Record, code: Record) -> Record:
    return _token_to_dict(_create_user_token(call.context, code, _SHORT_S), _SHORT_S)


CODES = TokenEndpoint(
    platform=api.PLATFORM,
    render=graph.error_response,
    read=graph.read_parameters,
    respond=graph.ok,
    grants=None,
    issue=_issue_short_lived,
    **graph.TABLE["tokens"],
)


async def issue_token(call: Call) -> web.Response:
    """GET or POST /oauth/access_token."""
    given = graph.read_parameters(call)
    if given.get("grant_type") != "fb_exchange_token":
        return await CODES.serve(call)
    try:
        check_client(call.context, api.PLATFORM, given.get("client_id"), given.get("client_secret"))
    except GrantRefused as refusal:
        CODES.refuse(refusal)
    found = call.context.accounts.find_token(api.PLATFORM, str(given.get("fb_exchange_token") or ""))
    if found is None or found["role"] not in (api.USER, "short"):
        raise graph.refuse(*graph.TABLE["errors"]["unknown_token"])
    _check_state(call, found)
    return api.ok(_token_to_dict(_create_user_token(call.context, found, _LONG_S), _LONG_S))


def _check_state(call: Call, found: Record) -> None:
    if (state := call.context.accounts.get_token_state(found)) != "valid":
        raise graph.refuse(190, 463 if state == "expired" else 458, "Error validating access token")


def get_token_step(call: Call) -> str:
    """Return `refresh` for the exchange of a user token."""
    return "refresh" if graph.read_parameters(call).get("grant_type") == "fb_exchange_token" else "oauth"


async def debug_token(call: Call) -> web.Response:
    """GET /debug_token?input_token=…&access_token=<app id>|<app secret>."""
    given = graph.read_parameters(call)
    app, _, secret = str(given.get("access_token") or "").partition("|")
    try:
        check_client(call.context, api.PLATFORM, app, secret)
    except GrantRefused:
        raise graph.refuse(*graph.TABLE["errors"]["unknown_token"]) from None
    accounts = call.context.accounts
    found = accounts.find_token(api.PLATFORM, str(given.get("input_token") or ""))
    if found is None:
        error = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        return api.ok({"data": {"error": error, "is_valid": False, "scopes": []}})
    return api.ok({"data": _describe_token(call, app, found)})


def _describe_token(call: Call, app: str, found: Record) -> Record:
    accounts = call.context.accounts
    is_user = found["role"] == api.USER
    owner = accounts.find(api.PLATFORM, found["remote_id"])
    scopes = list(found["scopes"]) if owner is None else accounts.list_granted_scopes(found, owner)
    targets = found["pages"] if is_user else [found["remote_id"]]
    facts: Record = {"app_id": app, "type": "USER" if is_user else "PAGE", "application": "Slipway"}
    facts |= {"expires_at": int(found["expires_at"] or 0), "issued_at": int(found["issued_at"])}
    facts |= {
        "is_valid": accounts.get_token_state(found) == "valid",
        "scopes": scopes,
        "user_id": USER_ID,
    }
    if not is_user:
        facts["profile_id"] = found["remote_id"]
    facts["granular_scopes"] = [
        {"scope": scope, "target_ids": targets} for scope in scopes if scope.startswith("pages_")
    ]
    return facts


def find_token_owner(call: Call) -> Record | None:
    """Return the first Page of the code or token among the parameters, or None."""
    given = graph.read_parameters(call)
    text = str(given.get("fb_exchange_token") or given.get("code") or "")
    found = call.context.accounts.find_token(api.PLATFORM, text)
    pages = [] if found is None else found.get("pages", [found["remote_id"]])
    return call.context.accounts.find(api.PLATFORM, pages[0]) if pages else None


def _authenticate_user(call: Call) -> tuple[str, Record]:
    """Return the request's user token and its record; raises Refused."""
    text = graph.read_token(call)
    token = None if text is None else call.context.accounts.find_token(api.PLATFORM, text)
    if text is None or token is None:
        raise graph.refuse(*graph.TABLE["errors"]["unknown_token"])
    _check_state(call, token)
    if token["role"] != api.USER:
        raise graph.refuse(
            100, None, "(#100) Tried accessing nonexisting field (accounts) on node type (Page)"
        )
    return text, token


def _get_page_token(call: Call, text: str, user: Record, account: Record) -> str:
    """Return this user's token for the Page; the same one each time while it is valid."""
    context, key = call.context, f"{text}:{account['remote_id']}"
    kept = context.store.get(_PAGE_TOKEN, key)
    if kept is not None:
        token = context.accounts.find_token(api.PLATFORM, kept["token"])
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
    return context.accounts.find_by_username(
        _INSTAGRAM, account["options"].get("instagram", account["username"])
    )


def _page_to_dict(call: Call, account: Record, token: str) -> Record:
    linked = _find_linked_instagram(call.context, account)
    return {
        "id": account["remote_id"],
        "name": account["display_name"],
        "username": account["username"],
        "access_token": token,
        "category": "Software",
        "tasks": list(account["options"].get("tasks", api.TASKS)),
        "link": f"https://www.facebook.com/{account['remote_id']}",
        "instagram_business_account": linked and {"id": linked["remote_id"], "username": linked["username"]},
    }


def _list_own_pages(call: Call, user: Record) -> list[Record]:
    found = (call.context.accounts.find(api.PLATFORM, key) for key in user["pages"])
    return [account for account in found if account is not None]


async def list_pages(call: Call) -> web.Response:
    """GET /me/accounts: the user's Pages with their tokens, except Pages of a business (option `business`)."""
    text, user = _authenticate_user(call)
    listed = [account for account in _list_own_pages(call, user) if not account["options"].get("business")]
    rows = [_page_to_dict(call, account, _get_page_token(call, text, user, account)) for account in listed]
    return api.ok(api.paginate(call, rows, "access_token,category,name,id,tasks"))


async def read_me(call: Call) -> web.Response:
    """GET /me: the user or the Page that the token belongs to."""
    text = graph.read_token(call)
    token = None if text is None else call.context.accounts.find_token(api.PLATFORM, text)
    if token is None or token["role"] != api.USER:
        return await read_page(call)
    _authenticate_user(call)
    return api.ok(api.select_fields(call, {"id": USER_ID, "name": "Sandbox Person"}, "id,name"))


async def read_page(call: Call) -> web.Response:
    """GET /{page}; for a user token the response includes the Page's token, as in /me/accounts."""
    text = graph.read_token(call)
    token = None if text is None else call.context.accounts.find_token(api.PLATFORM, text)
    node = graph.get_node_id(call.request)
    if text is not None and token is not None and token["role"] == api.USER:
        _authenticate_user(call)
        account = next((page for page in _list_own_pages(call, token) if page["remote_id"] == node), None)
        if account is None:
            raise graph.unknown_node(node)
        return api.ok(
            api.select_fields(
                call, _page_to_dict(call, account, _get_page_token(call, text, token, account)), "name,id"
            )
        )
    account = call.authenticate()
    if node not in ("me", account["remote_id"]):
        raise graph.unknown_node(node)
    return api.ok(api.select_fields(call, _page_to_dict(call, account, text or ""), "name,id"), account)


async def list_permissions(call: Call) -> web.Response:
    """GET /me/permissions."""
    _, user = _authenticate_user(call)
    return api.ok({"data": [{"permission": scope, "status": "granted"} for scope in user["scopes"]]})
