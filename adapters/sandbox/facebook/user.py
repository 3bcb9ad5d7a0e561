"""The user who manages the Pages: user tokens, the list of Pages with their tokens, and permissions."""

from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox import graph_node
from adapters.sandbox.consent import parse_scopes
from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook.dialect import DIALECT, PLATFORM, TASKS, USER, ok, paginate, select_fields
from adapters.sandbox.graph_dialect import read_token, refuse
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

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


def get_code_fields(_: "SandboxContext", given: Record, pages: list[Record]) -> Record:
    """Return the fields of an authorization code: the Pages the user chose, and the granted scopes."""
    scopes = [scope for scope in parse_scopes(given) if scope in SCOPES]
    return {"pages": [page["remote_id"] for page in pages], "scopes": scopes or list(SCOPES[:3])}


def create_user_token(context: "SandboxContext", source: Record, life: float) -> str:
    """Create a user token for the Pages and scopes of `source` (a code or a token), valid for `life` seconds."""
    more = {
        "pages": source.get("pages", [source["remote_id"]]),
        "scopes": source.get("scopes", list(SCOPES[:3])),
        "is_long": life > _SHORT_S,
    }
    return context.accounts.create_token(
        {"platform": PLATFORM, "remote_id": USER_ID}, USER, "EAA", life, 0.0, more
    )


_SHORT_S = 7200.0


def _authenticate_user(call: Call) -> tuple[str, Record]:
    """Return the request's user token and its record; raises Refused."""
    text = read_token(call)
    token = None if text is None else call.context.accounts.find_token(PLATFORM, text)
    if text is None or token is None:
        raise refuse(190, None, "Invalid OAuth access token - Cannot parse access token")
    if (state := call.context.accounts.get_token_state(token)) != "valid":
        raise refuse(190, 463 if state == "expired" else 458, "Error validating access token")
    if token["role"] != USER:
        raise refuse(100, None, "(#100) Tried accessing nonexisting field (accounts) on node type (Page)")
    return text, token


def _get_page_token(call: Call, text: str, user: Record, account: Record) -> str:
    """Return this user's token for the Page; the same one each time while it is valid."""
    context, key = call.context, f"{text}:{account['remote_id']}"
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


def _find_linked_instagram(context: "SandboxContext", account: Record) -> Record | None:
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
        "tasks": list(account["options"].get("tasks", TASKS)),
        "link": f"https://www.facebook.com/{account['remote_id']}",
        "instagram_business_account": linked and {"id": linked["remote_id"], "username": linked["username"]},
    }


def _list_own_pages(call: Call, user: Record) -> list[Record]:
    found = (call.context.accounts.find(PLATFORM, key) for key in user["pages"])
    return [account for account in found if account is not None]


async def list_pages(call: Call) -> web.Response:
    """GET /me/accounts: the user's Pages with their tokens, except Pages of a business (option `business`)."""
    text, user = _authenticate_user(call)
    listed = [account for account in _list_own_pages(call, user) if not account["options"].get("business")]
    rows = [_page_to_dict(call, account, _get_page_token(call, text, user, account)) for account in listed]
    return ok(paginate(call, rows, "access_token,category,name,id,tasks"))


async def read_me(call: Call) -> web.Response:
    """GET /me: the user or the Page that the token belongs to."""
    text = read_token(call)
    token = None if text is None else call.context.accounts.find_token(PLATFORM, text)
    if token is None or token["role"] != USER:
        return await read_page(call)
    _authenticate_user(call)
    return ok(select_fields(call, {"id": USER_ID, "name": "Sandbox Person"}, "id,name"))


async def read_page(call: Call) -> web.Response:
    """GET /{page}; for a user token the response includes the Page's token, as in /me/accounts."""
    text = read_token(call)
    token = None if text is None else call.context.accounts.find_token(PLATFORM, text)
    node = graph_node.get_node_id(call.request)
    if text is not None and token is not None and token["role"] == USER:
        _authenticate_user(call)
        account = next((page for page in _list_own_pages(call, token) if page["remote_id"] == node), None)
        if account is None:
            raise graph_node.unknown_node(node)
        return ok(
            select_fields(
                call, _page_to_dict(call, account, _get_page_token(call, text, token, account)), "name,id"
            )
        )
    account = call.authenticate()
    if node not in ("me", account["remote_id"]):
        raise graph_node.unknown_node(node)
    return ok(select_fields(call, _page_to_dict(call, account, text or ""), "name,id"), account)


async def list_permissions(call: Call) -> web.Response:
    """GET /me/permissions."""
    _, user = _authenticate_user(call)
    return ok({"data": [{"permission": scope, "status": "granted"} for scope in user["scopes"]]})


ACCOUNTS = Endpoint(platform=PLATFORM, step="oauth", handle=list_pages, dialect=DIALECT)
ME = Endpoint(platform=PLATFORM, step="read", handle=read_me, dialect=DIALECT)
PAGE = Endpoint(platform=PLATFORM, step="read", handle=read_page, dialect=DIALECT)
PERMISSIONS = Endpoint(platform=PLATFORM, step="oauth", handle=list_permissions, dialect=DIALECT)
