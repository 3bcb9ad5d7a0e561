"""Every limit of every ``limits.py``: a draft just within the limit, and one just over it."""

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
from tests.adapters.conformance.post_cases import make_facts

LIMIT_MODULES: Mapping[Platform, Any] = {
    Platform.TIKTOK: tiktok,
    Platform.INSTAGRAM: instagram,
    Platform.YOUTUBE: youtube,
    Platform.PINTEREST: pinterest,
    Platform.LINKEDIN: linkedin,
    Platform.FACEBOOK: facebook,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitCase:
    """One limit; ``fits`` and ``exceeds`` change a plain draft: caption, count, options, facts of its files."""

    platform: Platform
    limit_name: str
    """The constant in ``limits.py``, and which part of it."""
    kind: Literal["video", "slideshow"]
    field_name: str
    """The problem's ``field``."""
    fits: Mapping[str, Any]
    exceeds: Mapping[str, Any]
    severity: Literal["refuse", "warn"] = "refuse"
    connection: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.platform}-{self.connection or 'any'}-{self.kind}-{self.limit_name}"

    @property
    def constant(self) -> str:
        return self.limit_name.partition(" ")[0]

    def account(self) -> Account:
        """Return an account with a token that is never used."""
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
        """Return a plain draft with the change."""
        name = "sample.mp4" if self.kind == "video" else "sample-1.jpg"
        plain = make_facts(name, 500_000)
        facts = replace(plain, **{key: value for key, value in change.items() if hasattr(plain, key)})
        one = Media(
            url=f"https://example.com/{name}",
            kind="video" if self.kind == "video" else "image",
            facts=facts,
            alt_text=change.get("alt_text"),
        )
        plain_cover = make_facts("sample-1.jpg", 500_000)
        cover = replace(
            plain_cover,
            **{key.removeprefix("cover_"): change[key] for key in change if key.startswith("cover_")},
        )
        return Draft(
            delivery_id="1",
            caption=change.get("caption", "A caption"),
            kind=self.kind,
            media=(one,) * change.get("count", 1),
            options=change.get("options", {}),
            cover=Media(url="https://example.com/cover", kind="image", facts=cover)
            if cover != plain_cover
            else None,
        )


def _make_cases(
    platform: Platform,
    kind: Literal["video", "slideshow"],
    field_name: str,
    *rows: tuple[str, Any, Any],
    **options_of_case: Any,
) -> list[LimitCase]:
    return [
        LimitCase(
            platform=platform,
            limit_name=limit_name,
            kind=kind,
            field_name=field_name,
            fits=fits,
            exceeds=exceeds,
            **options_of_case,
        )
        for limit_name, fits, exceeds in rows
    ]


def _make_alt_text_case(platform: Platform, limit_name: str, most: int) -> list[LimitCase]:
    fits, exceeds = ({"alt_text": "x" * length} for length in (most, most + 1))
    return _make_cases(platform, "slideshow", "media.alt_texts[0]", (limit_name, fits, exceeds))


def _make_cover_cases(platform: Platform, connection: str, *rows: tuple[str, Any, Any]) -> list[LimitCase]:
    return _make_cases(platform, "video", "media.cover", *rows, connection=connection)


def _make_fact_row(
    limit_name: str, name: str, fits: Any, exceeds: Any
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return limit_name, {name: fits}, {name: exceeds}


def _make_text_row(limit_name: str, fits: str, exceeds: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return limit_name, {"caption": fits}, {"caption": exceeds}


def _make_length_row(limit_name: str, limit: int) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return _make_text_row(limit_name, "a" * limit, "a" * (limit + 1))


TOKEN = SecretStr("none")
VIDEO, IMAGE = "media.url", "media.urls[0]"


def _around(limit: int | None) -> tuple[int, int]:
    """Return a limit and the first value over it."""
    assert limit is not None
    return limit, limit + 1


def _list_tiktok(connection: str) -> list[LimitCase]:
    video, text = tiktok.VIDEO[connection], tiktok.TEXT[connection]
    rows = [
        _make_fact_row("VIDEO containers", "content_type", "video/webm", "video/x-msvideo"),
        _make_fact_row("VIDEO codecs", "codec", "hevc", "mpeg4"),
        _make_fact_row("VIDEO bytes", "bytes", video.bytes, video.bytes + 1),
        _make_fact_row("VIDEO longest", "duration", video.longest, video.longest + 0.1),
        _make_fact_row("VIDEO side_from", "width", video.side_from, video.side_from - 1),
        _make_fact_row("VIDEO fps_from", "fps", video.fps_from, video.fps_from - 0.1),
        _make_fact_row("VIDEO fps_to", "fps", video.fps_to, video.fps_to + 0.1),
    ]
    if video.side_to is not None:
        rows.append(_make_fact_row("VIDEO side_to", "height", video.side_to, video.side_to + 1))
    if video.shortest:
        rows.append(_make_fact_row("VIDEO shortest", "duration", video.shortest, video.shortest - 0.1))
    titles = [{"options": {"title": "a" * (text.photo_title + n)}} for n in (0, 1)]
    private = [{"options": {"privacy_level": word}} for word in ("SELF_ONLY", "NOBODY")]
    images = [
        _make_fact_row("IMAGE types", "content_type", "image/webp", "image/png"),
        _make_fact_row("IMAGE bytes", "bytes", *_around(tiktok.IMAGE.bytes)),
        _make_fact_row("IMAGE long side", "height", *_around(tiktok.IMAGE.long_side)),
        _make_fact_row("IMAGE short side", "width", *_around(tiktok.IMAGE.short_side)),
    ]
    of = Platform.TIKTOK
    cover = _make_fact_row("COVER_TYPES", "cover_content_type", "image/png", "image/gif")
    found = [
        *(_make_cover_cases(of, connection, cover) if connection == "business" else ()),
        *_make_cases(of, "video", VIDEO, *rows, connection=connection),
        *_make_cases(
            of,
            "video",
            "caption",
            _make_length_row("TEXT video_text", text.video_text),
            connection=connection,
        ),
        *_make_cases(
            of,
            "slideshow",
            "caption",
            _make_length_row("TEXT photo_text", text.photo_text),
            connection=connection,
        ),
        *_make_cases(
            of, "slideshow", "tiktok.title", ("TEXT photo_title", titles[0], titles[1]), connection=connection
        ),
        *_make_cases(
            of,
            "slideshow",
            "tiktok.privacy_level",
            ("PRIVACY", private[0], private[1]),
            connection=connection,
        ),
        *_make_cases(of, "slideshow", IMAGE, *images, connection=connection),
        *_make_cases(
            of, "slideshow", "media.urls", _make_fact_row("IMAGES", "count", 35, 36), connection=connection
        ),
    ]
    if text.mentions is not None:
        tags = _make_text_row("TEXT mentions", "@a " * text.mentions, "@a " * (text.mentions + 1))
        found += _make_cases(of, "video", "caption", tags, connection=connection)
    return found


def _list_instagram() -> list[LimitCase]:
    i, of = instagram, Platform.INSTAGRAM
    return [
        *_make_alt_text_case(of, "ALT_TEXT_CHARACTERS", i.ALT_TEXT_CHARACTERS),
        *_make_cases(
            of,
            "video",
            "caption",
            _make_length_row("CAPTION_CHARACTERS", i.CAPTION_CHARACTERS),
            _make_text_row("HASHTAGS", "#a " * i.HASHTAGS, "#a " * (i.HASHTAGS + 1)),
            _make_text_row("MENTIONS", "@a " * i.MENTIONS, "@a " * (i.MENTIONS + 1)),
        ),
        *_make_cases(
            of, "slideshow", "media", _make_fact_row("CAROUSEL", "count", i.CAROUSEL[1], i.CAROUSEL[1] + 1)
        ),
        *_make_cases(
            of,
            "slideshow",
            IMAGE,
            _make_fact_row("IMAGE types", "content_type", "image/jpeg", "image/png"),
            _make_fact_row("IMAGE bytes", "bytes", *_around(i.IMAGE.bytes)),
            _make_fact_row("REPORTED_RATIO narrowest", "height", 1440, 1480),
            _make_fact_row("REPORTED_RATIO widest", "height", 566, 550),
        ),
        *_make_cases(
            of,
            "slideshow",
            IMAGE,
            _make_fact_row("IMAGE_RATIO narrowest", "height", 1350, 1400),
            severity="warn",
        ),
        *_make_cases(
            of,
            "video",
            VIDEO,
            _make_fact_row("VIDEO_TYPES", "content_type", "video/quicktime", "video/webm"),
            _make_fact_row("VIDEO_CODECS", "codec", "hevc", "vp9"),
            _make_fact_row("VIDEO_BYTES", "bytes", i.VIDEO_BYTES, i.VIDEO_BYTES + 1),
            _make_fact_row("VIDEO_SECONDS least", "duration", i.VIDEO_SECONDS[0], i.VIDEO_SECONDS[0] - 0.1),
            _make_fact_row("VIDEO_SECONDS most", "duration", i.VIDEO_SECONDS[1], i.VIDEO_SECONDS[1] + 0.1),
            _make_fact_row("VIDEO_FPS least", "fps", i.VIDEO_FPS[0], i.VIDEO_FPS[0] - 0.1),
            _make_fact_row("VIDEO_FPS most", "fps", i.VIDEO_FPS[1], i.VIDEO_FPS[1] + 0.1),
            _make_fact_row("VIDEO_WIDTH", "width", i.VIDEO_WIDTH, i.VIDEO_WIDTH + 1),
            _make_fact_row("VIDEO_RATIO", "height", 54_000, 60_000),
        ),
    ]


def _list_facebook() -> list[LimitCase]:
    f, of = facebook, Platform.FACEBOOK
    wide = {"width": 1920, "height": 1080}  # no reel, whose cover is not sent
    png, webp = ({**wide, "cover_content_type": name} for name in ("image/png", "image/webp"))
    most, over = ({**wide, "cover_bytes": size} for size in (f.COVER_BYTES, f.COVER_BYTES + 1))
    return [
        *_make_cover_cases(of, "", ("COVER_TYPES", png, webp), ("COVER_BYTES", most, over)),
        *_make_cases(
            of,
            "slideshow",
            IMAGE,
            _make_fact_row("PHOTO types", "content_type", "image/png", "image/webp"),
            _make_fact_row("PHOTO bytes", "bytes", *_around(f.PHOTO.bytes)),
        ),
        *_make_cases(
            of,
            "video",
            VIDEO,
            _make_fact_row("VIDEO_BYTES", "bytes", f.VIDEO_BYTES, f.VIDEO_BYTES + 1),
            _make_fact_row("VIDEO_SECONDS", "duration", f.VIDEO_SECONDS, f.VIDEO_SECONDS + 1),
        ),
    ]


def _list_youtube() -> list[LimitCase]:
    y, of = youtube, Platform.YOUTUBE
    tag = "#" + "a" * 48 + "{} "
    fits, exceeds = (
        "".join(tag.format(letter) for letter in letters) for letters in ("bcde", "bcdefghijklmno")
    )
    return [
        *_make_cover_cases(
            of,
            "",
            _make_fact_row("COVER_TYPES", "cover_content_type", "image/png", "image/webp"),
            _make_fact_row("COVER_BYTES", "cover_bytes", y.COVER_BYTES, y.COVER_BYTES + 1),
        ),
        *_make_cases(of, "video", "caption", _make_length_row("DESCRIPTION_BYTES", y.DESCRIPTION_BYTES)),
        *_make_cases(
            of, "video", "caption", _make_text_row("TAGS_CHARACTERS", fits, exceeds), severity="warn"
        ),
        *_make_cases(of, "video", "caption", _make_text_row("FORBIDDEN", "a", "a <b>"), severity="warn"),
        *_make_cases(
            of,
            "video",
            VIDEO,
            _make_fact_row("MEDIA_TYPES", "content_type", "video/webm", "image/jpeg"),
            _make_fact_row("VIDEO_BYTES", "bytes", y.VIDEO_BYTES, y.VIDEO_BYTES + 1),
            _make_fact_row("VIDEO_SECONDS", "duration", y.VIDEO_SECONDS, y.VIDEO_SECONDS + 1),
        ),
        *_make_cases(
            of,
            "video",
            VIDEO,
            _make_fact_row("SHORT_SECONDS", "duration", y.SHORT_SECONDS, y.SHORT_SECONDS + 1),
            severity="warn",
        ),
        *_make_cases(
            of,
            "video",
            VIDEO,
            ("UNVERIFIED_SECONDS", {"duration": 170.0}, {"duration": y.UNVERIFIED_SECONDS + 1}),
            severity="warn",
            settings={"long_uploads": "eligible"},
        ),
    ]


def _list_pinterest() -> list[LimitCase]:
    p, of = pinterest, Platform.PINTEREST
    titles = [{"options": {"title": "a" * (p.TITLE_CHARACTERS + n)}} for n in (0, 1)]
    short = "https://example.com/"
    links = [{"options": {"link": short + "a" * (p.LINK_CHARACTERS - len(short) + n)}} for n in (0, 1)]
    return [
        *_make_alt_text_case(of, "ALT_TEXT_CHARACTERS", p.ALT_TEXT_CHARACTERS),
        *_make_cases(
            of, "slideshow", "caption", _make_length_row("DESCRIPTION_CHARACTERS", p.DESCRIPTION_CHARACTERS)
        ),
        *_make_cases(of, "slideshow", "pinterest.title", ("TITLE_CHARACTERS", titles[0], titles[1])),
        *_make_cases(of, "slideshow", "pinterest.link", ("LINK_CHARACTERS", links[0], links[1])),
        *_make_cases(
            of, "slideshow", "media", _make_fact_row("CAROUSEL", "count", p.CAROUSEL[1], p.CAROUSEL[1] + 1)
        ),
        *_make_cases(
            of,
            "slideshow",
            IMAGE,
            _make_fact_row("IMAGE types", "content_type", "image/png", "image/webp"),
            _make_fact_row("IMAGE bytes", "bytes", *_around(p.IMAGE.bytes)),
        ),
        *_make_cases(
            of,
            "video",
            VIDEO,
            _make_fact_row("VIDEO_TYPES", "content_type", "video/quicktime", "video/webm"),
            _make_fact_row("VIDEO_CODECS", "codec", "hevc", "vp9"),
            _make_fact_row("VIDEO_BYTES", "bytes", p.VIDEO_BYTES, p.VIDEO_BYTES + 1),
            _make_fact_row("VIDEO_SECONDS least", "duration", p.VIDEO_SECONDS[0], p.VIDEO_SECONDS[0] - 0.1),
            _make_fact_row("VIDEO_SECONDS most", "duration", p.VIDEO_SECONDS[1], p.VIDEO_SECONDS[1] + 0.1),
            _make_fact_row("VIDEO_RATIO", "width", 480, 460),
        ),
    ]


def _list_linkedin() -> list[LimitCase]:
    n, of = linkedin, Platform.LINKEDIN
    return [
        *_make_cover_cases(
            of,
            "organization",
            _make_fact_row("COVER_TYPES", "cover_content_type", "image/png", "image/gif"),
            _make_fact_row("COVER_BYTES", "cover_bytes", n.COVER_BYTES, n.COVER_BYTES + 1),
        ),
        *_make_alt_text_case(of, "ALT_TEXT", n.ALT_TEXT),
        *_make_cases(of, "slideshow", "caption", _make_length_row("COMMENTARY", n.COMMENTARY)),
        *_make_cases(
            of, "slideshow", "media", _make_fact_row("IMAGES", "count", n.IMAGES[1], n.IMAGES[1] + 1)
        ),
        *_make_cases(
            of,
            "slideshow",
            IMAGE,
            _make_fact_row("IMAGE types", "content_type", "image/gif", "image/webp"),
            (
                "IMAGE area",
                {"width": n.IMAGE.area, "height": 1},
                {"width": _around(n.IMAGE.area)[1], "height": 1},
            ),
        ),
        *_make_cases(
            of,
            "video",
            VIDEO,
            _make_fact_row("VIDEO_TYPES", "content_type", "video/mp4", "video/quicktime"),
            _make_fact_row("VIDEO_BYTES least", "bytes", n.VIDEO_BYTES[0], n.VIDEO_BYTES[0] - 1),
            _make_fact_row("VIDEO_BYTES most", "bytes", n.VIDEO_BYTES[1], n.VIDEO_BYTES[1] + 1),
            _make_fact_row("VIDEO_SECONDS least", "duration", n.VIDEO_SECONDS[0], n.VIDEO_SECONDS[0] - 0.1),
            _make_fact_row("VIDEO_SECONDS most", "duration", n.VIDEO_SECONDS[1], n.VIDEO_SECONDS[1] + 0.1),
        ),
    ]


LIMIT_CASES: Sequence[LimitCase] = (
    *_list_tiktok("creator"),
    *_list_tiktok("business"),
    *_list_instagram(),
    *_list_facebook(),
    *_list_youtube(),
    *_list_pinterest(),
    *_list_linkedin(),
)
