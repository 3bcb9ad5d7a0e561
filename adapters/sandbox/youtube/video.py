"""A YouTube video: creation at its last byte, processing to processed, failed or rejected, and its resource.

A video is live from its last byte on. One that will fail or be rejected never is, and gets no line in the ledger.
Thumbnails: developers.google.com/youtube/v3/docs/thumbnails/set. The account option `no_thumbnails` is a channel
without a verified phone number, which may not set any.
"""

import secrets

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.processing import Task
from adapters.sandbox.responses import json_response
from adapters.sandbox.store import Record
from adapters.sandbox.youtube import api

KIND = "youtube.video"
PARTS = ("id", "snippet", "status", "contentDetails", "processingDetails", "fileDetails")
_THUMBNAIL_BYTES = 52_428_800
_THUMBNAIL_FORMATS = ("JPEG", "PNG")
_SHORT_S = 180.0
_UNVERIFIED_S = 900.0
_LONGEST_S = 12 * 3600.0
_PROCESSING_STATUS = {
    "processing": "processing",
    "processed": "succeeded",
    "failed": "failed",
    "rejected": "terminated",
}


def create(context: SandboxContext, session: Record, facts: probe.VideoFacts | None) -> str:
    """Create the video of a complete upload, live unless it will fail or be rejected; return its id."""
    account = context.accounts.find(api.PLATFORM, session["account"])
    key = secrets.token_urlsafe(8)
    record: Record = {"key": key, "account": session["account"], "published": context.clock.now()}
    record |= {"snippet": session["snippet"], "status": session["status"], "name": session["name"]}
    record |= {"size": session["total"], "state": "processing", "reason": None}
    record |= {"duration": 0.0 if facts is None else facts.duration, "hidden_until": 0.0}
    record |= {name: session[name] for name in ("stuck",) if name in session}
    record["fail_reason"] = (
        session["fail_reason"] or "conversion" if "fail_reason" in session else _find_flaw(account, facts)
    )
    if account is not None and record["fail_reason"] is None and facts is not None:
        record["hidden_until"] = context.clock.now() + session.get("late", 0.0)
        _publish(context, account, record, session, facts)
    context.store.put(KIND, key, record)
    return key


def _find_flaw(account: Record | None, facts: probe.VideoFacts | None) -> str | None:
    if facts is None:
        return "invalidFile"
    longest = _UNVERIFIED_S if account is not None and account["options"].get("unverified") else _LONGEST_S
    return "length" if facts.duration > longest else None


def _publish(
    context: SandboxContext, account: Record, record: Record, session: Record, facts: probe.VideoFacts
) -> None:
    status, snippet = record["status"], record["snippet"]
    context.publish(
        account,
        kind="video",
        remote_id=record["key"],
        handle=session["key"],
        caption=snippet["title"],
        media=[{"sha256": facts.sha256, "bytes": facts.bytes}],
        url=build_url(record["key"]),
        late=session.get("late", 0.0),
        extra={
            "public": status["privacyStatus"] == "public",
            "privacy": status["privacyStatus"],
            "description": snippet["description"],
            "tags": snippet["tags"],
            "category": snippet["categoryId"],
            "made_for_kids": status.get("selfDeclaredMadeForKids"),
            "ai_generated": status.get("containsSyntheticMedia"),
            "short": facts.height >= facts.width and facts.duration <= _SHORT_S,
        },
    )


def build_url(key: str) -> str:
    """Return the public URL of a video."""
    return f"https://www.youtube.com/watch?v={key}"


async def start_processing(context: SandboxContext, key: str) -> None:
    """Start processing the video `key`."""
    record = context.store.get_all(KIND)[key]
    await context.processing.start(KIND, record)


async def _examine(_: SandboxContext, record: Record) -> str | None:
    reason: str | None = record["fail_reason"]
    return reason


def _conclude(_: SandboxContext, record: Record, reason: str | None) -> None:
    state = "processed" if reason is None else "rejected" if reason in api.TABLE["rejections"] else "failed"
    record |= {"state": state, "reason": reason}


TASK = Task(
    kind=KIND, states=("processing",), examine=_examine, fail=lambda reason: reason, conclude=_conclude
)


def created_response(call: Call, key: str) -> web.Response:
    """Return the response to the last byte; repeated PUTs get the same."""
    record = call.context.store.get_all(KIND)[key]
    body = to_resource(record | {"state": "processing"}, ("snippet", "status"))
    return json_response(body, 201)


def to_resource(record: Record, parts: tuple[str, ...]) -> Record:
    """Return the API resource of a video with the given parts."""
    known = {
        "snippet": {
            "publishedAt": to_iso(record["published"])[:19] + "Z",
            "channelId": record["account"],
            "thumbnails": _thumbnails_to_dict(record),
            **record["snippet"],
            "liveBroadcastContent": "none",
        },
        "status": record["status"] | _get_upload_status(record),
        "contentDetails": {"duration": f"PT{int(record['duration'])}S", "definition": "hd"},
        "processingDetails": _processing_to_dict(record),
        "fileDetails": {"fileName": record["name"], "fileSize": str(record["size"]), "fileType": "video"},
    }
    body: Record = {"kind": "youtube#video", "etag": api.make_etag(record), "id": record["key"]}
    return body | {name: known[name] for name in parts if name in known}


def build_thumbnail_url(key: str, sha256: str | None) -> str:
    """Return the URL of a thumbnail; in the sandbox it ends with the hash of the image that was set."""
    return f"https://i.ytimg.com/vi/{key}/{sha256 or 'default'}.jpg"


def _thumbnails_to_dict(record: Record) -> Record:
    url = build_thumbnail_url(record["key"], record.get("thumbnail"))
    return {"default": {"url": url, "width": 120, "height": 90}}


def _get_upload_status(record: Record) -> Record:
    match record["state"]:
        case "processing":
            return {"uploadStatus": "uploaded"}
        case "failed":
            return {"uploadStatus": "failed", "failureReason": record["reason"]}
        case "rejected":
            return {"uploadStatus": "rejected", "rejectionReason": record["reason"]}
        case state:
            return {"uploadStatus": state}


def _processing_to_dict(record: Record) -> Record:
    details: Record = {"processingStatus": _PROCESSING_STATUS[record["state"]]}
    if record["state"] == "failed":
        details["processingFailureReason"] = "transcodeFailed"
    return details


async def set_thumbnail(call: Call) -> web.Response:
    """POST /upload/youtube/v3/thumbnails/set?videoId=…: the image is the body; a repetition replaces it."""
    account = call.authenticate(*api.MAY_UPLOAD)
    key = call.request.query.get("videoId", "")
    record = call.find_own(KIND, key, account)
    if record is None:
        raise api.refuse("videoNotFound", "The video cannot be found.", 404)
    if account["options"].get("no_thumbnails"):
        raise api.refuse("forbidden", "The thumbnail can't be set for the specified video.", 403)
    facts = probe.read_image(call.body)
    if not call.body:
        raise api.refuse("mediaBodyRequired", "The request does not include the image content.")
    if facts is None or facts.format not in _THUMBNAIL_FORMATS or len(call.body) > _THUMBNAIL_BYTES:
        raise api.refuse("invalidImage", "The provided image content is invalid.")
    times = record.get("thumbnails_set", 0) + 1
    call.context.store.put(KIND, key, record | {"thumbnail": facts.sha256, "thumbnails_set": times})
    item = {"default": {"url": build_thumbnail_url(key, facts.sha256), "width": 120, "height": 90}}
    return api.ok({"kind": "youtube#thumbnailSetResponse", "etag": facts.sha256[:27], "items": [item]})
