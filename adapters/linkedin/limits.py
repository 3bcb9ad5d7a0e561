"""LinkedIn's limits, each with its source, and the pace of our requests.

Pages (under learn.microsoft.com/linkedin/marketing/, through digests of 2026-06 to 2026-10), all read 2026-11-24:
* POST: community-management/shares/posts-api
* MULTI: community-management/shares/multiimage-post-api
* IMAGE: community-management/shares/images-api
* VIDEO: community-management/shares/videos-api
* ARTICLE: the same page, li-lms-2026-09, read 2026-11-29: the link's page is not read
* DOCUMENT: community-management/shares/documents-api, 2026-06-24, read 2026-11-29
* TEXT: community-management/shares/little-text-format
* VERSIONS: integrations/migrations
* RATE: the rate limits of Share on LinkedIn and of the Community Management API
"""

from __future__ import annotations

from datetime import date, timedelta

from adapters.contract import Capabilities, PostForm
from adapters.limit import ImageRule, Limit

COMMENTARY = 3000
"""POST; counted in UTF-16 units of the escaped text, as LinkedIn does not say whether it counts escapes."""
ALT_TEXT = 4086  # POST, MULTI
IMAGES = (2, 20)  # MULTI
IMAGE = ImageRule(
    types=("image/jpeg", "image/png", "image/gif"),  # IMAGE
    area=36_152_320 - 1,  # IMAGE: fewer than 36 152 320 pixels
)
COVER_TYPES = ("image/jpeg", "image/png")  # VIDEO, as of li-lms-2026-05
COVER_BYTES = 10_000_000 - 1  # the same: under 10 MB, read strictly
VIDEO_TYPES = ("video/mp4",)  # VIDEO
VIDEO_BYTES = (75 * 1024, 500 * 1024 * 1024)  # VIDEO: 75 KB to 500 MB; its schema mentions 5 GB
VIDEO_SECONDS = (3.0, 30 * 60.0)  # VIDEO
DOCUMENT_TYPES = ("application/pdf",)  # DOCUMENT, which lists DOC(X) and PPT(X) too
DOCUMENT_BYTES = 100_000_000  # DOCUMENT: 100 MB, read strictly
DOCUMENT_PAGES = 300  # DOCUMENT

COMMENT_UNITS = 1250  # third parties': comments-api (2026-04-28, read 2026-11-29) names no longest comment

FIRST_POLL_IMAGE = timedelta(seconds=1)
FIRST_POLL_VIDEO = timedelta(seconds=5)
FIRST_POLL_DOCUMENT = timedelta(seconds=5)
LONGEST_POLL = timedelta(seconds=60)
GONE_READS = 3
"""Reads that may miss an image or video before it counts as lost: a fresh one can be missing for seconds."""
RESTARTS = 3
"""Restarts of file uploads within one attempt."""
RESTART_PAUSE = timedelta(seconds=30)
URL_MARGIN = timedelta(seconds=60)
"""How long before its expiry an upload URL is no longer used."""
NOT_READY = timedelta(seconds=10)
"""The pause before the next post call after LinkedIn reports that an upload is not complete."""
COMMENT_PAUSE = timedelta(minutes=1)
"""The pause before a comment is sent again after a throttle."""

RETIREMENTS = {
    "202601": date(2027, 1, 15),
    "202602": date(2027, 2, 15),
    "202603": date(2027, 3, 16),
    "202604": date(2027, 4, 15),
    "202605": date(2027, 5, 15),
    "202606": date(2027, 6, 15),
    "202607": date(2027, 7, 15),
    # not on the page as read; LinkedIn serves a version for a year at least, to the middle of its month
    "202608": date(2027, 8, 15),
    "202609": date(2027, 9, 15),
}
"""LinkedIn-Version -> day of its retirement. VERSIONS, fetched 2026-08-13; there was no 202512."""

LISTED = 100
"""Posts of an organization, or comments on one, per page; ``look`` reads one."""
CLOCK_SKEW = timedelta(seconds=5)
"""The allowed lag of LinkedIn's times behind ours."""

LIMITS = (
    Limit("text", "caption", most=COMMENTARY, unit="UTF-16 units"),
    Limit("text", "first comment", most=COMMENT_UNITS, unit="UTF-16 units", connection="organization"),
    Limit.between("post", "images of a multi-image post", IMAGES),
    Limit("text", "alternative text", most=ALT_TEXT, unit="characters"),
    Limit("image", "type", values=IMAGE.types),
    Limit("image", "area", most=IMAGE.area, unit="pixels"),
    Limit("image", "type of a video's cover", values=COVER_TYPES),
    Limit("image", "size of a video's cover", most=COVER_BYTES, unit="bytes"),
    Limit("video", "type", values=VIDEO_TYPES),
    Limit.between("video", "size", VIDEO_BYTES, "bytes"),
    Limit.between("video", "duration", VIDEO_SECONDS, "seconds"),
    Limit("document", "type", values=DOCUMENT_TYPES),
    Limit("document", "size", most=DOCUMENT_BYTES, unit="bytes"),
    Limit("document", "pages", most=DOCUMENT_PAGES),
)
"""The table of the reference, for people."""

CAPABILITIES = Capabilities(
    display_name="LinkedIn",
    post_kinds={
        PostForm.VIDEO: "video",
        PostForm.IMAGE: "image",
        PostForm.IMAGES: "multi_image",
        PostForm.TEXT: "text_or_article",
        PostForm.DOCUMENT: "document",
    },
    pulls_media=False,  # we send every byte
    prepare_lead=timedelta(minutes=15),  # ours: LinkedIn keeps an upload far longer
    settle_window=timedelta(minutes=1),  # ours: how late a listing shows a post is not documented
    look_every=(timedelta(seconds=10), timedelta(minutes=2)),
    look_limit=timedelta(minutes=60),
    keeps=("media", "unreadable"),  # with the same URNs, LinkedIn refuses a duplicate and names the live post
    retirements=RETIREMENTS,
    daily_posts=100,  # RATE: 100 a member and day (Community Management, development tier), 150 (Share on LinkedIn)
    limits=LIMITS,
    image_rule=IMAGE,
)
