"""What an entry of a post's ``accounts`` carries of its own: caption, media, time and the section of its platform.

What it leaves out is the post's. The media of such an entry have positions of their own among the links and checks of
their post: those of a request, from a base on that no other media of the post have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from adapters.contract import Platform
from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.posting_times import AutoTime

SPAN = 100
"""Positions of one medium's files, its cover (two below the first) included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnContent:
    """The content of one entry; None, or missing in ``options``, is the post's."""

    caption: str | None = None
    media: Mapping[str, Any] | None = None
    first_comment: str | None = None
    options: Mapping[Platform, Mapping[str, Any]] = field(default_factory=dict)
    """Sections as sent; one replaces the post's as a whole."""
    scheduled_at: datetime | None = None
    auto: AutoTime | None = None
    """Its time is still to be found; it is stored with the one that was."""
    base: int = 0
    """The position of its first file among the post's; 0: it has no media of its own."""

    @property
    def fields(self) -> Sequence[str]:
        """The names of what it carries, as in a request."""
        names = ("caption", "media", "first_comment", "scheduled_at")
        plain = [name for name in names if getattr(self, name) is not None]
        return [*plain, *self.options, *(["scheduled_at"] if self.auto is not None else [])]

    @property
    def has_time(self) -> bool:
        """Return True if it has a time, or one that is to be found."""
        return self.scheduled_at is not None or self.auto is not None

    def to_body(self) -> dict[str, Any]:
        """Return what it carries as a request has it, with the time in UTC."""
        time = self.scheduled_at
        plain = {
            "caption": self.caption,
            "media": None if self.media is None else dict(self.media),
            "first_comment": self.first_comment,
            "scheduled_at": None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }
        sections = {platform.value: dict(section) for platform, section in self.options.items()}
        return {name: value for name, value in plain.items() if value is not None} | sections

    def to_dict(self) -> dict[str, Any]:
        """Return it as a delivery stores it."""
        return {**self.to_body(), **({"base": self.base} if self.base else {})}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> OwnContent | None:
        """Return what a delivery stores."""
        if stored is None:
            return None
        time = stored.get("scheduled_at")
        return cls(
            caption=stored.get("caption"),
            media=stored.get("media"),
            first_comment=stored.get("first_comment"),
            options={platform: stored[platform] for platform in Platform if platform in stored},
            scheduled_at=None if time is None else datetime.fromisoformat(time),
            base=stored.get("base", 0),
        )


def place_media(
    own: Mapping[Any, OwnContent], before: Mapping[Any, OwnContent | None] | None = None
) -> dict[Any, OwnContent]:
    """Return the contents of a post with bases. *before*: what was there; media that stay keep their base."""
    before = before or {}
    free = SPAN + max([0, *(known.base for known in before.values() if known is not None)])
    placed: dict[Any, OwnContent] = {}
    for key, one in own.items():
        known = before.get(key)
        base = 0
        if one.media is not None and known is not None and known.media == one.media:
            base = known.base
        elif one.media is not None:
            base, free = free, free + SPAN
        placed[key] = replace(one, base=base)
    return placed


def find_base_due(due_at: datetime, parts: Collection[tuple[OwnContent | None, datetime, State]]) -> datetime:
    """Return the time of the entries without one of their own. *due_at*: of the post, which has the earliest of all.

    *parts*: content, due time and state of each delivery that the post still targets.
    """
    if all(own is None for own, _, _ in parts):
        return due_at
    plain = [(due, state) for own, due, state in parts if own is None or own.scheduled_at is None]
    waiting = [due for due, state in plain if state not in SETTLED]
    return next(iter([*waiting, *(due for due, _ in plain)]), due_at)


def find_next_due(parts: Iterable[tuple[datetime, State]]) -> datetime | None:
    """Return the earliest time of the deliveries that are still to settle, or of all; None: there is none."""
    parts = list(parts)
    return min(
        [due for due, state in parts if state not in SETTLED] or [due for due, _ in parts], default=None
    )
