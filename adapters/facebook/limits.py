"""Limits of Facebook Pages, each with its source, and the pace of our requests.

Pages (under developers.facebook.com/docs/, read 2026-11-24):
* PHOTOS: graph-api/reference/page/photos
* REELS: video-api/guides/reels-publishing, 2026-09-11
* THUMBNAILS: graph-api/reference/video/thumbnails, read 2026-11-29: the limits of a video's thumbnail
* POSTS: pages-api/posts, 2026-09-11: ``message`` and ``link`` of the feed; no longest text
* POSTIZ: github.com/gitroomhq/postiz-app, read 2026-08-21: a link to facebook.com is refused (1609008)
* STORIES: page-stories-api, 2026-05-06, read 2026-11-29: what a story's video has to be; a photo is as in PHOTOS
* THIRD: ayrshare's documentation of Facebook videos; no vendor page names these numbers
"""

from __future__ import annotations

from datetime import timedelta

from adapters.contract import Capabilities, PostForm
from adapters.graph_errors import RETIREMENTS
from adapters.limit import ImageRule, Limit

PHOTO = ImageRule(
    types=("image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"),  # PHOTOS
    bytes=10 * 1024 * 1024,  # PHOTOS: under 10 MB; older pages and error 1366046 say 4 MB
    is_pulled=True,  # PHOTOS: url
)

COVER_TYPES = ("image/jpeg", "image/png")  # ours: the page names no types, its sample is a JPEG
COVER_BYTES = 10 * 1024 * 1024  # THUMBNAILS: 10 MB

REEL_TYPES = ("video/mp4",)  # REELS
REEL_CODECS = ("h264", "hevc", "vp9", "av1")  # REELS
REEL_SECONDS = (3.0, 90.0)  # REELS
REEL_FPS = (24.0, 60.0)  # REELS
REEL_PIXELS = (540, 960)  # REELS: smallest width and height
REEL_RATIO = 9 / 16  # REELS
REEL_RATIO_SLACK = 0.02  # ours: 1080 x 1918 counts as 9:16
REELS_PER_DAY = 30  # REELS: through the API, per Page and rolling 24 h; photos and videos do not count

REFUSED_LINKS = ("facebook.com", "fb.com")  # POSTIZ; the second, an alias, is ours
# STORIES, of a video; one of its tables says 90. Type, pixels, ratio and fps: as of a reel
STORY_SECONDS = (3.0, 60.0)

VIDEO_BYTES = 10 * 1024**3  # THIRD
VIDEO_SECONDS = 4 * 3600.0  # THIRD

FIRST_POLL = timedelta(seconds=5)
FIRST_POST_READ = timedelta(seconds=1)
LONGEST_POLL = timedelta(seconds=60)
GONE_READS = 5
"""Reads that may miss a fresh post before it counts as lost (DayMoon post-for-me PR #355 saw seconds of it)."""
CUTS = 5
"""Interruptions of one upload before it counts as failed."""
CUT_PAUSE = timedelta(seconds=10)
RESTARTS = 3
"""Restarts of a failed upload within one attempt."""
RESTART_PAUSE = timedelta(seconds=30)
PAGE = "50"
"""Posts per page of a listing: longer pages of long texts could exceed the body size we read."""
CLOCK_SKEW = timedelta(seconds=5)
LIMITS = (
    Limit("image", "type", values=PHOTO.types),
    Limit("image", "size", most=PHOTO.bytes, unit="bytes"),
    Limit("video", "size", most=VIDEO_BYTES, unit="bytes"),
    Limit("video", "duration", most=VIDEO_SECONDS, unit="seconds"),
    Limit("image", "type of a video's cover", values=COVER_TYPES),
    Limit("image", "size of a video's cover", most=COVER_BYTES, unit="bytes"),
    Limit("post", "images or videos of a story", least=1, most=1),
    Limit("video", "type of a story", values=REEL_TYPES),
    Limit.between("video", "duration of a story", STORY_SECONDS, "seconds"),
    Limit.between("video", "frame rate of a story", REEL_FPS, "frames per second"),
    Limit("video", "width of a story", least=REEL_PIXELS[0], unit="pixels"),
    Limit("video", "height of a story", least=REEL_PIXELS[1], unit="pixels"),
    Limit("video", "type of a reel", values=REEL_TYPES, is_enforced=False),
    Limit("video", "codec of a reel", values=REEL_CODECS, is_enforced=False),
    Limit.between("video", "duration of a reel", REEL_SECONDS, "seconds", is_enforced=False),
    Limit.between("video", "frame rate of a reel", REEL_FPS, "frames per second", is_enforced=False),
    Limit("post", "reels per day", most=REELS_PER_DAY, is_enforced=False),
)
"""The table of the reference, for people."""

CAPABILITIES = Capabilities(
    display_name="Facebook",
    post_kinds={
        PostForm.VIDEO: "reel_or_video",
        PostForm.IMAGE: "photo",
        PostForm.IMAGES: "multi_photo",
        PostForm.TEXT: "text_or_link",
    },  # a reel where the file fits one
    pulls_media=True,
    prepare_lead=timedelta(minutes=15),  # far under the 24 h that an unpublished photo lives (PHOTOS)
    # ours: a direct feed post has no handle, so the list gets time to show it
    settle_window=timedelta(minutes=2),
    look_every=(FIRST_POLL, LONGEST_POLL),
    look_limit=timedelta(hours=1),
    limits=LIMITS,
    image_rule=PHOTO,
    retirements=RETIREMENTS,
)
