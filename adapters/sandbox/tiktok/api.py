"""Responses of TikTok: the v2 envelope, and the flat errors of its OAuth; its token endpoint, consent page and tasks.

A publish task of both products has a state, an upload in chunks and processing. States: PROCESSING_UPLOAD or
PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED. The upload host receives the chunks of a video;
the last one starts publishing. Limits: Content Posting API media transfer guide and the Business "publish" pages, read
2026-11-24.
"""

import itertools
import time
from dataclasses import replace
from functools import partial

from aiohttp import web

from adapters.sandbox.consent import ConsentScreen, parse_scopes
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Dialect, Refused, json_response, load_table
from adapters.sandbox.endpoint import Call, Limit
from adapters.sandbox.oauth import FORM, TokenEndpoint, check_client
from adapters.sandbox.processing import Outcome, Task, examine_upload, examine_url
from adapters.sandbox.store import LivePost, Record
from adapters.sandbox.uploads import Span, parse_content_range, receive_body

PLATFORM = "tiktok"
TABLE = load_table(PLATFORM)
_numbers = itertools.count()


def new_log_id() -> str:
    """Return a new log id in TikTok's form."""
    return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}{next(_numbers):020X}"


def ok(data: Record | None = None) -> web.Response:
    """Return a success response; without `data` the envelope has only `error`."""
    error = {"code": "ok", "message": "", "log_id": new_log_id()}
    return json_response({"error": error} if data is None else {"data": data, "error": error})


def error_response(
    code: str, message: str = "", *, status: int | None = None, wait: int | None = None
) -> web.Response:
    """Return an error response with the HTTP status of its code; `wait`: seconds for Retry-After."""
    error = {"code": code, "message": message or f"{code.replace('_', ' ')}.", "log_id": new_log_id()}
    return json_response({"data": {}, "error": error}, status or TABLE["status"].get(code, 400), wait=wait)


DIALECT = Dialect(error_response, TABLE["errors"], requests=TABLE["requests"])
refuse = DIALECT.refuse


def authenticate(call: Call, limit: str, *scopes: str) -> Record:
    """Return the account of the token, and count the request against its limit per minute; raises Refused."""
    account = call.authenticate(*scopes)
    call.count(TABLE["limits"][limit], str(call.endpoint.dialect.read_token(call)))
    return account


def _oauth_error(code: str, description: str, status: int = 400, wait: int | None = None) -> web.Response:
    body = {"error": code, "error_description": description, "log_id": new_log_id()}
    return json_response(body, status, wait=wait)


def _check_form(call: Call, form: Record) -> None:
    if call.request.content_type != FORM:
        raise Refused(_oauth_error("invalid_request", f"Only {FORM} is supported."))
    check_client(call.context, PLATFORM, form.get("client_key"), form.get("client_secret"))


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=Dialect(_oauth_error, TABLE["oauth_errors"]),
    render=_oauth_error,
    check=_check_form,
    **TABLE["tokens"],
)
CONSENT = ConsentScreen(
    # One page for both products: a scope that only Business has makes it a request of Business.
    platform=lambda parameters: (
        "tiktok_business" if set(parse_scopes(parameters)) & set(TABLE["business_scopes"]) else PLATFORM
    ),
    allow_parameters=lambda parameters: {"scopes": str(parameters.get("scope", ""))},
    **TABLE["consent"],
)


KIND = "tiktok.task"
MAX_BYTES = 4 << 30
_UPLOAD = "tiktok.upload"
_UPLOAD_LIFE_S = 3600.0
_DEFAULT_MAX_SECONDS = 600
_IMAGE_BYTES = 20 << 20
_ROUNDING = 0.05


def list_privacy_levels(account: Record) -> list[str]:
    """Return the privacy levels that the account may choose from."""
    first = "FOLLOWER_OF_CREATOR" if account["private"] else "PUBLIC_TO_EVERYONE"
    return [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def _get_max_seconds(account: Record) -> int:
    return int(account["options"].get("max_video_post_duration_sec", _DEFAULT_MAX_SECONDS))


def get_post_states(account: Record) -> Record:
    """Return the settings of an account that a post has to respect, as both products name them."""
    return {
        "privacy_level_options": list_privacy_levels(account),
        **{name: bool(account["options"].get(name)) for name in TABLE["settings"]},
        "max_video_post_duration_sec": _get_max_seconds(account),
    }


def get_daily_limit(record: Record) -> Limit:
    """Return the limit of direct posts, or of drafts."""
    limit: Limit = TABLE["limits"]["drafts" if record["draft"] else "posts"]
    return limit


def create_task(call: Call, kind: str, account: Record, prefix: str, **fields: object) -> Record:
    """Create and store a task of either product."""
    key = f"{prefix}.{call.context.new_id()}"
    blank = {"reason": "", "uploaded": 0, "downloaded": 0, "polls": 0, "state": "PROCESSING_DOWNLOAD"}
    return call.create(kind, key, account, **blank | fields)


async def start_task(call: Call, record: Record) -> None:
    """Count the post against the daily limit and start processing; above it, processing fails."""
    limit = get_daily_limit(record)
    try:
        call.count(limit, record["account"])
    except Refused:
        record["fail_reason"] = TABLE["errors"][limit[3]][0]
    await call.context.processing.start(KIND, record)


async def _examine(platform: str, max_bytes: int, context: SandboxContext, record: Record) -> Outcome:
    account = context.accounts.find(platform, record["account"])
    if account is None:
        return Outcome(error="auth_removed")
    if record["is_photos"]:
        return await _examine_images(context, platform, record["urls"], "photo")
    found = await _examine_video(context, platform, record, max_bytes)
    if not found.error and found.facts.duration > _get_max_seconds(account) + _ROUNDING:
        return replace(found, error="duration_check_failed")
    thumbnail, offset = record.get("thumbnail_url"), record.get("offset")
    if not found.error and thumbnail is not None:
        cover = await _examine_images(context, platform, [thumbnail], "thumbnail")
        return cover if cover.error else found
    if not found.error and offset is not None and offset > found.facts.duration * 1000:
        return Outcome(error="picture_size_check_failed")
    return found


async def _examine_video(context: SandboxContext, platform: str, record: Record, max_bytes: int) -> Outcome:
    rules, path = TABLE["media"]["video"], context.get_upload(record)
    if "size" in record:
        if not path.exists():
            return Outcome(error="internal")
        return await examine_upload(path, rules, record["size"])
    found = await examine_url(context, platform, record["urls"][0], max_bytes, rules, "video_pull_failed")
    return replace(found, error="file_format_check_failed") if found.bytes > max_bytes else found


async def _examine_images(context: SandboxContext, platform: str, urls: list[str], rules: str) -> Outcome:
    """Fetch and check the images of a post; the first bad one decides."""
    media: list[Record] = []
    size = 0
    for url in urls:
        found = await examine_url(
            context, platform, url, _IMAGE_BYTES, TABLE["media"][rules], "photo_pull_failed", is_video=False
        )
        size += found.bytes
        if found.error:
            return Outcome(error=found.error, bytes=size)
        media += found.media
    return Outcome(media=tuple(media), bytes=size)


def _conclude(platform: str, context: SandboxContext, record: Record, outcome: Outcome) -> None:
    """Fail a task, or publish its post."""
    account = context.accounts.find(platform, record["account"])
    record["downloaded"] = outcome.bytes
    if outcome.error or account is None:
        record |= {"state": "FAILED", "reason": outcome.error or "auth_removed"}
        return
    post_id, is_draft, privacy = str(context.new_id()), record["draft"], record["privacy"]
    path, kind = ("photo", "photos") if record["is_photos"] else ("video", "video")
    moderation_s = 0.0 if context.is_instant else context.settings.moderation_s
    context.publish(
        account,
        kind="draft" if is_draft else kind,
        remote_id=post_id,
        handle=record["key"],
        caption=record["caption"],
        media=list(outcome.media),
        url=f"https://www.tiktok.com/@{account['username']}/{path}/{post_id}",
        late=moderation_s + record.get("late", 0.0),
        **{"public": not is_draft and privacy == "PUBLIC_TO_EVERYONE", "privacy": privacy, **record["extra"]},
    )
    record |= {"state": "SEND_TO_USER_INBOX" if is_draft else "PUBLISH_COMPLETE", "post_id": post_id}


def make_task(platform: str, kind: str, max_bytes: int) -> Task:
    """Return the task of one product."""
    return Task(
        kind=kind,
        states=("PROCESSING_UPLOAD", "PROCESSING_DOWNLOAD"),
        examine=partial(_examine, platform, max_bytes),
        fail=lambda reason: Outcome(error=reason or "internal"),
        conclude=partial(_conclude, platform),
    )


TASK = make_task(PLATFORM, KIND, MAX_BYTES)


def find_public_id(call: Call, kind: str, record: Record) -> str | None:
    """Return the public id of a published post; None while it is not public, and at the first request."""
    if record["state"] != "PUBLISH_COMPLETE" or record["privacy"] != "PUBLIC_TO_EVERYONE":
        return None
    live = call.context.ledger.find(call.endpoint.platform, record["post_id"])
    is_first = record["polls"] == 0 and not call.context.is_instant
    if is_first:
        call.save(kind, record, polls=1)
    is_shown = not is_first and live is not None and call.is_visible(live)
    return str(record["post_id"]) if is_shown else None


def list_public(
    call: Call, account: Record, max_count: int, before: float | None
) -> tuple[list[LivePost], Record]:
    """Return a page of public posts, newest first, older than `before` (Unix seconds); and its cursor fields."""
    shown = [
        live
        for live in call.list_live(account["remote_id"])
        if live.entry["extra"]["public"] and (before is None or live.created_at < before)
    ]
    page = shown[:max_count]
    cursor = int(page[-1].created_at * 1000) if page else 0
    return page, {"cursor": cursor, "has_more": len(shown) > max_count}


def _respond(status: int, headers: dict[str, str] | None = None, wait: int | None = None) -> web.Response:
    headers = headers if wait is None else {"Retry-After": str(wait)}
    return web.Response(status=status, headers=headers)


UPLOAD = Dialect(_respond, TABLE["upload_errors"], lambda _: None)


def build_upload_url(call: Call, record: Record) -> str:
    """Return the URL that receives the chunks of a task."""
    number = record["key"].rpartition(".")[2]
    call.context.store.put(_UPLOAD, number, {"task": record["key"]})
    query = f"upload_id={number}&upload_token={record['upload_token']}"
    return f"http://{call.request.host}/tiktok-upload/video/?{query}"


def find_upload_owner(call: Call) -> Record | None:
    """Return the account of an upload URL, whose requests carry no token."""
    return call.find_record_owner(_find_task(call))


def _find_task(call: Call) -> Record | None:
    upload = call.context.store.get(_UPLOAD, call.request.query.get("upload_id", ""))
    return None if upload is None else call.context.store.get(KIND, upload["task"])


def get_chunk_step(call: Call) -> str:
    """Return `finalize` for the last chunk, which is the visible call."""
    span = parse_content_range(call.request)
    return "finalize" if span is not None and span.is_exact and span.is_last else "upload"


def _check_task(call: Call) -> Record:
    record = _find_task(call)
    if record is None:
        raise UPLOAD.refuse("unknown_upload")
    is_late = call.context.clock.now() > record["created"] + _UPLOAD_LIFE_S
    if is_late or call.request.query.get("upload_token") != record["upload_token"]:
        raise UPLOAD.refuse("unknown_token")
    return record


def _check_chunk(call: Call, record: Record) -> Span:
    span = parse_content_range(call.request)
    headers = call.request.headers
    if span is None or not span.is_exact or span.total != record["size"]:
        raise UPLOAD.refuse("malformed")
    if call.request.content_type not in TABLE["types"] or headers.get("Content-Length") != str(span.length):
        raise UPLOAD.refuse("malformed")
    received = record["uploaded"]
    if span.first != received or record["state"] != "PROCESSING_UPLOAD":
        raise Refused(_respond(416, _make_progress_headers(record)))
    is_last = received // record["chunk"] >= record["chunks"] - 1
    if span.length != (record["size"] - received if is_last else record["chunk"]):
        raise UPLOAD.refuse("malformed")
    return span


def _make_progress_headers(record: Record) -> dict[str, str]:
    return {"Content-Range": f"bytes 0-{record['uploaded']}/{record['size']}"}


async def put_chunk(call: Call) -> web.Response:
    """PUT of one chunk: 206 if more are missing, 201 if all are received."""
    record = _check_task(call)
    span = _check_chunk(call, record)
    received = record["uploaded"]
    taken = await receive_body(call.request, call.context.get_upload(record), received, span.length)
    if taken.is_aborted:
        raise UPLOAD.refuse("malformed")
    if record["uploaded"] != received:  # another request has stored the same chunk
        raise Refused(_respond(416, _make_progress_headers(record)))
    is_whole = received + span.length == record["size"]
    faults = call.take_processing_faults() if is_whole else {}
    call.save(KIND, record, uploaded=received + span.length, **faults)
    if not is_whole:
        return _respond(206, _make_progress_headers(record))
    await start_task(call, record)
    return _respond(201, _make_progress_headers(record))
