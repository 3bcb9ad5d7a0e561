"""Measure this machine's costs at one point, and the rates at three others that the simulation has to predict.

The costs are CPU seconds, commits and WAL bytes at one API process and at one worker process. An API process stores
what waits as one group, so 16 and 64 clients tell the cost of a group from that of a post. No rate is fitted: the three
points have another number of processes or clients, and their rates come from the costs alone.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from pipeline.store.database import row
from tests.bench.deliveries import ACCOUNTS as PUBLISHING_ACCOUNTS
from tests.bench.deliveries import WORD, publish_all
from tests.bench.environment import BenchEnvironment, start_workers
from tests.bench.figures import InvalidMeasurement
from tests.bench.ingest import ACCOUNTS, await_server, build_order, count_posts, fill_wal_files, run_load
from tests.bench.machine import CpuUsage
from tests.bench.post_factory import connect_accounts, create_posts, store_check
from tests.bench.processes import CpuReading
from tests.capacity.model import Costs, Machines, simulate_peak, simulate_posts
from tests.stack import Stack

LOOK = 0.1
"""Seconds until a publish is looked at, as ``LOOK_EARLY`` of the bench sets it."""
LIMIT = 0.2
"""Error of a prediction from which on the simulation is not held to reality."""
ROUNDS = 3
POST_POINTS = ((1, 16), (1, 64), (1, 32), (2, 64))
"""API processes and clients."""
TIMES = 200
MESSAGE = 4 << 20
"""Bytes of a WAL record with which the disk's time for a byte is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One measured point: things done a second, and what each cost. ``cpu``: seconds by part."""

    rate: float
    cpu: dict[str, float]
    commits: float
    wal: float
    """Bytes of write-ahead log."""
    others: float
    """Cores that other programs used meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A measured rate beside the simulated one."""

    name: str
    measured: float
    simulated: float
    others: float

    @property
    def error(self) -> float:
        """Error of the simulation as a share of what was measured."""
        return abs(self.simulated / self.measured - 1)


def measure(environment: BenchEnvironment) -> tuple[Costs, list[Check]]:
    """Measure the costs and the three points. Raises InvalidMeasurement when something was lost or refused."""
    with environment.stack(lifted=False) as stack:
        store_check(stack)
        mine = [str(identity) for identity in connect_accounts(stack, ACCOUNTS)]
        fill_wal_files(stack)
        flush, byte = measure_flush(stack)
        small, large, some, two = _repeat(
            partial(_post, environment, stack, mine, api=api, clients=clients) for api, clients in POST_POINTS
        )
    single, double = _repeat(partial(_publish, environment, workers) for workers in (1, 2))
    costs = _costs(small, large, single, flush, byte)
    return costs, list(_checks(costs, some, two, double, environment.scale.deliveries))


def _repeat(points: Iterable[Callable[[], Reading]]) -> list[Reading]:
    """Measure the points in turn, ``ROUNDS`` times; return the middle of what each read.

    The speed of a machine that others share changes within minutes: what is compared is measured side by side.
    """
    known = [*points]
    rounds = [[measured() for measured in known] for _ in range(ROUNDS)]
    return [_find_middle(readings) for readings in zip(*rounds, strict=True)]


def _find_middle(readings: Sequence[Reading]) -> Reading:
    return Reading(
        rate=statistics.median(one.rate for one in readings),
        cpu={part: statistics.median(one.cpu[part] for one in readings) for part in readings[0].cpu},
        commits=statistics.median(one.commits for one in readings),
        wal=statistics.median(one.wal for one in readings),
        others=statistics.median(one.others for one in readings),
    )


def _costs(small: Reading, large: Reading, delivery: Reading, flush: float, byte: float) -> Costs:
    api_post, api_group = _split(small, large, "api")
    database_post, database_group = _split(small, large, "postgres")
    return Costs(
        api_post=api_post,
        api_group=api_group,
        database_post=database_post,
        database_group=database_group,
        broker_post=large.cpu["valkey"],
        client_post=large.cpu["client"],
        flush_post=large.wal * byte,
        worker_delivery=sum(used for name, used in delivery.cpu.items() if name.startswith("publish-")),
        database_delivery=delivery.cpu["postgres"],
        broker_delivery=delivery.cpu["valkey"],
        platform_delivery=delivery.cpu["sandbox"],
        commits_delivery=delivery.commits,
        flush_delivery=delivery.wal * byte,
        flush=flush,
    )


def _split(small: Reading, large: Reading, part: str) -> tuple[float, float]:
    """Return the CPU of a post and of a group, from two readings with groups of different size."""
    group = max(0.0, (small.cpu[part] - large.cpu[part]) / (small.commits - large.commits))
    return max(0.0, large.cpu[part] - group * large.commits), group


def _checks(costs: Costs, some: Reading, two: Reading, double: Reading, due: int) -> Iterator[Check]:
    cores = os.cpu_count() or 1

    def here(reading: Reading, *, api: int = 1, workers: int = 1) -> Machines:
        return Machines(api=api, workers=workers, shared_cores=cores, look=LOOK, others=reading.others)

    def posts(reading: Reading, api: int, clients: int) -> float:
        return simulate_posts(costs, here(reading, api=api), clients=clients).rate

    rate = simulate_peak(costs, here(double, workers=2), due=due, batches=due).rate
    for name, reading, simulated in (
        ("POST /posts a second, 1 API process, 32 clients", some, posts(some, 1, 32)),
        ("POST /posts a second, 2 API processes, 64 clients", two, posts(two, 2, 64)),
        ("deliveries a second, 2 worker processes", double, rate),
    ):
        yield Check(name=name, measured=reading.rate, simulated=simulated, others=reading.others)


def measure_flush(stack: Stack) -> tuple[float, float]:
    """Return the seconds of one flush to the disk, and those of a further byte in it."""
    nothing = _time(stack, "SELECT 1")
    small = _time(stack, "SELECT pg_logical_emit_message(true, 'capacity', '')")
    large = _time(stack, f"SELECT pg_logical_emit_message(true, 'capacity', repeat('x', {MESSAGE}))", 20)
    return max(0.0, small - nothing), max(0.0, large - small) / MESSAGE


def _time(stack: Stack, statement: str, times: int = TIMES) -> float:
    took = []
    with stack.context.database.once() as c:
        for _ in range(times):
            since = time.perf_counter()
            c.exec_driver_sql(statement)
            took.append(time.perf_counter() - since)
    return statistics.median(took)


def _post(environment: BenchEnvironment, stack: Stack, mine: list[str], *, api: int, clients: int) -> Reading:
    stack.start("api", "pipeline.cli", "api", SLIPWAY_API__PROCESSES=str(api))
    await_server(stack, "api")
    parts, stored, wal = environment.processes(stack), count_posts(stack), _read_wal(stack)
    busy, first = CpuUsage.now(), CpuReading.of(parts)
    report = run_load(build_order(environment, stack, mine, clients=clients))
    spent, others = first.spent(CpuReading.of(parts)), CpuUsage.now().since(busy)
    commits, written = (now - was for now, was in zip(_read_wal(stack), wal, strict=True))
    number = report.accepted
    if report.refused or count_posts(stack) - stored != number:
        raise InvalidMeasurement(f"{report.refused} posts were refused: {report.first_refusal}")
    stack.kill("api")
    rate = len(report.latencies) / report.seconds
    cpu = {name: used / number for name, used in spent.items()} | {"client": report.cpu / rate}
    found = Reading(rate=rate, cpu=cpu, commits=commits / number, wal=written / number, others=others)
    environment.log(f"  {api} API, {clients} clients: {_describe(found)}")
    return found


def _publish(environment: BenchEnvironment, workers: int) -> Reading:
    number = environment.scale.deliveries
    with environment.stack(look_early=True) as stack:
        due = [datetime.now(UTC) + timedelta(hours=1)] * number
        create_posts(stack, connect_accounts(stack, PUBLISHING_ACCOUNTS), due, word=WORD)
        start_workers(stack, workers)
        wal, busy = _read_wal(stack), CpuUsage.now()
        done = publish_all(environment, stack)
        others = CpuUsage.now().since(busy)
        commits, written = (now - was for now, was in zip(_read_wal(stack), wal, strict=True))
    cpu = {name: used / 1000 for name, used in done.cpu.items()}
    found = Reading(rate=done.overall, cpu=cpu, commits=commits / number, wal=written / number, others=others)
    environment.log(f"  {workers} workers: {_describe(found)}")
    return found


def _read_wal(stack: Stack) -> tuple[float, float]:
    """Return how many transactions wrote (savepoints counted), and the bytes of the log, until now."""
    with stack.context.database.once() as c:
        found = row(
            c,
            """SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS written,
                      pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes""",
        )
    if found is None:
        raise InvalidMeasurement("PostgreSQL does not say how far its log is.")
    return float(found.written), float(found.bytes)


def _describe(found: Reading) -> str:
    cpu = ", ".join(f"{name} {used * 1000:.2f}" for name, used in found.cpu.items())
    return (
        f"{found.rate:.0f}/s; CPU ms each: {cpu}; {found.commits:.2f} commits, {found.wal:.0f} bytes of log; "
        f"others {found.others:.2f} cores"
    )
