"""TikTok's limits as data, each with its source; ``problems.py`` checks drafts against them.

Pages, all read 2026-11-24:
[media]  developers.tiktok.com/doc/content-posting-api-media-transfer-guide
[video]  developers.tiktok.com/doc/content-posting-api-reference-direct-post
[photo]  developers.tiktok.com/doc/content-posting-api-reference-photo-post
[status] developers.tiktok.com/doc/content-posting-api-reference-get-video-status
[inbox]  developers.tiktok.com/doc/content-posting-api-reference-upload-video
[share]  developers.tiktok.com/doc/content-sharing-guidelines
[bv]     business-api.tiktok.com/portal/docs, "Publish a public video post to an owned account"
[bp]     business-api.tiktok.com/portal/docs?id=1803630424390658 (photo/publish), through a transcription
[bl]     business-api.tiktok.com/portal/docs, rate limits of the Accounts API, through a digest of 2026-09-20
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from adapters.contract import Capabilities, PostForm
from adapters.limit import ImageRule, Limit, Rate

MB = 1024 * 1024
"""[media] calls 4 194 304 bytes "4 MB", so a megabyte is 2**20; a smaller reading would refuse valid files."""


_CONTAINERS = ("video/mp4", "video/quicktime", "video/webm")  # [media] MP4 (recommended), WebM, MOV; [bv]
_CODECS = ("h264", "hevc", "vp8", "vp9")  # [media] H.264 (recommended), H.265, VP8, VP9; [bv] names none


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLimits:
    """Limits of one product for a video, in seconds, bytes, pixels and frames per second; both share the defaults."""

    bytes: int
    shortest: float
    side_to: int | None
    containers: tuple[str, ...] = _CONTAINERS
    codecs: tuple[str, ...] = _CODECS
    longest: float = 600  # [media] 10 minutes; prepare reads each creator's own maximum; [bv]
    side_from: int = 360  # [media][bv]
    fps_from: float = 23  # [media][bv]
    fps_to: float = 60  # [media][bv]


CODEC_ALIASES = {
    "avc": "h264",
    "avc1": "h264",
    "h.264": "h264",
    "h265": "hevc",
    "h.265": "hevc",
    "hvc1": "hevc",
    "hev1": "hevc",
}

VIDEO = {
    # [media] 4 GB, 4096 pixels
    "creator": VideoLimits(bytes=4096 * MB, shortest=0, side_to=4096),
    # [bv] 1 GB, 3 seconds; it names no maximum of pixels
    "business": VideoLimits(bytes=1024 * MB, shortest=3, side_to=None),
}

# Longest texts, in UTF-16 code units
VIDEO_TEXT = 2200  # [video] title; [bv] caption
PHOTO_TITLE = 90  # [photo][bp]
PHOTO_TEXT = 4000  # [photo] description; [bp] caption
MENTIONS = 30  # [bv][bp] of business accounts; the creators' pages name no maximum

IMAGES = 35  # [photo][bp]
IMAGE = ImageRule(
    types=("image/jpeg", "image/webp"),  # [photo][bp]: no PNG
    bytes=20 * MB,  # [photo][bp]
    long_side=1920,  # [photo] "1080p", which [bp] spells out: 1080 x 1920 or 1920 x 1080
    short_side=1080,  # [photo][bp]
    is_pulled=True,  # [photo][bp]
)
COVER_TYPES = ("image/jpeg", "image/webp", "image/png")  # [bv] custom_thumbnail_url

PRIVACY = (  # [video][photo]
    "PUBLIC_TO_EVERYONE",
    "MUTUAL_FOLLOW_FRIENDS",
    "FOLLOWER_OF_CREATOR",
    "SELF_ONLY",
)

# --- uploads ---------------------------------------------------------------------------------------------------------

CHUNK_LEAST = 5 * MB  # [media] each chunk at least 5 MB: 2**20 is the stricter reading here …
CHUNK_MOST = 64_000_000  # [media] … and 10**6 here: at most 64 MB
CHUNK_LAST_MOST = 128_000_000  # [media] the last chunk takes the remainder, up to 128 MB
CHUNKS_MOST = 1000  # [media]
CHUNK_WANTED = (
    10_000_000  # ours: valid in both readings, and small, because the last chunk is sent at the due time
)
# Chunk sizes for a file whose even chunks TikTok refused at init, in the order they are tried; 0: the whole file.
# Since 2026-08-09 an integrator's multi-chunk inits were all refused as "The chunk size is invalid", and single chunks
# of up to 64,000,000 bytes went through (DayMoonDevelopment/post-for-me#327).
CHUNK_SIZES = (0, 10_000_000, 20_000_000, 50_000_000, 60_000_000)
CHUNK_SMALL = 16_000_000
"""Ours: the call of a larger last chunk has to fit the time a visible call may take."""
UPLOAD_FLOOR = 4_000_000
"""Ours: bytes per second that a last chunk is expected to need at worst."""
UPLOAD_URL_LIFE = timedelta(hours=1)  # [video]


def _list_connection_limits(connection: str) -> Iterator[Limit]:
    """Yield the limits that differ between the two products."""
    video, limit = VIDEO[connection], partial(Limit, connection=connection)
    yield limit("text", "caption", most=VIDEO_TEXT, unit="UTF-16 units")
    yield limit("text", "description of photos", most=PHOTO_TEXT, unit="UTF-16 units")
    yield limit("text", "title of photos", most=PHOTO_TITLE, unit="UTF-16 units")
    if connection == "business":
        yield limit("text", "mentions", most=MENTIONS)
    yield limit("video", "type", values=video.containers)
    yield limit("video", "codec", values=video.codecs)
    yield limit("video", "size", most=video.bytes, unit="bytes")
    yield limit("video", "duration", least=video.shortest or None, most=video.longest, unit="seconds")
    yield limit("video", "side", least=video.side_from, most=video.side_to, unit="pixels")
    yield limit("video", "frame rate", least=video.fps_from, most=video.fps_to, unit="frames per second")


LIMITS = (
    Limit("post", "images", least=1, most=IMAGES),
    Limit("post", "privacy_level", values=PRIVACY),
    Limit("image", "type", values=IMAGE.types),
    Limit("image", "type of a video's cover", values=COVER_TYPES, connection="business"),
    Limit("image", "size", most=IMAGE.bytes, unit="bytes"),
    Limit("image", "long side", most=IMAGE.long_side, unit="pixels"),
    Limit("image", "short side", most=IMAGE.short_side, unit="pixels"),
    *(row for connection in VIDEO for row in _list_connection_limits(connection)),
)
"""The table of the reference, for people."""

CAPABILITIES = Capabilities(
    display_name="TikTok",
    post_kinds={PostForm.VIDEO: "video", PostForm.IMAGE: "photos", PostForm.IMAGES: "photos"},
    private_options={"privacy_level": "SELF_ONLY"},
    pulls_media=True,  # [photo][bv][bp] photos, and everything of business accounts
    prepare_lead=timedelta(minutes=20),  # ours: time for a large upload, well inside the upload URL's hour
    settle_window=timedelta(minutes=2),  # ours: only FILE_UPLOAD is ever proven absent, by its own publish_id
    look_every=(timedelta(seconds=5), timedelta(seconds=60)),  # ours, within 30 and 40 a minute
    look_limit=timedelta(minutes=90),  # [media][bl] a pull may take an hour, then moderation follows
    rates=(
        # [video] creator_info 20 and init 6 a minute per token, but most steps of prepare are unlimited chunks: a
        # bucket for prepare would throttle the chunks, so there the 429 (which costs no attempt) decides.
        Rate(step="finalize", count=6, per=timedelta(minutes=1)),  # [photo][bv]
        Rate(step="look", count=30, per=timedelta(minutes=1)),  # [status] 30; [bl] 40
    ),
    daily_drafts=5,  # [inbox] at most 5 pending shares in 24 h; shares the user finishes in that time cannot be seen
    daily_posts=15,  # [share] about 15 a creator and day over all apps; [bv] 15 a day
    music_link_example="https://www.tiktok.com/@name/video/1234567890",
    limits=LIMITS,
    image_rule=IMAGE,
)
