"""A scripted adapter: its platform answers as the test says, and records every call."""
# ruff: noqa: ARG002  a protocol's arguments, used or not

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from adapters.contract import (
    Account,
    Adapter,
    Capabilities,
    CheckpointData,
    Credentials,
    Draft,
    FinalizeResult,
    LookResult,
    Media,
    Platform,
    PlatformSettings,
    PrepareResult,
    Problem,
    Published,
    Ready,
    RemoteAccount,
)
from adapters.http import HttpClient
from adapters.listing import Listing
from adapters.live_check import ConnectionChecks
from adapters.post_options import PostOptions
from pipeline.runtime.context import Context
from tests.pipeline.store.ledger import credentials

CAPABILITIES = Capabilities(
    display_name="TikTok",
    post_kinds={},
    pulls_media=False,
    prepare_lead=timedelta(0),
    settle_window=timedelta(seconds=30),
    look_every=(timedelta(seconds=5), timedelta(seconds=60)),
    look_limit=timedelta(minutes=30),
)


def return_ready(checkpoint: CheckpointData) -> PrepareResult:
    return Ready(checkpoint=checkpoint or {"handle": "h"})


@dataclass(kw_only=True)
class Script:
    """How the platform answers; ``calls`` lists the calls it got, in order."""

    prepare: Callable[[CheckpointData], PrepareResult] = return_ready
    finalize: Callable[[Draft, Account], FinalizeResult] = lambda draft, _: Published(
        remote_id=draft.delivery_id
    )
    look: Callable[[Container[str]], LookResult] = lambda _: Published(remote_id="seen")
    list_posts: Callable[[], Listing] = Listing
    refresh: Callable[[], Credentials] = lambda: credentials("refreshed")
    revoke: Callable[[], bool] = lambda: True
    set_cover: Callable[[str], None] = lambda _: None
    add_to_playlist: Callable[[str], None] = lambda _: None
    discover: Callable[[], Sequence[RemoteAccount]] = lambda: ()
    problems: Sequence[Problem] = ()
    can: Capabilities = CAPABILITIES
    calls: list[tuple[str, Any]] = field(default_factory=list)
    armed_at: list[datetime | None] = field(default_factory=list)
    """The ``armed_at`` that each look got."""
    clients: list[HttpClient] = field(default_factory=list)
    """The client of each slice of work."""

    def made(self, call: str) -> int:
        return sum(name == call for name, _ in self.calls)


class ScriptedAdapter:
    """The adapter; ``with_script`` binds its script."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    capabilities: ClassVar[Capabilities] = CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = None
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = ()
    script: ClassVar[Script]

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        self.script.clients.append(client)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        return self.script.problems

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        self.script.calls.append(("prepare", dict(checkpoint)))
        return self.script.prepare(checkpoint)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        self.script.calls.append(("finalize", dict(checkpoint)))
        return self.script.finalize(draft, account)

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        self.script.calls.append(("look", dict(checkpoint)))
        self.script.armed_at.append(armed_at)
        return self.script.look(taken)

    def set_cover(self, account: Account, remote_id: str, cover: Media) -> None:
        self.script.calls.append(("set_cover", (remote_id, cover.url)))
        self.script.set_cover(remote_id)

    def get_playlist(self, draft: Draft) -> str | None:
        return draft.options.get("playlist_id")

    def add_to_playlist(self, account: Account, remote_id: str, playlist: str) -> None:
        self.script.calls.append(("add_to_playlist", (remote_id, playlist)))
        self.script.add_to_playlist(remote_id)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        self.script.calls.append(("list", since))
        return self.script.list_posts()

    def refresh(self, account: Account) -> Credentials:
        self.script.calls.append(("refresh", account.credentials.access_token.get_secret_value()))
        return self.script.refresh()

    def revoke(self, account: Account) -> bool:
        self.script.calls.append(("revoke", account.remote_id))
        return self.script.revoke()

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        raise NotImplementedError

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        raise NotImplementedError

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        return self.script.discover()


def with_script(context: Context, script: Script) -> Context:
    """Return the context with this script as TikTok."""
    adapter: type[Adapter] = type("Bound", (ScriptedAdapter,), {"script": script, "capabilities": script.can})
    return replace(context, adapters={Platform.TIKTOK: adapter})


def raising(error: Exception) -> Callable[..., Any]:
    """Return a function that only raises."""

    def raises(*_: object) -> Any:
        raise error

    return raises
