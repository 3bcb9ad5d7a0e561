"""Limits of an API key, and the server's defaults below them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

NEW_KEY_POSTS_PER_MINUTE = 6_000
"""The rate of a new key where neither its maker nor the server sets one."""
MAX_POSTS_PER_MINUTE, MAX_POSTS_PER_DAY = 1_000_000, 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyLimits:
    """The settings of a key. None: the server's default."""

    music_required: bool | None = None
    """Refuse a post whose music cannot be attached, instead of warning."""
    posts_per_minute: int | None = None
    """0: no limit."""
    posts_per_day: int | None = None
    """Per calendar day in UTC; 0: no limit."""

    def over(self, defaults: KeyLimits) -> KeyLimits:
        """Return these limits, with those of *defaults* where one is None."""
        if self == SERVER_DEFAULT:
            return defaults
        missing = [f.name for f in fields(self) if getattr(self, f.name) is None]
        return replace(self, **{name: getattr(defaults, name) for name in missing})


SERVER_DEFAULT = KeyLimits()
"""A key without limits of its own."""


def choose_new_limits(given: KeyLimits, *, server_posts_per_minute: int, bulk: bool) -> KeyLimits:
    """Return the limits of a new key: those given, and a rate where neither they nor the server set one.

    A bulk key gets no rate.
    """
    if bulk or given.posts_per_minute is not None or server_posts_per_minute:
        return given
    return replace(given, posts_per_minute=NEW_KEY_POSTS_PER_MINUTE)
