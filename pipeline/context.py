"""What every stage and chore is handed: the open parts of the house. Built in ``bootstrap``, the only wiring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adapters.contract import Adapter, Platform, PlatformSettings
from adapters.http import Client
from config.consistency import SETTLING
from config.settings import Settings
from pipeline.dispatch import Dispatcher
from pipeline.media.fetch import Fetcher
from pipeline.media.files.uploads import Files
from pipeline.queue_liveness import QueueLiveness
from pipeline.rate_buckets import RateBuckets
from pipeline.recovery.send_guard import SendGuard
from pipeline.shutdown import ShutdownSignal
from pipeline.store.database import Database
from pipeline.store.vault import Vault


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Nothing here belongs to one post; everything may be used by many threads."""

    settings: Settings
    database: Database
    send_guard: SendGuard
    vault: Vault
    dispatcher: Dispatcher
    rate_buckets: RateBuckets
    liveness: QueueLiveness
    fetcher: Fetcher
    files: Files
    adapters: Mapping[Platform, type[Adapter]]
    platform_settings: Mapping[Platform, PlatformSettings]
    shutdown: ShutdownSignal = field(default_factory=ShutdownSignal)

    def adapter(self, platform: Platform, client: Client) -> Adapter:
        """The platform's adapter for one slice of work; KeyError when there is none (ingest refuses such posts)."""
        return self.adapters[platform](client, self.platform_settings[platform])

    def may_begin(self) -> bool:
        """Whether one more call may begin; after a word to stop, only one whose answer can still be stored in time."""
        left = self.shutdown.left()
        return left is None or left > timedelta(seconds=self.settings.publish.call) + SETTLING

    def client(self, **more: Any) -> Client:
        """A client for calls that make nothing visible."""
        return Client(limit=timedelta(seconds=self.settings.publish.call), **more)
