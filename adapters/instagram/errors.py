"""What Instagram's (code, subcode) pairs mean to us, at a container and at ``media_publish``.

Source, unless a row says otherwise:
developers.facebook.com/docs/instagram-platform/instagram-api/reference/error-codes,
updated 2026-06-02, read 2026-11-24.
Only rows with ``before_acting`` (those made by ``_refused`` have it) count as given before acting, whatever the call.
"""

from __future__ import annotations

import re
from datetime import timedelta

from adapters.errors import AdapterError, RateLimited, Rejected, Unavailable
from adapters.graph_api import BASE_TABLE, GONE, Row, Table

EXPIRED = "container_expired"
FAILED = "container_failed"


def _refused(says: str, next_action: str | None = None) -> Row:
    return Row(error=Rejected, says=says, before_acting=True, next_action=next_action)


def _passing(says: str, code: str | None = None) -> Row:
    return Row(error=Unavailable, says=says, code=code)


_ROWS: Table = {
    (-1, None): _passing("a server error"),
    (-1, 2207001): _passing("a server error"),
    (-1, 2207032): _passing("the media could not be created"),
    (-1, 2207053): _passing("the upload failed for an unknown reason"),
    (-2, None): _passing("the media could not be fetched in time"),
    (-2, 2207003): _passing("the media could not be fetched in time"),
    (-2, 2207020): _passing("the uploaded media expired"),
    (1, 2207057): _refused("the thumbnail's offset lies outside the video"),
    # Live although refused: seen in postiz-app PR #1681, read 2026-11-24. So no proof after media_publish.
    (4, 2207051): Row(
        error=Rejected,
        says="the action was blocked as suspected spam",
        next_action="Check the account in the Instagram app before trying again.",
    ),
    # A rolling window: a place comes free as each post turns 24 hours old, so asking hourly loses at most an hour.
    (9, 2207042): Row(
        error=RateLimited,
        says="the daily limit of published posts is reached",
        before_acting=True,
        wait=timedelta(hours=1),
    ),
    (24, 2207006): _passing("the media container was not found", GONE),
    (24, 2207008): _passing("the media container is missing or expired", GONE),
    (25, 2207050): _refused(
        "the account is restricted or inactive", "Log in to the Instagram app and complete what it asks for."
    ),
    # A wrong parameter is our mistake at a container; the page does not list it for media_publish.
    (100, None): Row(error=Rejected, says="a parameter was refused"),
    (100, 2207023): _refused("unknown media type"),
    (100, 2207028): _refused("a carousel takes 2 to 10 items"),
    (100, 2207035): _refused("a product tag's position is invalid"),
    (100, 2207036): _refused("a photo needs a position for each product tag"),
    (100, 2207037): _refused("a product tag is invalid"),
    (100, 2207040): _refused("too many user tags"),
    (352, 2207026): _refused("the video format is not supported", "Send MP4 or MOV with H.264 or HEVC."),
    # The vendor calls it permanent; postiz-app PR #1900 and mixpost #197 saw it pass on a later try.
    (9004, 2207052): _passing("the media URL could not be fetched"),
    (9007, 2207027): Row(error=Unavailable, says="the media is not ready yet", before_acting=True),
    (36000, 2207004): _refused("the image is too large", "Send a JPEG of at most 8 MB."),
    (36001, 2207005): _refused("the image format is not supported", "Send a JPEG."),
    (36003, 2207009): _refused("the aspect ratio is not supported", "Use a ratio between 4:5 and 1.91:1."),
    (36004, 2207010): _refused("the caption is too long", "Use at most 2200 characters."),
}

TABLE: Table = {**BASE_TABLE, **_ROWS}

_BY_SUBCODE = {subcode: (code, row) for (code, subcode), row in _ROWS.items() if subcode is not None}
_SUBCODE = re.compile(r"\b2207\d{3}\b")


def of_status(text: str) -> AdapterError:
    """Our error for a container in ERROR, from its ``status`` text, which holds the subcode.

    ("Error: Media upload has failed with error code 2207026".) Unavailable when it holds none that we know: a
    container is invisible, and how often a new one is made is bounded.
    """
    found = _SUBCODE.search(text)
    listed = _BY_SUBCODE.get(int(found.group())) if found else None
    if found is None or listed is None:
        named = found.group() if found else None
        return Unavailable("Instagram could not process the media", code=FAILED, platform_code=named)
    code, row = listed
    kind = row.error if issubclass(row.error, Rejected) else Unavailable
    return kind(
        f"Instagram: {row.says}",
        code=None if kind is Rejected else FAILED,
        platform_code=f"{code}/{found.group()}",
        next_action=row.next_action,
    )


def expired() -> Unavailable:
    """A container that was not published within 24 hours; a new one takes its place."""
    return Unavailable("Instagram: the media container expired unpublished", code=EXPIRED)
