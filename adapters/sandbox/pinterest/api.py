"""Responses, rate limits and OAuth of the Pinterest sandbox; its user account, boards and videos.

Limits: developers.pinterest.com/docs/reference/rate-limits, read 2026-11-24: per user and app 100 writes and 1000
reads a minute; an app with Trial access (option `trial`) 300 writes a day, and
no pins (gitroomhq/postiz-app#1084, read 2026-11-27). The codes of 429 and 5xx are guesses. Refresh tokens rotate and
last 60 days.

A video is registered, uploaded to the storage as a form, and processed. States: registered -> processing -> succeeded
or failed. The storage answers errors in XML, as Amazon S3 does.
"""

import secrets
from pathlib import Path

import aiohttp
from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Dialect, check_fields, fill, json_response, load_table
from adapters.sandbox.endpoint import Call, Limit
from adapters.sandbox.oauth import FORM, TokenEndpoint
from adapters.sandbox.processing import Outcome, Task, examine_upload
from adapters.sandbox.store import Record, to_iso

PLATFORM = "pinterest"
TABLE = load_table(PLATFORM)
_BOARD = "pinterest.board"
_SECTION = "pinterest.section"


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


DIALECT = Dialect(error_response, TABLE["errors"], requests=TABLE["requests"])
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
    try:
        basic = aiohttp.BasicAuth.decode(call.request.headers.get("Authorization", ""), "utf-8")
    except ValueError:
        return None, None
    return basic.login, basic.password


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
    board = {"key": random_digits(18, "549"), "account": account["remote_id"], "name": name}
    board |= {"description": "", "privacy": "PUBLIC", "created": context.clock.now()}
    context.store.put(_BOARD, board["key"], board)
    for section in account["options"].get("sections", ()):
        context.store.put(_SECTION, f"{board['key']}/{section}", {"id": section})
    return {"default_board": board["key"]}


def require_section(call: Call, board: Record, key: object) -> None:
    """Raise Refused unless the board has the section."""
    if call.context.store.get(_SECTION, f"{board['key']}/{key}") is None:
        raise refuse("unknown_section")


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
    created = to_iso(board["created"])[:19]
    return fill(TABLE["answers"]["board"], board=board, account=account, created=created)


async def list_boards(call: Call, account: Record) -> web.Response:
    """GET /v5/boards."""
    rows = [_board_to_dict(account, board) for board in call.list_own(_BOARD, account)]
    return ok(paginate(call, rows), account)


async def read_board(call: Call, account: Record) -> web.Response:
    """GET /v5/boards/{board}."""
    return ok(_board_to_dict(account, get_board(call, account, call.request.match_info["board"])), account)


async def read_user(_: Call, account: Record) -> web.Response:
    """GET /v5/user_account."""
    return ok(fill(TABLE["answers"]["user"], account=account), account)


MEDIA = "pinterest.media"
_MAX_BYTES = 2_000_000_000
_POLICY_S = 3600.0


async def register_media(call: Call, account: Record) -> web.Response:
    """POST /v5/media."""
    if call.json("MediaUploadRequest").get("media_type") != "video":
        raise refuse("media_type")
    stamp = to_iso(call.context.clock.now())[:19].replace("-", "").replace(":", "") + "Z"
    parameters = fill(
        TABLE["upload_parameters"],
        stamp=stamp,
        day=stamp[:8],
        signature=secrets.token_hex(32),
        token=secrets.token_urlsafe(48),
        key=secrets.token_hex(8),
        policy=secrets.token_urlsafe(64),
    )
    record = call.create(
        MEDIA, random_digits(15, "5"), account, state="registered", parameters=parameters, media=None
    )
    body = {"media_id": record["key"], "media_type": "video", "upload_parameters": parameters}
    body["upload_url"] = f"http://{call.request.host}/pinterest-media/{record['key']}/"
    return ok(body, account, 201)


def _media_to_dict(record: Record) -> Record:
    return {"media_id": record["key"], "media_type": "video", "status": record["state"]}


async def read_media(call: Call, account: Record) -> web.Response:
    """GET /v5/media/{media}."""
    record = call.get_own(MEDIA, call.request.match_info["media"], account, "unknown_media")
    return ok(_media_to_dict(record), account)


def _xml_response(status: int, code: str, message: str, wait: int | None = None) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    headers = None if wait is None else {"Retry-After": str(wait)}
    return web.Response(text=text, status=status, content_type="application/xml", headers=headers)


STORAGE = Dialect(_xml_response, TABLE["storage_errors"], lambda _: None)


async def receive_form(call: Call) -> web.Response:
    """POST the form to the storage: every upload parameter, then `file`."""
    record = _find_media(call)
    if record is None:
        raise STORAGE.refuse("unknown_token")
    if "Authorization" in call.request.headers:
        raise STORAGE.refuse("two_auths")
    if call.request.content_length is None:
        raise STORAGE.refuse("no_length")
    if call.context.clock.now() >= record["created"] + _POLICY_S:
        raise STORAGE.refuse("expired")
    part = call.context.get_upload(record).with_suffix(f".{secrets.token_hex(4)}")
    try:
        _check_upload_form(record, await _read_form(call, record, part))
        if record["state"] != "registered":  # a repetition of the same form
            return web.Response(status=204)
        part.replace(call.context.get_upload(record))
    finally:
        part.unlink(missing_ok=True)
    await call.start_processing(MEDIA, record, state="processing", **call.take_processing_faults())
    return web.Response(status=204)


async def _read_form(call: Call, record: Record, place: Path) -> Record:
    form: Record = {}
    try:
        reader = await call.request.multipart()
        while (part := await reader.next()) is not None:
            if "file" in form or not isinstance(part, aiohttp.BodyPartReader):
                raise STORAGE.refuse("after_file")
            if part.name == "file":
                _check_upload_form(record, form, is_whole=False)
                await _store(part, place)
                form["file"] = place.name
            else:
                form[part.name or ""] = (await part.read()).decode("utf-8", "replace")
    except (ValueError, AssertionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError):
        raise STORAGE.refuse("malformed") from None
    return form


async def _store(part: aiohttp.BodyPartReader, place: Path) -> None:
    size = 0
    with place.open("wb") as file:
        while chunk := await part.read_chunk(1 << 18):
            size += len(chunk)
            if size > _MAX_BYTES:
                raise STORAGE.refuse("too_large")
            file.write(chunk)


def _check_upload_form(record: Record, form: Record, *, is_whole: bool = True) -> None:
    for name, value in record["parameters"].items():
        if form.get(name) != value:
            raise STORAGE.refuse("policy", name=name)
    if is_whole and "file" not in form:
        raise STORAGE.refuse("no_file")


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    return await examine_upload(context.get_upload(record), TABLE["media"]["video"])


def _conclude(_: SandboxContext, record: Record, outcome: Outcome) -> None:
    state = "failed" if outcome.error else "succeeded"
    record |= {"state": state, "media": None if outcome.error else outcome.media[0]}


TASK = Task(kind=MEDIA, states=("processing",), examine=_examine, conclude=_conclude)


def _find_media(call: Call) -> Record | None:
    return call.context.store.get(MEDIA, call.request.match_info["media"])


def find_media_owner(call: Call) -> Record | None:
    """Return the account of an upload URL, whose requests carry no token."""
    return call.find_record_owner(_find_media(call))
