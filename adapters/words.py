"""The words of a post as its platform gets and shows them: what previews show, and counters count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from adapters.contract import Draft

LinkedWord = Literal["hashtag", "link"]
BOTH: frozenset[LinkedWord] = frozenset({"hashtag", "link"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of a draft: whole, and without what a platform's format escapes."""

    text: str
    title: str = ""
    tags: tuple[str, ...] = ()
    """Tags beside the text."""
    length: int
    """What counts towards ``most``, in the platform's own measure."""
    most: int | None = None
    fold: int | None = None
    """Characters of the text that a phone's feed shows before it offers the rest; None: no known place."""
    linked: frozenset[LinkedWord] = BOTH
    """What the platform makes links of in the text."""


@runtime_checkable
class WritesWords(Protocol):
    """An adapter that says which words its posts have."""

    def write_words(self, draft: Draft) -> Words:
        """Return the words that a publish of this draft sends. Pure."""
