"""Validation of a video's metadata before its upload session is opened.

Limits: developers.google.com/youtube/v3/docs/videos, read 2026-11-24.
"""

from datetime import datetime

from adapters.sandbox.endpoint import Call
from adapters.sandbox.store import Record
from adapters.sandbox.vendor_table import KINDS, check_fields
from adapters.sandbox.youtube import api


def check_metadata(call: Call, body: Record) -> tuple[Record, Record]:
    """Return the normalized `snippet` and `status`; raises Refused."""
    parts = call.request.query.get("part", "").split(",")
    if parts == [""]:
        raise api.refuse("missingRequiredParameter", "Required parameter: part")
    for name in body:
        if name in api.TABLE["writable_parts"] and name not in parts:
            raise api.refuse(
                "unexpectedPart", f"The request body holds {name}, which the parameter part does not name."
            )
    for name in parts:
        if name not in (*api.TABLE["writable_parts"], *api.TABLE["other_parts"]):
            raise api.refuse("unknownPart", f"'{name}'")
    return _check_snippet(_get_object(body, "snippet")), _check_status(call, _get_object(body, "status"))


def _get_object(body: Record, name: str) -> Record:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise api.refuse("invalidVideoMetadata", "The request metadata is invalid.")
    return value


def _check_snippet(given: Record) -> Record:
    snippet: Record = {"title": None, "description": "", "tags": [], "categoryId": "22"}
    snippet |= {name: given[name] for name in snippet if name in given}
    check_fields(snippet, api.TABLE["snippet"], api.refuse, _KINDS)
    return snippet


def _has_angles(text: str) -> bool:
    return "<" in text or ">" in text


def _count_tag_characters(tags: list[str]) -> int:
    """Return the length of the tags, including commas between them and quotes around tags with spaces."""
    return sum(len(tag) + (2 if " " in tag else 0) for tag in tags) + max(0, len(tags) - 1)


_KINDS = {
    **KINDS,
    "title": lambda value, most: (
        isinstance(value, str) and value.strip() != "" and len(value) <= most and not _has_angles(value)
    ),
    "description": lambda value, most: (
        isinstance(value, str) and not _has_angles(value) and len(value.encode()) <= most
    ),
    "tags": lambda value, most: (
        isinstance(value, list)
        and all(isinstance(tag, str) for tag in value)
        and _count_tag_characters(value) <= most
    ),
}


def _check_status(call: Call, given: Record) -> Record:
    known = {"privacyStatus": "public", "license": "youtube"} | given
    check_fields(known, api.TABLE["status"], api.refuse)
    privacy = known["privacyStatus"]
    status: Record = {"uploadStatus": "uploaded", "privacyStatus": privacy}
    if "publishAt" in given:
        if privacy != "private" or not _is_future(call, given["publishAt"]):
            raise api.refuse(
                "invalidPublishAt", "The request metadata specifies an invalid scheduled publishing time."
            )
        status["publishAt"] = given["publishAt"]
    status["license"] = known["license"]
    status["embeddable"] = bool(given.get("embeddable", True))
    status["publicStatsViewable"] = bool(given.get("publicStatsViewable", True))
    for name in ("selfDeclaredMadeForKids", "containsSyntheticMedia"):
        if name in given:
            status[name] = bool(given[name])
    return status | {"madeForKids": bool(given.get("selfDeclaredMadeForKids", False))}


def _is_future(call: Call, text: object) -> bool:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return False
    return moment.tzinfo is not None and moment.timestamp() > call.context.clock.now()
