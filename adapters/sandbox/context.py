"""Settings of a sandbox, and the state shared by all fake platforms: clock, accounts, faults, limits, ledger, media.

Limits are measured by the sandbox's clock: rolling windows, and quotas of a calendar day.

Group commit: the requests of one event loop iteration share one write and one fsync before their responses.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from adapters.sandbox.accounts import Accounts
from adapters.sandbox.faults import Faults
from adapters.sandbox.graph import GraphRouter
from adapters.sandbox.media import UrlFetcher
from adapters.sandbox.processing import Processing
from adapters.sandbox.store import Ledger, LivePost, Record, Store, to_iso

MINUTE = 60.0
DAY = 86_400.0
_KIND, _DAY_KIND = "window", "day"
_SETTING = "setting"


class Clock:
    """A clock in Unix seconds whose sleepers wake when it is advanced."""

    def __init__(self, ahead: float = 0.0) -> None:
        """Start `ahead` seconds ahead of the machine's clock."""
        self.ahead = ahead
        self._sleepers: set[asyncio.Future[None]] = set()

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Move the time forward and wake the sleepers, which check their deadlines again."""
        self.ahead += seconds
        for sleeper in list(self._sleepers):
            _wake(sleeper)

    async def sleep_until(self, instant: float) -> None:
        """Sleep until `instant` (Unix seconds)."""
        loop = asyncio.get_running_loop()
        while (remaining := instant - self.now()) > 0:
            sleeper = loop.create_future()
            self._sleepers.add(sleeper)
            timer = loop.call_later(remaining, _wake, sleeper)
            try:
                await sleeper
            finally:
                timer.cancel()
                self._sleepers.discard(sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class RateWindows:
    """Request times by window name, and usage by calendar day. What lasts longer than a minute survives a kill.

    `span`: the seconds of a rolling window, or the zone (an IANA name) of a calendar day.
    """

    def __init__(self, clock: Clock, store: Store) -> None:
        """Load the windows in `store`."""
        self._clock = clock
        self._store = store
        self.is_lifted = False
        self._times: dict[str, deque[float]] = {
            name: deque(record["times"]) for name, record in store.get_all(_KIND).items()
        }

    def count_used(self, name: str, span: float | str) -> int:
        """Return the number of requests in the last `span` seconds, or today in that zone."""
        if isinstance(span, str):
            day = self._store.get(_DAY_KIND, name)
            return int(day["used"]) if day is not None and day["day"] == self._get_today(span) else 0
        times = self._times.get(name, deque())
        oldest = self._clock.now() - span
        while times and times[0] <= oldest:
            times.popleft()
        return len(times)

    def is_full(self, name: str, limit: int, span: float | str) -> bool:
        """Return whether the limit is reached; always False while limits are lifted."""
        return not self.is_lifted and self.count_used(name, span) >= limit

    def add(self, name: str, span: float | str) -> None:
        """Count a request now, unless limits are lifted."""
        if self.is_lifted:
            return
        if isinstance(span, str):
            used = self.count_used(name, span) + 1
            self._store.put(_DAY_KIND, name, {"day": self._get_today(span), "used": used})
            return
        times = self._times.setdefault(name, deque())
        times.append(self._clock.now())
        if span > MINUTE:
            self._store.put(_KIND, name, {"times": list(times)})

    def _get_today(self, zone: str) -> str:
        return datetime.fromtimestamp(self._clock.now(), ZoneInfo(zone)).date().isoformat()

    def clear(self) -> None:
        """Delete every count."""
        self._times.clear()


class GroupCommit:
    """Await `commit()` before a response is sent; it returns at once if nothing changed."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        """Commit the changes of `store` and `ledger`."""
        self._store = store
        self._ledger = ledger
        self._waiting: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-fsync")

    async def __call__(self) -> None:
        """Return once all changes so far are written and the ledger is flushed to disk.

        Raises OSError if writing fails.
        """
        if not self._store.has_changes and not self._ledger.buffered:
            return
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append(done)
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        await done

    async def _write(self) -> None:
        # The task starts in the next loop iteration, so all commits of this one share the write; commits during the
        # fsync share the next.
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._write_once()
            except Exception as error:  # noqa: BLE001 - raised in every waiting commit
                _resolve(waiting, error)
            else:
                _resolve(waiting, None)
        self._writer = None

    async def _write_once(self) -> None:
        entries = self._ledger.take_buffered()
        self._store.write(entries)
        if entries:
            self._ledger.write(entries)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.sync)

    def close(self) -> None:
        """Stop the fsync thread."""
        self._thread.shutdown()


def _resolve(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    for done in waiting:
        if done.done():  # its request was cancelled while it waited
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


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
    """URL prefix of the application's uploaded files, which platforms may fetch in addition to the media host's."""
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

    def get_upload(self, record: Record) -> Path:
        """Return where the uploaded bytes of a record are."""
        return self.uploads / str(record.get("file", record["key"]))

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
        caption: str,
        media: list[Record],
        url: str,
        handle: str | None = None,
        late: float = 0.0,
        **extra: Any,
    ) -> LivePost:
        """Add a live post to the ledger; no other code does.

        `handle`: the id known before, else `remote_id`. `late`: seconds until listings and reads show it. `public`
        False in `extra` hides it from public listings.
        """
        now = self.clock.now()
        entry: Record = {"at": to_iso(now), "platform": account["platform"], "account": account["remote_id"]}
        entry |= {"kind": kind, "remote_id": remote_id, "handle": handle or remote_id, "caption": caption}
        entry |= {"media": media, "url": url, "extra": {**extra, "visible_at": now + late}}
        return self.ledger.add(entry)

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
