"""YouTube's limits as data, each with its source; ``problems.py`` checks drafts against them.

Pages, all read 2026-11-24:
[res]   developers.google.com/youtube/v3/guides/using_resumable_upload_protocol
[disc]  the discovery document youtube.v3, revision 20261104
[video] developers.google.com/youtube/v3/docs/videos (properties title, description, tags)
[quota] developers.google.com/youtube/v3/determine_quota_cost and the revision history of 2026-06-01
[15min] support.google.com/youtube/answer/71673 (videos longer than 15 minutes; 256 GB or 12 hours)
[short] support.google.com/youtube/answer/15424877 (Shorts up to three minutes)
"""

from __future__ import annotations

from datetime import timedelta

from adapters.contract import Capabilities, PostForm
from adapters.limit import Limit

TITLE_UNITS = 100  # [video] characters; counted in UTF-16 units, the stricter reading
DESCRIPTION_BYTES = 5000  # [video] bytes, UTF-8
TAGS_CHARACTERS = 500  # [video] in total: commas between tags count, and a tag with a space counts two more
COMMENT_UNITS = 10_000  # third parties' number of characters: no page of the vendor's names one
FORBIDDEN = "<>"  # [video] in title and description

VIDEO_BYTES = 274_877_906_944  # [disc] mediaUpload.maxSize; [15min] 256 GB
VIDEO_SECONDS = 12 * 3600.0  # [15min]
UNVERIFIED_SECONDS = 15 * 60.0  # [15min] channels that have not verified a phone number
MEDIA_TYPES = ("video/", "application/octet-stream")  # [disc] mediaUpload.accept: video/* and this

COVER_TYPES = ("image/jpeg", "image/png")  # [disc] thumbnails.set, mediaUpload.accept
COVER_BYTES = 52_428_800  # [disc] thumbnails.set, mediaUpload.maxSize; 2 MB before 2026-09-14

SHORT_SECONDS = 180.0  # [short] uploads since 2024-10-15, square or vertical; there is no flag for it

# --- uploads ---------------------------------------------------------------------------------------------------------

QUANTUM = 256 * 1024  # [res] every chunk but the last is a multiple of this
CHUNK = 32 * QUANTUM  # ours: 8 MiB, so that the last chunk, sent at the due time, is small
CHUNK_TIME = timedelta(seconds=60)
FRESH = timedelta(seconds=5)
"""How long a reported offset is trusted. After that, another worker may have died in the middle of a chunk."""
STALE = FRESH + timedelta(seconds=1)
"""A wait after which the offset in a checkpoint is probed again."""
CUTS = 5
"""Requests in a row that store nothing before the try counts as failed."""
CUT_PAUSE = timedelta(seconds=2)
RESTARTS = 3
"""Most upload sessions abandoned per delivery; each start may cost one of the project's 100 uploads a day [quota]."""

# --- look ------------------------------------------------------------------------------------------------------------

PROCESSING = timedelta(minutes=15)
"""How long ``look`` waits for processing: refusals mostly come early. After that the video counts as published."""
CLOCK_SKEW = timedelta(minutes=2)
PAGE = 50  # [disc] playlistItems.list and videos.list: at most 50

LONG_BUSY = timedelta(minutes=15)
SHORT_BUSY = timedelta(minutes=1)
CHANNEL_DAY = timedelta(hours=24)

LIMITS = (
    Limit("text", "description (the caption)", most=DESCRIPTION_BYTES, unit="bytes"),
    Limit(
        "text",
        "title (the caption's first line; the rest is cut)",
        most=TITLE_UNITS,
        unit="UTF-16 units",
        is_enforced=False,
    ),
    Limit(
        "text",
        "tags in all (the caption's hashtags)",
        most=TAGS_CHARACTERS,
        unit="characters",
        is_enforced=False,
    ),
    Limit("text", "first comment", most=COMMENT_UNITS, unit="UTF-16 units"),
    Limit("text", "characters that are replaced", values=tuple(FORBIDDEN), is_enforced=False),
    Limit("image", "type of a cover", values=COVER_TYPES),
    Limit("image", "size of a cover", most=COVER_BYTES, unit="bytes"),
    Limit("video", "type", values=MEDIA_TYPES),
    Limit("video", "size", most=VIDEO_BYTES, unit="bytes"),
    Limit("video", "duration", most=VIDEO_SECONDS, unit="seconds"),
    Limit(
        "video",
        "duration for channels without a verified phone",
        most=UNVERIFIED_SECONDS,
        unit="seconds",
        is_enforced=False,
    ),
    Limit("video", "duration of a Short", most=SHORT_SECONDS, unit="seconds", is_enforced=False),
)
"""The table of the reference, for people."""

CAPABILITIES = Capabilities(
    display_name="YouTube",
    post_kinds={PostForm.VIDEO: "short"},
    private_options={"privacy": "private"},
    pulls_media=False,
    prepare_lead=timedelta(minutes=30),  # ours: a session's lifetime is "finite" [res], no number is given
    settle_window=timedelta(
        minutes=2
    ),  # ours: the session itself reports; this covers bytes still in transit
    look_every=(
        timedelta(seconds=10),
        timedelta(minutes=2),
    ),  # ours: a look costs 1 of 10 000 units a day [quota]
    look_limit=timedelta(hours=2),
    daily_posts=100,  # [quota] videos.insert a day …
    daily_per="app",  # … for the whole project, whichever channel they go to
    limits=LIMITS,
)
