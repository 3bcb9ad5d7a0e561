"""What a LinkedIn post must say, checked before anything is made."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.linkedin import asset
from adapters.sandbox.linkedin.dialect import refuse
from adapters.sandbox.store import Record

_COMMENTARY_MOST = 3000
_ALT_MOST = 4086
_IMAGES = (2, 20)
_VISIBILITY = ("PUBLIC", "CONNECTIONS", "LOGGED_IN", "CONTAINER")
_FEEDS = ("MAIN_FEED", "NONE")
_REQUIRED = ("author", "commentary", "visibility", "distribution", "lifecycleState")
_SORTS = ("media", "multiImage", "article")


def check(body: Record) -> None:
    """The fields beside the content; raises Refused."""
    for name in _REQUIRED:
        if body.get(name) is None:
            raise refuse("MISSING_FIELD", f"Field {name} is required")
    if not isinstance(body["commentary"], str):
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field commentary must be a string")
    if len(body["commentary"]) > _COMMENTARY_MOST:
        raise refuse("FIELD_LENGTH_TOO_LONG", f"Field commentary: at most {_COMMENTARY_MOST} characters")
    if body["visibility"] not in _VISIBILITY:
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field visibility must be PUBLIC, CONNECTIONS or LOGGED_IN")
    distribution = body["distribution"]
    if not isinstance(distribution, dict) or distribution.get("feedDistribution") not in _FEEDS:
        raise refuse(
            "INVALID_VALUE_FOR_FIELD", "Field distribution.feedDistribution must be MAIN_FEED or NONE"
        )
    if body["lifecycleState"] != "PUBLISHED":
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field lifecycleState must be PUBLISHED")


def content(call: Call, owner: Record, given: object) -> tuple[str, list[Record]]:
    """The kind of the post and the assets it shows; raises Refused."""
    if given is None:
        return "text", []
    sorts = [sort for sort in _SORTS if isinstance(given, dict) and sort in given]
    if not isinstance(given, dict) or len(sorts) != 1 or not isinstance(given[sorts[0]], dict):
        raise refuse("INVALID_VALUE_FOR_FIELD", "Field content must have one of media, multiImage, article")
    inner = given[sorts[0]]
    if sorts == ["article"]:
        if not inner.get("source"):
            raise refuse("MISSING_FIELD", "Field content.article.source is required")
        return "article", []
    if sorts == ["media"]:
        shown = _ready(call, owner, inner)
        return shown["kind"], [shown]
    images = inner.get("images")
    if not isinstance(images, list) or not _IMAGES[0] <= len(images) <= _IMAGES[1]:
        raise refuse(
            "INVALID_VALUE_FOR_FIELD", "Field content.multiImage.images must have from 2 to 20 images"
        )
    shown_all = [_ready(call, owner, image if isinstance(image, dict) else {}) for image in images]
    if any(shown["kind"] != "image" for shown in shown_all):
        raise refuse("INVALID_URN_TYPE", "Field content.multiImage.images takes images only")
    return "photos", shown_all


def _ready(call: Call, owner: Record, given: Record) -> Record:
    urn = given.get("id")
    if len(str(given.get("altText") or "")) > _ALT_MOST:
        raise refuse("FIELD_LENGTH_TOO_LONG", f"Field altText: at most {_ALT_MOST} characters")
    if not isinstance(urn, str) or not urn.startswith(("urn:li:image:", "urn:li:video:")):
        raise refuse("INVALID_URN_TYPE", f"Field id: {urn} is neither an image nor a video")
    record = call.context.store.get(asset.KIND, urn)
    if record is None:
        raise refuse("INVALID_URN_ID", f"Field id: {urn} does not exist")
    if record["account"] != owner["remote_id"]:
        raise refuse(
            "INVALID_VALUE_FOR_FIELD", f"Field id: {urn} belongs to {record['account']}, not to the author"
        )
    match record["state"]:
        case "AVAILABLE":
            return record
        case "PROCESSING_FAILED":
            raise refuse("MEDIA_ASSET_PROCESSING_FAILED", f"Media asset {urn} could not be processed")
        case _:
            raise refuse("MEDIA_ASSET_WAITING_UPLOAD", f"Media asset {urn} is not ready yet")
