"""Validation of the body of a LinkedIn post."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.linkedin import asset
from adapters.sandbox.linkedin.dialect import refuse
from adapters.sandbox.store import Record

_MAX_COMMENTARY = 3000
_MAX_ALT_TEXT = 4086
_IMAGES = (2, 20)
_VISIBILITY = ("PUBLIC", "CONNECTIONS", "LOGGED_IN", "CONTAINER")
_FEEDS = ("MAIN_FEED", "NONE")
_REQUIRED = ("author", "commentary", "visibility", "distribution", "lifecycleState")
_CONTENT_TYPES = ("media", "multiImage", "article")


def check_fields(body: Record) -> None:
    """Raise Refused if a field other than the content is missing or invalid."""
    for name in _REQUIRED:
        if body.get(name) is None:
            raise refuse("MISSING_FIELD", f"Field {name} is required")
    if not isinstance(body["commentary"], str):
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field commentary must be a string")
    if len(body["commentary"]) > _MAX_COMMENTARY:
        raise refuse("FIELD_LENGTH_TOO_LONG", f"Field commentary: at most {_MAX_COMMENTARY} characters")
    if body["visibility"] not in _VISIBILITY:
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field visibility must be PUBLIC, CONNECTIONS or LOGGED_IN")
    distribution = body["distribution"]
    if not isinstance(distribution, dict) or distribution.get("feedDistribution") not in _FEEDS:
        raise refuse(
            "INVALID_VALUE_FOR_FIELD", "Field distribution.feedDistribution must be MAIN_FEED or NONE"
        )
    if body["lifecycleState"] != "PUBLISHED":
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field lifecycleState must be PUBLISHED")


def resolve_content(call: Call, owner: Record, given: object) -> tuple[str, list[Record]]:
    """Return the kind of the post and its assets; raises Refused."""
    if given is None:
        return "text", []
    types = [kind for kind in _CONTENT_TYPES if isinstance(given, dict) and kind in given]
    if not isinstance(given, dict) or len(types) != 1 or not isinstance(given[types[0]], dict):
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field content must have one of media, multiImage, article")
    inner = given[types[0]]
    if types == ["article"]:
        if not inner.get("source"):
            raise refuse("MISSING_FIELD", "Field content.article.source is required")
        return "article", []
    if types == ["media"]:
        record = _get_available(call, owner, inner)
        return record["kind"], [record]
    images = inner.get("images")
    if not isinstance(images, list) or not _IMAGES[0] <= len(images) <= _IMAGES[1]:
        raise refuse(
            "INVALID_VALUE_FOR_FIELD", "Field content.multiImage.images must have from 2 to 20 images"
        )
    assets = [_get_available(call, owner, image if isinstance(image, dict) else {}) for image in images]
    if any(record["kind"] != "image" for record in assets):
        raise refuse("INVALID_URN_TYPE", "Field content.multiImage.images takes images only")
    return "photos", assets


def _get_available(call: Call, owner: Record, given: Record) -> Record:
    urn = given.get("id")
    if len(str(given.get("altText") or "")) > _MAX_ALT_TEXT:
        raise refuse("FIELD_LENGTH_TOO_LONG", f"Field altText: at most {_MAX_ALT_TEXT} characters")
    if not isinstance(urn, str) or not urn.startswith(("urn:li:image:", "urn:li:video:")):
        raise refuse("INVALID_URN_TYPE", f"Field id: {urn} is neither an image nor a video")
    record = call.context.store.get(asset.KIND, urn)
    if record is None:
        raise refuse("INVALID_URN_ID", f"Field id: {urn} does not exist")
    if record["account"] != owner["remote_id"]:
        raise refuse("INVALID_CONTENT_OWNERSHIP", "Content(s) you provided must be owned by post author")
    match record["state"]:
        case "AVAILABLE":
            return record
        case "PROCESSING_FAILED":
            raise refuse("MEDIA_ASSET_PROCESSING_FAILED", f"Media asset {urn} could not be processed")
        case _:
            raise refuse("MEDIA_ASSET_WAITING_UPLOAD", f"Media asset {urn} is not ready yet")
