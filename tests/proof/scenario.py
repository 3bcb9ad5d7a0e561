"""Crash scenario: a post of each kind to every target at once, and workers that crash with all deliveries."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pipeline.actions.resolve import confirm_live, publish_again
from pipeline.broker.queues import DELAY, UPKEEP
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.store.database import rows
from tests.actors import TESTER
from tests.crash_table import arm_failpoints
from tests.flow.ledger import caption, slideshow
from tests.fork_server_client import ForkServer, run
from tests.proof.points import NEVER_REACHED
from tests.proof.targets import TARGETS, get_kind
from tests.stack import Stack, until

SLOTS = 80
ONE_PER_MESSAGE = {"SLIPWAY_DELAY__BATCH": "1"}
"""One delivery per message: in a batch, one that hangs would block the others."""
TICKS = {"delay.": "delay.slot", "rescue.": "upkeep.rescue", "resume.": "upkeep.resume"}
"""Failpoint prefix -> task that reaches it. A hanging thread keeps its task, so every target needs its own."""
_EXPIRE_LEASES = (
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
_EXPIRE_LOOKING = """
    UPDATE deliveries SET working_since = working_since - interval '3 hours', next_at = now()
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'unknown' AND working_since > now() - interval '2 hours'
    RETURNING id
"""


@dataclass(kw_only=True)
class CrashScenario:
    """An account and a delivery per target, and a post per kind."""

    stack: Stack
    folder: Path
    fork_server: ForkServer
    owner: str = field(default_factory=lambda: uuid4().hex[:10])
    accounts: dict[str, UUID] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    posts: dict[str, str] = field(default_factory=dict)
    deliveries: dict[str, UUID] = field(default_factory=dict)
    crashed: dict[str, set[str]] = field(default_factory=dict)
    """Failpoint -> targets on which a process crashed there."""
    _files: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Failpoint -> target -> marker file that exists once it is reached."""
    _armed: dict[str, Path] = field(default_factory=dict)

    # --- posting -----------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect or reconnect the accounts."""
        for n, (target, product) in enumerate(TARGETS.items()):
            owner = f"w{n}{self.owner}"
            self.accounts[target] = self.stack.connect(
                product.platform, owner, options=product.options, name=target
            )
        self.stack.accounts |= self.accounts

    def post(self, *without: str, media: Mapping[str, Any] = {}, **more: Any) -> None:
        """Create a post of each kind to all its targets, with publish workers and the groups *without* stopped."""
        self.ensure_workers(*without)
        for group in ("publish", *without):
            self.stack.kill(group)
        usual = {
            "video": {"type": "video", "url": self.stack.media("sample.mp4")},
            "slideshow": slideshow(self.stack),
            "photo": slideshow(self.stack, 1),
        }
        for kind, files in {**usual, **media}.items():
            mine = [target for target in TARGETS if get_kind(target) == kind]
            self.texts[kind] = caption()
            self.posts[kind] = self.stack.create_post(self.texts[kind], *mine, media=files, **more)
            self.deliveries |= {target: self._delivery(target).id for target in mine}

    def ensure_workers(self, *without: str) -> None:
        """Start a worker of each other group that has none, except of the groups *without*."""
        for group in {"reachability", "upkeep"} - {*without}:
            if self.stack.parts[group].poll() is not None:
                self.stack.start_worker(group)

    def _delivery(self, target: str) -> Any:
        with self.stack.context.database.begin() as c:
            sql = "SELECT * FROM deliveries WHERE post_id = :p AND account_id = :a"
            [found] = rows(c, sql, p=UUID(self.posts[get_kind(target)]), a=self.accounts[target])
        return found

    # --- crashes -----------------------------------------------------------------------------------------------------

    def crash_workers(
        self,
        *points: str,
        subjects: Mapping[str, UUID] | None = None,
        group: str = "publish",
        settings: Mapping[str, str] = {},
        queues: Sequence[str] = (),
        slots: int = SLOTS,
    ) -> None:
        """Kill workers until one has crashed at each failpoint on each target.

        *subjects*: target -> id that the failpoints carry, by default the delivery. *queues*: the worker's queues. A
        worker of the delay queue alone releases one batch at a time, so it reaches a failpoint with some targets only.
        *slots*: the worker's threads. One, where a commit settles what is at the failpoint: a second thread, killed
        between that commit and the failpoint, would never come back to it.
        """
        self.arm(*(point for point in points if point not in self._files), subjects=subjects)
        while self._list_left(points):
            self.start(group, settings, queues, slots)
            self.send_ticks(*points)
            self.await_hung(*points, group=group, any_target=list(queues) == [DELAY])
            self.kill_worker(*points, group=group)

    def arm(self, *points: str, subjects: Mapping[str, UUID] | None = None) -> None:
        """Make workers that start from now on hang at these failpoints, once per target."""
        for point in points:
            folder = self.folder / f"{len(self._files)}-{point}"
            folder.mkdir()
            who = self.deliveries if subjects is None else subjects
            self._files[point] = {target: folder / str(identity) for target, identity in who.items()}
            self._armed |= {f"{point}[{file.name}]": file for file in self._files[point].values()}
            self.crashed[point] = set()

    def start(
        self,
        group: str = "publish",
        settings: Mapping[str, str] = {},
        queues: Sequence[str] = (),
        slots: int = SLOTS,
    ) -> None:
        """Replace the group's worker by one with the armed failpoints."""
        self.stack.kill(group)
        self.stack.start_worker(group, None, slots, queues, **arm_failpoints(self._armed, "hang"), **settings)

    def send_ticks(self, *points: str) -> None:
        """Send the tasks that reach these failpoints, one per target."""
        for start, task in TICKS.items():
            for _ in TARGETS if any(point.startswith(start) for point in points) else ():
                queue = DELAY if task == "delay.slot" else UPKEEP
                self.stack.context.dispatcher._app.send_task(task, queue=queue)

    def await_hung(self, *points: str, group: str = "publish", any_target: bool = False) -> None:
        """Wait until every target left hangs at one of these failpoints; *any_target*: until one does.

        Also wait until targets that never reach one of them have finished sending: a kill during their visible call
        would leave them unknown, which is another test.
        """
        worker = self.stack.parts[group]

        def is_complete() -> bool:
            assert worker.poll() is None, f"the {group} worker ended by itself: see {self.stack.folder}"
            here = {target for point, target in self._list_met(points) if target not in self.crashed[point]}
            left = {target for _, target in self._list_left(points)}
            if any_target:
                return not here.isdisjoint(left)
            return here >= left and not any(
                self._is_being_sent(target) for target in self._list_never_reached(points) - left
            )

        until(
            is_complete,
            60,
            lambda: (
                f"not reached: {sorted(self._list_left(points) - self._list_met(points))}: {self._describe()}"
            ),
        )

    def kill_worker(self, *points: str, group: str = "publish") -> None:
        """Kill the group's worker, record the crashes, expire its leases and rescue its deliveries."""
        self.stack.kill(group)
        for point, target in self._list_met(points):
            self.crashed[point].add(target)
        self.expire_leases()
        if group != "upkeep":
            rescue_expired_leases(self.stack.context)

    def release(self, point: str) -> None:
        """Release the threads that hang at this failpoint."""
        for target in self._files[point].keys() - NEVER_REACHED.get(point, {}).keys():
            self._files[point][target].unlink()
        del self.crashed[point]

    def expire_leases(self) -> None:
        """Expire leases and the deadlines of armed calls."""
        with self.stack.context.database.begin() as c:
            for statement in _EXPIRE_LEASES:
                rows(c, statement, accounts=list(self.accounts.values()))

    def set_tokens(self, state: str) -> None:
        """Set the tokens of all accounts in the sandbox."""
        for target, product in TARGETS.items():
            body = {"platform": product.platform, "remote_id": self.stack.remote[target], "state": state}
            self.stack.control("POST", "tokens", body)

    def crash_command(self, point: str, targets: Collection[str], *words: str) -> None:
        """Run a CLI command on each of these deliveries, and crash it at the failpoint."""
        self.crashed[point] = set()
        for target in targets:
            once = {point: self.folder / f"{point} {self.deliveries[target]}"}
            environment = {**self.stack.environment, **arm_failpoints(once)}
            words_ = ("delivery", *words, str(self.deliveries[target]))
            ended = run(self.fork_server, self.folder, environment, words=words_)
            assert ended.status == -signal.SIGKILL, ended
            self.crashed[point].add(target)

    def _list_met(self, points: Collection[str]) -> frozenset[tuple[str, str]]:
        return frozenset(
            (p, target) for p in points for target, file in self._files[p].items() if file.exists()
        )

    def _list_never_reached(self, points: Collection[str]) -> set[str]:
        return {target for point in points for target in NEVER_REACHED.get(point, {})}

    def _is_being_sent(self, target: str) -> bool:
        return self._delivery(target).state in ("queued", "publishing")

    def _list_left(self, points: Collection[str]) -> set[tuple[str, str]]:
        return {
            (point, target)
            for point in points
            for target in self._files[point].keys()
            - NEVER_REACHED.get(point, {}).keys()
            - self.crashed[point]
        }

    # --- outcome -----------------------------------------------------------------------------------------------------

    def await_blocked(self) -> None:
        """Wait until a worker has blocked all deliveries for a reconnect."""
        self.start()
        found = "SELECT id FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])) AND reason = 'reconnect'"

        def blocked() -> bool:
            with self.stack.context.database.begin() as c:
                return len(rows(c, found, ids=list(self.deliveries.values()))) == len(TARGETS)

        until(blocked, 60, lambda: str(self._describe()))

    def finish(self, among: Collection[str] = ()) -> frozenset[str]:
        """Wait until all is published; deliveries of the targets *among* may instead be left to a person.

        Assert on the sandbox's ledger that each is live once, or at most once if left. Return the targets left.
        """
        self.ensure_workers()
        if self.stack.parts["publish"].poll() is not None:
            self.start()  # a running worker is kept: a killed one holds its deliveries until their leases expire
        waiting = [self.deliveries[target] for target in among]

        def over() -> bool:
            with self.stack.context.database.begin() as c:
                rows(c, _EXPIRE_LOOKING, ids=waiting)
            return not self._unsettled(among)

        until(over, 90, lambda: f"{self._unsettled(among)} are not settled: {self._describe()}")
        left = frozenset(target for target in among if self._delivery(target).state == "blocked")
        live = {target: len(self.find_live(target)) for target in TARGETS}
        assert {target: n for target, n in live.items() if n != 1 and not (target in left and n == 0)} == {}
        return left

    def _unsettled(self, among: Collection[str]) -> list[str]:
        return [target for target in TARGETS if not self._is_over(target, may_be_left=target in among)]

    def _is_over(self, target: str, *, may_be_left: bool) -> bool:
        found = self._delivery(target)
        waits = may_be_left and (found.state, found.reason) == ("blocked", "is_it_live")
        return found.state == "published" or waits

    def check_crashes(self, points: Collection[str]) -> None:
        """Assert that a process crashed at each failpoint on each target, except those in ``NEVER_REACHED``."""
        assert self.crashed.keys() == set(points)
        for point, crashed in self.crashed.items():
            assert crashed == TARGETS.keys() - NEVER_REACHED.get(point, {}).keys(), (
                f"the table is wrong about {point}"
            )

    def resolve_by_ledger(self, targets: Collection[str]) -> None:
        """Resolve these deliveries by the ledger, as a user does."""
        for target in targets:
            delivery = self.deliveries[target]
            if self.find_live(target):
                confirm_live(self.stack.context, TESTER, delivery, f"https://www.example.com/{delivery}")
            else:
                publish_again(self.stack.context, TESTER, delivery)

    def update_deliveries(self, assignments: str) -> None:
        """Update every delivery."""
        with self.stack.context.database.begin() as c:
            sql = f"UPDATE deliveries SET {assignments} WHERE id = ANY(CAST(:ids AS uuid[])) RETURNING id"  # noqa: S608
            assert len(rows(c, sql, ids=list(self.deliveries.values()))) == len(TARGETS)

    def find_live(self, target: str) -> list[dict[str, Any]]:
        """Return the target's ledger lines."""
        where = (TARGETS[target].platform, self.stack.remote[target])
        found = self.stack.live(self.texts[get_kind(target)])
        return [line for line in found if (line["platform"], line["account"]) == where]

    def _describe(self) -> dict[str, str]:
        return {target: self._history(target) for target in self.deliveries}

    def _history(self, target: str) -> str:
        with self.stack.context.database.begin() as c:
            sql = "SELECT mover, target FROM moves WHERE delivery_id = :d ORDER BY id"
            moves = rows(c, sql, d=self.deliveries[target])
        error = (self._delivery(target).error or {}).get("message", "")
        return f"{' '.join(f'{m.mover}:{m.target}' for m in moves)} {error}".strip()
