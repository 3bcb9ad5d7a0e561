"""The Adapter protocol and the values that pass between the pipeline and an adapter.

A publish is ``prepare`` (invisible, repeatable) -> ``finalize`` (the one call that makes the post visible) ->
``look`` (read-only). The pipeline commits that it is about to call ``finalize`` before it does ("armed"), and never
calls it again for the same attempt unless absence is proven. Rules for both sides:

* An adapter SHALL be stateless and synchronous, and SHALL NOT sleep, retry, refresh tokens, or log bodies.
* An adapter SHALL make requests through the injected ``http.HttpClient`` only.
* ``prepare`` SHALL do one step per call and return ``Pending(wait=0)`` with the new checkpoint; the pipeline commits
  the checkpoint and calls again. A worker may die between any two calls; another continues from the checkpoint.
* ``finalize`` SHALL make exactly one changing request, marked ``visible=True``, and nothing after it.
* ``look`` SHALL change nothing, ever.
* The pipeline SHALL commit each checkpoint it receives before the next call, and pass back the last committed one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import SecretStr

from adapters.errors import AdapterError
from adapters.limit import ImageRule, Limit, Rate
from adapters.listing import ListedPost, ListsPosts
from adapters.platform_settings import PlatformSettings as PlatformSettings  # noqa: PLC0414 - a name of the contract

if TYPE_CHECKING:  # requests is slow to import, and most readers of these values make no call
    from adapters.http import HttpClient
    from adapters.live_check import ConnectionChecks
    from adapters.post_options import PostOptions

CheckpointData = Mapping[str, Any]
"""The JSON-able state of an unfinished publish, by the model in each ``checkpoint.py``.

It may hold upload URLs, which grant access like a token: no repr below shows it."""


class Platform(StrEnum):
    """The six platforms, as the HTTP contract spells them."""

    TIKTOK = "tiktok"
    INSTAGRAM = "instagram"
    YOUTUBE = "youtube"
    PINTEREST = "pinterest"
    LINKEDIN = "linkedin"
    FACEBOOK = "facebook"


MediaKind = Literal["image", "video", "document"]
"""What one file is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFacts:
    """Facts that a probe found about one media file. Sizes in bytes and pixels, duration in seconds; None: unknown."""

    content_type: str
    bytes: int
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    codec: str | None = None
    fps: float | None = None
    pages: int | None = None  # of a document
    etag: str | None = None
    sha256: str | None = None
    """The hash of all bytes, in hexadecimal: known of images that some platform takes only converted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """One file of a post: its URL as the customer sent it, the facts from its check, and a reader of its bytes.

    ``stream(first, length)`` yields exactly ``length`` bytes from offset ``first``. It raises ``Unavailable`` when the
    source does not respond, ``Rejected`` (``media_changed``) when it is another file than was checked.
    """

    url: str
    kind: MediaKind
    facts: MediaFacts | None = None
    stream: Callable[[int, int], Iterator[bytes]] | None = field(default=None, repr=False, compare=False)
    alt_text: str | None = None  # what the file shows, for people who cannot see it


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A TikTok sound, resolved from the link of a TikTok post."""

    post_id: str
    sound_id: str
    title: str
    artist: str
    link: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One post for one account. ``options`` is the platform's own section of the request, or empty."""

    delivery_id: str
    """Stable over retries: a marker to find the post by. No platform accepts an idempotency key."""
    caption: str
    kind: Literal["video", "slideshow", "text", "document"]
    media: tuple[Media, ...]
    """Empty for a text; one file for a video and a document."""
    title: str | None = None  # of a document
    options: Mapping[str, Any] = field(default_factory=dict)
    music_url: str | None = None
    track: Track | None = None
    ai_generated: bool = False  # its media were made with AI; a platform without a label for that warns
    cover: float | Media | None = None  # what stands for a video: a second of it, or an image
    first_comment: str | None = None  # said below the post once it is live, by a delivery of its own
    comment_on: str | None = None  # the remote id of the live post that this draft is the first comment on

    @property
    def cover_url(self) -> str | None:
        """The URL of the cover, if it is an image."""
        return self.cover.url if isinstance(self.cover, Media) else None

    @property
    def cover_ms(self) -> int | None:
        """The time in the video that becomes the cover, in milliseconds, if it is one."""
        return None if self.cover is None or isinstance(self.cover, Media) else round(self.cover * 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """An account's tokens. SecretStr keeps them out of every repr and log."""

    access_token: SecretStr
    refresh_token: SecretStr | None = None
    expires_at: datetime | None = None  # aware UTC; None: does not expire by time
    refresh_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    app_id: str = ""
    """Our app, if it obtained the tokens itself; empty for tokens that a user pasted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A connected account at a platform."""

    id: str
    platform: Platform
    connection: str
    """The platform's product that the account was connected through, e.g. ``creator`` or ``business`` for TikTok."""
    remote_id: str
    username: str
    credentials: Credentials
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Facts and choices stored with the account: a default Pinterest board, a country, an organization URN."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a draft cannot be published (``refuse``), or will be published differently (``warn``)."""

    severity: Literal["refuse", "warn"]
    code: str
    """``validation_failed`` for plain limits; else a stable word such as ``MUSIC_NOT_SUPPORTED_BY_CONNECTION``."""
    field: str
    """Where in the request: ``caption``, ``media``, ``media.urls[2]``, ``tiktok.privacy_level``, ``music_url``."""
    message: str
    """A sentence with rule, limit and found value; the pipeline adds the account."""
    limit: str | int | float | None = None
    found: str | int | float | None = None


# --- results of prepare, finalize and look ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Every invisible step is done: the next call is ``finalize``."""

    checkpoint: CheckpointData = field(repr=False)
    sends: tuple[int, int] | None = None
    """First byte and length of what ``finalize`` sends of the first medium: it is copied and open before arm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """The publish is not finished. Call again after ``wait``; zero means at once, for the next step of ``prepare``."""

    checkpoint: CheckpointData = field(repr=False)
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The post is live. ``url`` may be missing and is then filled in later; ``delivered_as`` marks an inbox draft."""

    remote_id: str
    url: str | None = None
    delivered_as: Literal["post", "inbox_draft"] = "post"
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Facts to record that change nothing, e.g. ``music_confirmed``."""
    is_searched: bool = False
    """It was recognised among the account's posts, not found by a handle: after a restore, that is no proof."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """The post is not live, and the old handle cannot make it live: it is dead, or it is the one used again."""

    checkpoint: CheckpointData = field(default_factory=dict, repr=False)
    """The checkpoint to continue from. Empty: prepare from scratch; with a handle: finalize exactly that one again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The platform reports a final failure: nothing is live. ``error`` says why and whether another try can succeed."""

    error: AdapterError


@dataclass(frozen=True, kw_only=True, slots=True)
class CannotTell:
    """The platform offers no proof, neither that the post is live nor that it is not; a later look may."""

    reason: str
    candidates: Sequence[ListedPost] = ()
    """Live posts that could be it, for an operator to compare."""
    is_final: bool = False
    """No later look can tell either: the platform has no call that could show this post."""


PrepareResult = Ready | Pending
FinalizeResult = Published | Pending
LookResult = Published | Pending | Ready | Absent | Ended | CannotTell


# --- capabilities ----------------------------------------------------------------------------------------------------


DailyPer = Literal["account", "app"]
"""The posts that count towards one daily limit: of one account, or of every account connected through our app."""


class PostForm(StrEnum):
    """The forms of a post that platforms tell apart."""

    VIDEO = "video"
    IMAGE = "image"
    IMAGES = "images"
    TEXT = "text"
    DOCUMENT = "document"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """The abilities and the pace of a platform, as data for the pipeline; each platform's ``limits.py`` fills it in."""

    display_name: str
    """The platform's name as it spells it, for sentences."""
    post_kinds: Mapping[PostForm, str]
    """The post that each form becomes there, in a word for answers; a form that is missing cannot be published."""
    pulls_media: bool
    """The platform fetches some media itself, so their URLs must be reachable from the internet."""
    prepare_lead: timedelta
    """How long before the due time ``prepare`` may start; zero where preparing early is impossible or unwanted."""
    settle_window: timedelta
    """How long after a lost response the post may still appear late; within it, "not found" proves nothing."""
    look_every: tuple[timedelta, timedelta]
    """First and longest pause between two looks at an unfinished publish."""
    look_limit: timedelta
    """How long after arming (or after ``prepare`` began) the pipeline waits for an unfinished publish."""
    rates: tuple[Rate, ...] = ()
    keeps: tuple[str, ...] = ()
    """Checkpoint keys that survive an operator's "publish again", so that the platform recognises a repetition."""
    daily_posts: int | None = None
    """Posts that the platform allows per rolling 24 h; None: no known limit."""
    daily_drafts: int | None = None
    """Inbox drafts that it allows per rolling 24 h; they count towards this limit only. None: no known limit."""
    daily_per: DailyPer = "account"  # whose posts ``daily_posts`` counts
    private_options: Mapping[str, Any] | None = None
    """The options of a post that only its owner sees; None: the platform has no such form."""
    limits: tuple[Limit, ...] = ()  # what the platform takes, for the reference
    image_rule: ImageRule | None = None
    """The limits of one image, to which others are converted; None: the platform takes no images."""
    retirements: Mapping[str, date] = field(default_factory=dict)
    """API version -> the day on which the vendor retires it, at the earliest; empty without versions."""
    music_link_example: str = ""
    """A link that ``ResolvesMusic.music_link`` accepts, for the error text about one that it does not."""

    def keep_for_repetition(self, checkpoint: CheckpointData) -> CheckpointData:
        """Return the part of a checkpoint that survives "publish again", with ``armed_before``.

        It is empty for a platform that recognises no repetition. Of a text, the words are what it recognises.
        """
        kept = {name: checkpoint[name] for name in self.keeps if name in checkpoint}
        return {**kept, "armed_before": True} if self.keeps else {}


# --- accounts and the protocol ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteAccount:
    """One account that credentials give access to (a channel, a page, an organization, a profile)."""

    remote_id: str
    username: str
    display_name: str
    connection: str
    credentials: Credentials
    settings: Mapping[str, Any] = field(default_factory=dict)
    granted_by: str | None = None
    """The platform's id of the user who granted access, where it may report that they removed our app."""


@runtime_checkable
class Adapter(ListsPosts, Protocol):
    """One platform. Built per slice of work as ``AdapterClass(client, settings)``: cheap, without state of its own."""

    platform: ClassVar[Platform]
    capabilities: ClassVar[Capabilities]
    post_options: ClassVar[type[PostOptions] | None]
    """The model of the platform's section of a request; None: it has none."""
    live_checks: ClassVar[tuple[ConnectionChecks, ...]]
    """The checks of a connected account that need no publishing, by connection."""

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None: ...

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Return every problem of this draft for this account, by ``limits.py``; pure, makes no request."""

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Do one invisible, repeatable step towards a publish (an upload chunk, a container)."""

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Make the one visible call."""

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Read the state of a publish. ``armed_at`` None: not armed yet. ``taken``: remote ids of other deliveries."""

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens; the refresh token may rotate. Raise CredentialsRevoked on a definite refusal."""

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page for a user who connects an account."""

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """Exchange an authorization code for credentials."""

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """List the accounts that the credentials give access to."""


@runtime_checkable
class ResolvesMusic(Protocol):
    """An adapter that resolves the link of a post to the sound it uses."""

    def music_link(self, link: str) -> str | None:
        """Return the canonical form of a link to a post of this platform, or None for any other link. Pure."""

    def resolve_music(self, link: str) -> Track:
        """Look up the sound of a post; read-only. Raise Rejected (``music_unresolvable``) if there is none."""


@runtime_checkable
class SetsCover(Protocol):
    """An adapter of a platform that takes a cover only once the post is live."""

    def set_cover(self, account: Account, remote_id: str, cover: Media) -> None:
        """Make the image the cover of a live post; repeating it changes nothing more."""


@runtime_checkable
class AddsToPlaylist(Protocol):
    """An adapter of a platform that lists a post in a playlist only once it is live."""

    def get_playlist(self, draft: Draft) -> str | None:
        """Return the playlist that the post is to be in, or None. Pure."""

    def add_to_playlist(self, account: Account, remote_id: str, playlist: str) -> None:
        """Add a live post to a playlist, unless it is in there; repeating it changes nothing more."""
