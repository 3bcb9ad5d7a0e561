"""Validation of a video's metadata before its upload session is opened.

Limits: developers.google.com/youtube/v3/docs/videos, read 2026-11-24.
"""

from datetime import datetime
from typing import Final

from adapters.sandbox.endpoint import Call
from adapters.sandbox.store import Record
from adapters.sandbox.youtube.api import refuse

_MAX_TITLE = 100
_DESCRIPTION_BYTES = 5000
_MAX_TAGS = 500
_PRIVACY: Final = ("public", "unlisted", "private")
_LICENSES: Final = ("youtube", "creativeCommon")
_WRITABLE = ("snippet", "status", "recordingDetails", "localizations", "contentDetails")


def check_metadata(call: Call, body: Record) -> tuple[Record, Record]:
    """Return the normalized `snippet` and `status`; raises Refused."""
    parts = call.request.query.get("part", "").split(",")
    if parts == [""]:
        raise refuse("missingRequiredParameter", "Required parameter: part")
    for name in body:
        if name in _WRITABLE and name not in parts:
            raise refuse(
                "unexpectedPart", f"The request body holds {name}, which the parameter part does not name."
            )
    for name in parts:
        if name not in (*_WRITABLE, "id", "fileDetails", "processingDetails", "player", "statistics"):
            raise refuse("unknownPart", f"'{name}'")
    return _check_snippet(_get_object(body, "snippet")), _check_status(call, _get_object(body, "status"))


def _get_object(body: Record, name: str) -> Record:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise refuse("invalidVideoMetadata", "The request metadata is invalid.")
    return value


def _check_snippet(given: Record) -> Record:
    title, description = given.get("title"), given.get("description", "")
    if not isinstance(title, str) or not title.strip() or len(title) > _MAX_TITLE or _has_angles(title):
        raise refuse("invalidTitle", "The request metadata specifies an invalid or empty video title.")
    if not isinstance(description, str) or _has_angles(description):
        raise refuse("invalidDescription", "The request metadata specifies an invalid video description.")
    if len(description.encode()) > _DESCRIPTION_BYTES:
        raise refuse("invalidDescription", "The request metadata specifies an invalid video description.")
    tags = given.get("tags", [])
    if (
        not isinstance(tags, list)
        or not all(isinstance(tag, str) for tag in tags)
        or _count_tag_characters(tags) > _MAX_TAGS
    ):
        raise refuse("invalidTags", "The request metadata specifies invalid video keywords.")
    category = given.get("categoryId", "22")
    if not isinstance(category, str) or not category.isdecimal():
        raise refuse("invalidCategoryId", "The snippet.categoryId property specifies an invalid category ID.")
    return {"title": title, "description": description, "tags": tags, "categoryId": category}


def _has_angles(text: str) -> bool:
    return "<" in text or ">" in text


def _count_tag_characters(tags: list[str]) -> int:
    """Return the length of the tags, including commas between them and quotes around tags with spaces."""
    return sum(len(tag) + (2 if " " in tag else 0) for tag in tags) + max(0, len(tags) - 1)


def _check_status(call: Call, given: Record) -> Record:
    privacy = given.get("privacyStatus", "public")
    if privacy not in _PRIVACY:
        raise refuse("invalidVideoMetadata", "The request metadata is invalid: status.privacyStatus.")
    if given.get("license", "youtube") not in _LICENSES:
        raise refuse("invalidVideoMetadata", "The request metadata is invalid: status.license.")
    status: Record = {"uploadStatus": "uploaded", "privacyStatus": privacy}
    if "publishAt" in given:
        if privacy != "private" or not _is_future(call, given["publishAt"]):
            raise refuse(
                "invalidPublishAt", "The request metadata specifies an invalid scheduled publishing time."
            )
        status["publishAt"] = given["publishAt"]
    status["license"] = given.get("license", "youtube")
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
