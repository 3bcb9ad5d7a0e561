"""Measure durable `POST /posts` a second. References: the same endpoint rolled back, and without storing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from pipeline.store.database import row
from tests.bench.environment import READY, ROOT, BenchEnvironment, read_command, replace_word
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.load import LoadOrder, Report
from tests.bench.post_factory import PHOTO, connect_accounts, store_check
from tests.bench.processes import await_idle
from tests.stack import Stack, is_answering, until

ACCOUNTS = 200
LOG_FILES = 64
"""WAL files that PostgreSQL keeps between two checkpoints (``max_wal_size``, 1 GB)."""
BATCH, BATCH_CLIENTS = 500, 16
"""Posts in a request of POST /posts/batch, and requests under way: four for each thread that a process has for them.

A connection goes to a process by chance: with four, one of two processes often had them all.
"""
REFERENCES = {"uncommitted": "rolled back, not committed", "unstored": "storing statement left out"}
BUSY = 0.6
"""Cores: a client that used more may have been the bottleneck."""


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure at each number of clients and API processes, and once with posts that are due at once."""
    with environment.stack(lifted=False) as stack:
        store_check(stack)
        mine = [str(identity) for identity in connect_accounts(stack, ACCOUNTS)]
        fill_wal_files(stack)
        for processes in environment.scale.processes:
            yield from _measure_processes(environment, stack, mine, processes)


def fill_wal_files(stack: Stack) -> None:
    """Create the WAL files that a server in use recycles.

    A new server creates each of them (16 MiB of zeros, to the disk), which delays all commits by 50 ms.
    """
    with stack.context.database.once() as c:
        for _ in range(LOG_FILES):
            c.exec_driver_sql("SELECT pg_logical_emit_message(true, 'bench', ''), pg_switch_wal()")
        c.exec_driver_sql("CHECKPOINT")


def _measure_processes(
    environment: BenchEnvironment, stack: Stack, mine: list[str], processes: int
) -> Iterator[Figure]:
    loads = [(clients, False) for clients in environment.scale.clients] + [
        (max(environment.scale.clients), True)
    ] * (processes == 1)
    # first as `slipway api` serves, then the same command line with other apps
    stack.start("api", "pipeline.cli", "api", SLIPWAY_API__PROCESSES=str(processes))
    await_server(stack, "api")
    durable = [_run(environment, stack, mine, *load, app="api") for load in loads]
    many = _run(environment, stack, mine, BATCH_CLIENTS, False, app="api", batch=BATCH)  # noqa: FBT003  as a load
    yield _compare_batches(processes, many, durable[len(environment.scale.clients) - 1])
    command = read_command(stack, "api")
    stack.kill("api")
    for app, against in REFERENCES.items():
        some = [
            load for load in loads if app == "uncommitted" or load == (max(environment.scale.clients), False)
        ]
        stack.start(
            app,
            *replace_word(command, "pipeline.api.app:app", f"tests.bench.{app}:app"),
            SLIPWAY_API__PROCESSES=str(processes),
        )
        await_server(stack, app)
        bare = {load: _run(environment, stack, mine, *load, app=app) for load in some}
        stack.kill(app)
        for load, ours in zip(loads, durable, strict=True):
            if load in bare:
                yield _figure(load, processes, ours, bare[load], against)


def _figure(load: tuple[int, bool], processes: int, ours: Report, reference: Report, against: str) -> Figure:
    clients, immediate = load
    return Figure(
        name=f"POST /posts{' (due at once)' * immediate}, {processes} API, {clients} clients",
        value=_rate(ours),
        unit="/s",
        reference=_rate(reference),
        against=against,
        detail=f"{_speed(ours)} (reference {_speed(reference)})",
    )


def _compare_batches(processes: int, many: Report, single: Report) -> Figure:
    return Figure(
        name=f"POST /posts/batch of {BATCH}, {processes} API, {BATCH_CLIENTS} clients",
        value=_rate(many) * BATCH,
        unit="posts/s",
        reference=_rate(single),
        against="POST /posts",
        detail=_speed(many),
    )


def await_server(stack: Stack, part: str) -> None:
    """Wait until all processes of the server have started, not only the one that answers."""
    until(lambda: is_answering(f"{stack.api}/healthz"), READY, lambda: f"{part} does not answer")
    await_idle(stack.parts[part].pid)


def _run(
    environment: BenchEnvironment,
    stack: Stack,
    mine: list[str],
    clients: int,
    immediate: bool,
    *,
    app: str,
    batch: int = 0,
) -> Report:
    """Run the load client once. Raises InvalidMeasurement unless all posts are accepted and match the table."""
    order = build_order(environment, stack, mine, clients=clients, immediate=immediate, batch=batch)
    before = count_posts(stack)
    report = run_load(order)
    stored = count_posts(stack) - before
    if report.refused:
        raise InvalidMeasurement(f"{report.refused} posts were refused; the first: {report.first_refusal}")
    if stored != (report.accepted if app == "api" else 0):
        raise InvalidMeasurement(f"{report.accepted} posts were accepted and {stored} are in the table.")
    kind = f"durable{f', {batch} a batch' * bool(batch)}" if app == "api" else app
    rate = _rate(report) * (batch or 1)
    environment.log(
        f"  {kind}, {clients} clients{', due at once' * immediate}: {rate:.0f}/s, {_speed(report)}"
    )
    return report


def build_order(environment: BenchEnvironment, stack: Stack, accounts: list[str], **more: Any) -> LoadOrder:
    """Return the order of a run against the stack's API. *more*: fields of the order, instead of the usual ones."""
    usual = {"warm": environment.scale.warm, "seconds": environment.scale.load, "immediate": False}
    return LoadOrder(
        host="127.0.0.1",
        port=stack.ports[2],
        key=stack.key,
        accounts=accounts,
        image=stack.media(PHOTO),
        word=uuid4().hex[:8],
        **{**usual, **more},
    )


def run_load(order: LoadOrder) -> Report:
    """Run the load client. Raises InvalidMeasurement when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(order)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=order.warm + order.seconds + 60,
    )
    if done.returncode:
        raise InvalidMeasurement(f"The load client failed: {done.stderr.strip().splitlines()[-1:]}")
    return Report(**json.loads(done.stdout))


def count_posts(stack: Stack) -> int:
    """Return how many posts are in the table."""
    with stack.context.database.once() as c:
        found = row(c, "SELECT count(*) AS n FROM posts")
    return int(found.n) if found else 0


def _rate(report: Report) -> float:
    return len(report.latencies) / report.seconds


def _speed(report: Report) -> str:
    low, high = (percentile(report.latencies, share) * 1000 for share in (0.5, 0.99))
    busy = f", CLIENT BUSY: {report.cpu:.0%} of a core" if report.cpu > BUSY else f", client {report.cpu:.0%}"
    return f"p50 {low:.1f} ms, p99 {high:.1f} ms{busy}"
