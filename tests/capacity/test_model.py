"""Hold the simulation to closed forms, and the command to what it writes."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import simpy

from tests.capacity.__main__ import main
from tests.capacity.measure import Check
from tests.capacity.model import (
    Costs,
    Machines,
    Part,
    Steps,
    Wal,
    list_ceilings,
    simulate_peak,
    simulate_posts,
)
from tests.capacity.purchase import MOST_CORES, MOST_WORKERS, choose_purchases

COSTS = Costs(
    api_post=0.0004,
    api_group=0.003,
    database_post=0.00015,
    database_group=0.002,
    broker_post=0.000002,
    client_post=0.00003,
    flush_post=0.000004,
    worker_delivery=0.01,
    database_delivery=0.004,
    broker_delivery=0.0001,
    platform_delivery=0.002,
    commits_delivery=2.5,
    flush_delivery=0.00001,
    flush=0.0001,
)
PLENTY = Machines(database_cores=1000, look=0)


@pytest.mark.parametrize("used", [0.5, 0.8])
def test_the_mean_wait_is_that_of_an_m_d_1_queue(used: float) -> None:
    env, draw, waits = simpy.Environment(), random.Random(1), []
    part = Part(env, 1)

    def ask() -> Steps:
        since = env.now
        yield from part.use(1)
        waits.append(env.now - since - 1)

    def arrive() -> Steps:
        for _ in range(100_000):
            yield env.timeout(draw.expovariate(used))
            env.process(ask())

    env.process(arrive())
    env.run()
    assert sum(waits) / len(waits) == pytest.approx(used / (2 * (1 - used)), rel=0.04)  # Pollaczek-Khinchine
    assert part.share(env.now) == pytest.approx(used, rel=0.02)


@pytest.mark.parametrize("due", [1000, 1_000_000])
def test_used_shares_are_rate_times_cost_over_servers(due: int) -> None:
    machines = replace(PLENTY, workers=4, database_cores=20)
    found = simulate_peak(COSTS, machines, due=due)
    assert found.used["workers' CPU"] == pytest.approx(found.rate * COSTS.worker_delivery / 4, rel=0.01)
    assert found.used["PostgreSQL's CPU"] == pytest.approx(
        found.rate * COSTS.database_delivery / 20, rel=0.01
    )


@pytest.mark.parametrize("due", [1200, 1_000_000])
def test_twice_the_workers_halve_the_drain_where_they_are_the_narrowest(due: int) -> None:
    one, two = (simulate_peak(COSTS, replace(PLENTY, workers=n), due=due) for n in (4, 8))
    assert one.saturated == two.saturated == "workers' CPU"
    assert two.rate / one.rate == pytest.approx(2, rel=0.03)


def test_more_workers_change_nothing_where_commits_are_the_narrowest() -> None:
    slow = replace(COSTS, flush=0.01)
    found = [
        simulate_peak(slow, replace(PLENTY, workers=n, commit_group=10), due=1_000_000) for n in (500, 1000)
    ]
    assert {one.saturated for one in found} == {"PostgreSQL's commits"}
    # two and a half commits a delivery, ten in a flush of 10 ms, beside the bytes
    assert [one.rate for one in found] == pytest.approx([1 / 0.00251] * 2, rel=0.03)


@pytest.mark.parametrize("workers", [1, 1000])
def test_a_peak_in_batches_ends_at_the_ceiling_of_the_narrowest_part(workers: int) -> None:
    machines = replace(PLENTY, workers=workers, database_cores=64)
    ceilings = list_ceilings(COSTS, machines)
    found = simulate_peak(COSTS, machines, due=10_000_000)
    assert found.saturated == min(ceilings, key=lambda name: ceilings[name])
    assert found.rate == pytest.approx(min(ceilings.values()), rel=0.03)


def test_a_batch_of_deliveries_is_as_late_as_they_are_one_by_one() -> None:
    machines = replace(PLENTY, workers=3, call=0.5)
    exact, batched = (simulate_peak(COSTS, machines, due=6000, batches=n) for n in (6000, 1000))
    assert batched.p50 == pytest.approx(exact.p50, rel=0.05)
    assert batched.p99 == pytest.approx(exact.p99, rel=0.05)


def test_a_slot_is_taken_for_the_whole_call() -> None:
    found = simulate_peak(COSTS, replace(PLENTY, workers=10, slots=2, call=2), due=1000)
    assert found.saturated == "workers' slots"
    assert found.rate == pytest.approx(10, rel=0.03)  # twenty slots, two seconds each


def test_an_api_process_does_a_group_after_the_other() -> None:
    found = simulate_posts(COSTS, Machines(), clients=32)
    group = 0.003 + 0.002 + 0.0001 + 32 * (0.0004 + 0.00015 + 0.000002 + 0.000004 + 0.00003)
    assert found.rate == pytest.approx(32 / group, rel=0.01)
    assert found.p50 == pytest.approx(group - 32 * 0.00003, rel=0.01)


def test_shared_cores_bound_all_parts_together_and_other_programs_take_theirs() -> None:
    shared = Machines(api=4, shared_cores=2)
    both, one = (simulate_posts(COSTS, replace(shared, others=n), clients=64).rate for n in (0, 1))
    cpu = 0.0004 + 0.00015 + 0.000002 + 0.00003 + (0.003 + 0.002) / 16
    assert both == pytest.approx(2 / cpu, rel=0.1)
    assert one < both * 0.8


def test_a_flush_covers_what_waits_up_to_its_group() -> None:
    env = simpy.Environment()
    wal = Wal(env, 0.5, 10)
    done = [wal.commit(1, 0) for _ in range(10)] + [wal.commit(1, 0)]
    env.run(until=env.all_of(done))
    assert env.now == 1.0


def test_what_is_bought_meets_the_target_and_one_primary_has_an_end() -> None:
    bought = list(choose_purchases(COSTS, Machines(call=1), 1.0, 600))
    assert all(one.p99 <= 600 for one in bought)
    assert all(
        one.machines.workers <= MOST_WORKERS and one.machines.database_cores <= MOST_CORES for one in bought
    )
    assert [one.databases for one in bought][:3] == [1, 1, 1]
    assert bought[-1].databases > 1


def test_the_command_reads_costs_and_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs, html, plot, again = (tmp_path / name for name in ("c.json", "p.html", "p.svg", "a.json"))
    costs.write_text(json.dumps({"costs": asdict(COSTS)}))
    words = ["--costs", str(costs), "--html", str(html), "--plot", str(plot), "--json", str(again)]
    assert main(words) == 0
    assert "| 100,000,000 | 1,000 |" in capsys.readouterr().out
    assert html.read_text().count("<table>") == 2
    assert plot.read_text() in html.read_text()
    assert plot.read_text().count("<polyline") == 4
    written = json.loads(again.read_text())
    assert (written["costs"], len(written["table"])) == (asdict(COSTS), 20)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"flush": -1}, "costs.flush: Input should be greater than or equal to 0; found -1"),
        ({"flush": "much"}, "costs.flush: Input should be a valid number"),
    ],
)
def test_wrong_costs_are_named(
    wrong: dict[str, object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "costs.json"
    file.write_text(json.dumps({"costs": asdict(COSTS) | wrong}))
    assert main(["--costs", str(file)]) == 2
    assert said in capsys.readouterr().err


def test_an_error_is_a_share_of_what_was_measured() -> None:
    assert Check(name="", measured=100, simulated=80, others=0).error == pytest.approx(0.2)
