"""The position of live events as a page holds it: sealed for its session, because moves count all tenants' work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import UUID

from pipeline.domain.delivery import SETTLED, State
from pipeline.store.database import Unreachable
from pipeline.store.moves import LiveMove, Reading, Watermark
from pipeline.store.vault import Vault, VaultError


def seal_position(vault: Vault, session: UUID, position: int) -> str:
    """Return the position as a text that only the servers can read, and only for this session."""
    return vault.seal({"position": position}, session).decode()


def open_position(vault: Vault, session: UUID, cursor: str) -> int | None:
    """Return the position in a cursor; None for any other text."""
    try:
        position: int = vault.open(cursor.encode(errors="replace"), session)["position"]
    except VaultError:
        return None
    return position


log = logging.getLogger("slipway.dashboard")

POLL_SECONDS = 0.75
"""From one poll to the next: a page shows a commit within a second, the time for its reload included."""
RELOADS_PER_SECOND, RELOADS_AT_ONCE = 3.0, 60.0
"""Events that all pages of the process get: at once after a quiet time, then so many a second, in turn."""
NUMBERS_SECONDS = 10.0
"""From one event of the topic ``numbers`` to the next, for one page."""
POSTS, ATTENTION, NUMBERS = "posts", "attention", "numbers"
_NEEDS_PERSON = frozenset({State.BLOCKED, State.FAILED, State.UNKNOWN})


class Subscriber:
    """One open page."""

    def __init__(self, session: UUID, topics: frozenset[str], after: int | None) -> None:
        """*after*: the position of the page's content; None: not known, so it has to be read again."""
        self.session, self.topics = session, topics
        self.pending: set[str] = set()
        self.sent_at = 0.0
        self.is_over = False
        """True if no further event comes: the session has ended, or the server stops."""
        self.has_session = True
        self._after, self._is_new = after, True
        self._numbers_due, self._numbers_at = False, 0.0
        self._ready: frozenset[str] = frozenset()
        self._position = after or 0
        self._changed = asyncio.Event()

    def catch_up(self, last: int) -> None:
        """At the first poll, make all topics pending if anything has happened since the page was read."""
        if self._is_new and (self._after is None or last > self._after):
            self.pending |= self.topics
        self._is_new = False

    def note_numbers(self, now: float, *, changed: bool) -> None:
        """Note that numbers changed, and make their topic pending once it is time."""
        self._numbers_due |= changed and NUMBERS in self.topics
        if self._numbers_due and now - self._numbers_at >= NUMBERS_SECONDS:
            self.pending.add(NUMBERS)
            self._numbers_due, self._numbers_at = False, now

    def hand_over(self, now: float) -> None:
        """Send the pending topics."""
        self._ready |= self.pending
        self.pending, self.sent_at = set(), now
        self._changed.set()

    def advance(self, position: int) -> None:
        """Note that the page knows everything up to a position, unless an event is still due."""
        if not (self.pending or self._numbers_due or self._is_new):
            self._position = position

    def end(self, *, has_session: bool) -> None:
        """End the page's stream."""
        self.is_over, self.has_session = True, has_session
        self._changed.set()

    async def next(self, seconds: float) -> tuple[int, Collection[str]]:
        """Return the position and the topics of the next event; no topics when there is none within *seconds*."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        topics, self._ready = sorted(self._ready), frozenset()
        if not self.is_over:
            self._changed.clear()
        return self._position, topics


class LiveFeed:
    """Polls while a page is open, and hands each open page the topics that concern its visitor."""

    def __init__(self, poll: Callable[[Watermark | None, Collection[UUID]], Awaitable[Reading]]) -> None:
        """*poll* reads the moves beyond a watermark, and which of some sessions are valid. May raise Unreachable."""
        self._poll = poll
        self._subscribers: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._watermark: Watermark | None = None
        self._told: frozenset[int] = frozenset()
        self._uncounted: dict[UUID, int] = {}
        self._reloads, self._refilled_at = RELOADS_AT_ONCE, time.monotonic()

    def join(self, subscriber: Subscriber) -> None:
        """Add an open page; with the first one, start to poll."""
        self._subscribers.add(subscriber)
        if self._task is None or self._task.done():
            self._begin()
            self._task = asyncio.get_running_loop().create_task(self._run())

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a page; with the last one, stop to poll."""
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        is_reachable = True
        while True:
            began = time.monotonic()
            try:
                sessions = {one.session for one in self._subscribers}
                self.take(await self._poll(self._watermark, sessions), sessions)
                is_reachable = True
            except Unreachable:
                if is_reachable:
                    log.warning("live events wait: the database cannot be reached")
                is_reachable = False
            except Exception:
                log.exception("live events: a poll failed; the next one begins where it began")
            await asyncio.sleep(max(POLL_SECONDS / 3, POLL_SECONDS - (time.monotonic() - began)))

    def take(self, reading: Reading, sessions: Collection[UUID]) -> None:
        """Hand out what a poll has read. *sessions*: the sessions that it asked about."""
        # at the first poll, catching up is enough
        is_first = self._watermark is None
        new = [] if is_first else [move for move in reading.moves if move.id not in self._told]
        self._watermark = reading.watermark
        self._told = frozenset(m.id for m in reading.moves if m.id > reading.watermark.proven)
        topics = sort_topics(new)
        counted = self._list_counted(new, reading.counted)
        now = time.monotonic()
        for one in [*self._subscribers]:
            if one.session not in sessions:
                continue  # it joined while the poll ran
            if one.session not in reading.audiences:
                one.end(has_session=False)
                continue
            own = reading.audiences[one.session]
            one.catch_up(reading.last)
            one.pending |= one.topics if reading.is_cut and not is_first else one.topics & _merge(topics, own)
            one.note_numbers(now, changed=bool(counted if own is None else counted.intersection(own)))
        self._hand_out(now, reading.watermark.proven)

    def _list_counted(self, new: Collection[LiveMove], counted: int) -> set[UUID]:
        """Return the workspaces whose numbers have changed since they were last sent."""
        for move in new:
            if move.target in SETTLED and move.workspace_id is not None:
                self._uncounted[move.workspace_id] = move.id
        ready = {workspace for workspace, last in self._uncounted.items() if last <= counted}
        for workspace in ready:
            del self._uncounted[workspace]
        return ready

    def _hand_out(self, now: float, position: int) -> None:
        """Send events in the order of the pages' last ones, as many as the limit of the process allows."""
        self._reloads = min(RELOADS_AT_ONCE, self._reloads + RELOADS_PER_SECOND * (now - self._refilled_at))
        self._refilled_at = now
        for one in sorted((s for s in self._subscribers if s.pending), key=lambda s: s.sent_at):
            if self._reloads < 1:
                break
            self._reloads -= 1
            one.hand_over(now)
        for one in self._subscribers:
            one.advance(position)


def sort_topics(moves: Collection[LiveMove]) -> dict[UUID, set[str]]:
    """Return the topics that these moves concern, by workspace."""
    topics: dict[UUID, set[str]] = defaultdict(set)
    for move in moves:
        if move.workspace_id is None:
            continue
        topics[move.workspace_id] |= {POSTS, f"post:{move.post_id}"}
        if not _NEEDS_PERSON.isdisjoint({move.origin, move.target}):
            topics[move.workspace_id].add(ATTENTION)
    return topics


def _merge(topics: Mapping[UUID, set[str]], workspaces: Collection[UUID] | None) -> set[str]:
    """Return the topics of these workspaces, of all for None."""
    chosen = topics.values() if workspaces is None else [topics[w] for w in workspaces if w in topics]
    return set().union(*chosen)
