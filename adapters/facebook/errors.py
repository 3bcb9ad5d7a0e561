"""Facebook's error codes -> our error classes, for uploads and the visible call.

Sources, read 2026-11-24: developers.facebook.com/docs/graph-api/guides/error-handling (general codes),
.../docs/video-api/guides/reels-publishing, 2026-09-11 (136xxxx of reels), .../docs/graph-api/reference/page/videos,
2026-09-11 (videos); POSTIZ: github.com/gitroomhq/postiz-app, read 2026-11-27 and 2026-11-29 (subcodes of 100, 324, 368,
6000, and numbers by themselves: what its users were refused with). Facebook sends the 136xxxx numbers as code or as
subcode: the table lists them by the number alone. 1705: .../docs/pages-api/comments-mentions, 2026-04-16.
"""

from __future__ import annotations

from dataclasses import replace

from adapters.errors import PermissionMissing, Rejected
from adapters.graph_api import INTERRUPTED
from adapters.graph_errors import BASE_TABLE, GraphErrorRow, GraphErrorTable, reject, retry

SERVICE = "Facebook"

DUPLICATE = "duplicate_post"
WRONG_OFFSET = 1363037
"""Subcode of a chunk that starts at another offset than expected; ``error_data`` holds the expected ones.

Source: facebook/facebook-python-business-sdk, facebook_business/video_uploader.py, read 2026-11-24.
"""


def _reject_any(message: str, next_action: str | None = None) -> GraphErrorRow:
    """Return a row of a code that is a refusal before acting whatever its subcode."""
    return replace(reject(message, next_action), any_subcode=True)


def _refuse_for_now(message: str) -> GraphErrorRow:
    """Return a row that is retried before the visible call; after it, proven absence ends the delivery."""
    next_action = "Look at the Page, then retry the post."
    return replace(retry(message, code="refused_for_now"), is_final=True, next_action=next_action)


def _block(message: str, next_action: str) -> GraphErrorRow:
    """Return a row of a refusal by policy, which is never sent again."""
    row = reject(message, next_action, "blocked_by_policy")
    return replace(row, any_subcode=True, is_policy=True)


_PHOTO = "Send JPEG or PNG under 4 MB."
_VIDEO = "Encode the video again, as MP4 with H.264."
_BLOCKED = "the Page was blocked from posting for policy reasons"
_SUPPORT = "Check the Page's support inbox."
_BAD_FILE = "the video file is damaged or not supported"
_POSTED = "the same post or the same photos were posted already"

TABLE: GraphErrorTable = {
    **BASE_TABLE,
    (100, None): reject("a parameter was refused"),
    (100, 1609008): reject("links to facebook.com cannot be posted", "Remove the link from the text."),
    (100, 2061006): reject("a link in the text is not valid", "Correct the link."),
    (100, "no permission to publish the video"): GraphErrorRow(
        PermissionMissing,
        "the user who connected the Page may not publish videos on it",
        before_acting=True,
        next_action="Give the user the task of creating content on the Page, then connect it again.",
    ),
    (324, None): _reject_any("the image file is missing or invalid", _PHOTO),
    (324, 2069019): reject("the image file is missing, too large or of a wrong type", _PHOTO),
    (368, None): _block(_BLOCKED, _SUPPORT),
    (368, 1346003): _block("the content was flagged as abusive", "Change the content."),
    (368, 1390008): _block(
        "posting too fast; the Page was blocked for a while", "Wait before posting again."
    ),
    (368, 1404102): _block("the content violates the Community Standards", "Change the content."),
    (368, 4854002): _block("the user's identity has to be confirmed", "Confirm the identity at Facebook."),
    (382, None): _reject_any("the video file is too small"),
    (389, None): retry("the media URL could not be fetched"),
    (506, None): replace(reject(_POSTED, "Change the text.", DUPLICATE), any_subcode=True),
    (1705, None): GraphErrorRow(
        PermissionMissing,
        "a comment needs the Page's own token",
        before_acting=True,
        any_subcode=True,
        next_action="Connect the Page again.",
    ),
    (6000, None): _reject_any(_BAD_FILE, _VIDEO),
    (6000, 1363019): reject(_BAD_FILE, _VIDEO),
    (6001, None): retry("the upload failed"),
    (None, 1363037): retry("a chunk did not start at the expected offset", INTERRUPTED),
    (None, 1363040): reject("the reel's aspect ratio is not supported", "Use 9:16."),
    (None, 1363127): reject("the reel's resolution is too low", "Use at least 540 x 960 pixels."),
    (None, 1363128): reject("the reel's duration is not supported", "Use 3 to 90 seconds."),
    (None, 1363129): reject("the reel's frame rate is not supported", "Use 24 to 60 frames a second."),
    (None, 1366046): reject("the photo is too large or of a wrong type", _PHOTO),
    (None, 1366051): reject(_POSTED, None, DUPLICATE),
    (None, 1609005): reject("the link could not be read", "Correct the link, or remove it."),
    # POSTIZ stops at these three; no page says whether they are given before acting.
    (None, 1349125): GraphErrorRow(
        Rejected, "the format of the content is not valid", next_action="Change the content."
    ),
    (None, 1363047): _refuse_for_now("the service refused the post as temporarily unavailable"),
    (None, 1609010): _refuse_for_now("the service refused the post as temporarily unavailable"),
}
