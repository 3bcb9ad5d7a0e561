"""Pinterest's limits, each with its source, and the pace of our requests.

Pages, all read 2026-11-24:
* SPEC: Pinterest's OpenAPI description of API v5, 5.23.0 (github.com/pinterest/api-description, v5/openapi.json)
* HELP: help.pinterest.com, product specifications for organic pins
* RATE: developers.pinterest.com/docs/reference/rate-limits
"""

from __future__ import annotations

from datetime import timedelta

from adapters.contract import Capabilities, PostForm
from adapters.limit import ImageRule, Limit, Rate

MB = 1024 * 1024

TITLE_CHARACTERS = 100  # SPEC PinCreate.title
DESCRIPTION_CHARACTERS = 800  # SPEC PinCreate.description; HELP still says 500
LINK_CHARACTERS = 2048  # SPEC PinCreate.link
ALT_TEXT_CHARACTERS = 500  # SPEC PinCreate.alt_text
CAROUSEL = (2, 5)  # SPEC PinMediaSourceImagesURL.items

IMAGE = ImageRule(
    types=("image/jpeg", "image/png"),  # HELP
    bytes=20 * MB,  # HELP
    is_pulled=True,  # SPEC: image_url and multiple_image_urls
)
VIDEO_TYPES = ("video/mp4", "video/quicktime", "video/x-m4v")  # HELP: MP4, MOV, M4V
VIDEO_CODECS = ("h264", "hevc")  # HELP: H.264, H.265
VIDEO_BYTES = 2048 * MB  # HELP: 2 GB, read generously
VIDEO_SECONDS = (4.0, 15 * 60.0)  # HELP
VIDEO_RATIO = (0.5, 1.91)  # HELP, width : height: between 1:2 and 1.91:1
RATIO_SLACK = 0.01  # ours: rounding is no reason to refuse

COVER_SECOND = 1
"""The second of the frame that becomes a video's cover; ours: every video that Pinterest takes is longer."""

FIRST_POLL = timedelta(seconds=5)
LONGEST_POLL = timedelta(seconds=60)
GONE_READS = 3
"""Reads that may miss a video before it counts as lost: a fresh one can be missing for seconds."""
RESTARTS = 4
"""Restarts of an interrupted upload within one attempt."""
RESTART_PAUSE = timedelta(seconds=30)
PAGE = 100
"""Items per page that are requested; SPEC allows 250, which could exceed the body size we read."""
BOARD_PAGES = 100
"""Most pages of boards that are read when an account is connected."""
PAGES = 5
"""Pages that one listing of pins reads. A board's order (newest first in practice) is not documented."""
CLOCK_SKEW = timedelta(seconds=60)
"""The allowed lag of Pinterest's ``created_at`` behind our arming time."""
BUSY = timedelta(minutes=1)  # RATE: the buckets are by minute and by second
RESET_MOST = timedelta(days=1)  # RATE: the longest bucket is a day (Trial access)

LIMITS = (
    Limit("text", "caption", most=DESCRIPTION_CHARACTERS, unit="characters"),
    Limit("text", "title", most=TITLE_CHARACTERS, unit="characters"),
    Limit("text", "link", most=LINK_CHARACTERS, unit="characters"),
    Limit("text", "alternative text", most=ALT_TEXT_CHARACTERS, unit="characters"),
    Limit.between("post", "images of a carousel", CAROUSEL),
    Limit("image", "type", values=IMAGE.types),
    Limit("image", "size", most=IMAGE.bytes, unit="bytes"),
    Limit("video", "type", values=VIDEO_TYPES),
    Limit("video", "codec", values=VIDEO_CODECS),
    Limit("video", "size", most=VIDEO_BYTES, unit="bytes"),
    Limit.between("video", "duration", VIDEO_SECONDS, "seconds"),
    Limit.between("video", "width : height", VIDEO_RATIO),
)
"""The table of the reference, for people."""

CAPABILITIES = Capabilities(
    display_name="Pinterest",
    post_kinds={PostForm.VIDEO: "video_pin", PostForm.IMAGE: "pin", PostForm.IMAGES: "carousel_pin"},
    pulls_media=True,  # images, by image_url and multiple_image_urls; a video's bytes go through us
    prepare_lead=timedelta(minutes=15),  # ours: how long registered media live is not documented
    # two reads over a minute at least: the lag of a board's list is unknown
    settle_window=timedelta(minutes=1),
    look_every=(timedelta(seconds=10), timedelta(minutes=2)),
    look_limit=timedelta(minutes=60),  # processing was seen to take more than 5 minutes
    rates=(
        Rate(step="finalize", count=100, per=timedelta(minutes=1)),  # RATE org_write, per user and app
        # RATE org_read 1000, over the 5 pages of a board and 5 of its section that a look reads
        Rate(step="look", count=100, per=timedelta(minutes=1)),
    ),
    limits=LIMITS,
    image_rule=IMAGE,
)
