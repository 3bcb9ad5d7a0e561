"""Measure CPU milliseconds per delivery of every post kind, by process. Reference: a no-op task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tests.bench.bare import drain
from tests.bench.environment import BenchEnvironment, read_command, replace_word, start_workers
from tests.bench.figures import Figure, InvalidMeasurement
from tests.bench.kinds import TIKTOK_PHOTO, PostKind, list_measurable
from tests.bench.post_factory import await_published, connect_accounts, create_posts, make_due, warm_up
from tests.bench.processes import CpuReading, await_idle, measure_cores
from tests.stack import Stack

ACCOUNTS = 20
SOON = timedelta(seconds=1)
LONGEST = 60.0
WORKER = "publish-0"


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure every kind that has an adapter and a sandbox platform, one after the other on one stack."""
    number = environment.scale.of_a_kind
    with environment.stack(look_early=True) as stack:
        start_workers(stack, 1)
        stack.start("beat", "pipeline.cli", "beat")
        await_idle(stack.parts["beat"].pid)
        warm_up(stack, TIKTOK_PHOTO)
        parts = environment.processes(stack)
        idle = measure_cores(parts, environment.scale.idle)
        environment.log(f"  idle: {_describe({name: used * 100 for name, used in idle.items()})} % of a core")
        spent: dict[str, dict[str, float]] = {}
        failed = []
        for kind in list_measurable(environment.scale.kinds_of_a_platform):
            try:
                spent[kind.name] = _measure_kind(stack, kind, parts, idle, number)
                environment.log(f"  {kind.name}: {_describe(spent[kind.name])} ms")
            except Exception as error:  # noqa: BLE001   # the other kinds continue; reported at the end
                failed.append(f"{kind.name}: {error!r}")
                environment.log(f"  {failed[-1]}")
        command = replace_word(read_command(stack, WORKER), "pipeline.worker.app", "tests.bench.noop:app")
        for name in (WORKER, "beat"):
            stack.kill(name)
        bare = drain(environment, stack, command, 1, max(1000, number)).cpu
    for name, cpu in spent.items():
        yield Figure(
            name=f"CPU per delivery, {name}",
            value=sum(cpu.values()),
            unit="ms",
            reference=sum(bare.values()),
            against="bare Celery no-op task",
            detail=_describe(cpu),
        )
    if failed:
        raise InvalidMeasurement(" ".join(failed))


def _measure_kind(
    stack: Stack, kind: PostKind, parts: Mapping[str, int], idle: Mapping[str, float], number: int
) -> dict[str, float]:
    """Return CPU milliseconds per delivery by part, less what the idle stack uses in the same time."""
    mine = connect_accounts(stack, kind, ACCOUNTS)
    create_posts(stack, kind, mine, [datetime.now(UTC) + timedelta(hours=1)] * number, word=kind.name)
    live = len(stack.ledger())
    make_due(stack, SOON)
    first = CpuReading.of(parts)
    await_published(stack, kind.name, number, LONGEST)
    spent = first.spent(CpuReading.of(parts), idle)
    if (new := len(stack.ledger()) - live) != number:
        raise InvalidMeasurement(f"{kind.name}: {new} went live, not {number}.")
    return {name: used * 1000 / number for name, used in spent.items()}


def _describe(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name.removesuffix('-0')} {value:.2f}" for name, value in values.items())
