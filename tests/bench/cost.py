"""CPU milliseconds per delivery of every post kind, by process, beside those of a no-op task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tests.bench.bare import drain
from tests.bench.environment import Ground, command_of, replaced, start_workers
from tests.bench.figures import Figure, Unsound
from tests.bench.filling import accounts, await_published, fill, make_due, warm
from tests.bench.kinds import TIKTOK_PHOTO, Kind, measurable
from tests.bench.processes import Reading, quiet, watched
from tests.stack import Stack

ACCOUNTS = 20
SOON = timedelta(seconds=1)
LONGEST = 60.0
WORKER = "publish-0"


def measure(ground: Ground) -> Iterator[Figure]:
    """Every kind that has an adapter and a stand-in, one after the other on one stack."""
    number = ground.scale.of_a_kind
    with ground.stack(impatient=True) as stack:
        start_workers(stack, 1)
        stack.start("beat", "pipeline.cli", "beat")
        quiet(stack.parts["beat"].pid)
        warm(stack, TIKTOK_PHOTO)
        parts = ground.processes(stack)
        idle = watched(parts, ground.scale.idle)
        ground.say(f"  idle: {_listed({name: used * 100 for name, used in idle.items()})} % of a core")
        spent: dict[str, dict[str, float]] = {}
        failed = []
        for kind in measurable(ground.scale.kinds_of_a_platform):
            try:
                spent[kind.name] = _one(stack, kind, parts, idle, number)
                ground.say(f"  {kind.name}: {_listed(spent[kind.name])} ms")
            except Exception as error:  # noqa: BLE001   # the other kinds are worth having; said at the end
                failed.append(f"{kind.name}: {error!r}")
                ground.say(f"  {failed[-1]}")
        command = replaced(command_of(stack, WORKER), "pipeline.worker.app", "tests.bench.noop:app")
        for name in (WORKER, "beat"):
            stack.kill(name)
        bare = drain(ground, stack, command, 1, max(1000, number)).cpu
    for name, cpu in spent.items():
        yield Figure(
            name=f"CPU per delivery, {name}",
            value=sum(cpu.values()),
            unit="ms",
            reference=sum(bare.values()),
            against="bare Celery no-op task",
            detail=_listed(cpu),
        )
    if failed:
        raise Unsound(" ".join(failed))


def _one(
    stack: Stack, kind: Kind, parts: Mapping[str, int], idle: Mapping[str, float], number: int
) -> dict[str, float]:
    """CPU milliseconds per delivery by part, less what the idle stack uses in the same time."""
    mine = accounts(stack, kind, ACCOUNTS)
    fill(stack, kind, mine, [datetime.now(UTC) + timedelta(hours=1)] * number, word=kind.name)
    lived = len(stack.ledger())
    make_due(stack, SOON)
    first = Reading.of(parts)
    await_published(stack, kind.name, number, LONGEST)
    spent = first.spent(Reading.of(parts), idle)
    if (new := len(stack.ledger()) - lived) != number:
        raise Unsound(f"{kind.name}: {new} went live, not {number}.")
    return {name: used * 1000 / number for name, used in spent.items()}


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name.removesuffix('-0')} {value:.2f}" for name, value in values.items())
