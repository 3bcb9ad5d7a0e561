"""Accounts, workspaces and plans, the users of a workspace with their roles, and the limits of API keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import Enum, StrEnum
from functools import total_ordering


class AccountStatus(StrEnum):
    """The status of an account, as its workspace sees it."""

    ACTIVE = "active"
    RECONNECT = "reconnect"  #: its credentials were revoked; scheduled posts wait
    INACTIVE = "inactive"  #: taken out of use by the operator; new posts are refused


class WorkspaceKind(StrEnum):
    """A shared workspace, or the personal one of one user."""

    WORKSPACE = "workspace"
    PERSONAL = "personal"


class Plan(StrEnum):
    """The plans; ``PUBLISHING_PLANS`` may publish through the API."""

    CREATOR = "creator"
    PROFESSIONAL = "professional"
    BUSINESS = "business"
    SCHEDULER = "scheduler"
    NONE = "none"


PUBLISHING_PLANS = frozenset({Plan.CREATOR, Plan.PROFESSIONAL, Plan.BUSINESS})


class Subscription(StrEnum):
    """The payment status of a plan; ``LIVE_SUBSCRIPTIONS`` may publish."""

    ACTIVE = "active"
    TRIALING = "trialing"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


LIVE_SUBSCRIPTIONS = frozenset({Subscription.ACTIVE, Subscription.TRIALING})


@total_ordering
class Role(Enum):
    """A role includes every smaller one: ``Role.VIEWER < Role.ADMIN``."""

    VIEWER = "viewer"  #: sees everything of the workspace
    AUTHOR = "author"  #: also edits, reschedules, cancels, and retries posts
    OPERATOR = "operator"  #: also pauses, decides, steers, connects accounts
    ADMIN = "admin"  #: also makes keys, gives roles, ends the sessions of others

    def __lt__(self, other: Role) -> bool:
        return _RANK[self] < _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}


MIN_PASSWORD, MAX_PASSWORD = 12, 200
"""Characters. NIST SP 800-63B-4 (August 2025), section 3.1.1.2, asks for 15, or 8 alongside a second factor; tries are
limited here."""
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}", re.ASCII)


class UnusableLogin(ValueError):
    """The login breaks the rule; ``str()`` is a sentence for its author."""


class UnusablePassword(ValueError):
    """The password breaks the rule; ``str()`` is a sentence for its author, without the password."""


def normalize_login(text: str) -> str:
    """Return a login as it is compared: in lower case, without spaces around it."""
    return text.strip().lower()


def require_login(text: str) -> str:
    """Return the login, normalized. Raises UnusableLogin."""
    login = normalize_login(text)
    if not _LOGIN.fullmatch(login):
        raise UnusableLogin(
            f"The login {text[:120]!r} cannot be used: 1 to 100 of the letters a to z, digits and . _ @ + -, "
            "starting with a letter or digit."
        )
    return login


def require_password(text: str, login: str) -> str:
    """Return the password. Raises UnusablePassword."""
    if not MIN_PASSWORD <= len(text) <= MAX_PASSWORD:
        raise UnusablePassword(
            f"The password has {len(text)} characters: it needs {MIN_PASSWORD} to {MAX_PASSWORD}."
        )
    if "\0" in text or len(set(text)) == 1 or login in text.lower():
        raise UnusablePassword(
            "The password repeats one character, or contains the login: choose another one."
        )
    return text


NEW_KEY_POSTS_PER_MINUTE = 6_000
"""The rate of a new key where neither its maker nor the server sets one."""
MAX_POSTS_PER_MINUTE, MAX_POSTS_PER_DAY = 1_000_000, 1_000_000_000
MAX_LEAD_MINUTES, MAX_AHEAD_DAYS = 525_600, 3_650
KINDS = ("video", "image", "images", "text", "document")
"""The kinds of posts that a mandate names: the values of ``PostForm``, which --help reads without the adapters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyLimits:
    """The settings of a key. None: the server's default, or no limit where the server has none.

    The last six are the key's mandate: what it may write, decided in ``stages/mandate.py`` for whatever it is sent by,
    and whether it is approved, or approves.
    """

    music_required: bool | None = None
    """Refuse a post whose music cannot be attached, instead of warning."""
    posts_per_minute: int | None = None
    """0: no limit."""
    posts_per_day: int | None = None
    """Per calendar day in UTC; 0: no limit."""
    lead_minutes: int | None = None
    """How long before it is due a post is sent or changed at the latest."""
    ahead_days: int | None = None
    """How far ahead a post may be due."""
    kinds: tuple[str, ...] | None = None
    """The only forms of posts that it sends, as of ``PostForm``."""
    options: tuple[str, ...] | None = None
    """The only options that it sends, such as ``tiktok.title`` or ``first_comment``."""
    needs_approval: bool | None = None
    """What it writes is sent once another person or key has approved it."""
    may_approve: bool | None = None
    """It approves what others write; a key that needs approval never does."""

    @property
    def has_mandate(self) -> bool:
        """Return True if something bounds what the key may write."""
        return (self.lead_minutes, self.ahead_days, self.kinds, self.options) != (None, None, None, None)

    def over(self, defaults: KeyLimits) -> KeyLimits:
        """Return these limits, with those of *defaults* where one is None."""
        if self == SERVER_DEFAULT:
            return defaults
        missing = [f.name for f in fields(self) if getattr(self, f.name) is None]
        return replace(self, **{name: getattr(defaults, name) for name in missing})


SERVER_DEFAULT = KeyLimits()
"""A key without limits of its own."""
AGENT = KeyLimits(posts_per_day=20, lead_minutes=30, ahead_days=30, needs_approval=True)
"""The limits of a key for a program that acts without judgement."""
AGENT_LASTS = timedelta(days=90)


def parse_limit(text: str, most: int) -> int:
    """Return a limit that was typed. Raises ValueError with a sentence for its author."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or int(text) > most:
        raise ValueError(f"{text[:40]!r} is not a number from 0 to {most}.")
    return int(text)


def choose_new_limits(given: KeyLimits, *, server_posts_per_minute: int, bulk: bool) -> KeyLimits:
    """Return the limits of a new key: those given, and a rate where neither they nor the server set one.

    A bulk key gets no rate.
    """
    if bulk or given.posts_per_minute is not None or server_posts_per_minute:
        return given
    return replace(given, posts_per_minute=NEW_KEY_POSTS_PER_MINUTE)


PLATFORM_NAMES = {
    "tiktok": "TikTok",
    "instagram": "Instagram",
    "youtube": "YouTube",
    "pinterest": "Pinterest",
    "linkedin": "LinkedIn",
    "facebook": "Facebook",
}
"""Display names of the platforms."""
