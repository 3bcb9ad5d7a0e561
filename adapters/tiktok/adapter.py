"""TikTok: delegates each call to the product that the account is connected through.

Keys of ``PlatformSettings.hosts``: ``api`` (https://open.tiktokapis.com), ``business``
(https://business-api.tiktok.com/open_api/v1.3), ``www`` (https://www.tiktok.com). Uploads go where ``video/init`` says.
Keys of ``options``: ``audited`` (default True: TikTok has audited our app for Direct Post), ``unproven_music``
(``refuse``, the default, or ``try``), ``business_app_id`` and ``business_app_secret``, and ``connection``: which of the
two a user is connecting (default ``creator``).
Nothing here was ever tried against TikTok itself; README.md lists the least certain points.

The TikTok section of a post request.

Read-only checks of a connected TikTok account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.base import Publish, PublishingAdapter
from adapters.contract import (
    Account,
    Capabilities,
    CheckpointData,
    Credentials,
    Draft,
    FinalizeResult,
    LookResult,
    Platform,
    PlatformSettings,
    PrepareResult,
    Problem,
    RemoteAccount,
    Track,
)
from adapters.errors import Rejected
from adapters.http import HttpClient
from adapters.listing import Listing
from adapters.live_check import (
    POST_NOT_FOUND_AGAIN,
    ConnectionChecks,
    Finding,
    LiveCheck,
    ok,
    quota_not_readable,
)
from adapters.post_options import MediaConflict, PostOptions
from adapters.tiktok import lookup, music, payload
from adapters.tiktok.business import BusinessAdapter
from adapters.tiktok.checkpoint import Checkpoint
from adapters.tiktok.creator import CreatorAdapter
from adapters.tiktok.limits import CAPABILITIES, VIDEO
from adapters.tiktok.problems import find_problems, is_audited


def _check_creator_info(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    info = CreatorAdapter(http, settings).build_client(account.credentials).query_creator_info()
    levels = ", ".join(info.privacy_level_options)
    yield ok("quota", "creator_info lets this account post now")
    yield ok("limits", f"privacy: {levels}; videos of at most {info.max_video_post_duration_sec} s")


def _check_video_settings(
    http: HttpClient, settings: PlatformSettings, account: Account
) -> Iterator[Finding]:
    client = BusinessAdapter(http, settings).build_client(account.credentials, account.remote_id)
    limits = client.get_settings()
    yield ok("limits", f"videos of at most {limits.max_video_post_duration_sec} s")
    yield quota_not_readable("15 posts a day through the Accounts API")


LIVE_CHECKS = (
    ConnectionChecks(
        connection="creator",
        required_scopes=("user.info.basic", "video.publish"),
        optional_scopes={"video.list": POST_NOT_FOUND_AGAIN, "video.upload": "no drafts"},
        read_posts=("/v2/post/publish/creator_info/query/",),
        checks=(LiveCheck(name="quota", run=_check_creator_info),),
        only_live_post=(
            "what `video/list` shows of photo posts (title, description, where it cuts) and as `duration`",
            "how a complete upload responds to its last chunk sent again",
            'whether "too many posts" counts by calendar day or by 24 hours',
            "whether the app is audited: one that is not posts as SELF_ONLY, to private accounts",
        ),
    ),
    ConnectionChecks(
        connection="business",
        required_scopes=("video.publish",),
        optional_scopes={"video.list": POST_NOT_FOUND_AGAIN},
        read_posts=("/tt_user/token_info/get/",),
        checks=(LiveCheck(name="limits", run=_check_video_settings),),
        only_live_post=(
            "whether a sound id from a link is the `song_clip_id` a post takes",
            "where `is_draft` stands in `photo/publish`",
            "the code for an unverified URL property and for the daily limit in the Business product",
        ),
    ),
)


PostMode = TypeAliasType("PostMode", Literal["DIRECT_POST", "MEDIA_UPLOAD"])
PrivacyLevel = TypeAliasType(
    "PrivacyLevel",
    Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"],
)


DeliverAs = TypeAliasType("DeliverAs", Literal["inbox"])
_OTHER_DRAFTS = {
    "video": ("post_mode", "MEDIA_UPLOAD", "slideshow", "deliver_as inbox for a draft of a video"),
    "slideshow": ("deliver_as", "inbox", "video", "post_mode MEDIA_UPLOAD for a draft of a slideshow"),
}
"""By media type the draft option that is for other media: its name and value, what it takes, and what to use."""


class TikTokOptions(PostOptions):
    """Options of a TikTok post; only when all accounts are TikTok."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    accounts: ClassVar[Literal["all", "any"]] = "all"
    excludes: ClassVar[frozenset[Platform]] = frozenset({Platform.PINTEREST})

    defaults: ClassVar[Mapping[str, Any]] = {
        "post_mode": "DIRECT_POST",
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "disable_comment": False,
        "disable_duet": False,
        "disable_stitch": False,
        "auto_add_music": False,
        "is_commercial": False,
        "is_branded_content": False,
        "user_consent": False,
        "is_your_brand": False,
    }
    inbox_drafts: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"post_mode": "MEDIA_UPLOAD"},
        {"deliver_as": "inbox"},
    )

    title: str | None = Field(None, max_length=150)
    description: str | None = Field(None, max_length=2200)
    post_mode: PostMode | None = Field(
        None,
        description="Default DIRECT_POST; MEDIA_UPLOAD leaves a draft in the account's inbox, of a slideshow only.",
    )
    deliver_as: DeliverAs | None = Field(
        None,
        description="inbox leaves a video as a draft in the account's inbox: TikTok takes no text or setting with it.",
    )
    privacy_level: PrivacyLevel | None = Field(None, description="Default PUBLIC_TO_EVERYONE.")
    disable_comment: bool | None = None
    disable_duet: bool | None = None
    disable_stitch: bool | None = None
    auto_add_music: bool | None = None
    is_commercial: bool | None = None
    is_branded_content: bool | None = None
    user_consent: bool | None = None
    is_your_brand: bool | None = None

    @classmethod
    def find_media_conflicts(cls, options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:
        """Refuse the form of an inbox draft that is for the other kind of media."""
        name, value, takes, other = _OTHER_DRAFTS["video" if media_type == "video" else "slideshow"]
        if options.get(name) == value:
            message = f"{value} takes a {takes} only, and media is a {media_type}. Use {other}."
            yield MediaConflict(field=name, message=message, value=value)


HOSTS = {
    "api": "https://open.tiktokapis.com",
    "business": "https://business-api.tiktok.com/open_api/v1.3",
    "www": "https://www.tiktok.com",
}


class TikTok(PublishingAdapter[Checkpoint, lookup.AnyClient]):
    """Publishes by the Content Posting API or API for Business; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    capabilities: ClassVar[Capabilities] = CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = TikTokOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS
    checkpoint_model = Checkpoint
    find_words = staticmethod(payload.write_words)

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        super().__init__(client, replace(settings, hosts={**HOSTS, **settings.hosts}))
        self._connection = str(settings.options.get("connection", "creator"))

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Return every limit of the account's connection that the draft breaks, and options without effect there."""
        return find_problems(draft, account.connection, audited=is_audited(self._settings))

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Do the next invisible step of the account's product."""
        return self._get_product(account.connection).prepare(draft, account, checkpoint)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Make the visible call of the account's product."""
        return self._get_product(account.connection).finalize(draft, account, checkpoint)

    def _look_unarmed(self, publish: Publish[Checkpoint, lookup.AnyClient]) -> LookResult:
        return self._get_product(publish.account.connection).look_unarmed(publish.draft, publish.state)

    def _look_armed(self, publish: lookup.Armed) -> LookResult:
        return lookup.look_armed(publish)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the account's public posts since *since*, compared with the draft."""
        return lookup.list_posts(self._build_client(account), draft, account, since)

    def _get_product(self, connection: str) -> CreatorAdapter | BusinessAdapter:
        """Return the product of a connection; raise Rejected if it is neither ``creator`` nor ``business``."""
        if connection not in VIDEO:
            raise Rejected(f"TikTok accounts are connected as {' or '.join(VIDEO)}, not as {connection!r}.")
        product = CreatorAdapter if connection == "creator" else BusinessAdapter
        return product(self._http, self._settings)

    def _build_client(self, account: Account) -> lookup.AnyClient:
        return self._get_product(account.connection).build_client(account.credentials, account.remote_id)

    # --- music -------------------------------------------------------------------------------------------------------

    def music_link(self, link: str) -> str | None:
        """Return the canonical form of a TikTok post's link, or None for any other link. Pure."""
        return music.normalize_post_link(link)

    def resolve_music(self, link: str) -> Track:
        """Return the sound of a linked TikTok post, by oEmbed."""
        return music.resolve_sound(self._http, self._settings.hosts["www"], link)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens; the refresh token may rotate."""
        return self._get_product(account.connection).refresh(account)

    def revoke(self, account: Account) -> bool:
        """End the grant of the account at its product."""
        self._get_product(account.connection).revoke(account)
        return True

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page of the configured connection."""
        return self._get_product(self._connection).authorize_url(redirect_uri, state, code_challenge)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """Exchange an authorization code for credentials of the configured connection."""
        return self._get_product(self._connection).exchange(code, redirect_uri, code_verifier)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """Return the account of the credentials."""
        return self._get_product(self._connection).discover(credentials)
