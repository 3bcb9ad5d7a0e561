"""Responses, rate limits and OAuth of the Pinterest sandbox, its user account and its boards.

Limits: developers.pinterest.com/docs/reference/rate-limits, read 2026-11-24: per user and app 100 writes and 1000
reads a minute; an app with Trial access (option `trial`) 300 writes a day, and
no pins (gitroomhq/postiz-app#1084, read 2026-11-27). The codes of 429 and 5xx are guesses. Refresh tokens rotate and
last 60 days.
"""

import base64
import binascii

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Dialect, check_fields, fill, json_response, load_table
from adapters.sandbox.endpoint import Call, Limit
from adapters.sandbox.oauth import FORM, TokenEndpoint
from adapters.sandbox.store import Record, to_iso

PLATFORM = "pinterest"
TABLE = load_table(PLATFORM)
_BOARD = "pinterest.board"


def ok(body: object, account: Record | None = None, status: int = 200) -> web.Response:
    """Return a success response; `account` adds the rate-limit headers."""
    headers = None if account is None else fill(TABLE["headers"], rate=account["rate"])
    return json_response(body, status, headers)


def error_response(
    status: int, code: int, message: str, *, wait: int | None = None, more: Record | None = None
) -> web.Response:
    """Return an error response; `wait`: seconds until the limit is lifted; `more` adds fields to its body."""
    headers: dict[str, str] = {}
    if wait is not None:
        headers = fill(TABLE["headers"], rate={"limit": "100", "remaining": "0", "reset": str(wait)})
        headers["Retry-After"] = str(wait)
    return json_response({"code": code, "message": message, **(more or {})}, status, headers)


DIALECT = Dialect(error_response, TABLE["errors"])
refuse = DIALECT.refuse


def authenticate_writer(call: Call, *scopes: str) -> Record:
    """Return the account of the token and count one write. Raises Refused if a limit is exceeded."""
    account = call.authenticate(*scopes)
    if account["options"].get("trial"):
        call.count(TABLE["limits"]["trial"], account["remote_id"])
    return _count_request(call, account, TABLE["limits"]["write"])


def authenticate_reader(call: Call, *scopes: str) -> Record:
    """Return the account of the token and count one read. Raises Refused if the limit is exceeded."""
    return _count_request(call, call.authenticate(*scopes), TABLE["limits"]["read"])


def _count_request(call: Call, account: Record, limit: Limit) -> Record:
    call.count(limit, account["remote_id"])
    name, most, span, _ = limit
    left = most - call.context.rate_windows.count_used(f"{name}:{account['remote_id']}", span)
    return account | {"rate": {"limit": str(most), "remaining": str(left), "reset": "60"}}


def paginate(call: Call, rows: list[Record]) -> Record:
    """Return one page: at most `page_size` rows after the bookmark."""
    size, start = call.read_number("page_size", 25, "bad_page"), call.request.query.get("bookmark") or "0"
    if not 0 < size <= 250 or not start.isdecimal():  # noqa: PLR2004 - the vendor's
        raise refuse("bad_page")
    end = int(start) + size
    return {"items": rows[int(start) : end], "bookmark": str(end) if end < len(rows) else None}


CONSENT = ConsentScreen(**TABLE["consent"])


def _parse_client(call: Call) -> tuple[str | None, str | None]:
    """Return the client id and secret of HTTP Basic authentication."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client, _, secret = decoded.partition(":")
    return (client, secret) if scheme == "Basic" else (None, None)


def _check_form(call: Call, _: Record) -> None:
    if call.request.content_type != FORM:
        raise refuse("no_form", type=FORM)


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    render=error_response,
    respond=ok,
    check=_check_form,
    read_client=_parse_client,
    **TABLE["tokens"],
)


def provision(context: SandboxContext, account: Record) -> Record:
    """Return the default board of an account with option `default_board` (a name, or true); create it once."""
    expected = account["options"].get("default_board")
    if not expected:
        return {}
    name = expected if isinstance(expected, str) else "Slipway"
    for board in context.store.get_all(_BOARD).values():
        if board["account"] == account["remote_id"] and board["name"] == name:
            return {"default_board": board["key"]}
    return {"default_board": _create(context, account, name, "", "PUBLIC")["key"]}


def _create(context: SandboxContext, account: Record, name: str, description: str, privacy: str) -> Record:
    board: Record = {"key": random_digits(18, "549"), "account": account["remote_id"], "name": name}
    board |= {"description": description, "privacy": privacy, "created": context.clock.now()}
    context.store.put(_BOARD, board["key"], board)
    return board


def get_board(call: Call, account: Record, key: object) -> Record:
    """Return a board of the account. Raises Refused if it is unknown or belongs to another account."""
    check_fields({"board_id": key}, TABLE["board"], refuse)
    board = call.context.store.get(_BOARD, str(key))
    if board is None:
        raise refuse("unknown_board")
    if board["account"] != account["remote_id"]:
        raise refuse("missing_scope")
    return board


def _board_to_dict(account: Record, board: Record) -> Record:
    body: Record = fill(
        TABLE["answers"]["board"], board=board, account=account, created=to_iso(board["created"])[:19]
    )
    return body


async def create_board(call: Call) -> web.Response:
    """POST /v5/boards."""
    account, body = authenticate_writer(call, "boards:write"), call.json()
    check_fields(body, TABLE["new_board"], refuse)
    description, privacy = str(body.get("description") or ""), str(body.get("privacy") or "PUBLIC")
    board = _create(call.context, account, body["name"], description, privacy)
    return ok(_board_to_dict(account, board), account, 201)


async def list_boards(call: Call) -> web.Response:
    """GET /v5/boards."""
    account = authenticate_reader(call, "boards:read")
    rows = [_board_to_dict(account, board) for board in call.list_own(_BOARD, account)]
    return ok(paginate(call, rows), account)


async def read_board(call: Call) -> web.Response:
    """GET /v5/boards/{board}."""
    account = authenticate_reader(call, "boards:read")
    return ok(_board_to_dict(account, get_board(call, account, call.request.match_info["board"])), account)


async def read_user(call: Call) -> web.Response:
    """GET /v5/user_account."""
    account = authenticate_reader(call, "user_accounts:read")
    return ok(fill(TABLE["answers"]["user"], account=account), account)
