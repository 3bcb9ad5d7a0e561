"""Every limit of every ``limits.py``: a draft that still fits, and one that is over it by the least that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import SecretStr

from adapters.contract import Account, Credentials, Draft, Media, Platform
from adapters.facebook import limits as facebook
from adapters.instagram import limits as instagram
from adapters.linkedin import limits as linkedin
from adapters.pinterest import limits as pinterest
from adapters.tiktok import limits as tiktok
from adapters.youtube import limits as youtube
from tests.adapters.conformance.subjects import facts_of

MODULES: Mapping[Platform, Any] = {
    Platform.TIKTOK: tiktok,
    Platform.INSTAGRAM: instagram,
    Platform.YOUTUBE: youtube,
    Platform.PINTEREST: pinterest,
    Platform.LINKEDIN: linkedin,
    Platform.FACEBOOK: facebook,
}
NOT_OF_CONTENT: Mapping[Platform, frozenset[str]] = {
    Platform.TIKTOK: frozenset(
        {
            "MB",
            "CODEC_ALIASES",
            "CHUNK_LEAST",
            "CHUNK_MOST",
            "CHUNK_LAST_MOST",
            "CHUNKS_MOST",
            "CHUNK_WANTED",
            "UPLOAD_URL_LIFE",
        }
    ),
    Platform.INSTAGRAM: frozenset(
        {
            "RATIO_SLACK",
            "CONTAINERS_PER_DAY",
            "POSTS_PER_DAY",
            "QUOTA_RECHECK",
            "FIRST_POLL_IMAGE",
            "FIRST_POLL_VIDEO",
            "LONGEST_POLL",
            "RESTARTS",
            "RESTART_PAUSE",
            "GONE_READS",
            "LISTINGS",
            "CLOCK_SKEW",
            "CONTAINER_LIFE",
            "UPLOAD_FLOOR",
        }
    ),
    Platform.YOUTUBE: frozenset(
        {
            "TITLE_UNITS",
            "QUANTUM",
            "CHUNK",
            "CHUNK_TIME",
            "FRESH",
            "STALE",
            "CUTS",
            "CUT_PAUSE",
            "RESTARTS",
            "PROCESSING",
            "CLOCK_SKEW",
            "LIST_PAGES",
            "PAGE",
            "LONG_BUSY",
            "SHORT_BUSY",
            "CHANNEL_DAY",
        }
    ),
    Platform.PINTEREST: frozenset(
        {
            "MB",
            "RATIO_SLACK",
            "COVER_SECOND",
            "FIRST_POLL",
            "LONGEST_POLL",
            "GONE_READS",
            "RESTARTS",
            "RESTART_PAUSE",
            "UPLOAD_FLOOR",
            "PAGE",
            "PAGES",
            "CLOCK_SKEW",
            "BUSY",
            "RESET_MOST",
        }
    ),
    Platform.LINKEDIN: frozenset(
        {
            "FIRST_POLL_IMAGE",
            "FIRST_POLL_VIDEO",
            "LONGEST_POLL",
            "GONE_READS",
            "RESTARTS",
            "RESTART_PAUSE",
            "URL_MARGIN",
            "UPLOAD_FLOOR",
            "NOT_READY",
            "VERSION_RECHECK",
            "LISTED",
        }
    ),
    # a video that is no reel goes out as a video: the limits of reels choose, they refuse nothing
    Platform.FACEBOOK: frozenset(
        {
            "REEL_TYPES",
            "REEL_CODECS",
            "REEL_SECONDS",
            "REEL_FPS",
            "REEL_PIXELS",
            "REEL_RATIO",
            "REEL_RATIO_SLACK",
            "REELS_PER_DAY",
            "FIRST_POLL",
            "FIRST_POST_READ",
            "LONGEST_POLL",
            "GONE_READS",
            "CUTS",
            "CUT_PAUSE",
            "RESTARTS",
            "RESTART_PAUSE",
            "CLOCK_SKEW",
            "UPLOAD_FLOOR",
        }
    ),
}
"""What ``limits.py`` holds beside limits of posts: paces, patience, sizes of our own steps. CAPABILITIES always is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Over:
    """One limit. ``fits`` and ``over`` change a plain draft: caption, count, options, and facts of its files."""

    platform: Platform
    rule: str
    """The constant in ``limits.py``, and which part of it."""
    kind: Literal["video", "slideshow"]
    where: str
    """The problem's ``field``."""
    fits: Mapping[str, Any]
    over: Mapping[str, Any]
    severity: Literal["refuse", "warn"] = "refuse"
    connection: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.platform}-{self.connection or 'any'}-{self.kind}-{self.rule}"

    @property
    def constant(self) -> str:
        return self.rule.partition(" ")[0]

    def account(self) -> Account:
        """An account that makes no request."""
        organization = "urn:li:organization:1"
        defaults = {Platform.TIKTOK: "creator", Platform.LINKEDIN: "organization"}
        return Account(
            id="1",
            platform=self.platform,
            connection=self.connection or defaults.get(self.platform, "user"),
            remote_id=organization if self.platform is Platform.LINKEDIN else "1",
            username="ann",
            credentials=Credentials(access_token=TOKEN),
            settings={"default_board": "549", **self.settings},
        )

    def draft(self, change: Mapping[str, Any]) -> Draft:
        """A plain draft with the change."""
        name = "sample.mp4" if self.kind == "video" else "sample-1.jpg"
        plain = facts_of(name, 500_000)
        facts = replace(plain, **{key: value for key, value in change.items() if hasattr(plain, key)})
        one = Media(
            url=f"https://example.com/{name}", kind="video" if self.kind == "video" else "image", facts=facts
        )
        return Draft(
            delivery_id="1",
            caption=change.get("caption", "A caption"),
            kind=self.kind,
            media=(one,) * change.get("count", 1),
            options=change.get("options", {}),
        )


def _rows(
    platform: Platform,
    kind: Literal["video", "slideshow"],
    where: str,
    *rows: tuple[str, Any, Any],
    **more: Any,
) -> list[Over]:
    return [
        Over(platform=platform, rule=rule, kind=kind, where=where, fits=fits, over=over, **more)
        for rule, fits, over in rows
    ]


def _fact(rule: str, name: str, fits: Any, over: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return rule, {name: fits}, {name: over}


def _text(rule: str, fits: str, over: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return rule, {"caption": fits}, {"caption": over}


def _long(rule: str, limit: int) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return _text(rule, "a" * limit, "a" * (limit + 1))


TOKEN = SecretStr("none")
VIDEO, IMAGE = "media.url", "media.urls[0]"


def _of_tiktok(connection: str) -> list[Over]:
    video, text = tiktok.VIDEO[connection], tiktok.TEXT[connection]
    rows = [
        _fact("VIDEO containers", "content_type", "video/webm", "video/x-msvideo"),
        _fact("VIDEO codecs", "codec", "hevc", "mpeg4"),
        _fact("VIDEO bytes", "bytes", video.bytes, video.bytes + 1),
        _fact("VIDEO longest", "duration", video.longest, video.longest + 0.1),
        _fact("VIDEO side_from", "width", video.side_from, video.side_from - 1),
        _fact("VIDEO fps_from", "fps", video.fps_from, video.fps_from - 0.1),
        _fact("VIDEO fps_to", "fps", video.fps_to, video.fps_to + 0.1),
    ]
    if video.side_to is not None:
        rows.append(_fact("VIDEO side_to", "height", video.side_to, video.side_to + 1))
    if video.shortest:
        rows.append(_fact("VIDEO shortest", "duration", video.shortest, video.shortest - 0.1))
    titles = [{"options": {"title": "a" * (text.photo_title + n)}} for n in (0, 1)]
    private = [{"options": {"privacy_level": word}} for word in ("SELF_ONLY", "NOBODY")]
    images = [
        _fact("IMAGE_TYPES", "content_type", "image/webp", "image/png"),
        _fact("IMAGE_BYTES", "bytes", tiktok.IMAGE_BYTES, tiktok.IMAGE_BYTES + 1),
        _fact("IMAGE_LONG_SIDE", "height", tiktok.IMAGE_LONG_SIDE, tiktok.IMAGE_LONG_SIDE + 1),
        _fact("IMAGE_SHORT_SIDE", "width", tiktok.IMAGE_SHORT_SIDE, tiktok.IMAGE_SHORT_SIDE + 1),
    ]
    of = Platform.TIKTOK
    found = [
        *_rows(of, "video", VIDEO, *rows, connection=connection),
        *_rows(of, "video", "caption", _long("TEXT video_text", text.video_text), connection=connection),
        *_rows(of, "slideshow", "caption", _long("TEXT photo_text", text.photo_text), connection=connection),
        *_rows(
            of, "slideshow", "tiktok.title", ("TEXT photo_title", titles[0], titles[1]), connection=connection
        ),
        *_rows(
            of,
            "slideshow",
            "tiktok.privacy_level",
            ("PRIVACY", private[0], private[1]),
            connection=connection,
        ),
        *_rows(of, "slideshow", IMAGE, *images, connection=connection),
        *_rows(of, "slideshow", "media.urls", _fact("IMAGES", "count", 35, 36), connection=connection),
    ]
    if text.mentions is not None:
        tags = _text("TEXT mentions", "@a " * text.mentions, "@a " * (text.mentions + 1))
        found += _rows(of, "video", "caption", tags, connection=connection)
    return found


def _of_instagram() -> list[Over]:
    i, of = instagram, Platform.INSTAGRAM
    return [
        *_rows(
            of,
            "video",
            "caption",
            _long("CAPTION_CHARACTERS", i.CAPTION_CHARACTERS),
            _text("HASHTAGS", "#a " * i.HASHTAGS, "#a " * (i.HASHTAGS + 1)),
            _text("MENTIONS", "@a " * i.MENTIONS, "@a " * (i.MENTIONS + 1)),
        ),
        *_rows(of, "slideshow", "media", _fact("CAROUSEL", "count", i.CAROUSEL[1], i.CAROUSEL[1] + 1)),
        *_rows(
            of,
            "slideshow",
            IMAGE,
            _fact("IMAGE_TYPES", "content_type", "image/jpeg", "image/png"),
            _fact("IMAGE_BYTES", "bytes", i.IMAGE_BYTES, i.IMAGE_BYTES + 1),
            _fact("IMAGE_RATIO narrowest", "height", 1350, 1400),
            _fact("IMAGE_RATIO widest", "height", 566, 550),
        ),
        *_rows(
            of,
            "video",
            VIDEO,
            _fact("VIDEO_TYPES", "content_type", "video/quicktime", "video/webm"),
            _fact("VIDEO_CODECS", "codec", "hevc", "vp9"),
            _fact("VIDEO_BYTES", "bytes", i.VIDEO_BYTES, i.VIDEO_BYTES + 1),
            _fact("VIDEO_SECONDS least", "duration", i.VIDEO_SECONDS[0], i.VIDEO_SECONDS[0] - 0.1),
            _fact("VIDEO_SECONDS most", "duration", i.VIDEO_SECONDS[1], i.VIDEO_SECONDS[1] + 0.1),
            _fact("VIDEO_FPS least", "fps", i.VIDEO_FPS[0], i.VIDEO_FPS[0] - 0.1),
            _fact("VIDEO_FPS most", "fps", i.VIDEO_FPS[1], i.VIDEO_FPS[1] + 0.1),
            _fact("VIDEO_WIDTH", "width", i.VIDEO_WIDTH, i.VIDEO_WIDTH + 1),
            _fact("VIDEO_RATIO", "height", 54_000, 60_000),
        ),
    ]


def _of_facebook() -> list[Over]:
    f, of = facebook, Platform.FACEBOOK
    return [
        *_rows(
            of,
            "slideshow",
            IMAGE,
            _fact("PHOTO_TYPES", "content_type", "image/png", "image/webp"),
            _fact("PHOTO_BYTES", "bytes", f.PHOTO_BYTES, f.PHOTO_BYTES + 1),
        ),
        *_rows(
            of,
            "video",
            VIDEO,
            _fact("VIDEO_BYTES", "bytes", f.VIDEO_BYTES, f.VIDEO_BYTES + 1),
            _fact("VIDEO_SECONDS", "duration", f.VIDEO_SECONDS, f.VIDEO_SECONDS + 1),
        ),
    ]


def _of_youtube() -> list[Over]:
    y, of = youtube, Platform.YOUTUBE
    tag = "#" + "a" * 48 + "{} "
    fits, over = ("".join(tag.format(letter) for letter in letters) for letters in ("bcde", "bcdefghijklmno"))
    return [
        *_rows(of, "video", "caption", _long("DESCRIPTION_BYTES", y.DESCRIPTION_BYTES)),
        *_rows(of, "video", "caption", _text("TAGS_CHARACTERS", fits, over), severity="warn"),
        *_rows(of, "video", "caption", _text("FORBIDDEN", "a", "a <b>"), severity="warn"),
        *_rows(
            of,
            "video",
            VIDEO,
            _fact("MEDIA_TYPES", "content_type", "video/webm", "image/jpeg"),
            _fact("VIDEO_BYTES", "bytes", y.VIDEO_BYTES, y.VIDEO_BYTES + 1),
            _fact("VIDEO_SECONDS", "duration", y.VIDEO_SECONDS, y.VIDEO_SECONDS + 1),
        ),
        *_rows(
            of,
            "video",
            VIDEO,
            _fact("SHORT_SECONDS", "duration", y.SHORT_SECONDS, y.SHORT_SECONDS + 1),
            severity="warn",
        ),
        *_rows(
            of,
            "video",
            VIDEO,
            ("UNVERIFIED_SECONDS", {"duration": 170.0}, {"duration": y.UNVERIFIED_SECONDS + 1}),
            severity="warn",
            settings={"long_uploads": "eligible"},
        ),
    ]


def _of_pinterest() -> list[Over]:
    p, of = pinterest, Platform.PINTEREST
    titles = [{"options": {"title": "a" * (p.TITLE_CHARACTERS + n)}} for n in (0, 1)]
    short = "https://example.com/"
    links = [{"options": {"link": short + "a" * (p.LINK_CHARACTERS - len(short) + n)}} for n in (0, 1)]
    return [
        *_rows(of, "slideshow", "caption", _long("DESCRIPTION_CHARACTERS", p.DESCRIPTION_CHARACTERS)),
        *_rows(of, "slideshow", "pinterest.title", ("TITLE_CHARACTERS", titles[0], titles[1])),
        *_rows(of, "slideshow", "pinterest.link", ("LINK_CHARACTERS", links[0], links[1])),
        *_rows(of, "slideshow", "media", _fact("CAROUSEL", "count", p.CAROUSEL[1], p.CAROUSEL[1] + 1)),
        *_rows(
            of,
            "slideshow",
            IMAGE,
            _fact("IMAGE_TYPES", "content_type", "image/png", "image/webp"),
            _fact("IMAGE_BYTES", "bytes", p.IMAGE_BYTES, p.IMAGE_BYTES + 1),
        ),
        *_rows(
            of,
            "video",
            VIDEO,
            _fact("VIDEO_TYPES", "content_type", "video/quicktime", "video/webm"),
            _fact("VIDEO_CODECS", "codec", "hevc", "vp9"),
            _fact("VIDEO_BYTES", "bytes", p.VIDEO_BYTES, p.VIDEO_BYTES + 1),
            _fact("VIDEO_SECONDS least", "duration", p.VIDEO_SECONDS[0], p.VIDEO_SECONDS[0] - 0.1),
            _fact("VIDEO_SECONDS most", "duration", p.VIDEO_SECONDS[1], p.VIDEO_SECONDS[1] + 0.1),
            _fact("VIDEO_RATIO", "width", 480, 460),
        ),
    ]


def _of_linkedin() -> list[Over]:
    n, of = linkedin, Platform.LINKEDIN
    return [
        *_rows(of, "slideshow", "caption", _long("COMMENTARY", n.COMMENTARY)),
        *_rows(of, "slideshow", "media", _fact("IMAGES", "count", n.IMAGES[1], n.IMAGES[1] + 1)),
        *_rows(
            of,
            "slideshow",
            IMAGE,
            _fact("IMAGE_TYPES", "content_type", "image/gif", "image/webp"),
            (
                "IMAGE_PIXELS",
                {"width": n.IMAGE_PIXELS - 1, "height": 1},
                {"width": n.IMAGE_PIXELS, "height": 1},
            ),
        ),
        *_rows(
            of,
            "video",
            VIDEO,
            _fact("VIDEO_TYPES", "content_type", "video/mp4", "video/quicktime"),
            _fact("VIDEO_BYTES least", "bytes", n.VIDEO_BYTES[0], n.VIDEO_BYTES[0] - 1),
            _fact("VIDEO_BYTES most", "bytes", n.VIDEO_BYTES[1], n.VIDEO_BYTES[1] + 1),
            _fact("VIDEO_SECONDS least", "duration", n.VIDEO_SECONDS[0], n.VIDEO_SECONDS[0] - 0.1),
            _fact("VIDEO_SECONDS most", "duration", n.VIDEO_SECONDS[1], n.VIDEO_SECONDS[1] + 0.1),
        ),
    ]


EVERY: Sequence[Over] = (
    *_of_tiktok("creator"),
    *_of_tiktok("business"),
    *_of_instagram(),
    *_of_facebook(),
    *_of_youtube(),
    *_of_pinterest(),
    *_of_linkedin(),
)
