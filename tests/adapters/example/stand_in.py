"""Step 6: Mammoth's fake for the sandbox, by the steps of ``adapters/sandbox/README.md``."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Dialect, json_response
from adapters.sandbox.endpoint import Call, Route, mount_routes
from adapters.sandbox.processing import Task

PLATFORM = "mammoth"
MEDIA, KEY = "mammoth.media", "mammoth.key"
Record = dict[str, Any]


def _error_response(status: int, sentence: str, wait: int | None = None) -> web.Response:
    return json_response({"error": sentence}, status, wait=wait)


DIALECT = Dialect(
    _error_response,
    {
        "unknown_token": (401, "The access token is invalid"),
        "expired": (401, "The access token has expired"),
        "revoked": (401, "The access token was revoked"),
        "missing_scope": (403, "This action is outside the authorized scopes: {scope}"),
        "rate_limited": (429, "Too many requests"),
        "server_error": (500, "Something went wrong"),
        "malformed": (422, "The body is not a JSON object"),
        "not_found": (404, "Record not found"),
        "empty": (422, "The file is empty"),
        "invalid": (422, "Validation failed"),
    },
)


def _shown(record: Record) -> web.Response:
    return json_response({"id": record["key"], "state": record["state"]}, 202)


async def _upload(call: Call) -> web.Response:
    account = call.authenticate("write")
    if not call.body:
        raise DIALECT.refuse("empty")
    record = call.create(MEDIA, random_digits(12, "7"), account, state="processing", bytes=len(call.body))
    await call.context.processing.start(MEDIA, record)
    return _shown(record)


def _own(call: Call, account: Record, key: str) -> Record:
    record = call.find_own(MEDIA, key, account)
    if record is None:
        raise DIALECT.refuse("not_found")
    return record


async def _media(call: Call) -> web.Response:
    return _shown(_own(call, call.authenticate("read"), call.request.match_info["id"]))


async def _status(call: Call) -> web.Response:
    """Publish a status; the same key again returns the first one."""
    account, body = call.authenticate("write"), call.json()
    key = f"{account['remote_id']}:{call.request.headers.get('Idempotency-Key', '')}"
    known = call.context.store.get(KEY, key)
    if known is not None:
        return json_response(known["status"])
    files = [_own(call, account, str(name)) for name in body.get("media_ids", ())]
    if not files or any(file["state"] != "ready" for file in files) or len(str(body.get("status"))) > 500:
        raise DIALECT.refuse("invalid")
    number = random_digits(12, "9")
    status: Record = {"id": number, "url": f"https://mammoth.example/@{account['username']}/{number}"}
    status["media_ids"] = [file["key"] for file in files]
    status |= {name: body[name] for name in ("spoiler_text", "visibility") if name in body}
    call.context.store.put(KEY, key, {"key": key, "status": status})
    call.context.publish(
        account,
        kind="status",
        remote_id=number,
        caption=str(body.get("status")),
        media=[{"sha256": None, "bytes": file["bytes"]} for file in files],
        url=str(status["url"]),
        late=call.take_visibility_delay(),
        status=status,
    )
    return json_response(status)


async def _listing(call: Call) -> web.Response:
    account = call.authenticate("read")
    mine = call.list_live(account["remote_id"])
    return json_response([live.entry["extra"]["status"] for live in mine][:40])


async def _me(call: Call) -> web.Response:
    account = call.authenticate("read")
    return json_response({"id": account["remote_id"], "username": account["username"]})


async def _examine(_: SandboxContext, __: Record) -> str:
    return "ready"


def _conclude(_: SandboxContext, record: Record, state: str) -> None:
    record["state"] = state


TASK = Task(kind=MEDIA, states=("processing",), examine=_examine, fail=lambda _: "failed", conclude=_conclude)
_ROUTES = (
    Route("POST", "/mammoth/api/v2/media", "upload", _upload),
    Route("GET", "/mammoth/api/v1/media/{id}", "look", _media),
    Route("POST", "/mammoth/api/v1/statuses", "finalize", _status),
    Route("GET", "/mammoth/api/v1/accounts/verify_credentials", "read", _me),
    Route("GET", "/mammoth/api/v1/accounts/{id}/statuses", "read", _listing),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve Mammoth on `app`."""
    kind = AccountKind(
        new_id=lambda _: random_digits(10, "5"),
        scopes=("read", "write"),
        connection="user",
        access_prefix="mam_",
        access_life=None,
    )
    context.accounts.define(PLATFORM, kind)
    context.processing.define(TASK)
    mount_routes(app, context, PLATFORM, DIALECT, _ROUTES)
