"""Instagram's (code, subcode) pairs -> our error classes, for containers and ``media_publish``.

Source, unless a row says otherwise:
developers.facebook.com/docs/instagram-platform/instagram-api/reference/error-codes,
updated 2026-06-02, read 2026-11-24. POSTIZ: github.com/gitroomhq/postiz-app, instagram.provider.ts, read 2026-11-29.
Only rows with ``before_acting`` (rows made by ``reject`` have it) count as given before acting, whatever the call.
"""

from __future__ import annotations

import re
from datetime import timedelta

from adapters.errors import AdapterError, RateLimited, Rejected, Unavailable
from adapters.graph_errors import BASE_TABLE, GONE, GraphErrorRow, GraphErrorTable, reject, retry
from adapters.platform_message import clean_message

SERVICE = "Instagram"

EXPIRED = "container_expired"
FAILED = "container_failed"


def _block(message: str) -> GraphErrorRow:
    """Return a row of a block by policy, which may have acted, and is never sent again once absence is proven."""
    return GraphErrorRow(
        Rejected,
        message,
        any_subcode=True,
        is_policy=True,
        code="blocked_by_policy",
        next_action="Check the account in the Instagram app before trying again.",
    )


_ROWS: GraphErrorTable = {
    (-1, None): retry("a server error"),
    (-1, 2207001): retry("a server error"),
    (-1, 2207032): retry("the media could not be created"),
    (-1, 2207053): retry("the upload failed for an unknown reason"),
    (-2, None): retry("the media could not be fetched in time"),
    (-2, 2207003): retry("the media could not be fetched in time"),
    (-2, 2207020): retry("the uploaded media expired"),
    (1, 2207057): reject("the thumbnail's offset lies outside the video"),
    # Posts were live despite this refusal (postiz-app PR #1681, read 2026-11-24): no proof after media_publish.
    (4, 2207051): _block("the action was blocked as suspected spam"),
    # The window rolls: each post frees its place after 24 hours, so an hourly retry loses at most an hour.
    (9, 2207042): GraphErrorRow(
        RateLimited,
        "the daily limit of published posts is reached",
        before_acting=True,
        wait=timedelta(hours=1),
    ),
    (24, 2207006): retry("the media container was not found", GONE),
    (24, 2207008): retry("the media container is missing or expired", GONE),
    (25, 2207050): reject(
        "the account is restricted or inactive", "Log in to the Instagram app and complete what it asks for."
    ),
    # A wrong parameter is our mistake at a container; the page does not list it for media_publish.
    (100, None): GraphErrorRow(Rejected, "a parameter was refused"),
    (100, 2207023): reject("unknown media type"),
    (100, 2207028): reject("a carousel takes 2 to 10 items"),
    (100, 2207035): reject("a product tag's position is invalid"),
    (100, 2207036): reject("a photo needs a position for each product tag"),
    (100, 2207037): reject("a product tag is invalid"),
    (100, 2207040): reject("too many user tags"),
    # POSTIZ
    (None, 2207081): GraphErrorRow(
        Rejected, "the account does not support trial reels", next_action="Publish the reel without a trial."
    ),
    (368, None): _block(
        "the account was blocked from posting for policy reasons"
    ),  # POSTIZ, guides/error-handling
    (352, 2207026): reject("the video format is not supported", "Send MP4 or MOV with H.264 or HEVC."),
    # The vendor calls it permanent; postiz-app PR #1900 and mixpost #197 saw a later attempt succeed.
    (9004, 2207052): retry("the media URL could not be fetched"),
    (9007, 2207027): GraphErrorRow(Unavailable, "the media is not ready yet", before_acting=True),
    (36000, 2207004): reject("the image is too large", "Send a JPEG of at most 8 MB."),
    (36001, 2207005): reject("the image format is not supported", "Send a JPEG."),
    (36003, 2207009): reject("the aspect ratio is not supported", "Use a ratio between 3:4 and 1.91:1."),
    (36004, 2207010): reject("the caption is too long", "Use at most 2200 characters."),
}

TABLE: GraphErrorTable = {**BASE_TABLE, **_ROWS}

_BY_SUBCODE = {subcode: (code, row) for (code, subcode), row in _ROWS.items() if subcode is not None}
_SUBCODE = re.compile(r"\b2207\d{3}\b")


def build_status_error(text: str) -> AdapterError:
    """Return the error of a container in ERROR, by the subcode in its ``status`` text.

    Example: "Error: Media upload has failed with error code 2207026". Without a listed subcode the error is
    Unavailable: a container is invisible, and the number of restarts is limited.
    """
    found = _SUBCODE.search(text)
    listed = _BY_SUBCODE.get(int(found.group())) if found else None
    words = clean_message(text)
    if found is None or listed is None:
        named = found.group() if found else None
        return Unavailable(
            "Instagram could not process the media", code=FAILED, platform_code=named, platform_message=words
        )
    code, row = listed
    name = found.group() if code is None else f"{code}/{found.group()}"
    kind = row.error if issubclass(row.error, Rejected) else Unavailable
    return kind(
        f"Instagram: {row.message}",
        code=row.code if kind is Rejected else FAILED,
        platform_code=name,
        next_action=row.next_action,
        platform_message=words,
    )


def build_expired_error() -> Unavailable:
    """Return the error of a container that was not published within 24 hours; a new one replaces it."""
    return Unavailable("Instagram: the media container expired unpublished", code=EXPIRED)
