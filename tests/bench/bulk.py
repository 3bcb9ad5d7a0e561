"""Measure imports of files of posts, planned and applied by a real worker. Reference: COPY of the rows they store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import requests

from pipeline.store.database import row
from tests.bench.bulk_copy import copy_again
from tests.bench.environment import BenchEnvironment, start_workers
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.ingest import BATCH, BATCH_CLIENTS, await_server, build_order, fill_wal_files, run_load
from tests.bench.open_loop import OpenLoop
from tests.bench.post_factory import PHOTO, connect_accounts, store_check
from tests.bench.processes import MIB, CpuReading, list_tree
from tests.stack import Stack

PLATFORMS = ("tiktok", "instagram", "linkedin")
"""A post goes to one account of each."""
ACCOUNTS = 67
"""Of each platform."""
GAP = timedelta(seconds=37)
"""Between two posts of a file."""
LONGER, LARGER = 8, 5
"""How many times as long as a load run single requests are measured, as a p99 needs some hundreds of them; and how many
times as large the import beside them is, which is not to end meanwhile."""
POLL = 0.02
LONGEST = 1800.0
"""Seconds that a step of an import may take."""
TARGETS = {"ndjson": "at least 5,000 posts/s", "csv": "at least 4,000 posts/s"}
PEAK = "under 300 MB"
REPEATS, GROWTH = 10, "at most 20 MB more"
UNCOUNTED = ("import_rows", "posts", "deliveries", "moves", "replays", "post_checks")
"""Tables that are never analyzed while files are imported one after the other."""
BASE = "/api/partner/v1"
WORKER = "upkeep-0"
_numbers = count()


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """Planning or applying a file: seconds, and CPU microseconds a post by part."""

    seconds: float
    cpu: dict[str, float]


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure both formats, POST /posts meanwhile, and POST /posts/batch with the same posts."""
    rows = environment.scale.rows_to_import
    with environment.stack(lifted=False) as stack:
        accounts = _prepare(stack)
        if environment.scale.rows_to_plan:
            yield from _measure_repeats(environment, stack, accounts, rows)
            yield from _measure_memory(environment, stack, accounts, environment.scale.rows_to_plan)
            return
        best = 0.0
        for form in TARGETS:
            number, planned, applied = _import_file(environment, stack, accounts, form, rows)
            figures = list(_compare(environment, stack, form, number, rows, (planned, applied)))
            best = best or figures[-1].value
            yield from figures
        # after the imports: they yield to requests, also for a while after the last
        idle = _post_for(stack, accounts, LONGER * environment.scale.load)
        yield _post_meanwhile(environment, stack, accounts, idle)
        yield _measure_batch(environment, stack, accounts, best)


def _prepare(stack: Stack) -> list[str]:
    """Start the API and a worker; return the accounts of each post, in turn, separated by blanks."""
    store_check(stack)
    columns = [connect_accounts(stack, ACCOUNTS, platform) for platform in PLATFORMS]
    fill_wal_files(stack)
    stack.start("api", "pipeline.cli", "api", SLIPWAY_API__PROCESSES="1")
    await_server(stack, "api")
    start_workers(stack, 1, "upkeep")
    return [" ".join(map(str, some)) for some in zip(*columns, strict=True)]


# --- files -----------------------------------------------------------------------------------------------------------


def _write_file(stack: Stack, accounts: list[str], form: str, rows: int) -> Path:
    """Write a file of posts that are equal to no other, for moments one after the other."""
    path, word, url = stack.folder / f"posts.{form}", f"file {next(_numbers)}", stack.media(PHOTO)
    first = datetime.now(UTC) + timedelta(days=1)
    with path.open("w") as file:
        if form == "csv":
            file.write("caption,media_type,media_urls,accounts,scheduled_at\n")
        for n in range(rows):
            caption = f"Row {n} of {word}: a caption of the usual length, with two tags #one #two"
            due = (first + n * GAP % timedelta(days=360)).isoformat(timespec="seconds")
            mine = accounts[n % len(accounts)].split()
            if form == "csv":
                file.write(f'"{caption}",slideshow,{url},{"|".join(mine)},{due}\n')
            else:
                body = {
                    "caption": caption,
                    "media": {"type": "slideshow", "urls": [url]},
                    "accounts": [{"id": one} for one in mine],
                    "scheduled_at": due,
                }
                file.write(json.dumps(body) + "\n")
    return path


def _call(stack: Stack, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = requests.request(
        method,
        f"{stack.api}{BASE}{path}",
        timeout=LONGEST,
        **{"headers": {"Authorization": f"Bearer {stack.key}", **more.pop("headers", {})}, **more},
    )
    if not answer.ok:
        raise InvalidMeasurement(f"{method} {path}: {answer.status_code} {answer.text[:400]}")
    found: dict[str, Any] = answer.json()["data"]
    return found


def _upload(stack: Stack, path: Path) -> str:
    with path.open("rb") as file:
        form = path.suffix.removeprefix(".")
        kind = "text/csv" if form == "csv" else "application/x-ndjson"
        made = _call(stack, "POST", "/imports", data=file, headers={"Content-Type": kind})
    path.unlink()
    return str(made["id"])


def _await_state(stack: Stack, identity: str, wanted: str) -> dict[str, Any]:
    end = time.monotonic() + LONGEST
    while True:
        with stack.context.database.once() as c:
            found = row(
                c, "SELECT state, error::text AS error FROM imports WHERE id = CAST(:id AS uuid)", id=identity
            )
        if found is not None and found.state == wanted:
            return _call(stack, "GET", f"/imports/{identity}")
        if found is None or found.state == "failed" or time.monotonic() > end:
            raise InvalidMeasurement(f"The import is not {wanted}: {found}")
        time.sleep(POLL)


def _import_file(
    environment: BenchEnvironment, stack: Stack, accounts: list[str], form: str, rows: int
) -> tuple[str, Phase, Phase]:
    """Import one file. Raises InvalidMeasurement unless each row is a post with three deliveries and their moves."""
    before = _count(stack)
    path, parts = _write_file(stack, accounts, form, rows), environment.processes(stack)
    first = CpuReading.of(parts)
    identity = _upload(stack, path)
    uploaded = time.monotonic()
    plan = _await_state(stack, identity, "planned")
    middle = CpuReading.of(parts)
    _call(stack, "POST", f"/imports/{identity}/apply", json={"plan": plan["plan"]["hash"]})
    _await_state(stack, identity, "applied")
    last = CpuReading.of(parts)
    made = [now - was for was, now in zip(before, _count(stack), strict=True)]
    if made != [rows, 3 * rows, 3 * rows]:
        raise InvalidMeasurement(f"{rows} rows made {made} posts, deliveries and moves: {plan}")
    planned = Phase(seconds=middle.at - uploaded, cpu=_microseconds(first, middle, rows))
    applied = Phase(seconds=last.at - middle.at, cpu=_microseconds(middle, last, rows))
    environment.log(
        f"  {form}: {rows / planned.seconds:.0f} posts/s planned, {rows / applied.seconds:.0f} applied"
    )
    return identity, planned, applied


def _count(stack: Stack) -> list[int]:
    with stack.context.database.once() as c:
        found = row(
            c,
            """SELECT (SELECT count(*) FROM posts) AS posts, (SELECT count(*) FROM deliveries) AS deliveries,
                      (SELECT count(*) FROM moves) AS moves""",
        )
    return [] if found is None else [found.posts, found.deliveries, found.moves]


def _microseconds(first: CpuReading, last: CpuReading, rows: int) -> dict[str, float]:
    return {
        name: used * 1e6 / rows
        for name, used in first.spent(last).items()
        if name in (WORKER, "postgres", "api")
    }


# --- figures ---------------------------------------------------------------------------------------------------------


def _compare(
    environment: BenchEnvironment,
    stack: Stack,
    form: str,
    identity: str,
    rows: int,
    phases: tuple[Phase, Phase],
) -> Iterator[Figure]:
    """Yield planning, applying and both, each beside COPY of the rows that it stores."""
    planned, applied = phases
    copied = copy_again(environment, stack, identity)
    both = Phase(
        seconds=planned.seconds + applied.seconds,
        cpu={name: used + applied.cpu[name] for name, used in planned.cpu.items()},
    )
    seconds = {"planned": copied["import_rows"], "applied": sum(copied.values()) - copied["import_rows"]}
    for word, phase in {"planned": planned, "applied": applied, "planned and applied": both}.items():
        yield Figure(
            name=f"import of {rows:,} posts, {form.upper()}, {word}",
            value=rows / phase.seconds,
            unit="posts/s",
            reference=rows / seconds.get(word, sum(copied.values())),
            against="COPY of the same rows",
            detail="CPU µs a post: " + ", ".join(f"{name} {used:.0f}" for name, used in phase.cpu.items()),
            target=TARGETS[form] if word in seconds else "",
        )


def _post_for(stack: Stack, accounts: list[str], seconds: float) -> list[float]:
    load = OpenLoop(stack, accounts)
    load.start()
    time.sleep(seconds)  # a duration to measure, not a wait for a condition
    return load.stop()


def _post_meanwhile(
    environment: BenchEnvironment, stack: Stack, accounts: list[str], idle: list[float]
) -> Figure:
    """Measure POST /posts at a low rate while an import is applied."""
    rows, seconds = LARGER * environment.scale.rows_to_import, LONGER * environment.scale.load
    identity = _upload(stack, _write_file(stack, accounts, "ndjson", rows))
    plan = _await_state(stack, identity, "planned")
    load = OpenLoop(stack, accounts)
    load.start()
    _call(stack, "POST", f"/imports/{identity}/apply", json={"plan": plan["plan"]["hash"]})
    time.sleep(seconds)  # a duration to measure, not a wait for a condition
    found, after = load.stop(), _call(stack, "GET", f"/imports/{identity}")
    if after["state"] != "applying":
        raise InvalidMeasurement(f"The import was {after['state']} before the time was over.")
    _call(stack, "POST", f"/imports/{identity}/cancel")
    _await_state(stack, identity, "cancelled")
    p50, slowest = percentile(found, 0.5) * 1000, max(found) * 1000
    return Figure(
        name="POST /posts while an import is applied, p99",
        value=percentile(found, 0.99) * 1000,
        unit="ms",
        reference=percentile(idle, 0.99) * 1000,
        against="without an import",
        detail=f"p50 {p50:.1f} ms, slowest {slowest:.1f} ms of {len(found)} (reference p50 "
        f"{percentile(idle, 0.5) * 1000:.1f} ms, slowest {max(idle) * 1000:.1f} ms of {len(idle)}); "
        f"{after['result']['created'] / seconds:.0f} posts/s imported",
        target="at most twice the reference",
    )


def _measure_batch(environment: BenchEnvironment, stack: Stack, accounts: list[str], bulk: float) -> Figure:
    """Measure POST /posts/batch with posts like those of the files."""
    report = run_load(build_order(environment, stack, accounts, clients=BATCH_CLIENTS, batch=BATCH))
    if report.refused:
        raise InvalidMeasurement(f"{report.refused} batches were refused: {report.first_refusal}")
    if not report.latencies:
        raise InvalidMeasurement("No batch was answered within the counted time: the machine is too busy.")
    return Figure(
        name=f"POST /posts/batch of {BATCH}, 3 accounts a post, {BATCH_CLIENTS} clients",
        value=len(report.latencies) * BATCH / report.seconds,
        unit="posts/s",
        reference=bulk,
        against="import, NDJSON, planned and applied",
        target="at least 0.8 of it",
    )


# --- memory ----------------------------------------------------------------------------------------------------------


def _measure_memory(
    environment: BenchEnvironment, stack: Stack, accounts: list[str], rows: int
) -> Iterator[Figure]:
    """Import a large file, and yield the most memory that API and worker had."""
    before = {name: _read_peak(stack, name) for name in ("api", WORKER)}
    path = _write_file(stack, accounts, "ndjson", rows)
    environment.log(f"  a file of {path.stat().st_size / MIB:.0f} MiB")
    began = time.monotonic()
    identity = _upload(stack, path)
    uploaded = time.monotonic()
    environment.log(f"  uploaded in {uploaded - began:.0f} s")
    plan = _await_state(stack, identity, "planned")
    planned = time.monotonic()
    environment.log(f"  planned in {planned - uploaded:.0f} s")
    _call(stack, "POST", f"/imports/{identity}/apply", json={"plan": plan["plan"]["hash"]})
    _await_state(stack, identity, "applied")
    detail = f"{rows / (planned - uploaded):.0f} posts/s planned, {rows / (time.monotonic() - planned):.0f} applied"
    for name, was in before.items():
        yield Figure(
            name=f"most memory of {name.removesuffix('-0')}, import of {rows:,} posts",
            value=_read_peak(stack, name) / 1e6,
            unit="MB",
            reference=was / 1e6,
            against="before",
            detail=detail,
            target=PEAK,
        )


def _measure_repeats(
    environment: BenchEnvironment, stack: Stack, accounts: list[str], rows: int
) -> Iterator[Figure]:
    """Import ten files without statistics; compare the last with the first: its time, and the worker's memory."""
    with stack.context.database.begin() as c:
        for table in UNCOUNTED:
            c.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    worker = psutil.Process(stack.parts[WORKER].pid)
    seconds, resident = [], []
    for _ in range(REPEATS):
        _, planned, applied = _import_file(environment, stack, accounts, "ndjson", rows)
        seconds.append(planned.seconds + applied.seconds)
        resident.append(worker.memory_info().rss / 1e6)
    yield Figure(
        name=f"time of the last of {REPEATS} imports of {rows:,} posts, without statistics",
        value=seconds[-1],
        unit="s",
        reference=seconds[0],
        against="the first",
        detail="s: " + ", ".join(f"{one:.1f}" for one in seconds),
        target="at most 1.2 of it",
    )
    yield Figure(
        name=f"memory of the worker after {REPEATS} imports of {rows:,} posts",
        value=max(resident[1:]),
        unit="MB",
        reference=resident[0],
        against="after the first",
        detail="MB: " + ", ".join(f"{one:.0f}" for one in resident),
        target=GROWTH,
    )


def _read_peak(stack: Stack, name: str) -> float:
    """Return the high-water mark of resident memory, in bytes, of the process of a part that has the most."""
    statuses = [Path(f"/proc/{p.pid}/status").read_text() for p in list_tree(stack.parts[name].pid)]
    return max(int(status.partition("VmHWM:")[2].split()[0]) * 1024 for status in statuses)
