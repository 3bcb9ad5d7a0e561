"""Inject the planned system faults at their times and restart processes that have ended. Single-threaded."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.chaos.aim import MET, AimedPause
from tests.chaos.plan import AIMS, CRASH_POINTS, CRASH_SHARE, Aim, SystemFault
from tests.chaos.system import PUBLISHERS, SystemUnderTest

PATIENCE = 20.0
"""Seconds a fault waits for a running target; other faults go first meanwhile."""
AIM = 2.5
"""Seconds a kill waits until its target holds an armed delivery."""
COUNTED = ("kill publish", "failpoint publish")
"""Faults that count as a kill of a publish worker: not a pause or SIGTERM."""
NETWORK, ENGINES = ("database", "broker"), ("valkey", "postgres", "backends", "disk")
PAUSE = 9.0
"""Seconds between SIGSTOP and SIGCONT: longer than the lease of 6 s."""
LOOK, STANDSTILL = 0.3, 60.0
"""Seconds between two looks for connected workers, and the most that the plan's clock stands still for them."""
FULL = 5.0
"""Seconds the disk stays full."""


@dataclass(kw_only=True, slots=True)
class Process:
    """State of one part of the system."""

    name: str
    since: datetime
    """Start time of the current process."""
    once: Path | None = None
    crash_point: str | None = None
    back: float | None = None
    """Monotonic time of the next start; None: it runs, or should."""
    next_crash_point: str | None = None


@dataclass(kw_only=True, slots=True)
class Tally:
    """Counts of injected faults, and of kills by the state of the deliveries they hit."""

    injected: Counter[str] = field(default_factory=Counter)
    states: dict[str, Counter[str]] = field(default_factory=dict)
    """Kind of kill -> state of the target's deliveries (armed, unarmed, none, unseen) -> kills."""
    pauses: dict[str, Counter[str]] = field(default_factory=dict)
    """Aimed pause -> how it went -> pauses."""
    unexpected_exits: list[str] = field(default_factory=list)
    """Exits that no fault caused."""

    def kill(self, kind: str, counts: Mapping[str, int] | None) -> str:
        """Count one kill under the worst state among the target's deliveries, and return that state."""
        state = (
            "unseen" if counts is None else next((s for s in ("armed", "unarmed") if counts.get(s)), "none")
        )
        self.states.setdefault(kind, Counter())[state] += 1
        return state

    @property
    def met(self) -> int:
        """Aimed pauses whose worker went on while the next holder stood there."""
        return sum(went[MET] for went in self.pauses.values())

    @property
    def armed(self) -> int:
        """Kills of publish workers between arm and the stored answer."""
        return sum(states["armed"] for kind, states in self.states.items() if kind.startswith(COUNTED))


class FaultInjector:
    """Inject faults. Call ``tick`` as often as possible."""

    def __init__(
        self,
        system: SystemUnderTest,
        faults: Sequence[SystemFault],
        aims: Sequence[float],
        log: Callable[[str], None],
    ) -> None:
        self.system, self.tally = system, Tally()
        self._log = log
        self._planned = [s for s in faults if system.disk or s.kind != "fill disk"]
        self.elapsed = 0.0
        """The plan's clock, in seconds."""
        self._ticked = self._worked = time.monotonic()
        self._look = 0.0
        now = datetime.now(UTC) - timedelta(minutes=1)
        self.parts = {name: Process(name=name, since=now) for name in system.stack.parts if name != "sandbox"}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._stopped: set[str] = set()
        self._aims, self._number = list(aims), 0
        self._aimed: tuple[Aim, Generator[None, None, str]] | None = None

    def add(self, fault: SystemFault) -> None:
        """Add a fault to the plan."""
        self._planned.append(fault)

    def add_aim(self, at: float) -> None:
        """Add an aimed pause."""
        self._aims.append(at)

    def crash_once(self, name: str, point: str) -> None:
        """Let a part kill itself at a failpoint after its next start, unless it has done so."""
        if self.parts[name].back is not None and not self.tally.injected[f"failpoint {point}"]:
            self.parts[name].next_crash_point = point

    def tick(self) -> None:
        """Restart ended parts and inject what is due."""
        for part in self.parts.values():
            self._watch(part)
        self._continue_aimed()
        now = time.monotonic()
        due, self._later = [x for x in self._later if x[0] <= now], [x for x in self._later if x[0] > now]
        for _, what in due:
            what()
        if not self._advance(now):
            return
        for fault in [s for s in self._planned if s.at <= self.elapsed]:
            if self._is_possible(fault) or self.elapsed - fault.at > PATIENCE:
                self._planned.remove(fault)
                self._inject(fault)
                return

    def end_aimed(self) -> None:
        """End the aimed pause that runs, if there is one, and let its threads go."""
        if self._aimed is not None:
            self._aimed[1].close()
            self._aimed = None

    def _advance(self, now: float) -> bool:
        """Advance the plan's clock, and return whether it goes on.

        It stands still while fewer than two publish workers are connected: on a busy machine, a plan that goes on
        kills again and again what has not started yet, and meets no delivery.
        """
        passed, self._ticked = now - self._ticked, now
        if now > self._look:
            self._look = now + LOOK
            if len(self._list_connected() & set(PUBLISHERS)) > 1:
                self._worked = now
        goes_on = now < self._worked + 2 * LOOK or now > self._worked + STANDSTILL
        self.elapsed += passed if goes_on else 0.0
        return goes_on

    @property
    def is_done(self) -> bool:
        """Whether no fault is left and all parts run."""
        idle = not self._planned and not self._later and not self._aims and self._aimed is None
        return idle and all(p.back is None for p in self.parts.values())

    # --- faults ------------------------------------------------------------------------------------------------------

    def _inject(self, fault: SystemFault) -> None:
        chance = random.Random(fault.chance)
        verb, _, what = fault.kind.partition(" ")
        self.tally.injected[fault.kind] += 1
        reported = self._do(verb, what, chance)
        self._log(f"{fault.kind}: {reported}")

    def _do(self, verb: str, what: str, chance: random.Random) -> str:
        if what in NETWORK:
            self._disturb_network(verb, what, chance)
            return "connections"
        if what in ENGINES:
            return self._engine(verb, what)
        if what == "everything":
            return self._kill_everything(chance)
        candidates = self._list_candidates(what)
        if not candidates:
            return "no target"
        name = self._await_armed(candidates) if f"{verb} {what}" == "kill publish" else None
        name = name or chance.choice(candidates)
        if verb == "stop":
            return self._stop(name)
        return self._kill(name, f"{verb} {what}", chance, hard=verb == "kill")

    def _kill_everything(self, chance: random.Random) -> str:
        """Kill every part and both engines at once; the sandbox, whose ledger is the judge's, stays."""
        held = self._count_held(None, datetime.now(UTC) - timedelta(seconds=8))
        names = [name for name, part in self.parts.items() if part.back is None]
        for name in names:
            self.system.stack.kill(name, signal.SIGKILL, wait=False)
        self._stopped -= set(names)
        self.system.crash_postgres(signal.SIGKILL)
        self.system.crash_valkey(forget=False)
        for name in names:
            self.system.stack.parts[name].wait(10)
            self.parts[name].back = time.monotonic() + chance.uniform(0.1, 1.5)
        return f"in flight: {self.tally.kill('kill everything', held)}"

    def _start_aimed(self, at: float) -> None:
        """Start the next aimed pause, if one is due and none runs; those that it made late are left out."""
        if not self._aims or self._aims[0] > at or not self._list_candidates("publish"):
            return
        self._aims = [time for time in self._aims if time > at]
        aim = AIMS[self._number % len(AIMS)]
        self._number += 1
        pause = AimedPause(
            system=self.system, aim=aim, stop=self._freeze, resume=self._resume, kill=self._kill_holder
        )
        self._aimed = aim, pause.run()

    def _continue_aimed(self) -> None:
        """Take the next step of the aimed pause, if there is one."""
        if self._aimed is None:
            self._start_aimed(self.elapsed)
            return
        aim, steps = self._aimed
        try:
            next(steps)
        except StopIteration as end:
            self._aimed = None
            name = f"{aim.first}, next holder at {aim.second}" + (" killed" if aim.is_deadly else "")
            self.tally.pauses.setdefault(name, Counter())[end.value] += 1
            self._log(f"aimed pause: {name}: {end.value}")

    def _freeze(self, name: str) -> None:
        self._stopped.add(name)
        self.system.stack.kill(name, signal.SIGSTOP, wait=False)

    def _kill_holder(self, name: str) -> None:
        self._kill(name, "kill publish", random.Random(name), hard=True)

    def _disturb_network(self, verb: str, what: str, chance: random.Random) -> None:
        proxy = self.system.database if what == "database" else self.system.broker
        match verb:
            case "delay":
                proxy.delay(chance.uniform(0.02, 0.15), chance.uniform(2, 5))
            case "cut":
                proxy.cut(chance.choice((0.3, 1.0)))
            case "hole":
                proxy.black_hole(chance.uniform(2, 9))
            case "swallow":
                proxy.swallow(chance.uniform(1, 4), chance.choice((0.3, 1.0)))

    def _engine(self, verb: str, what: str) -> str:
        system = self.system
        held = self._count_held(None, datetime.now(UTC) - timedelta(seconds=8))
        match verb, what:
            case "flush", _:
                system.flush()
            case (("kill" | "empty"), _):
                system.crash_valkey(forget=verb == "empty")
            case "stop", _:
                system.crash_postgres()
            case "fill", _:
                system.fill_disk()
                self._stopped.add(what)
                self._later.append((time.monotonic() + FULL, self._free_disk))
            case _:
                system.terminate_backends()
        return f"in flight: {self.tally.kill(f'{verb} {what}', held)}"

    def _is_possible(self, fault: SystemFault) -> bool:
        what = fault.kind.partition(" ")[2]
        if what in ("postgres", "disk", "everything") and "disk" in self._stopped:  # it could not restart
            return False
        return what in NETWORK or what in ENGINES or what == "everything" or bool(self._list_candidates(what))

    def _list_candidates(self, what: str) -> list[str]:
        """Return the parts that can be hit: running and connected. One publish worker is always spared."""
        names = PUBLISHERS if what.startswith("publish") else (what,)
        candidates = [n for n in names if self.parts[n].back is None and n not in self._stopped]
        if not what.startswith("publish"):
            return candidates
        list_connected = self._list_connected()
        candidates = [n for n in candidates if n in list_connected]
        return candidates if len(candidates) > 1 else []

    def _list_connected(self) -> frozenset[str]:
        try:
            return self.system.list_connected()
        except psycopg.OperationalError:
            return frozenset()

    def _kill(self, name: str, kind: str, chance: random.Random, *, hard: bool) -> str:
        part = self.parts[name]
        self.system.stack.kill(name, signal.SIGKILL if hard else signal.SIGTERM, wait=False)
        if hard:
            self.system.stack.parts[name].wait(10)
        state = self._count(kind, part)
        part.back = time.monotonic() + chance.uniform(0.1, 1.5)
        if name in PUBLISHERS and hard and chance.random() < CRASH_SHARE:
            part.next_crash_point = chance.choices(list(CRASH_POINTS), list(CRASH_POINTS.values()))[0]
        return f"{name}, {state}"

    def _await_armed(self, candidates: Sequence[str]) -> str | None:
        """Wait up to ``AIM`` seconds for a candidate that holds an armed delivery, and return it."""
        end = time.monotonic() + AIM
        while time.monotonic() < end:
            for name in candidates:
                if (self._count_held(name, self.parts[name].since) or {}).get("armed"):
                    return name
            time.sleep(0.02)
        return None

    def _stop(self, name: str) -> str:
        self._freeze(name)
        state = self._count(
            "stop publish" if name in PUBLISHERS else f"stop {name}", self.parts[name], pause=True
        )
        self._later.append((time.monotonic() + PAUSE, lambda: self._resume(name)))
        return f"{name} for {PAUSE:g} s, {state}"

    def _free_disk(self) -> None:
        self.system.free_disk()
        self._stopped.discard("disk")

    def _resume(self, name: str) -> None:
        self._stopped.discard(name)
        self.system.stack.kill(name, signal.SIGCONT, wait=False)

    # --- targets -----------------------------------------------------------------------------------------------------

    def _count(self, kind: str, part: Process, *, pause: bool = False) -> str:
        counts = self._count_held(part.name, part.since)
        return self.tally.kill(
            f"pause: {part.name}"
            if pause and part.name not in PUBLISHERS
            else ("pause of a worker" if pause else kind),
            counts,
        )

    def _count_held(self, name: str | None, since: datetime) -> Mapping[str, int] | None:
        try:
            return self.system.count_held(name, since)
        except psycopg.OperationalError:
            return None

    def _watch(self, part: Process) -> None:
        process = self.system.stack.parts[part.name]
        if part.back is None and (status := process.poll()) is not None:
            self._handle_exit(part, status)
        elif part.back is not None and time.monotonic() >= part.back:
            if process.poll() is None:  # still shutting down after SIGTERM
                return
            part.back, part.crash_point, part.next_crash_point = None, part.next_crash_point, None
            part.since = datetime.now(UTC)
            part.once = self.system.start(part.name, part.crash_point)

    def _handle_exit(self, part: Process, status: int) -> None:
        """Record an exit: at the armed failpoint, or unexpected."""
        part.back = time.monotonic() + 0.3
        if part.once is not None and part.once.exists() and part.crash_point is not None:
            kind = f"failpoint {part.crash_point}"
            self.tally.injected[kind] += 1
            self._log(
                f"{kind}: {part.name}, {self.tally.kill(kind, self._count_held(part.name, part.since))}"
            )
            return
        tail = (self.system.folder / f"{part.name}.log").read_text(errors="replace").splitlines()[-3:]
        self.tally.unexpected_exits.append(f"{part.name} ended with {status}: {' | '.join(tail)[-400:]}")
        self._log(self.tally.unexpected_exits[-1])
