"""Find why TikTok cannot publish a draft, by the limits of ``limits.py``; every problem at once. Pure.

A fact that is unknown is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from adapters.contract import Draft, Media, MediaFacts, PlatformSettings, Problem
from adapters.limit import count_utf16_units
from adapters.problems import (
    check_cover,
    check_first_comment,
    find_image_problems,
    name_field,
    refuse,
    warn,
    warn_of_ai_label,
    warn_of_alt_texts,
    warn_of_caption,
    warn_of_cover,
)
from adapters.tiktok import limits, payload
from adapters.tiktok.checkpoint import is_draft
from adapters.tiktok.errors import AUDIT
from adapters.tiktok.music import build_sound_link

_MENTION = re.compile(r"(?<![\w.])@[\w.]+")
Number = int | float


def is_audited(settings: PlatformSettings) -> bool:
    """Return whether TikTok has audited our app for Direct Post, as the operator says."""
    return bool(settings.options.get("audited", True))


def find_problems(draft: Draft, connection: str, *, audited: bool = True) -> tuple[Problem, ...]:
    """Return every problem of the draft for an account of this connection (``creator`` or ``business``).

    ``audited``: TikTok has audited our app for Direct Post; the Business product has no such audit.
    """
    if connection not in limits.VIDEO:
        message = f"TikTok accounts are connected as {' or '.join(limits.VIDEO)}; this one as {connection!r}."
        return (refuse("accounts", message, ", ".join(limits.VIDEO), connection),)
    unaudited = _check_audit(draft) if connection == "creator" and not audited else ()
    return (
        *unaudited,
        *(
            problem
            for check in (
                _check_shape,
                _check_texts,
                _check_settings,
                _check_media,
                _check_music,
                _check_post_wide,
            )
            for problem in check(draft, connection)
        ),
    )


def _check_maximum(field: str, rule: str, unit: str, limit: Number, value: Number) -> Iterator[Problem]:
    if value > limit:
        yield refuse(
            field, f"TikTok takes {rule} of at most {limit:,} {unit}; this has {value:,}.", limit, value
        )


def _check_minimum(field: str, rule: str, unit: str, limit: Number, value: Number) -> Iterator[Problem]:
    if value < limit:
        yield refuse(
            field, f"TikTok takes {rule} of at least {limit:,} {unit}; this has {value:,}.", limit, value
        )


# --- what kind of post -----------------------------------------------------------------------------------------------


def _check_shape(draft: Draft, _connection: str) -> Iterator[Problem]:
    is_video, count = draft.kind == "video", len(draft.media)
    expected = "video" if is_video else "image"
    if is_video and count != 1:
        yield refuse("media", f"A TikTok video post has exactly 1 file; this has {count}.", 1, count)
    if not is_video and not 1 <= count <= limits.IMAGES:
        message = f"A TikTok photo post has 1 to {limits.IMAGES} images; this has {count}."
        yield refuse("media.urls", message, limits.IMAGES, count)
    for index, media in enumerate(draft.media):
        if media.kind != expected:
            yield refuse(
                name_field(draft, index),
                f"TikTok takes one {expected} here; this is one {media.kind}.",
                expected,
                media.kind,
            )
    form, takes = ("post_mode", "slideshow") if is_video else ("deliver_as", "video")
    if draft.options.get(form) in {"MEDIA_UPLOAD", "inbox"}:
        asked = f"tiktok.{form} {draft.options[form]} (a draft in the inbox)"
        message = f"{asked} is for a {takes} only; this is a {draft.kind}."
        yield refuse(f"tiktok.{form}", message, takes, draft.kind)


# --- texts -----------------------------------------------------------------------------------------------------------


def _check_texts(draft: Draft, connection: str) -> Iterator[Problem]:
    text = payload.build_description(draft)
    is_video = draft.kind == "video"
    if is_video and is_draft(draft):
        yield warn_of_caption(
            "A draft of a video in TikTok's inbox has no caption: its user writes one in the app."
        )
        return
    field = "tiktok.description" if draft.options.get("description") else "caption"
    most = limits.VIDEO_TEXT if is_video else limits.PHOTO_TEXT
    yield from _check_maximum(field, "a text", "UTF-16 units", most, count_utf16_units(text))
    mentions = len(_MENTION.findall(text))
    if connection == "business" and mentions > limits.MENTIONS:
        message = f"TikTok takes at most {limits.MENTIONS} mentions; this text has {mentions}."
        yield refuse(field, message, limits.MENTIONS, mentions)
    asked = draft.options.get("title")
    if asked and is_video:
        message = "A TikTok video has one text, the caption: tiktok.title is used for photo posts only."
        yield warn("TITLE_NOT_USED", "tiktok.title", message)
    elif asked:
        yield from _check_maximum(
            "tiktok.title", "a photo title", "UTF-16 units", limits.PHOTO_TITLE, count_utf16_units(str(asked))
        )


# --- settings --------------------------------------------------------------------------------------------------------


def _check_settings(draft: Draft, connection: str) -> Iterator[Problem]:
    level, is_branded = payload.get_privacy_level(draft), payload.get_flag(draft, "is_branded_content")
    if is_draft(draft):
        yield from _warn_of_draft_settings(draft)
        return
    if level not in limits.PRIVACY:
        message = f"TikTok knows the privacy levels {', '.join(limits.PRIVACY)}; this asks for {level}."
        yield refuse("tiktok.privacy_level", message, ", ".join(limits.PRIVACY), level)
    elif connection == "business" and draft.kind == "video" and level != payload.DEFAULT_PRIVACY:
        message = (
            f"Videos of accounts connected through TikTok for Business are always {payload.DEFAULT_PRIVACY}; "
            f"this asks for {level}."
        )
        yield refuse("tiktok.privacy_level", message, payload.DEFAULT_PRIVACY, level)
    if is_branded and level == "SELF_ONLY":
        message = "TikTok does not take branded content as SELF_ONLY: others have to be able to see it."
        yield refuse("tiktok.privacy_level", message, "not SELF_ONLY", level)
    if payload.get_flag(draft, "is_commercial") and not (
        is_branded or payload.get_flag(draft, "is_your_brand")
    ):
        message = (
            "is_commercial says that the post promotes something, and TikTok also requires what. "
            "Set is_your_brand or is_branded_content."
        )
        yield refuse("tiktok.is_commercial", message, "is_your_brand or is_branded_content", "neither")
    if is_branded and not payload.get_flag(draft, "user_consent"):
        message = (
            "TikTok's guidelines ask for the user's consent to its Branded Content Policy before a branded post; "
            "user_consent does not state it."
        )
        yield warn("CONSENT_NOT_STATED", "tiktok.user_consent", message)
    yield from _warn_of_unused_settings(draft)


def _check_audit(draft: Draft) -> Iterator[Problem]:
    """Refuse what TikTok lets no unaudited app post. Source: limits.py [share]."""
    level = payload.get_privacy_level(draft)
    if not is_draft(draft) and level != "SELF_ONLY":
        message = (
            "TikTok has not audited this server's app yet, so it takes posts as SELF_ONLY only; "
            f"this asks for {level}. Ask the operator: {AUDIT}"
        )
        yield refuse("tiktok.privacy_level", message, "SELF_ONLY", level)


_DRAFT_IGNORES = (
    "privacy_level",
    "disable_comment",
    "disable_duet",
    "disable_stitch",
    "auto_add_music",
    "is_commercial",
    "is_branded_content",
    "is_your_brand",
)
_ONLY = {"video": ("auto_add_music",), "slideshow": ("disable_duet", "disable_stitch")}
_VIDEO_DRAFT_IGNORES = (*_DRAFT_IGNORES, "title", "description")  # [inbox]: ``source_info`` only


def _warn_of_draft_settings(draft: Draft) -> Iterator[Problem]:
    is_video = draft.kind == "video"
    carries = "the video" if is_video else "texts"
    for name in _VIDEO_DRAFT_IGNORES if is_video else _DRAFT_IGNORES:
        if draft.options.get(name) not in (None, False, payload.DEFAULT_PRIVACY):
            message = (
                f"A draft in the inbox carries {carries} only: {name} is chosen by the user who finishes it."
            )
            yield warn("DRAFT_IGNORES_SETTING", f"tiktok.{name}", message)


def _warn_of_unused_settings(draft: Draft) -> Iterator[Problem]:
    for name in _ONLY[draft.kind]:
        if payload.get_flag(draft, name):
            kind = "videos" if draft.kind == "video" else "photo posts"
            yield warn("SETTING_HAS_NO_EFFECT", f"tiktok.{name}", f"TikTok {kind} have no setting {name}.")


def _check_post_wide(draft: Draft, connection: str) -> Iterator[Problem]:
    is_bare = is_draft(draft) and draft.kind == "video"
    if is_bare:
        yield from warn_of_cover(
            draft, "A draft in TikTok's inbox has no cover: its user chooses one in the app."
        )
    elif connection == "creator" and isinstance(draft.cover, Media):
        message = (
            "Accounts connected as creators take a time in the video as cover, no image; TikTok chooses one. "
            "Send seconds, or connect the account through TikTok for Business."
        )
        yield from warn_of_cover(draft, message)
    else:
        yield from check_cover(draft, "TikTok", limits.COVER_TYPES, limits.IMAGE.bytes)
    if draft.kind != "video" or is_bare:
        yield from warn_of_ai_label(draft, "A draft in TikTok's inbox" if is_bare else "TikTok's photo post")
    yield from warn_of_alt_texts(draft, "A TikTok post")
    yield from check_first_comment(draft, "TikTok", 0)


# --- media -----------------------------------------------------------------------------------------------------------


def _check_media(draft: Draft, connection: str) -> Iterator[Problem]:
    for index, media in enumerate(draft.media):
        field = name_field(draft, index)
        if media.kind == "image" or connection == "business":
            yield from _check_url(field, media)
        if media.facts is None:
            continue
        yield from _check_minimum(field, "files", "bytes", 1, media.facts.bytes)
        if media.kind == "video":
            yield from _check_video(field, media.facts, limits.VIDEO[connection])
        else:
            yield from find_image_problems("TikTok", limits.IMAGE, media.facts, field)


def _check_url(field: str, media: Media) -> Iterator[Problem]:
    """Refuse a bare IP address in a URL that TikTok fetches. Only https is checked: customers' URLs are https."""
    parts = urlsplit(media.url)
    if parts.scheme == "https" and _is_address(parts.hostname or ""):
        message = "TikTok fetches this file itself, from a host name only; this address is a bare IP address."
        yield refuse(field, message, "a host name", "an IP address")


@lru_cache(maxsize=1000)
def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_video(field: str, facts: MediaFacts, limit: limits.VideoLimits) -> Iterator[Problem]:
    yield from _check_allowed(field, "video files of type", limit.containers, facts.content_type)
    if facts.codec is not None:
        codec = facts.codec.lower()
        yield from _check_allowed(
            field, "videos coded as", limit.codecs, limits.CODEC_ALIASES.get(codec, codec)
        )
    yield from _check_maximum(field, "videos", "bytes", limit.bytes, facts.bytes)
    if facts.duration is not None:
        yield from _check_maximum(field, "videos", "seconds", limit.longest, facts.duration)
        yield from _check_minimum(field, "videos", "seconds", limit.shortest, facts.duration)
    if facts.fps is not None:
        yield from _check_maximum(field, "videos", "frames per second", limit.fps_to, facts.fps)
        yield from _check_minimum(field, "videos", "frames per second", limit.fps_from, facts.fps)
    if facts.width is not None and facts.height is not None:
        yield from _check_minimum(
            field, "videos with sides", "pixels", limit.side_from, min(facts.width, facts.height)
        )
        if limit.side_to is not None:
            yield from _check_maximum(
                field, "videos with sides", "pixels", limit.side_to, max(facts.width, facts.height)
            )


def _check_allowed(field: str, rule: str, expected: tuple[str, ...], value: str) -> Iterator[Problem]:
    if value not in expected:
        yield refuse(
            field, f"TikTok takes {rule} {', '.join(expected)}; this is {value}.", ", ".join(expected), value
        )


# --- music -----------------------------------------------------------------------------------------------------------

_NO_TRACK = (
    "TikTok's Content Posting API cannot attach a chosen track; the {kind}. "
    "Connect the account through TikTok for Business, or send a file that already carries audio you may use."
)


def _check_music(draft: Draft, connection: str) -> Iterator[Problem]:
    if draft.music_url is None and draft.track is None:
        return
    if is_draft(draft):
        message = "A draft cannot carry a track: choose it in the TikTok app when finishing the post"
        if draft.track is not None:
            message += f": {draft.track.title}, {build_sound_link(draft.track.sound_id)}"
        yield warn("MUSIC_BY_HAND", "music_url", f"{message}.")
    elif connection == "creator":
        is_video = draft.kind == "video"
        message = _NO_TRACK.format(
            kind="video goes out with its own sound" if is_video else "photos go out without it"
        )
        if not is_video:
            message += " auto_add_music would add TikTok's choice, not this track."
        yield warn("MUSIC_NOT_SUPPORTED_BY_CONNECTION", "music_url", message)
