"""What a run will do, drawn from its seed before it begins: the posts, and what strikes when. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SOONEST = 31.0
"""Seconds ahead of its sending that a scheduled post is due at least: nearer ones count as immediate."""
EVERY = 2.0
"""Seconds between two strikes on average."""
MANY = 20_000
"""Posts of a run from which on strikes come more rarely: a worker that was killed takes seconds to start, and between
two strikes the load has to get on, or all that a long run tests is how much can be piled up."""
SYSTEM_FAULTS: Mapping[str, float] = {
    "kill publish": 30,  # SIGKILL while it holds an armed delivery, where one can be had
    "kill publish blind": 6,  # SIGKILL whatever it does
    "stop publish": 6,  # SIGSTOP for longer than a lease, then SIGCONT
    "restart publish": 3,  # SIGTERM, then a new one
    "kill reachability": 2,
    "kill upkeep": 3,
    "stop upkeep": 2,
    "kill api": 3,
    "kill beat": 3,
    "flush valkey": 3,
    "kill valkey": 2,
    "empty valkey": 2,  # SIGKILL, and it has forgotten everything when it is back
    "stop postgres": 2,  # immediate: as a crash of the server
    "terminate backends": 3,
    "fill disk": 2,  # the database's: it can neither write nor grow
    "delay database": 1,
    "cut database": 2,
    "hole database": 1,
    "swallow database": 2,  # the commit arrives, its answer does not
    "delay broker": 1,
    "cut broker": 2,
    "hole broker": 1,
    "swallow broker": 2,
}
"""Strike -> weight. Each comes at least once where the run is long enough for all of them."""
CRASH_POINTS: Mapping[str, float] = {
    "publish.armed": 10,
    "publish.answered": 3,
    "publish.settling": 2,
    "publish.handle-stored": 1,
    "publish.claimed": 1,
    "publish.prepared": 1,
    "publish.checkpointed": 1,
    "status.looked": 1,
}
"""Failpoint -> weight: where a worker that is started again kills itself."""
CRASH_SHARE = 0.6
"""Part of the killed publish workers that come back with a failpoint."""
SANDBOX_FAULTS: Sequence[tuple[str, str, float, Mapping[str, int]]] = (
    ("finalize", "effect-then-drop", 6, {}),
    ("finalize", "effect-then-5xx", 4, {}),
    ("finalize", "effect-then-garbage", 2, {}),
    ("finalize", "drop", 2, {}),
    ("finalize", "5xx", 1, {}),
    ("finalize", "429", 3, {"retry_after": 2}),
    ("finalize", "token-expired", 2, {}),
    ("finalize", "late-visibility", 3, {"delay_ms": 1500}),
    ("prepare", "drop", 2, {}),
    ("prepare", "429", 2, {"retry_after": 1}),
    ("prepare", "stuck-processing", 1, {}),
    ("upload", "drop", 2, {}),
    ("look", "5xx", 3, {}),
    ("look", "drop", 3, {}),
    ("look", "429", 2, {"retry_after": 1}),
    ("refresh", "drop", 1, {}),
)
"""Step, fault, weight, details: what the platforms are ordered to do wrong, again and again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One post. Times are seconds from the start of the run."""

    number: int
    at: float
    due: float | None
    """None: published at once."""
    kind: str
    """video, photo or slideshow."""
    sites: tuple[str, ...]
    account: int
    """Which of a site's accounts, counted round."""
    fresh: bool
    """Its media have a URL of their own, so that it has to be checked first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemFault:
    """One thing that is done to the system. ``chance`` is what its details are drawn from."""

    at: float
    kind: str
    chance: int


def plan_posts(seed: int, number: int, seconds: float, sites: Sequence[str]) -> list[Planned]:
    """Spread evenly over the run; half of them scheduled, within it or shortly after."""
    chance = random.Random(f"posts {seed}")
    sending = max(seconds * 0.9, 1.0)
    made = []
    for n in range(number):
        at = sending * n / number
        kind = chance.choice(("video", "video", "photo", "slideshow"))
        candidates = [site for site in sites if kind == "video" or site != "youtube"]
        scheduled = chance.random() < 0.5
        latest = max(seconds - at, SOONEST + 15)
        made.append(
            Planned(
                number=n,
                at=at,
                due=at + chance.uniform(SOONEST, latest) if scheduled else None,
                kind=kind,
                sites=tuple(chance.sample(candidates, min(len(candidates), chance.choice((1, 1, 2, 3))))),
                account=chance.randrange(1 << 30),
                fresh=chance.random() < 0.15,
            )
        )
    return made


def plan_system_faults(seed: int, number: int, seconds: float) -> list[SystemFault]:
    """One of each kind first, the rest by weight, in random order at jittered times; ``number``: of the posts."""
    chance = random.Random(f"strikes {seed}")
    number = max(1, int(seconds / (EVERY * max(1.0, number / MANY))))
    kinds = list(SYSTEM_FAULTS)
    chance.shuffle(kinds)
    drawn = kinds[:number]
    drawn += chance.choices(list(SYSTEM_FAULTS), list(SYSTEM_FAULTS.values()), k=number - len(drawn))
    chance.shuffle(drawn)
    # the first seconds belong to the load, or there would be nothing to hit
    times = sorted(chance.uniform(3.0, seconds) for _ in drawn)
    return [
        SystemFault(at=at, kind=kind, chance=chance.randrange(1 << 30))
        for at, kind in zip(times, drawn, strict=True)
    ]


def plan_sandbox_faults(
    seed: int, seconds: float, sites: Sequence[str], every: float
) -> list[tuple[float, dict[str, object]]]:
    """Faults to order from the sandbox, each for one request: (when, what)."""
    chance = random.Random(f"weather {seed}")
    made: list[tuple[float, dict[str, object]]] = []
    for n in range(int(seconds / every)):
        step, fault, _, more = chance.choices(SANDBOX_FAULTS, [w for _, _, w, _ in SANDBOX_FAULTS])[0]
        order = {"platform": chance.choice(sites), "step": step, "fault": fault, "times": 1, **more}
        made.append((every * n, order))
    return made
