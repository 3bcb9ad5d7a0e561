"""TikTok: delegates each call to the product that the account is connected through.

Keys of ``PlatformSettings.hosts``: ``api`` (https://open.tiktokapis.com), ``business``
(https://business-api.tiktok.com/open_api/v1.3), ``www`` (https://www.tiktok.com). Uploads go where ``video/init`` says.
Keys of ``options``: ``audited`` (default True: TikTok has audited our app for Direct Post), ``unproven_music``
(``refuse``, the default, or ``try``), ``business_app_id`` and ``business_app_secret``, and ``connection``: which of the
two a person is connecting (default ``creator``).
Nothing here was ever tried against TikTok itself; README.md lists what is least certain.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from typing import ClassVar

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
from adapters.live_check import ConnectionChecks
from adapters.post_options import PostOptions
from adapters.tiktok import music
from adapters.tiktok.business import BusinessAdapter
from adapters.tiktok.creator import CreatorAdapter
from adapters.tiktok.limits import CAPABILITIES, TEXT
from adapters.tiktok.live_checks import LIVE_CHECKS
from adapters.tiktok.oauth import BusinessOAuth, CreatorOAuth, build_oauth
from adapters.tiktok.options import TikTokOptions
from adapters.tiktok.problems import find_problems, is_audited

HOSTS = {
    "api": "https://open.tiktokapis.com",
    "business": "https://business-api.tiktok.com/open_api/v1.3",
    "www": "https://www.tiktok.com",
}


class TikTok:
    """Publishes by the Content Posting API or API for Business; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    capabilities: ClassVar[Capabilities] = CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = TikTokOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        self._http = client
        self._settings = settings
        self._hosts = {**HOSTS, **settings.hosts}
        self._connection = str(settings.options.get("connection", "creator"))

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Return every limit that the draft breaks for the account's connection, and what has no effect there."""
        return find_problems(draft, account.connection, audited=is_audited(self._settings))

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Do the next invisible step of the account's product."""
        return self._build_publisher(account).prepare(draft, account, checkpoint)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Make the visible call of the account's product."""
        return self._build_publisher(account).finalize(draft, account, checkpoint)

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Return the state of the publish; reads only."""
        return self._build_publisher(account).look(draft, account, checkpoint, armed_at, taken)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the account's public posts since *since*, compared with the draft."""
        return self._build_publisher(account).list_posts(draft, account, since)

    def _build_publisher(self, account: Account) -> CreatorAdapter | BusinessAdapter:
        if _check_connection(account.connection) == "creator":
            return CreatorAdapter(http=self._http, api=self._hosts["api"], settings=self._settings)
        return BusinessAdapter(
            http=self._http,
            api=self._hosts["business"],
            www=self._hosts["www"],
            try_unproven=self._settings.options.get("unproven_music", "refuse") == "try",
        )

    # --- music -------------------------------------------------------------------------------------------------------

    def music_link(self, link: str) -> str | None:
        """Return the canonical form of a TikTok post's link, or None for any other link. Pure."""
        return music.normalize_post_link(link)

    def resolve_music(self, link: str) -> Track:
        """Return the sound of a linked TikTok post, by oEmbed."""
        return music.resolve_sound(self._http, self._hosts["www"], link)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens; the refresh token may rotate."""
        return self._build_oauth(account.connection).refresh(account)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page of the configured connection."""
        return self._build_oauth(self._connection).authorize_url(redirect_uri, state, code_challenge)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """Exchange an authorization code for credentials of the configured connection."""
        return self._build_oauth(self._connection).exchange(code, redirect_uri, code_verifier)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """Return the account of the credentials."""
        return self._build_oauth(self._connection).discover(credentials)

    def _build_oauth(self, connection: str) -> CreatorOAuth | BusinessOAuth:
        return build_oauth(_check_connection(connection), self._http, self._settings, self._hosts)


def _check_connection(connection: str) -> str:
    """Return *connection*; raise Rejected if it is neither ``creator`` nor ``business``."""
    if connection not in TEXT:
        raise Rejected(f"TikTok accounts are connected as {' or '.join(TEXT)}, not as {connection!r}.")
    return connection
