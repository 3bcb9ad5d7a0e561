"""A post of each kind to everywhere at once, and workers that die with all of it."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pipeline.actions.resolve import it_is_live, publish_again
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.queues import DELAY, UPKEEP
from pipeline.store.database import rows
from tests.crash_table import arming
from tests.flow.ledger import caption, slideshow
from tests.fork_server_client import ForkServer, run
from tests.proof.points import NOT_THERE
from tests.proof.ways import WAYS, kind_of
from tests.stack import Stack, until

SLOTS = 80
TICKS = {"delay.": "delay.slot", "rescue.": "upkeep.rescue", "resume.": "upkeep.resume"}
"""Where points are met by ticks: who hangs at one keeps its tick, so there has to be one for each way."""
_AN_HOUR_PASSES = (
    """UPDATE deliveries SET lease_until = lease_until - interval '1 hour', updated_at = updated_at - interval '1 hour',
              armed_deadline = armed_deadline - interval '1 hour'
       WHERE account_id = ANY(CAST(:accounts AS uuid[])) RETURNING id""",
    """UPDATE accounts SET refreshing_until = refreshing_until - interval '1 hour',
              refresh_after = refresh_after - interval '1 hour'
       WHERE id = ANY(CAST(:accounts AS uuid[])) RETURNING id""",
    """UPDATE checks SET lease_until = lease_until - interval '1 hour', next_at = next_at - interval '1 hour'
       WHERE verdict IS NULL AND id IN (
           SELECT k.check_id FROM post_checks k JOIN deliveries d ON d.post_id = k.post_id
           WHERE d.account_id = ANY(CAST(:accounts AS uuid[]))) RETURNING id""",
)
_LOOKED_LONG_ENOUGH = """
    UPDATE deliveries SET working_since = working_since - interval '3 hours', next_at = now()
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'unknown' AND working_since > now() - interval '2 hours'
    RETURNING id
"""


@dataclass(kw_only=True)
class Fleet:
    """An account for each way, a post of each kind to all of them, and a delivery for each way."""

    stack: Stack
    folder: Path
    fork_server: ForkServer
    owner: str = field(default_factory=lambda: uuid4().hex[:10])
    accounts: dict[str, UUID] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    posts: dict[str, str] = field(default_factory=dict)
    deliveries: dict[str, UUID] = field(default_factory=dict)
    died: dict[str, set[str]] = field(default_factory=dict)
    """Point -> the ways on which a worker died there."""
    _aimed: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Point -> way -> the file that tells that it was met."""
    _armed: dict[str, Path] = field(default_factory=dict)

    # --- posting -----------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """A person connects the accounts, for the first time or again."""
        for n, (way, site) in enumerate(WAYS.items()):
            owner = f"w{n}{self.owner}"
            self.accounts[way] = self.stack.connect(site.platform, owner, options=site.options, name=way)
        self.stack.accounts |= self.accounts

    def post(self, *without: str, media: Mapping[str, Any] = {}, **more: Any) -> None:
        """A post of each kind to wherever it can go, while nobody is there to send it, nor any of these groups."""
        self.staff(*without)
        for group in ("publish", *without):
            self.stack.kill(group)
        usual = {
            "video": {"type": "video", "url": self.stack.media("sample.mp4")},
            "slideshow": slideshow(self.stack),
            "photo": slideshow(self.stack, 1),
        }
        for kind, files in {**usual, **media}.items():
            mine = [way for way in WAYS if kind_of(way) == kind]
            self.texts[kind] = caption()
            self.posts[kind] = self.stack.accepted(self.texts[kind], *mine, media=files, **more)
            self.deliveries |= {way: self._delivery(way).id for way in mine}

    def staff(self, *without: str) -> None:
        """A worker of each group but the publishing ones, where none is."""
        for group in {"reachability", "upkeep"} - {*without}:
            if self.stack.parts[group].poll() is not None:
                self.stack.start_worker(group)

    def _delivery(self, way: str) -> Any:
        with self.stack.context.database.begin() as c:
            sql = "SELECT * FROM deliveries WHERE post_id = :p AND account_id = :a"
            [found] = rows(c, sql, p=UUID(self.posts[kind_of(way)]), a=self.accounts[way])
        return found

    # --- dying -------------------------------------------------------------------------------------------------------

    def dies(
        self,
        *points: str,
        whose: Mapping[str, UUID] | None = None,
        group: str = "publish",
        settings: Mapping[str, str] = {},
        queues: Sequence[str] = (),
    ) -> None:
        """A worker comes to a point on every way and is killed; then the next one, until there is none of these left.

        ``whose``: what the points are about on each way, its delivery unless it is said. ``queues``: all that it
        serves. One that serves doorbells alone comes to a point with what it does at once, for only one of them looks
        at a time, and is killed with that: nothing else goes on in it meanwhile.
        """
        self.aim(*(point for point in points if point not in self._aimed), whose=whose)
        while self._left(points):
            self.start(group, settings, queues)
            self.tick(*points)
            self.come(*points, group=group, singly=list(queues) == [DELAY])
            self.fall(*points, group=group)

    def aim(self, *points: str, whose: Mapping[str, UUID] | None = None) -> None:
        """From now on workers hang at these points, on each way once."""
        for point in points:
            folder = self.folder / f"{len(self._aimed)}-{point}"
            folder.mkdir()
            who = self.deliveries if whose is None else whose
            self._aimed[point] = {way: folder / str(identity) for way, identity in who.items()}
            self._armed |= {f"{point}[{file.name}]": file for file in self._aimed[point].values()}
            self.died[point] = set()

    def start(
        self, group: str = "publish", settings: Mapping[str, str] = {}, queues: Sequence[str] = ()
    ) -> None:
        """A worker, in the place of the one that was there."""
        self.stack.kill(group)
        self.stack.start_worker(group, None, SLOTS, queues, **arming(self._armed, "hang"), **settings)

    def tick(self, *points: str) -> None:
        """So many at once that each way has its own."""
        for start, task in TICKS.items():
            for _ in WAYS if any(point.startswith(start) for point in points) else ():
                queue = DELAY if task == "delay.slot" else UPKEEP
                self.stack.context.dispatcher._app.send_task(task, queue=queue)

    def come(self, *points: str, group: str = "publish", singly: bool = False) -> None:
        """Waits until each way that has not died at all of these is at one of them; ``singly``: until one is.

        A way on which one of them is never met goes on meanwhile. It is let through: killed in its visible call it
        would be in doubt, and that is another test.
        """
        worker = self.stack.parts[group]

        def everyone() -> bool:
            assert worker.poll() is None, f"the {group} worker ended by itself: see {self.stack.folder}"
            here = {way for point, way in self._met(points) if way not in self.died[point]}
            left = {way for _, way in self._left(points)}
            if singly:
                return not here.isdisjoint(left)
            return here >= left and not any(self._is_being_sent(way) for way in self._spared(points) - left)

        until(
            everyone,
            60,
            lambda: f"not all came: {sorted(self._left(points) - self._met(points))}: {self._tell()}",
        )

    def fall(self, *points: str, group: str = "publish") -> None:
        """SIGKILL; time passes until whatever it held is over, and is taken up."""
        self.stack.kill(group)
        for point, way in self._met(points):
            self.died[point].add(way)
        self.time_passes()
        if group != "upkeep":
            rescue_expired_leases(self.stack.context)

    def go_on(self, point: str) -> None:
        """Lets go of those who hang there: they live."""
        for way in self._aimed[point].keys() - NOT_THERE.get(point, {}).keys():
            self._aimed[point][way].unlink()
        del self.died[point]

    def time_passes(self) -> None:
        """Leases run out, and calls that were armed can show nothing any more."""
        with self.stack.context.database.begin() as c:
            for statement in _AN_HOUR_PASSES:
                rows(c, statement, accounts=list(self.accounts.values()))

    def tokens(self, state: str) -> None:
        """What becomes of everybody's tokens over there."""
        for way, site in WAYS.items():
            body = {"platform": site.platform, "remote_id": self.stack.remote[way], "state": state}
            self.stack.control("POST", "tokens", body)

    def command_dies(self, point: str, ways: Collection[str], *words: str) -> None:
        """A person's command about each of these deliveries dies at the point."""
        self.died[point] = set()
        for way in ways:
            once = {point: self.folder / f"{point} {self.deliveries[way]}"}
            environment = {**self.stack.environment, **arming(once)}
            words_ = ("delivery", *words, str(self.deliveries[way]))
            ended = run(self.fork_server, self.folder, environment, words=words_)
            assert ended.status == -signal.SIGKILL, ended
            self.died[point].add(way)

    def _met(self, points: Collection[str]) -> frozenset[tuple[str, str]]:
        return frozenset((p, way) for p in points for way, file in self._aimed[p].items() if file.exists())

    def _spared(self, points: Collection[str]) -> set[str]:
        return {way for point in points for way in NOT_THERE.get(point, {})}

    def _is_being_sent(self, way: str) -> bool:
        return self._delivery(way).state in ("queued", "publishing")

    def _left(self, points: Collection[str]) -> set[tuple[str, str]]:
        return {
            (point, way)
            for point in points
            for way in self._aimed[point].keys() - NOT_THERE.get(point, {}).keys() - self.died[point]
        }

    # --- ending ------------------------------------------------------------------------------------------------------

    def blocks(self) -> None:
        """A worker that lives finds that all accounts have to be connected again."""
        self.start()
        found = "SELECT id FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])) AND reason = 'reconnect'"

        def blocked() -> bool:
            with self.stack.context.database.begin() as c:
                return len(rows(c, found, ids=list(self.deliveries.values()))) == len(WAYS)

        until(blocked, 60, lambda: str(self._tell()))

    def ends(self, among: Collection[str] = ()) -> frozenset[str]:
        """A worker that lives: all is published, but for what is left to a person, which may be ``among`` these only.

        The sandbox's ledger judges: each is live once, and what is left once at the most. Returns what is left.
        """
        self.staff()
        if self.stack.parts["publish"].poll() is not None:
            self.start()  # only where none lives: one that is killed keeps what it holds for its whole lease
        waiting = [self.deliveries[way] for way in among]

        def over() -> bool:
            with self.stack.context.database.begin() as c:
                rows(c, _LOOKED_LONG_ENOUGH, ids=waiting)
            return not self._unsettled(among)

        until(over, 90, lambda: f"{self._unsettled(among)} do not end: {self._tell()}")
        left = frozenset(way for way in among if self._delivery(way).state == "blocked")
        live = {way: len(self.live(way)) for way in WAYS}
        assert {way: n for way, n in live.items() if n != 1 and not (way in left and n == 0)} == {}
        return left

    def _unsettled(self, among: Collection[str]) -> list[str]:
        return [way for way in WAYS if not self._is_over(way, may_be_left=way in among)]

    def _is_over(self, way: str, *, may_be_left: bool) -> bool:
        found = self._delivery(way)
        waits = may_be_left and (found.state, found.reason) == ("blocked", "is_it_live")
        return found.state == "published" or waits

    def judge(self, points: Collection[str]) -> None:
        """Whether workers died at each of these on each way, but where the table says that they never come there."""
        assert self.died.keys() == set(points)
        for point, died in self.died.items():
            assert died == WAYS.keys() - NOT_THERE.get(point, {}).keys(), f"the table is wrong about {point}"

    def person_decides(self, ways: Collection[str]) -> None:
        """Somebody looks at the accounts, and says what they see."""
        for way in ways:
            delivery = self.deliveries[way]
            if self.live(way):
                it_is_live(self.stack.context, delivery, f"https://www.example.com/{delivery}")
            else:
                publish_again(self.stack.context, delivery)

    def change(self, assignments: str) -> None:
        """Puts every delivery where this test needs it."""
        with self.stack.context.database.begin() as c:
            sql = f"UPDATE deliveries SET {assignments} WHERE id = ANY(CAST(:ids AS uuid[])) RETURNING id"  # noqa: S608
            assert len(rows(c, sql, ids=list(self.deliveries.values()))) == len(WAYS)

    def live(self, way: str) -> list[dict[str, Any]]:
        """What the ledger has of it."""
        where = (WAYS[way].platform, self.stack.remote[way])
        found = self.stack.live(self.texts[kind_of(way)])
        return [line for line in found if (line["platform"], line["account"]) == where]

    def _tell(self) -> dict[str, str]:
        return {way: self._history(way) for way in self.deliveries}

    def _history(self, way: str) -> str:
        with self.stack.context.database.begin() as c:
            sql = "SELECT mover, target FROM moves WHERE delivery_id = :d ORDER BY id"
            moves = rows(c, sql, d=self.deliveries[way])
        error = (self._delivery(way).error or {}).get("message", "")
        return f"{' '.join(f'{m.mover}:{m.target}' for m in moves)} {error}".strip()
