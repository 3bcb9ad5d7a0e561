"""Pinterest boards, and the user account they belong to."""

from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.pinterest import api
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

KIND = "pinterest.board"
_MAX_NAME = 50


def provision(context: SandboxContext, account: Record) -> Record:
    """Return the default board of an account with option `default_board` (a name, or true); create it once."""
    expected = account["options"].get("default_board")
    if not expected:
        return {}
    name = expected if isinstance(expected, str) else "Slipway"
    for board in context.store.get_all(KIND).values():
        if board["account"] == account["remote_id"] and board["name"] == name:
            return {"default_board": board["key"]}
    return {"default_board": _create(context, account, name, "", "PUBLIC")["key"]}


def _create(context: SandboxContext, account: Record, name: str, description: str, privacy: str) -> Record:
    board: Record = {"key": random_digits(18, "549"), "account": account["remote_id"], "name": name}
    board |= {"description": description, "privacy": privacy, "created": context.clock.now()}
    context.store.put(KIND, board["key"], board)
    return board


def get_own(call: Call, account: Record, key: object) -> Record:
    """Return a board of the account. Raises Refused if it is unknown or belongs to another account."""
    if not isinstance(key, str) or not key.isdecimal():
        raise api.invalid("Invalid request: board_id must match ^\\d+$.")
    board = call.context.store.get(KIND, key)
    if board is None:
        raise Refused(api.error_response(404, 40, "Board not found."))
    if board["account"] != account["remote_id"]:
        raise Refused(api.error_response(403, 29, "You are not permitted to access that resource."))
    return board


def _board_to_dict(account: Record, board: Record) -> Record:
    return {
        "id": board["key"],
        "created_at": to_iso(board["created"])[:19],
        "board_pins_modified_at": to_iso(board["created"])[:19],
        "name": board["name"],
        "description": board["description"],
        "collaborator_count": 0,
        "pin_count": 0,
        "follower_count": 0,
        "media": {"image_cover_url": None, "pin_thumbnail_urls": []},
        "owner": {"username": account["username"]},
        "privacy": board["privacy"],
    }


async def create(call: Call) -> web.Response:
    """POST /v5/boards."""
    account = api.authenticate_writer(call, "boards:write")
    body = call.json()
    name = body.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        raise api.invalid(f"Invalid request: name must have from 1 to {_MAX_NAME} characters.")
    privacy = str(body.get("privacy") or "PUBLIC")
    board = _create(call.context, account, name, str(body.get("description") or ""), privacy)
    return api.ok(_board_to_dict(account, board), account, 201)


async def list_boards(call: Call) -> web.Response:
    """GET /v5/boards."""
    account = api.authenticate_reader(call, "boards:read")
    return api.ok(
        api.paginate(call, [_board_to_dict(account, board) for board in call.list_own(KIND, account)]),
        account,
    )


async def read(call: Call) -> web.Response:
    """GET /v5/boards/{board}."""
    account = api.authenticate_reader(call, "boards:read")
    return api.ok(_board_to_dict(account, get_own(call, account, call.request.match_info["board"])), account)


async def read_user(call: Call) -> web.Response:
    """GET /v5/user_account."""
    account = api.authenticate_reader(call, "user_accounts:read")
    return api.ok(
        {
            "account_type": "BUSINESS",
            "id": account["remote_id"],
            "username": account["username"],
            "business_name": account["display_name"],
            "profile_image": f"https://i.pinimg.example/{account['remote_id']}.jpg",
            "website_url": "",
            "board_count": 0,
            "pin_count": 0,
            "follower_count": 0,
            "following_count": 0,
            "monthly_views": 0,
        },
        account,
    )
