"""Warnings of post-wide options that an account cannot use: such an account publishes the post without them. Pure."""

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
