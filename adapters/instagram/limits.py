"""Instagram's limits, each with its source, and the pace of our requests.

Pages (all under developers.facebook.com/docs/instagram-platform/):
* MEDIA: instagram-graph-api/reference/ig-user/media, v25.0 text of 2026-09-11, read 2026-11-24
* GUIDE: content-publishing, v25.0, read 2026-11-24
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from adapters.contract import Capabilities, PostForm
from adapters.graph_errors import RETIREMENTS
from adapters.limit import ImageRule, Limit

CAPTION_CHARACTERS = 2200  # MEDIA
HASHTAGS = 30  # MEDIA
MENTIONS = 20  # MEDIA
ALT_TEXT_CHARACTERS = 1000  # MEDIA, of images

IMAGE_RATIO = (4 / 5, 1.91)  # MEDIA, width : height
REPORTED_RATIO = (3 / 4, 1.91)  # since 2026-05, third party: a live test in postybirb's pull request 762
IMAGE = ImageRule(
    types=("image/jpeg",),  # GUIDE: JPEG is the only image format
    bytes=8 * 1024 * 1024,  # MEDIA: 8 MB; read generously
    ratio=IMAGE_RATIO,
    reported_ratio=REPORTED_RATIO,
    slack=0.01,  # ours: 1080 x 1351 counts as 4:5
    converted_width=1440,  # MEDIA: widths outside 320..1440 are scaled, not refused
    is_pulled=True,  # MEDIA: image_url
)

# MEDIA names no ratio of a story's image; the app shows 9:16, which a post in the feed may not have.
STORY_IMAGE = replace(IMAGE, ratio=None, reported_ratio=None)
STORY_BYTES = 100 * 1024 * 1024  # MEDIA, of a video
STORY_SECONDS = (3.0, 60.0)  # MEDIA

VIDEO_TYPES = ("video/mp4", "video/quicktime")  # MEDIA
VIDEO_CODECS = ("h264", "hevc")  # MEDIA
VIDEO_BYTES = 300 * 1024 * 1024  # MEDIA; older text of the same page said 1 GB
VIDEO_SECONDS = (3.0, 15 * 60.0)  # MEDIA
VIDEO_FPS = (23.0, 60.0)  # MEDIA
VIDEO_WIDTH = 1920  # MEDIA
VIDEO_RATIO = (0.01, 10.0)  # MEDIA

CAROUSEL = (2, 10)  # MEDIA; the app allows 20, the API 10

CONTAINERS_PER_DAY = 400  # MEDIA: containers per account and rolling 24 h; far above what posts_per_day needs
# GUIDE says 100, its reference page 50; content_publishing_limit has the account's own number
POSTS_PER_DAY = 50

QUOTA_RECHECK = timedelta(hours=1)
"""The pause before the quota is read again: the window rolls, and each post frees its place after 24 hours."""
FIRST_POLL_IMAGE = timedelta(seconds=1)
FIRST_POLL_VIDEO = timedelta(seconds=5)
LONGEST_POLL = timedelta(seconds=60)  # GUIDE: once a minute
RESTARTS = 3
"""Replacements of a failed container within one attempt."""
RESTART_PAUSE = timedelta(seconds=30)
GONE_READS = 3
"""Reads that may miss a container before it counts as lost: a fresh one can be missing for seconds."""
LISTINGS = 5
"""Searches for the post of a PUBLISHED container before the container's id stands for it."""
PAGE = "50"
"""Posts per page of a listing: with the longest captions, more could exceed the body size we read."""
CLOCK_SKEW = timedelta(seconds=5)
"""The allowed lag of Instagram's timestamps, which count whole seconds, behind our arming time."""
CONTAINER_LIFE = timedelta(hours=24)  # GUIDE
LIMITS = (
    Limit("text", "caption", most=CAPTION_CHARACTERS, unit="characters"),
    Limit("text", "hashtags", most=HASHTAGS),
    Limit("text", "mentions", most=MENTIONS),
    Limit.between("post", "images of a carousel", CAROUSEL),
    Limit("image", "alternative text", most=ALT_TEXT_CHARACTERS, unit="characters"),
    Limit("image", "type", values=IMAGE.types),
    Limit("image", "size", most=IMAGE.bytes, unit="bytes"),
    Limit.between("image", "width : height", REPORTED_RATIO),
    Limit.between("image", "width : height as documented", IMAGE_RATIO, is_enforced=False),
    Limit("video", "type", values=VIDEO_TYPES),
    Limit("video", "codec", values=VIDEO_CODECS),
    Limit("video", "size", most=VIDEO_BYTES, unit="bytes"),
    Limit.between("video", "duration", VIDEO_SECONDS, "seconds"),
    Limit.between("video", "frame rate", VIDEO_FPS, "frames per second"),
    Limit("post", "images or videos of a story", least=1, most=1),
    Limit("video", "size of a story", most=STORY_BYTES, unit="bytes"),
    Limit.between("video", "duration of a story", STORY_SECONDS, "seconds"),
    Limit("video", "width", most=VIDEO_WIDTH, unit="pixels"),
    Limit.between("video", "width : height", VIDEO_RATIO),
)
"""The table of the reference, for people."""

CAPABILITIES = Capabilities(
    display_name="Instagram",
    post_kinds={PostForm.VIDEO: "reel", PostForm.IMAGE: "image", PostForm.IMAGES: "carousel"},
    pulls_media=True,
    prepare_lead=timedelta(minutes=15),  # far under CONTAINER_LIFE
    settle_window=timedelta(seconds=30),  # two reads 10 s apart are our inference; three times that
    look_every=(FIRST_POLL_VIDEO, LONGEST_POLL),
    look_limit=timedelta(minutes=30),  # GUIDE says 5 minutes; long reels take more
    daily_posts=POSTS_PER_DAY,
    limits=LIMITS,
    image_rule=IMAGE,
    retirements=RETIREMENTS,
)
