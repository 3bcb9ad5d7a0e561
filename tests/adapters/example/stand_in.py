"""Step 6: Mammoth's fake for the sandbox, by the steps of ``adapters/sandbox/README.md``."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from adapters.sandbox.accounts import AccountKind, random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call, Dialect, Endpoint, mount
from adapters.sandbox.processing import Processor
from adapters.sandbox.responses import Refused, json_response

PLATFORM = "mammoth"
MEDIA, KEY = "mammoth.media", "mammoth.key"
Record = dict[str, Any]


def _error_response(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    return json_response({"error": sentence}, status, headers)


def _read_token(call: Call) -> str | None:
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" else None


DIALECT = Dialect(
    read_token=_read_token,
    unknown_token=lambda: _error_response(401, "The access token is invalid"),
    expired=lambda: _error_response(401, "The access token has expired"),
    revoked=lambda: _error_response(401, "The access token was revoked"),
    missing_scope=lambda scope: _error_response(
        403, f"This action is outside the authorized scopes: {scope}"
    ),
    rate_limited=lambda wait: _error_response(429, "Too many requests", {"Retry-After": str(wait)}),
    server_error=lambda: _error_response(500, "Something went wrong"),
    malformed=lambda: _error_response(422, "The body is not a JSON object"),
)


def _shown(record: Record) -> web.Response:
    return json_response({"id": record["key"], "state": record["state"]}, 202)


async def _upload(call: Call) -> web.Response:
    account = call.authenticate("write")
    if not call.body:
        raise Refused(_error_response(422, "The file is empty"))
    record: Record = {"key": random_digits(12, "7"), "account": account["remote_id"], "state": "processing"}
    record |= {"bytes": len(call.body), **call.take_processing_faults()}
    call.context.store.put(MEDIA, record["key"], record)
    await call.context.processing.start(MEDIA, record)
    return _shown(record)


def _own(call: Call, account: Record, key: str) -> Record:
    record = call.context.store.get(MEDIA, key)
    if record is None or record["account"] != account["remote_id"]:
        raise Refused(_error_response(404, "Record not found"))
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
        raise Refused(_error_response(422, "Validation failed"))
    number = random_digits(12, "9")
    status: Record = {"id": number, "url": f"https://mammoth.example/@{account['username']}/{number}"}
    status["media_ids"] = [file["key"] for file in files]
    status |= {name: body[name] for name in ("spoiler_text", "visibility") if name in body}
    call.context.store.put(KEY, key, {"key": key, "status": status})
    call.context.publish(
        account,
        kind="status",
        remote_id=number,
        handle=number,
        caption=str(body.get("status")),
        media=[{"sha256": None, "bytes": file["bytes"]} for file in files],
        url=str(status["url"]),
        late=call.take_visibility_delay(),
        extra={"status": status},
    )
    return json_response(status)


async def _listing(call: Call) -> web.Response:
    account = call.authenticate("read")
    now = call.context.clock.now()
    mine = [
        live
        for live in call.context.ledger.list_for(PLATFORM, account["remote_id"])
        if live.visible_at <= now
    ]
    return json_response([live.entry["extra"]["status"] for live in reversed(mine)][:40])


async def _me(call: Call) -> web.Response:
    account = call.authenticate("read")
    return json_response({"id": account["remote_id"], "username": account["username"]})


async def _examine(_: Record) -> None:
    return None


def _conclude(context: SandboxContext) -> Any:
    def conclude(record: Record, _: None) -> None:
        context.store.put(
            MEDIA, record["key"], record | {"state": "failed" if record.get("fail_reason") else "ready"}
        )

    return conclude


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
    context.processing.define(
        MEDIA,
        Processor(
            is_pending=lambda r: r["state"] == "processing", examine=_examine, conclude=_conclude(context)
        ),
    )
    for method, path, step, handle in (
        ("POST", "/api/v2/media", "upload", _upload),
        ("GET", "/api/v1/media/{id}", "look", _media),
        ("POST", "/api/v1/statuses", "finalize", _status),
        ("GET", "/api/v1/accounts/verify_credentials", "read", _me),
        ("GET", "/api/v1/accounts/{id}/statuses", "read", _listing),
    ):
        endpoint = Endpoint(platform=PLATFORM, step=step, handle=handle, dialect=DIALECT)
        mount(app, context, method, f"/mammoth{path}", endpoint)
