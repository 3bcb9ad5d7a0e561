"""Does to the system what the plan says, when it says so, and starts again what is down. One thread, one clock."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.chaos.house import PUBLISHERS, House
from tests.chaos.plan import ARMED_TO_DIE, GAPS, Strike

PATIENCE = 20.0
"""Seconds a strike waits for a victim that is up, while others take their turn."""
AIM = 2.5
"""Seconds a strike waits for its victim to hold an armed delivery."""
COUNTED = ("kill publish", "failpoint publish")
"""What is a kill of a publish worker: not a pause, nor an order to go."""
WEATHERED, ENGINES = ("database", "broker"), ("valkey", "postgres", "backends", "disk")
PAUSE = 9.0
"""Seconds a stopped process sleeps: longer than its lease of 6."""
FULL = 5.0
"""Seconds a disk stays full."""


@dataclass(kw_only=True, slots=True)
class Part:
    """One process, as the conductor knows it."""

    name: str
    since: datetime
    """When this incarnation was started."""
    once: Path | None = None
    gap: str | None = None
    back: float | None = None
    """When it is started again (monotonic); None: it runs, or should."""
    next_gap: str | None = None


@dataclass(kw_only=True, slots=True)
class Score:
    """What was done, and in which state it found its victims."""

    struck: Counter[str] = field(default_factory=Counter)
    states: dict[str, Counter[str]] = field(default_factory=dict)
    """Kind of kill -> state of its victim's deliveries (armed, unarmed, none, unseen) -> kills."""
    surprises: list[str] = field(default_factory=list)
    """Processes that ended without being killed by us."""

    def kill(self, kind: str, held: Mapping[str, int] | None) -> str:
        """Counts one kill by the worst state that its victim held. That state."""
        state = "unseen" if held is None else next((s for s in ("armed", "unarmed") if held.get(s)), "none")
        self.states.setdefault(kind, Counter())[state] += 1
        return state

    @property
    def armed(self) -> int:
        """Kills of a publish worker between arm and the stored answer."""
        return sum(states["armed"] for kind, states in self.states.items() if kind.startswith(COUNTED))


class Conductor:
    """``tick`` as often as possible."""

    def __init__(self, house: House, strikes: Sequence[Strike], say: Callable[[str], None]) -> None:
        self.house, self.score = house, Score()
        self._say = say
        self._strikes = [s for s in strikes if house.disk or s.kind != "fill disk"]
        self._start = time.monotonic()
        now = datetime.now(UTC) - timedelta(minutes=1)
        self.parts = {name: Part(name=name, since=now) for name in house.stack.parts if name != "sandbox"}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._stopped: set[str] = set()

    def add(self, strike: Strike) -> None:
        """One more that was not planned."""
        self._strikes.append(strike)

    def tick(self) -> None:
        """What is due now."""
        for part in self.parts.values():
            self._watch(part)
        now = time.monotonic()
        due, self._later = [x for x in self._later if x[0] <= now], [x for x in self._later if x[0] > now]
        for _, what in due:
            what()
        at = now - self._start
        for strike in [s for s in self._strikes if s.at <= at]:
            if self._is_possible(strike) or at - strike.at > PATIENCE:
                self._strikes.remove(strike)
                self._strike(strike)
                return

    @property
    def is_done(self) -> bool:
        """Whether nothing is planned any more and everything runs."""
        return not self._strikes and not self._later and all(p.back is None for p in self.parts.values())

    # --- strikes -----------------------------------------------------------------------------------------------------

    def _strike(self, strike: Strike) -> None:
        chance = random.Random(strike.chance)
        verb, _, what = strike.kind.partition(" ")
        self.score.struck[strike.kind] += 1
        said = self._do(verb, what, chance)
        self._say(f"{strike.kind}: {said}")

    def _do(self, verb: str, what: str, chance: random.Random) -> str:
        if what in WEATHERED:
            self._weather(verb, what, chance)
            return "lines"
        if what in ENGINES:
            return self._engine(verb, what)
        able = self._able(what)
        if not able:
            return "nobody there"
        name = self._aimed(able) if f"{verb} {what}" == "kill publish" else None
        name = name or chance.choice(able)
        if verb == "stop":
            return self._stop(name)
        return self._kill(name, f"{verb} {what}", chance, hard=verb == "kill")

    def _weather(self, verb: str, what: str, chance: random.Random) -> None:
        door = self.house.database if what == "database" else self.house.broker
        match verb:
            case "delay":
                door.delay(chance.uniform(0.02, 0.15), chance.uniform(2, 5))
            case "cut":
                door.cut(chance.choice((0.3, 1.0)))
            case "hole":
                door.hole(chance.uniform(2, 9))
            case "swallow":
                door.swallow(chance.uniform(1, 4), chance.choice((0.3, 1.0)))

    def _engine(self, verb: str, what: str) -> str:
        house = self.house
        held = self._held(None, datetime.now(UTC) - timedelta(seconds=8))
        match verb, what:
            case "flush", _:
                house.flush()
            case (("kill" | "empty"), _):
                house.crash_valkey(forget=verb == "empty")
            case "stop", _:
                house.crash_postgres()
            case "fill", _:
                house.fill_disk()
                self._stopped.add(what)
                self._later.append((time.monotonic() + FULL, self._free_disk))
            case _:
                house.terminate_backends()
        return f"in flight: {self.score.kill(f'{verb} {what}', held)}"

    def _is_possible(self, strike: Strike) -> bool:
        what = strike.kind.partition(" ")[2]
        if what in ("postgres", "disk") and "disk" in self._stopped:  # it could not come back
            return False
        return what in WEATHERED or what in ENGINES or bool(self._able(what))

    def _able(self, what: str) -> list[str]:
        """Who can be struck: is up and at work. One publish worker always goes on, or there would be nothing to hit."""
        names = PUBLISHERS if what.startswith("publish") else (what,)
        able = [n for n in names if self.parts[n].back is None and n not in self._stopped]
        if not what.startswith("publish"):
            return able
        at_work = self._at_work()
        able = [n for n in able if n in at_work]
        return able if len(able) > 1 else []

    def _at_work(self) -> frozenset[str]:
        try:
            return self.house.at_work()
        except psycopg.OperationalError:
            return frozenset()

    def _kill(self, name: str, kind: str, chance: random.Random, *, hard: bool) -> str:
        part = self.parts[name]
        self.house.signal(name, signal.SIGKILL if hard else signal.SIGTERM)
        if hard:
            self.house.stack.parts[name].wait(10)
        state = self._count(kind, part)
        part.back = time.monotonic() + chance.uniform(0.1, 1.5)
        if name in PUBLISHERS and hard and chance.random() < ARMED_TO_DIE:
            part.next_gap = chance.choices(list(GAPS), list(GAPS.values()))[0]
        return f"{name}, {state}"

    def _aimed(self, able: Sequence[str]) -> str | None:
        """Waits a little until one of them holds an armed delivery. Which."""
        end = time.monotonic() + AIM
        while time.monotonic() < end:
            for name in able:
                if (self._held(name, self.parts[name].since) or {}).get("armed"):
                    return name
            time.sleep(0.02)
        return None

    def _stop(self, name: str) -> str:
        self._stopped.add(name)
        self.house.signal(name, signal.SIGSTOP)
        state = self._count(
            "stop publish" if name in PUBLISHERS else f"stop {name}", self.parts[name], pause=True
        )
        self._later.append((time.monotonic() + PAUSE, lambda: self._go_on(name)))
        return f"{name} for {PAUSE:g} s, {state}"

    def _free_disk(self) -> None:
        self.house.free_disk()
        self._stopped.discard("disk")

    def _go_on(self, name: str) -> None:
        self._stopped.discard(name)
        self.house.signal(name, signal.SIGCONT)

    # --- who was hit -------------------------------------------------------------------------------------------------

    def _count(self, kind: str, part: Part, *, pause: bool = False) -> str:
        held = self._held(part.name, part.since)
        return self.score.kill(
            f"pause: {part.name}"
            if pause and part.name not in PUBLISHERS
            else ("pause of a worker" if pause else kind),
            held,
        )

    def _held(self, name: str | None, since: datetime) -> Mapping[str, int] | None:
        try:
            return self.house.victims(name, since)
        except psycopg.OperationalError:
            return None

    def _watch(self, part: Part) -> None:
        process = self.house.stack.parts[part.name]
        if part.back is None and process.poll() is not None:
            self._ended(part, process.returncode)
        elif part.back is not None and time.monotonic() >= part.back:
            if process.poll() is None:  # asked to go in good order, and still at it
                return
            part.back, part.gap, part.next_gap = None, part.next_gap, None
            part.since = datetime.now(UTC)
            part.once = self.house.start(part.name, part.gap)

    def _ended(self, part: Part, status: int) -> None:
        """It ended by itself: at its failpoint, or nobody knows why."""
        part.back = time.monotonic() + 0.3
        if part.once is not None and part.once.exists() and part.gap is not None:
            kind = f"failpoint {part.gap}"
            self.score.struck[kind] += 1
            self._say(f"{kind}: {part.name}, {self.score.kill(kind, self._held(part.name, part.since))}")
            return
        tail = (self.house.folder / f"{part.name}.log").read_text(errors="replace").splitlines()[-3:]
        self.score.surprises.append(f"{part.name} ended with {status}: {' | '.join(tail)[-400:]}")
        self._say(self.score.surprises[-1])
