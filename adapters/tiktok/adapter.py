"""TikTok as one adapter: sends each call to the half that speaks for the account's connection.

Keys of ``PlatformSettings.hosts``: ``api`` (https://open.tiktokapis.com), ``business``
(https://business-api.tiktok.com/open_api/v1.3), ``www`` (https://www.tiktok.com). Uploads go where ``video/init`` says.
Keys of ``options``: ``unproven_music`` (``refuse``, the default, or ``try``), ``business_app_id`` and
``business_app_secret``, and ``connection``: which of the two a person is connecting (default ``creator``).
Nothing of either half was ever tried against TikTok itself; README.md lists what is least certain.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import SecretStr

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
from adapters.tiktok import music
from adapters.tiktok.business import Business
from adapters.tiktok.creator import Creator
from adapters.tiktok.limits import CAPABILITIES, TEXT
from adapters.tiktok.oauth import BusinessOAuth, CreatorOAuth
from adapters.tiktok.problems import found

HOSTS = {
    "api": "https://open.tiktokapis.com",
    "business": "https://business-api.tiktok.com/open_api/v1.3",
    "www": "https://www.tiktok.com",
}


class TikTok:
    """One account's TikTok, through the Content Posting API (``creator``) or API for Business (``business``)."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._hosts = {**HOSTS, **settings.hosts}

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: D102
        return found(draft, account.connection)

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:  # noqa: D102
        return self._half(account).prepare(draft, account, checkpoint)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:  # noqa: D102
        return self._half(account).finalize(draft, account, checkpoint)

    def look(  # noqa: D102
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        return self._half(account).look(draft, account, checkpoint, armed_at, taken)

    def _half(self, account: Account) -> Creator | Business:
        if _connection(account.connection) == "creator":
            return Creator(client=self._client, api=self._hosts["api"])
        return Business(
            client=self._client,
            api=self._hosts["business"],
            www=self._hosts["www"],
            try_unproven=self._settings.options.get("unproven_music", "refuse") == "try",
        )

    # --- music -------------------------------------------------------------------------------------------------------

    def music_link(self, link: str) -> str | None:
        """The canonical form of a TikTok post's link, None when it is none; pure."""
        return music.recognise_music_link(link)

    def resolve_music(self, link: str) -> Track:  # noqa: D102
        return music.resolve(self._client, self._hosts["www"], link)

    # --- connecting --------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:  # noqa: D102
        return self._oauth(_connection(account.connection)).refresh(account)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: D102
        return self._oauth(self._chosen()).authorize_url(redirect_uri, state, code_challenge)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: D102
        return self._oauth(self._chosen()).exchange(code, redirect_uri, code_verifier)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:  # noqa: D102
        return self._oauth(self._chosen()).discover(credentials)

    def _chosen(self) -> str:
        return _connection(str(self._settings.options.get("connection", "creator")))

    def _oauth(self, connection: str) -> CreatorOAuth | BusinessOAuth:
        if connection == "creator":
            return CreatorOAuth(
                client=self._client,
                api=self._hosts["api"],
                www=self._hosts["www"],
                app_id=self._settings.app_id,
                app_secret=self._settings.app_secret,
            )
        secret = self._settings.options.get("business_app_secret", "")
        return BusinessOAuth(
            client=self._client,
            api=self._hosts["business"],
            www=self._hosts["www"],
            app_id=str(self._settings.options.get("business_app_id", "")),
            app_secret=secret if isinstance(secret, SecretStr) else SecretStr(str(secret)),
        )


def _connection(connection: str) -> str:
    if connection not in TEXT:
        raise Rejected(f"TikTok accounts are connected as {' or '.join(TEXT)}, not as {connection!r}.")
    return connection
