"""Facebook's error codes -> our error classes, for uploads and the visible call.

Sources, read 2026-11-24: developers.facebook.com/docs/graph-api/guides/error-handling (general codes),
.../docs/video-api/guides/reels-publishing, 2026-09-11 (136xxxx of reels), .../docs/graph-api/reference/page/videos,
2026-09-11 (videos). Facebook sends the 136xxxx numbers as code or as subcode: the table lists them by the number alone.
"""

from __future__ import annotations

from adapters.errors import Rejected, Unavailable
from adapters.graph_api import BASE_TABLE, INTERRUPTED, GraphErrorRow, GraphErrorTable

SERVICE = "Facebook"

DUPLICATE = "duplicate_post"
WRONG_OFFSET = 1363037
"""Subcode of a chunk that starts at another offset than expected; ``error_data`` holds the expected ones.

Source: facebook/facebook-python-business-sdk, facebook_business/video_uploader.py, read 2026-11-24.
"""


def _reject(message: str, next_action: str | None = None, code: str | None = None) -> GraphErrorRow:
    return GraphErrorRow(
        error=Rejected, message=message, before_acting=True, next_action=next_action, code=code
    )


def _retry(message: str, code: str | None = None) -> GraphErrorRow:
    return GraphErrorRow(error=Unavailable, message=message, code=code)


_BLOCKED = _reject("the Page was blocked from posting for policy reasons", "Check the Page's support inbox.")
_POSTED = "the same post or the same photos were posted already"

TABLE: GraphErrorTable = {
    **BASE_TABLE,
    (100, None): _reject("a parameter was refused"),
    (368, None): _BLOCKED,
    (368, 1390008): _reject(
        "posting too fast; the Page was blocked for a while", "Wait before posting again."
    ),
    (368, 4854002): _reject("the person's identity has to be confirmed", "Confirm the identity at Facebook."),
    (382, None): _reject("the video file is too small"),
    (389, None): _retry("the media URL could not be fetched"),
    (506, None): _reject(_POSTED, "Change the text.", DUPLICATE),
    (6000, None): _reject("the video file is damaged or not supported"),
    (6001, None): _retry("the upload failed"),
    (None, 1363037): _retry("a chunk did not start at the expected offset", INTERRUPTED),
    (None, 1363040): _reject("the reel's aspect ratio is not supported", "Use 9:16."),
    (None, 1363127): _reject("the reel's resolution is too low", "Use at least 540 x 960 pixels."),
    (None, 1363128): _reject("the reel's duration is not supported", "Use 3 to 90 seconds."),
    (None, 1363129): _reject("the reel's frame rate is not supported", "Use 24 to 60 frames a second."),
    (None, 1366046): _reject("the photo is too large or of a wrong type", "Send JPEG or PNG under 4 MB."),
    (None, 1366051): _reject(_POSTED, None, DUPLICATE),
    (None, 1609005): _reject("a link in the text could not be read"),
}
