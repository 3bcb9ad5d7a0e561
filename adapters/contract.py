"""What the core and an adapter say to each other: the values that pass between them, and the Adapter protocol.

A publish is ``prepare`` (invisible, repeatable) -> ``finalize`` (the one call that makes the post visible) ->
``look`` (read-only). The core commits that it is about to call ``finalize`` before it does ("armed"), and never
calls it again for the same attempt unless absence is proven. The contract in SHALL/MAY, for both sides:

* An adapter SHALL be stateless and synchronous, and SHALL NOT sleep, retry, refresh tokens, or log bodies.
* An adapter SHALL speak through the injected ``http.HttpClient`` only.
* ``prepare`` SHALL do one step per call and return ``Pending(wait=0)`` with the new checkpoint; the core commits the
  checkpoint and calls again. A worker may die between any two calls; another goes on from the checkpoint.
* ``finalize`` SHALL make exactly one changing request, marked ``visible=True``, and nothing after it.
* ``look`` SHALL change nothing, ever.
* The core SHALL commit each checkpoint it is handed before the next call, and hand back the last committed one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import SecretStr

from adapters.errors import AdapterError
from adapters.http import HttpClient

CheckpointData = Mapping[str, Any]
"""JSON-able facts of an unfinished publish: handles, offsets, the settings a platform asked us to read first.

It may hold upload addresses, which are as good as a token: no value below shows its checkpoint in its repr.
"""


class Platform(StrEnum):
    """The six platforms, in the words of the HTTP contract."""

    TIKTOK = "tiktok"
    INSTAGRAM = "instagram"
    YOUTUBE = "youtube"
    PINTEREST = "pinterest"
    LINKEDIN = "linkedin"
    FACEBOOK = "facebook"


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFacts:
    """What a probe saw of one media file. Sizes in bytes and pixels, duration in seconds; None = could not be told."""

    content_type: str
    bytes: int
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    codec: str | None = None
    fps: float | None = None
    etag: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """One file of a post: its URL as the customer sent it, what a check saw of it, and a way to its bytes.

    ``stream(first, length)`` yields exactly ``length`` bytes from offset ``first`` through the guarded fetcher, with
    flat memory. It raises ``Unavailable`` when the source does not answer and ``Rejected`` (code ``media_changed``)
    when the file is no longer the one that was checked. Open it before a visible call, not inside one.
    """

    url: str
    kind: Literal["image", "video"]
    facts: MediaFacts | None = None
    stream: Callable[[int, int], Iterator[bytes]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A TikTok sound, as resolved from the link of a TikTok post."""

    post_id: str
    sound_id: str
    title: str
    artist: str
    link: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One post as one account is to publish it. ``options`` is the platform's own section of the request, or empty."""

    delivery_id: str
    """Stable over retries: usable as a marker to find the post again (never as an idempotency key: none has one)."""
    caption: str
    kind: Literal["video", "slideshow"]
    media: tuple[Media, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    music_url: str | None = None
    track: Track | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What lets us act for an account. SecretStr keeps the tokens out of every repr and log."""

    access_token: SecretStr
    refresh_token: SecretStr | None = None
    expires_at: datetime | None = None
    """Aware UTC; None = does not expire by time."""
    refresh_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account at a platform, as an adapter sees it."""

    id: str
    platform: Platform
    connection: str
    """Which of the platform's products it was connected through, e.g. ``creator`` or ``business`` for TikTok."""
    remote_id: str
    username: str
    credentials: Credentials
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Facts and choices kept beside the account: a default Pinterest board, a country, an organization URN."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformSettings:
    """Where a platform is and who our app is there; every value is the operator's (config)."""

    hosts: Mapping[str, str]
    """Base URLs without trailing slash, by the name the adapter gives them in its docstring."""
    app_id: str = ""
    app_secret: SecretStr = SecretStr("")
    version: str = ""
    """The vendor's API version where it has one (Graph ``v25.0``, LinkedIn ``202609``)."""
    options: Mapping[str, Any] = field(default_factory=dict)


# --- what an adapter finds wrong before anything is sent -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a draft cannot go out (``refuse``) or will go out differently than asked (``warn``)."""

    severity: Literal["refuse", "warn"]
    code: str
    """``validation_failed`` for plain limits; else a stable word such as ``MUSIC_NOT_SUPPORTED_BY_CONNECTION``."""
    field: str
    """Where in the request: ``caption``, ``media``, ``media.urls[2]``, ``tiktok.privacy_level``, ``music_url``."""
    message: str
    """A sentence that names rule, limit and found value; the core adds the account."""
    limit: str | int | float | None = None
    found: str | int | float | None = None


# --- what the four calls answer --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Everything invisible is done: the next call is ``finalize``."""

    checkpoint: CheckpointData = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """The platform works. Call again after ``wait`` (zero: at once, one more step of ``prepare``)."""

    checkpoint: CheckpointData = field(repr=False)
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """It is live. ``url`` may be missing (filled later); a draft in an inbox says so in ``delivered_as``."""

    remote_id: str
    url: str | None = None
    delivered_as: Literal["post", "inbox_draft"] = "post"
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Facts worth keeping that change nothing, e.g. ``music_confirmed``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """It is not there, and the old handle can do no harm: it is dead, or it is the one used again (``checkpoint``)."""

    checkpoint: CheckpointData = field(default_factory=dict, repr=False)
    """What to go on from: empty = prepare from scratch; a handle = finalize exactly that one again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The platform says for good that nothing went out; ``error`` says why and whether a new try makes sense."""

    error: AdapterError


@dataclass(frozen=True, kw_only=True, slots=True)
class CannotTell:
    """The platform offers no proof either way (yet)."""

    reason: str


PrepareResult = Ready | Pending
FinalizeResult = Published | Pending
LookResult = Published | Pending | Ready | Absent | Ended | CannotTell


# --- what a platform can do, as data ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most ``count`` calls of ``step`` in ``per`` for one account; source and date stand in ``limits.py``."""

    step: Literal["prepare", "finalize", "look"]
    count: int
    per: timedelta


DailyPer = Literal["account", "app"]
"""Whose posts a platform counts together: those of one account, or of all that are connected through our app there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a platform does and how fast, read by the core; each adapter's ``limits.py`` fills it in."""

    pulls_media: bool
    """The platform fetches some media itself, so media URLs must be reachable from the internet."""
    prepare_lead: timedelta
    """How long before the due time ``prepare`` may start; zero where preparing early is not possible or not wanted."""
    settle_window: timedelta
    """How long after a lost answer the platform may still show the post late; before, "not found" proves nothing."""
    look_every: tuple[timedelta, timedelta]
    """First and longest pause between two looks at an unfinished publish."""
    look_limit: timedelta
    """How long after arming (or after preparing began) an unfinished publish is waited for."""
    rates: tuple[Rate, ...] = ()
    keeps: tuple[str, ...] = ()
    """Checkpoint keys that survive a person's "publish again": what makes a repeat recognisable over there."""
    daily_posts: int | None = None
    """Posts per rolling 24 h that the platform is known to allow."""
    daily_per: DailyPer = "account"
    """Whose ``daily_posts`` they are."""


# --- connecting an account -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteAccount:
    """One account that a grant gives access to (a channel, a page, an organization, a profile)."""

    remote_id: str
    username: str
    display_name: str
    connection: str
    credentials: Credentials
    settings: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Adapter(Protocol):
    """One platform. Built per slice of work as ``AdapterClass(client, settings)``; cheap, holds no state of its own."""

    platform: ClassVar[Platform]
    capabilities: ClassVar[Capabilities]

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None: ...

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Everything that is wrong with this draft for this account, from limits.py; pure, makes no request."""
        ...

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """One invisible, repeatable step towards a publish (an upload slice, a container)."""
        ...

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """The one visible call."""
        ...

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Where the publish stands. ``armed_at`` None: not armed yet. ``taken``: remote ids other deliveries own."""
        ...

    def refresh(self, account: Account) -> Credentials:
        """New credentials for old; the refresh token may have rotated. CredentialsRevoked on a definite refusal."""
        ...

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Where to send the person who connects an account."""
        ...

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """The grant behind a code."""
        ...

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The accounts a grant gives access to."""
        ...


@runtime_checkable
class ResolvesMusic(Protocol):
    """An adapter that can turn the link of a post into the sound it carries."""

    def music_link(self, link: str) -> str | None:
        """The canonical form of a link that may name a post of this platform; None when it cannot. Pure."""
        ...

    def resolve_music(self, link: str) -> Track:
        """Read-only. Rejected (code ``music_unresolvable``) when there is no such post or sound."""
        ...
