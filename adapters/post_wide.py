"""Problems with post-wide options. An account that cannot use one warns, and publishes the post without it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Draft, Problem


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
