"""The state shared by all fake platforms: clock, accounts, faults, limits, ledger, media fetcher."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

from adapters.sandbox.accounts import Accounts
from adapters.sandbox.clock import Clock
from adapters.sandbox.faults import Faults
from adapters.sandbox.graph_router import GraphRouter
from adapters.sandbox.group_fsync import GroupCommit
from adapters.sandbox.ledger import Ledger, LivePost, to_iso
from adapters.sandbox.processing import Processing
from adapters.sandbox.rate_windows import RateWindows
from adapters.sandbox.store import Record, Store
from adapters.sandbox.url_fetcher import UrlFetcher

if TYPE_CHECKING:
    from adapters.sandbox.settings import SandboxSettings

_SETTING = "setting"


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
