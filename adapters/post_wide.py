"""Problems with post-wide options. An account that cannot use one warns, and publishes the post without it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from adapters.contract import Account, Draft, Media, Problem


def warn_of_ai_label(draft: Draft, what: str) -> Iterator[Problem]:
    """Warn of ``ai_generated`` where *what* (such as ``Facebook``) has no label for it."""
    if draft.ai_generated:
        message = (
            f"{what} takes no label of AI-generated content by API; say it in the caption where the law asks."
        )
        yield Problem(severity="warn", code="AI_LABEL_NOT_SUPPORTED", field="ai_generated", message=message)


def check_alt_texts(draft: Draft, name: str, most: int) -> Iterator[Problem]:
    """Refuse each alternative text of more than *most* characters."""
    for index, media in enumerate(draft.media):
        found = len(media.alt_text or "")
        if found > most:
            message = f"{name} takes alternative texts of at most {most} characters; this one has {found}."
            field = f"media.alt_texts[{index}]"
            yield Problem(
                severity="refuse",
                code="validation_failed",
                field=field,
                message=message,
                limit=most,
                found=found,
            )


def warn_of_alt_texts(draft: Draft, what: str) -> Iterator[Problem]:
    """Warn of alternative texts where *what* (such as ``A TikTok post``) takes none."""
    if any(media.alt_text for media in draft.media):
        message = f"{what} takes no alternative text by API; it goes out without."
        yield Problem(
            severity="warn", code="ALT_TEXT_NOT_SUPPORTED", field="media.alt_texts", message=message
        )


COVER = "media.cover"


@runtime_checkable
class SetsCover(Protocol):
    """An adapter of a platform that takes a cover only once the post is live."""

    def set_cover(self, account: Account, remote_id: str, cover: Media) -> None:
        """Make the image the cover of a live post; repeating it changes nothing more."""
        ...


def get_cover_url(draft: Draft) -> str | None:
    """Return the URL of the cover, if it is an image."""
    return draft.cover.url if isinstance(draft.cover, Media) else None


def get_cover_ms(draft: Draft) -> int | None:
    """Return the time in the video that becomes the cover, in milliseconds, if it is one."""
    return None if draft.cover is None or isinstance(draft.cover, Media) else round(draft.cover * 1000)


def warn_of_cover(draft: Draft, message: str) -> Iterator[Problem]:
    """Warn with *message* that the cover is not used."""
    if draft.cover is not None:
        yield Problem(severity="warn", code="COVER_NOT_SUPPORTED", field=COVER, message=message)


def check_cover(draft: Draft, name: str, types: tuple[str, ...], most: int | None) -> Iterator[Problem]:
    """Refuse a time after the video's end, and an image of another type or of more than *most* bytes."""
    if isinstance(draft.cover, Media):
        facts = draft.cover.facts
        if facts is not None and facts.content_type not in types:
            names = " or ".join(types)
            yield _refuse(
                f"{name} takes covers of type {names}; this one is {facts.content_type}.",
                names,
                facts.content_type,
            )
        if facts is not None and most is not None and facts.bytes > most:
            yield _refuse(
                f"{name} takes covers of at most {most} bytes; this one has {facts.bytes}.", most, facts.bytes
            )
        return
    length = draft.media[0].facts.duration if draft.media and draft.media[0].facts else None
    if draft.cover is not None and length is not None and draft.cover > length:
        message = f"A cover is a moment of the video, which lasts {length:g} seconds; this one is at {draft.cover:g}."
        yield _refuse(message, length, draft.cover)


def _refuse(message: str, limit: str | float, found: str | float) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=COVER, message=message, limit=limit, found=found
    )
