"""Plan of a run, drawn from its seed: the posts, the system faults and the sandbox's faults. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

SOONEST = 31.0
"""Least seconds between sending and due time of a scheduled post: nearer due times count as immediate."""
EVERY = 2.0
"""Mean seconds between two system faults."""
MANY = 20_000
"""Number of posts above which system faults are rarer: a killed worker takes seconds to start, and the load must
progress between two faults, or a long run only tests its own backlog."""
SYSTEM_FAULTS: Mapping[str, float] = {
    "kill publish": 30,  # SIGKILL while it holds an armed delivery, if one does within seconds
    "kill publish blind": 6,  # SIGKILL at any moment
    "stop publish": 6,  # SIGSTOP for longer than a lease, then SIGCONT
    "restart publish": 3,  # SIGTERM, then a restart
    "kill reachability": 2,
    "kill upkeep": 3,
    "stop upkeep": 2,
    "kill api": 3,
    "kill beat": 3,
    "flush valkey": 3,
    "kill valkey": 2,
    "empty valkey": 2,  # SIGKILL, files deleted, restart
    "stop postgres": 2,  # immediate mode, like a server crash
    "terminate backends": 3,
    "fill disk": 2,  # the database's file system
    "delay database": 1,
    "cut database": 2,
    "hole database": 1,
    "swallow database": 2,  # the commit arrives, its answer is lost
    "delay broker": 1,
    "cut broker": 2,
    "hole broker": 1,
    "swallow broker": 2,
}
"""System fault -> weight. Each occurs at least once if the run is long enough."""
EVERYTHING = 5
"""How often in a run everything is killed at once: API, beat, workers, Valkey and PostgreSQL."""
AIMS_FROM, AIM_EVERY = 3.0, 20.0
"""Seconds to the first aimed pause, and from one to the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """Where a worker is stopped past its lease, and where the next holder stands when it goes on."""

    first: str
    second: str
    is_deadly: bool = False
    """The next holder is killed there."""

    @property
    def is_armed(self) -> bool:
        """Whether the stopped worker has armed the delivery."""
        return self.first == "publish.armed"


AIMED_SITES = ("linkedin", "pinterest")
"""The platforms of aimed pauses: they recognise no repeated call, and cannot prove absence."""
AIMS: Sequence[Aim] = (
    Aim(first="publish.armed", second="publish.armed"),
    Aim(first="publish.prepared", second="publish.prepared"),
    Aim(first="publish.armed", second="publish.answered", is_deadly=True),
    Aim(first="publish.claimed", second="publish.claimed"),
)
"""Aimed pauses, in turn: between arm and the first byte, and between claim and arm."""
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
"""Failpoint at which a restarted worker kills itself -> weight."""
CRASH_SHARE = 0.6
"""Share of killed publish workers that restart with a failpoint."""
PROXY_ANSWERS: Sequence[Mapping[str, int | str]] = tuple(
    {"status": status, "body": body}
    for status, body in (
        (200, "<html>Please sign in to this network</html>"),
        (400, "{}"),
        (401, "<html>401 Unauthorized</html>"),
        (403, "<html>Access denied by policy</html>"),
        (404, ""),
        (429, "<html>Too many requests</html>"),
        (500, "{}"),
    )
)
"""Responses that no platform gave: none may decide what became of a post."""
SANDBOX_FAULTS: Sequence[tuple[str, str, float, Mapping[str, int | str]]] = (
    ("finalize", "effect-then-drop", 6, {}),
    ("finalize", "effect-then-5xx", 4, {}),
    ("finalize", "effect-then-garbage", 2, {}),
    *(("finalize", "effect-then-answer", 1, answer) for answer in PROXY_ANSWERS),
    *(("finalize", "answer", 0.3, answer) for answer in PROXY_ANSWERS),
    *(("prepare", "answer", 0.3, answer) for answer in PROXY_ANSWERS),
    *(("upload", "answer", 0.3, answer) for answer in PROXY_ANSWERS),
    *(("look", "answer", 0.5, answer) for answer in PROXY_ANSWERS),
    *(("refresh", "answer", 0.2, answer) for answer in PROXY_ANSWERS),
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
    ("comment", "effect-then-drop", 2, {}),
    ("comment", "effect-then-5xx", 1, {}),
    *(("comment", "answer", 0.2, answer) for answer in PROXY_ANSWERS),
    *(("comment", "effect-then-answer", 0.2, answer) for answer in PROXY_ANSWERS),
    ("comment", "429", 1, {"retry_after": 2}),
)
"""Faults ordered from the sandbox: step, fault, weight, details."""
HOUR_LONG = frozenset({("instagram", "token-expired")})
"""Platform and fault: Instagram refuses to refresh a token younger than a day, and is asked again in an hour."""

OUTAGE = (0.4, 0.15, 30.0)
"""The outage of all platforms at once: its start and length as shares of the run, and its longest length in seconds."""
OUTAGE_FAULT: Mapping[str, object] = {"step": "any", "fault": "5xx", "times": None}
"""Every call is refused before it has an effect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One planned post. Times are seconds from the start of the run."""

    number: int
    at: float
    due: float | None
    """None: published at once."""
    kind: str
    """video, photo or slideshow."""
    sites: tuple[str, ...]
    account: int
    """Index of the account, modulo the platform's accounts."""
    fresh: bool
    """Its media have a unique URL, so that they must be checked first."""
    stormy: bool = False
    """It is edited, cancelled and retried again and again around its due second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemFault:
    """One planned fault. ``chance`` seeds its details."""

    at: float
    kind: str
    chance: int


IMPORT_AT = 0.11
"""When the file of an import is uploaded, as a share of the run: after the first kill of everything."""
IMPORTED = 24
"""Posts of the file."""
IMPORT_CRASH_POINTS = (
    "imports.claimed",
    "imports.read",
    "imports.rows-stored",
    "imports.planned",
    "imports.posts-stored",
    "imports.applied",
)
"""Failpoints of which the worker that takes the import kills itself at one."""
STORMS = 60
"""Most posts of a run with a storm; it is a third of the scheduled ones of a short run."""


def plan_posts(seed: int, number: int, seconds: float, sites: Sequence[str]) -> list[Planned]:
    """Return posts spread evenly over the run; half are scheduled within it or shortly after."""
    chance, storms = random.Random(f"posts {seed}"), random.Random(f"storms {seed}")
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
                stormy=scheduled and storms.random() < min(1 / 3, 2 * STORMS / number),
            )
        )
    return made


def plan_imported(seed: int, number: int, seconds: float, sites: Sequence[str]) -> tuple[list[Planned], str]:
    """Return the posts of the file, numbered from *number*, and the failpoint at which its worker kills itself once.

    Some posts are published at once, the others when the faults are over.
    """
    chance, at = random.Random(f"import {seed}"), seconds * IMPORT_AT
    drawn = plan_posts(chance.randrange(1 << 31), IMPORTED, seconds, sites)
    dues = [None if post.due is None else seconds + n % 10 for n, post in enumerate(drawn)]
    posts = [
        replace(post, number=number + n, at=at, due=due, fresh=False, stormy=False)
        for n, (post, due) in enumerate(zip(drawn, dues, strict=True))
    ]
    return posts, chance.choice(IMPORT_CRASH_POINTS)


def plan_system_faults(seed: int, number: int, seconds: float) -> list[SystemFault]:
    """Return one fault of each kind and the rest by weight, in random order and times. *number*: posts of the run."""
    chance = random.Random(f"strikes {seed}")
    number = max(1, int(seconds / (EVERY * max(1.0, number / MANY))))
    kinds = list(SYSTEM_FAULTS)
    chance.shuffle(kinds)
    drawn = kinds[:number]
    drawn += chance.choices(list(SYSTEM_FAULTS), list(SYSTEM_FAULTS.values()), k=number - len(drawn))
    chance.shuffle(drawn)
    # the load needs the first seconds, or there is nothing to hit
    times = sorted(chance.uniform(3.0, seconds) for _ in drawn)
    planned = list(zip(times, drawn, strict=True))
    planned += [(seconds * (n + 0.5) / EVERYTHING, "kill everything") for n in range(EVERYTHING)]
    return [SystemFault(at=at, kind=kind, chance=chance.randrange(1 << 30)) for at, kind in sorted(planned)]


def plan_aims(seconds: float, every: float) -> list[float]:
    """Return the times of the aimed pauses; each waits until the one before is over."""
    return [AIMS_FROM + every * n for n in range(int(seconds / every))]


def plan_outage(seconds: float) -> tuple[float, float]:
    """Return the start and the end of the outage of all platforms, in seconds from the start."""
    start, share, longest = OUTAGE
    return seconds * start, seconds * start + min(seconds * share, longest)


def plan_sandbox_faults(
    seed: int, seconds: float, sites: Sequence[str], every: float
) -> list[tuple[float, dict[str, object]]]:
    """Return the sandbox's faults, each for one request: (seconds from the start, order)."""
    chance = random.Random(f"weather {seed}")
    made: list[tuple[float, dict[str, object]]] = []
    for n in range(int(seconds / every)):
        step, fault, _, more = chance.choices(SANDBOX_FAULTS, [w for _, _, w, _ in SANDBOX_FAULTS])[0]
        order: dict[str, object] = {
            "platform": chance.choice([site for site in sites if (site, fault) not in HOUR_LONG]),
            "step": step,
            "fault": fault,
            "times": 1,
            **more,
        }
        made.append((every * n, order))
    return made
