"""Measure deliveries a second, end to end. Reference: no-op tasks on the same pool and broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pipeline.store.database import rows
from tests.bench.bare import Throughput, drain
from tests.bench.environment import BenchEnvironment, read_command, replace_word, start_workers
from tests.bench.figures import Figure, InvalidMeasurement, compute_rate, compute_steady_rate
from tests.bench.post_factory import (
    WARM_UP,
    await_published,
    connect_accounts,
    create_posts,
    make_due,
    warm_up,
)
from tests.bench.processes import CpuReading, await_idle
from tests.stack import Stack

ACCOUNTS = 50
WORD = "throughput"
SOON = timedelta(seconds=2)
LONGEST = 90.0
LEAST = 300
"""Target in deliveries a second on two cores."""


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure with each number of worker processes."""
    for workers in environment.scale.workers:
        with environment.stack(look_early=True) as stack:
            create_posts(
                stack,
                connect_accounts(stack, ACCOUNTS),
                [datetime.now(UTC) + timedelta(hours=1)] * environment.scale.deliveries,
                word=WORD,
            )
            names = start_workers(stack, workers)
            ours = publish_all(environment, stack)
            command = replace_word(
                read_command(stack, names[0]), "pipeline.worker.app", "tests.bench.noop:app"
            )
            for name in (*names, "beat"):
                stack.kill(name)
            bare = drain(environment, stack, command, workers, environment.scale.deliveries)
            environment.log(
                f"  {workers} bare: {bare.overall:.0f}/s, steady {bare.steady:.0f}/s; {_describe_cpu(bare.cpu)}"
            )
        yield from _figures(workers, ours, bare)


def publish_all(environment: BenchEnvironment, stack: Stack) -> Throughput:
    """Make the posts due, and measure until the last is published. Raises InvalidMeasurement if one is lost."""
    stack.start("beat", "pipeline.cli", "beat")
    await_idle(stack.parts["beat"].pid)
    warm_up(stack)
    parts = environment.processes(stack)
    due = make_due(stack, SOON)
    first = CpuReading.of(parts)
    number = environment.scale.deliveries
    await_published(stack, WORD, number, LONGEST)
    spent = first.spent(CpuReading.of(parts))
    _evaluate(stack, number)
    with stack.context.database.once() as c:
        published = [
            r.published_at.timestamp()
            for r in rows(c, "SELECT published_at FROM deliveries WHERE due_at = :due", due=due)
        ]
    found = Throughput(
        overall=compute_rate(due.timestamp(), published),
        steady=compute_steady_rate(published),
        cpu={name: used * 1000 / number for name, used in spent.items()},
    )
    environment.log(f"  {found.overall:.0f}/s, steady {found.steady:.0f}/s; {_describe_cpu(found.cpu)}")
    return found


def _evaluate(stack: Stack, number: int) -> None:
    """Raise InvalidMeasurement unless the sandbox's ledger has every post once."""
    live = Counter(str(line["caption"]) for line in stack.ledger() if line["caption"] != f"{WARM_UP} 0")
    expected = Counter(f"{WORD} {n}" for n in range(number))
    if live != expected:
        lost, twice = expected - live, live - expected
        raise InvalidMeasurement(
            f"The ledger does not have every post once: {len(lost)} missing, {len(twice)} too many."
        )


def _figures(workers: int, ours: Throughput, bare: Throughput) -> Iterator[Figure]:
    plural = "s" * (workers > 1)
    yield Figure(
        name=f"deliveries, {workers} worker{plural}, due to last",
        value=ours.overall,
        unit="/s",
        reference=bare.overall,
        against="bare Celery no-op tasks",
        target=f"at least {LEAST}/s on two cores",
        detail=f"{_describe_cpu(ours.cpu)}",
    )
    yield Figure(
        name=f"deliveries, {workers} worker{plural}, steady",
        value=ours.steady,
        unit="/s",
        reference=bare.steady,
        against="bare Celery no-op tasks",
        detail=f"reference: {_describe_cpu(bare.cpu)}",
    )


def _describe_cpu(cpu: dict[str, float]) -> str:
    return "CPU ms each: " + ", ".join(f"{name} {used:.2f}" for name, used in cpu.items() if used >= 0.005)
