"""Measure `POST /posts` while the broker hangs, is dead or is full. Reference: the same load without an outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from tests.bench.environment import BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.ingest import ACCOUNTS, await_server, build_order, count_posts, run_load
from tests.bench.load import Report
from tests.bench.post_factory import connect_accounts, store_check
from tests.broker_outages import OUTAGES
from tests.stack import Stack

CLIENTS = 16
RATE_LIMIT = "10000000"
"""Posts a minute: never reached, but counted in the broker at each request."""
TARGET = "p99 within 30 ms of no outage"


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure each outage from its first moment, with one API process and posts that are due at once."""
    with environment.stack(lifted=False) as stack:
        store_check(stack)
        accounts = [str(identity) for identity in connect_accounts(stack, ACCOUNTS)]
        stack.start("api", "pipeline.cli", "api", SLIPWAY_API__POSTS_PER_MINUTE=RATE_LIMIT)
        await_server(stack, "api")
        reference = _run(environment, stack, accounts, "no outage", nullcontext())
        for outage in OUTAGES:
            name = outage.__name__
            report = _run(environment, stack, accounts, name, outage(environment.engines.valkey))
            yield Figure(
                name=f"POST /posts (due at once), broker {name}, {CLIENTS} clients: p99",
                value=_p99(report),
                unit="ms",
                reference=_p99(reference),
                against="no outage",
                detail=f"{_describe(report)} (reference {_describe(reference)})",
                target=TARGET,
            )


def _run(
    environment: BenchEnvironment,
    stack: Stack,
    accounts: list[str],
    name: str,
    outage: AbstractContextManager[None],
) -> Report:
    """Run the load during an outage. Raises InvalidMeasurement unless every post was stored."""
    order = build_order(environment, stack, accounts, clients=CLIENTS, warm=0, immediate=True)
    before = count_posts(stack)
    with outage:
        report = run_load(order)
    if report.refused or count_posts(stack) - before != report.accepted:
        raise InvalidMeasurement(f"{name}: {report.refused} posts were refused: {report.first_refusal}")
    environment.log(f"  {name}: {_describe(report)}")
    return report


def _p99(report: Report) -> float:
    return percentile(report.latencies, 0.99) * 1000


def _describe(report: Report) -> str:
    rate = len(report.latencies) / report.seconds
    low, high = (percentile(report.latencies, share) * 1000 for share in (0.5, 1.0))
    return f"{rate:.0f}/s, p50 {low:.1f} ms, p99 {_p99(report):.1f} ms, slowest {high:.0f} ms"
