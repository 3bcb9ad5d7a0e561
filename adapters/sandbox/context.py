"""Settings of a sandbox, and the state shared by all fake platforms: clock, accounts, faults, limits, ledger, media."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from adapters.sandbox.accounts import Accounts
from adapters.sandbox.clock import Clock, RateWindows
from adapters.sandbox.faults import Faults
from adapters.sandbox.graph_router import GraphRouter
from adapters.sandbox.group_fsync import GroupCommit
from adapters.sandbox.ledger import Ledger, LivePost, to_iso
from adapters.sandbox.processing import Processing
from adapters.sandbox.store import Record, Store
from adapters.sandbox.url_fetcher import UrlFetcher

_SETTING = "setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Addresses, folder, limits and pace of a sandbox."""

    port: int
    """Port of the platforms and the control API."""
    media_port: int
    """Port of the media host."""
    folder: Path
    """Ledger, journal, media and partial uploads; one sandbox per folder."""
    control_token: str = field(repr=False)
    host: str = "127.0.0.1"
    uploads: str = ""
    """URL prefix of the application's uploaded files, which platforms may fetch besides the media host."""
    quotas: bool = True
    """Enforce rate limits and daily caps."""
    pace: Literal["real", "instant"] = "real"
    """`instant`: processing ends before the request that starts it is answered."""
    processing_s: float = 1.0
    """Processing time of a post at real pace."""
    moderation_s: float = 0.5
    """Time from processing to the public id at real pace."""


class SandboxContext:
    """One sandbox. Platforms register on it and store their records in `store`."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Load the state of earlier runs from the settings' folder; create what is missing."""
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.uploads = settings.folder / "uploads"
        self.uploads.mkdir(exist_ok=True)
        self.media = settings.folder / "media"
        self.media.mkdir(exist_ok=True)
        self.store = Store(settings.folder / "state.jsonl")
        self.clock = Clock(float(self._setting("clock").get("ahead", 0.0)))
        self.ledger = Ledger(
            settings.folder / "ledger.jsonl",
            start=int(self._setting("ledger").get("start", 0)),
            missing=self.store.replayed_entries,
        )
        self.store.start()
        self.commit = GroupCommit(self.store, self.ledger)
        self.accounts = Accounts(self.store, self.clock)
        self.faults = Faults(self.store)
        self.rate_windows = RateWindows(self.clock, self.store)
        self.processing = Processing(self)
        self.fetcher = UrlFetcher(self)
        self.graph = GraphRouter(self)
        self._numbers = itertools.count(secrets.randbits(31))
        pace = self._setting("pace")
        self.is_instant = pace.get("pace", settings.pace) == "instant"
        self.rate_windows.is_lifted = not pace.get("quotas", settings.quotas)

    def new_id(self) -> int:
        """Return a new id in TikTok's form: 19 digits, the Unix second in the upper 32 bits, a counter in the lower."""
        return (int(self.clock.now()) << 32) | (next(self._numbers) & 0xFFFFFFFF)

    def set_pace(self, *, instant: bool, quotas: bool) -> None:
        """Set the pace and whether limits are enforced, until the next reset."""
        self.is_instant = instant
        self.rate_windows.is_lifted = not quotas
        self.store.put(_SETTING, "pace", {"pace": "instant" if instant else "real", "quotas": quotas})

    def advance_clock(self, seconds: float) -> None:
        """Advance the clock by `seconds`; a restart keeps the offset."""
        self.clock.advance(seconds)
        self.store.put(_SETTING, "clock", {"ahead": self.clock.ahead})

    def publish(
        self,
        account: Record,
        *,
        kind: str,
        remote_id: str,
        handle: str,
        caption: str,
        media: list[Record],
        url: str,
        late: float = 0.0,
        extra: Record | None = None,
    ) -> LivePost:
        """Add a live post to the ledger; no other code does.

        `late`: seconds until listings and reads show it. `extra["public"]` False hides it from public listings.
        """
        now = self.clock.now()
        return self.ledger.add(
            {
                "at": to_iso(now),
                "platform": account["platform"],
                "account": account["remote_id"],
                "kind": kind,
                "remote_id": remote_id,
                "handle": handle,
                "caption": caption,
                "media": media,
                "url": url,
                "extra": {**(extra or {}), "visible_at": now + late},
            }
        )

    async def reset(self, *, erase_ledger: bool) -> None:
        """Delete accounts, tokens, records, faults and counts; the ledger file only if `erase_ledger`."""
        await self.commit()
        await self.processing.stop()
        self.store.clear()
        start = self.ledger.clear(erase=erase_ledger)
        self.store.put(_SETTING, "ledger", {"start": start})
        self.clock.ahead = 0.0
        self.rate_windows.clear()
        self.faults.is_active = False
        self.is_instant = self.settings.pace == "instant"
        self.rate_windows.is_lifted = not self.settings.quotas
        self.fetcher.clear_cache()
        for path in self.uploads.iterdir():
            path.unlink(missing_ok=True)
        await self.commit()

    async def close(self) -> None:
        """Stop processing, write what changed, and close the files."""
        await self.processing.stop()
        await self.commit()
        await self.fetcher.close()
        self.commit.close()
        self.store.close()
        self.ledger.close()

    def _setting(self, key: str) -> Record:
        return self.store.get(_SETTING, key) or {}
