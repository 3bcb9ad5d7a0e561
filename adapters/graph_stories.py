"""Stories of Instagram and Facebook: the option that asks for one, what both leave out, and how long one is listed.

Sources: developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/{media,stories} (v25.0,
2026-09-11) and .../docs/page-stories-api (2026-05-06), read 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.contract import Draft, Problem
from adapters.listing import Asked, Listing
from adapters.post_options import PostOptions
from adapters.problems import (
    check_first_comment,
    refuse,
    warn,
    warn_of_alt_texts,
    warn_of_caption,
    warn_of_cover,
)

STORY = "story"
STORY_LIFE = timedelta(hours=24)
"""How long a story is live and listed; where an archive keeps it longer, that cannot be relied on."""
Placement = TypeAliasType("Placement", Literal["feed", "story"])


class PlacedOptions(PostOptions):
    """The options of a post that may be a story."""

    defaults: ClassVar[Mapping[str, Any]] = {"placement": "feed"}

    placement: Placement | None = Field(
        None,
        description="feed (the default) or story: one image or one video, without its caption, gone after 24 hours.",
    )

    @classmethod
    def find_kind(cls, options: Mapping[str, Any]) -> str | None:
        """Return the kind of a story, else None."""
        return STORY if options.get("placement") == STORY else None


def is_story(draft: Draft) -> bool:
    """Return True if the post is asked for as a story."""
    return draft.options.get("placement") == STORY


def find_story_problems(draft: Draft, name: str, unused: tuple[str, ...]) -> Iterator[Problem]:
    """Refuse several files and a first comment, and warn of what no story of *name* carries.

    *unused*: the options of its section that a story has not.
    """
    if (count := len(draft.media)) != 1:
        yield refuse(
            "media", f"{name} takes one image or one video as a story; this post has {count}.", 1, count
        )
    yield from check_first_comment(draft, f"A story of {name}", 0)
    yield warn_of_caption(f"A story of {name} carries no caption; it goes out without.")
    yield from warn_of_alt_texts(draft, f"A story of {name}")
    yield from warn_of_cover(draft, f"A story of {name} has no cover.")
    for option in unused:
        if draft.options.get(option) is not None:
            message = f"A story of {name} has no {option}; it goes out without."
            yield warn("SETTING_HAS_NO_EFFECT", f"{name.lower()}.{option}", message)


def limit_story_listing(listing: Listing, since: datetime) -> Listing:
    """Return the listing, marked as a part if stories since *since* may have expired from it."""
    if listing.asked is not Asked.ALL or datetime.now(UTC) - since < STORY_LIFE:
        return listing
    return replace(listing, asked=Asked.PART, reason="stories are listed for 24 hours only")
