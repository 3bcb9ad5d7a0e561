"""Simulate API processes, PostgreSQL, its WAL, the broker and workers, as a discrete-event model in SimPy.

A delivery is as many rounds of broker, worker and PostgreSQL CPU as it has commits, each with its part of these. Half
of the rounds lie before the visible call, the others in the look after it (assumed: the benches measure their sum).
Commits go to the disk in groups: one flush takes all that wait, in as many writes of ``commit_group`` as that needs,
and nothing flushes beside it. An API process stores the posts that wait as one group, and reads no more until it is
committed.

Millions of deliveries are simulated as batches: *weight* deliveries travel as one, and a part with many servers has at
most ``LANES`` lanes, each as fast as its share of them. Where a queue is long this is exact up to one batch of
``batches``; a run takes about a second for any load. Loads of up to ``batches`` deliveries are simulated one by one.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import simpy
from pydantic import Field

from tests.bench.figures import percentile

Steps = Generator[simpy.Event, Any, None]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LANES = 8
BATCHES = 1500
GROUP = 16
"""Posts of a group beside the peak, where single requests are not simulated (assumed)."""
CHUNK = 0.004
"""Seconds that another program keeps a core, as long as a time slice of Linux."""
DAY = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Costs of one POST and of one delivery, in seconds; ``commits_*`` are numbers of commits that write."""

    api_post: Cost
    api_group: Cost
    """Of a group of posts that are stored together, beside each post's own; ``database_group`` likewise."""
    database_post: Cost
    database_group: Cost
    broker_post: Cost
    client_post: Cost
    flush_post: Cost
    """Time of the disk for the WAL bytes of one post, beside ``flush``."""
    worker_delivery: Cost
    database_delivery: Cost
    broker_delivery: Cost
    platform_delivery: Cost
    """CPU of the sandbox: counted only where it shares the machine."""
    commits_delivery: Cost
    flush_delivery: Cost
    flush: Cost
    """One flush of the WAL to the disk, however many commits it covers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machines:
    """What the costs are spent on. ``shared_cores``: all parts share so many; 0: each part has its own machine."""

    api: int = 1
    workers: int = 1
    slots: int = 32
    database_cores: int = 2
    commit_group: int = 100
    """Commits that one flush covers at most: as many connections commit at once."""
    call: float = 0.0
    """Seconds of a platform's call, in which a slot is taken."""
    look: float = 5.0
    shared_cores: int = 0
    others: float = 0.0
    """Cores of the shared ones that other programs use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Result of a run: things done a second, lateness in seconds, and the used share of each part."""

    rate: float
    p50: float
    p99: float
    used: Mapping[str, float]

    @property
    def saturated(self) -> str:
        """The most used part."""
        return max(self.used, key=lambda name: self.used[name])


class Part:
    """Equal servers with one queue. *host*: the cores of a shared machine, of which each use also takes one."""

    def __init__(
        self,
        env: simpy.Environment,
        servers: int,
        *,
        merges: bool = False,
        host: simpy.Resource | None = None,
    ) -> None:
        lanes = min(servers, LANES) if merges else servers
        self.env, self.speed, self.busy, self._host = env, servers / lanes, 0.0, host
        self.lanes = simpy.Resource(env, capacity=lanes)

    def use(self, seconds: float) -> Steps:
        """Wait for a server and keep it so long."""
        if not seconds:
            return
        with self.lanes.request() as turn:
            yield turn
            if self._host is None:
                yield from self._spend(seconds)
            else:
                with self._host.request() as core:
                    yield core
                    yield from self._spend(seconds)

    def _spend(self, seconds: float) -> Steps:
        yield self.env.timeout(seconds / self.speed)
        self.busy += seconds / self.speed

    def share(self, seconds: float) -> float:
        """Return the used share of all servers in so many seconds."""
        return self.busy / (self.lanes.capacity * seconds)


@dataclass(slots=True)
class Wal:
    """The write-ahead log: one flush at a time, each of all commits that wait, up to the group."""

    env: simpy.Environment
    flush: float
    group: int
    busy: float = 0.0
    _waiting: list[tuple[float, float, simpy.Event]] = field(default_factory=list)
    _flushes: bool = False

    def commit(self, weight: float, seconds: float) -> simpy.Event:
        """Return the event of *weight* commits on the disk, whose bytes take *seconds* to write."""
        done = self.env.event()
        self._waiting.append((weight, seconds, done))
        if not self._flushes:
            self._flushes = True
            self.env.process(self._run())
        return done

    def _run(self) -> Steps:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            flushes = math.ceil(sum(weight for weight, _, _ in taken) / self.group)
            spent = flushes * self.flush + sum(seconds for _, seconds, _ in taken)
            yield self.env.timeout(spent)
            self.busy += spent
            for _, _, done in taken:
                done.succeed()
        self._flushes = False

    def share(self, seconds: float) -> float:
        """Return the share of so many seconds in which it wrote."""
        return self.busy / seconds


class Simulation:
    """The parts of one run."""

    def __init__(self, costs: Costs, machines: Machines, *, merges: bool = False) -> None:
        self.env, self.costs, self.machines = simpy.Environment(), costs, machines
        m, env = machines, self.env
        host = simpy.Resource(env, capacity=m.shared_cores) if m.shared_cores else None
        self.api = Part(env, m.api, merges=merges, host=host)
        self.workers = Part(env, m.workers, merges=merges, host=host)
        self.slots = Part(env, m.workers * m.slots, merges=merges)
        self.database = Part(env, m.shared_cores or m.database_cores, merges=merges, host=host)
        self.broker = Part(env, 1, host=host)
        self.outside = Part(env, 1, host=host)
        self.wal = Wal(env, costs.flush, m.commit_group)
        self.visible: list[float] = []
        for n in range(math.ceil(m.others)):
            env.process(self._occupy(Part(env, 1, host=host), min(1.0, m.others - n)))

    def _occupy(self, program: Part, share: float) -> Steps:
        while True:
            yield from program.use(CHUNK * share)
            yield self.env.timeout(CHUNK * (1 - share))

    def post(self, posts: float, groups: float = 1.0) -> Steps:
        """Take *posts* as so many groups: API, broker, PostgreSQL and the commit that the answers wait for."""
        c = self.costs
        yield from self.api.use(c.api_post * posts + c.api_group * groups)
        yield from self.broker.use(c.broker_post * posts)
        yield from self.database.use(c.database_post * posts + c.database_group * groups)
        yield self.wal.commit(groups, c.flush_post * posts)

    def deliver(self, weight: float = 1.0) -> Steps:
        """Publish *weight* deliveries and look at how that went."""
        m = self.machines
        rounds = max(2, round(self.costs.commits_delivery))
        for _ in range(rounds // 2):
            yield from self._round(weight, rounds)
        if m.shared_cores:
            yield from self.outside.use(self.costs.platform_delivery * weight)
        yield from self.slots.use(m.call * weight)
        yield self.env.timeout(max(0.0, m.call - m.call * weight / self.slots.speed))
        self.visible.append(self.env.now)
        yield self.env.timeout(m.look)
        for _ in range(rounds - rounds // 2):
            yield from self._round(weight, rounds)

    def _round(self, weight: float, rounds: int) -> Steps:
        c, part = self.costs, weight / rounds
        yield from self.broker.use(c.broker_delivery * part)
        yield from self.workers.use(c.worker_delivery * part)
        yield from self.database.use(c.database_delivery * part)
        yield self.wal.commit(c.commits_delivery * part, c.flush_delivery * part)

    def read_shares(self) -> dict[str, float]:
        """Return the used share of each part until now."""
        parts: dict[str, Part | Wal] = {
            "API": self.api,
            "workers' CPU": self.workers,
            "workers' slots": self.slots,
            "PostgreSQL's CPU": self.database,
            "PostgreSQL's commits": self.wal,
            "broker": self.broker,
        }
        return {name: part.share(self.env.now) for name, part in parts.items()}


def simulate_posts(costs: Costs, machines: Machines, *, clients: int, seconds: float = 10.0) -> Outcome:
    """Let *clients* post, each as soon as it is answered. The clients are one process, as those of the bench."""
    run = Simulation(costs, machines)
    took: list[float] = []
    for n in range(machines.api):
        run.env.process(_serve(run, clients // machines.api + (n < clients % machines.api), took))
    run.env.run(until=seconds)
    return _conclude(run, len(took) / seconds, took)


def _serve(run: Simulation, clients: int, took: list[float]) -> Steps:
    """Be one API process: store all that wait as one group; each client posts again when it is answered."""
    waiting = [0.0] * clients
    while True:
        since, waiting = waiting, []
        yield from run.post(len(since))
        took += [run.env.now - at for at in since]
        yield from run.outside.use(run.costs.client_post * len(since))
        waiting = [run.env.now] * len(since)


def simulate_peak(
    costs: Costs, machines: Machines, *, due: int, posts_a_day: float = 0.0, batches: int = BATCHES
) -> Outcome:
    """Make *due* deliveries due at one moment, beside posts that come in evenly over the day.

    ``rate`` is deliveries a second until the last is published; lateness is until the visible call.
    """
    weight = max(1.0, due / batches)
    run = Simulation(costs, machines, merges=weight > 1)
    moving = [run.env.process(run.deliver(weight)) for _ in range(round(due / weight))]
    if posts_a_day:
        run.env.process(_take_posts(run, posts_a_day / DAY, estimate_drain(costs, machines, due) / 300))
    run.env.run(until=run.env.all_of(moving))
    return _conclude(run, due / run.env.now, run.visible)


def _take_posts(run: Simulation, rate: float, interval: float) -> Steps:
    while True:
        run.env.process(run.post(rate * interval, rate * interval / GROUP))
        yield run.env.timeout(interval)


def _conclude(run: Simulation, rate: float, times: list[float]) -> Outcome:
    p50, p99 = (percentile(times, share) for share in (0.5, 0.99))
    return Outcome(rate=rate, p50=p50, p99=p99, used=run.read_shares())


def list_ceilings(costs: Costs, machines: Machines) -> dict[str, float]:
    """Return the deliveries a second at which each part is used up, by the utilisation law: servers / cost."""
    c, m = costs, machines
    commit = c.commits_delivery * c.flush / m.commit_group + c.flush_delivery
    spent = {
        "workers' CPU": (m.workers, c.worker_delivery),
        "workers' slots": (m.workers * m.slots, m.call),
        "PostgreSQL's CPU": (m.database_cores, c.database_delivery),
        "PostgreSQL's commits": (1, commit),
        "broker": (1, c.broker_delivery),
    }
    return {name: servers / cost if cost else math.inf for name, (servers, cost) in spent.items()}


def estimate_drain(costs: Costs, machines: Machines, due: int) -> float:
    """Return the least seconds in which *due* deliveries can be done, by the narrowest part."""
    return due / min(list_ceilings(costs, machines).values()) + machines.look
