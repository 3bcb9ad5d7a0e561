"""Choose what to buy for a load: the fewest workers, cores and API processes that keep the peak on time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.capacity.model import DAY, GROUP, Costs, Machines, Outcome, list_ceilings, simulate_peak

WORKERS = (1, 10, 100, 1000)
LOADS = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
MOST_WORKERS, MOST_CORES = 1000, 128
"""The largest single primary that is sold widely has about so many cores (assumed)."""
BUSY = 0.6
"""Share of an API process or of a core that posts alone may use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One simulated peak of the table."""

    posts_a_day: int
    machines: Machines
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """What to buy for a load. ``databases`` above 1: the design ends before it."""

    posts_a_day: int
    machines: Machines
    databases: int
    p99: float
    saturated: str


def count_api_processes(costs: Costs, posts_a_day: int) -> int:
    """Return how many API processes take the posts of a day that come in evenly."""
    each = costs.api_post + costs.database_post + (costs.api_group + costs.database_group) / GROUP
    return max(1, math.ceil(posts_a_day / DAY * each / BUSY))


def simulate_table(costs: Costs, machines: Machines, share: float) -> Iterator[Cell]:
    """Simulate every number of workers with every load, of which a *share* is due at 18:00."""
    for load in LOADS:
        for workers in WORKERS:
            chosen = replace(machines, workers=workers, api=count_api_processes(costs, load))
            due = max(1, round(load * share))
            found = simulate_peak(costs, chosen, due=due, posts_a_day=load)
            yield Cell(posts_a_day=load, machines=chosen, outcome=found)


def choose_purchases(costs: Costs, machines: Machines, share: float, target: float) -> Iterator[Purchase]:
    """Yield for every load the machines that make the peak's posts visible within *target* seconds."""
    for load in LOADS:
        databases = 1
        while (found := _choose(costs, machines, load, share, target, databases)) is None:
            databases *= 2
        yield found


def _choose(
    costs: Costs, machines: Machines, load: int, share: float, target: float, databases: int
) -> Purchase | None:
    """Return the least machines of each database, or None when one primary is not enough for its part of the load."""
    posts = math.ceil(load / databases)
    due = max(1, round(posts * share))
    rate = due / target
    for spare in (1.1, 1.3, 1.6, 2.0, 3.0):
        each = max(costs.worker_delivery, machines.call / machines.slots)
        taken = costs.database_post * posts / DAY
        chosen = replace(
            machines,
            api=count_api_processes(costs, posts),
            workers=max(1, math.ceil(rate * each * spare)),
            database_cores=max(2, math.ceil((rate * costs.database_delivery + taken) * spare)),
        )
        if chosen.workers > MOST_WORKERS or chosen.database_cores > MOST_CORES:
            return None
        if rate > min(list_ceilings(costs, chosen).values()):
            return None
        found = simulate_peak(costs, chosen, due=due, posts_a_day=posts)
        if found.p99 <= target:
            return Purchase(
                posts_a_day=load,
                machines=chosen,
                databases=databases,
                p99=found.p99,
                saturated=found.saturated,
            )
    return None
