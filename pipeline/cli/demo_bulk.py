"""Follow posts of the demo; `slipway demo --bulk`: a file of posts goes the way of an import, and is rolled back."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import click

from config.settings import FILE_VARIABLE, PREFIX
from pipeline.cli import lazy_imports
from pipeline.cli.demo_stack import call_api, control_sandbox, list_ours, open_tables
from pipeline.cli.progress import POLL_SECONDS, Progress, show_progress
from pipeline.domain.bulk_import import WORKING, ImportState
from pipeline.embedded.services import slipway_command

with lazy_imports():
    from pipeline.cli import demo_stack
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.imports import rows as row_store


if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


URL_TIMEOUT = 30.0
"""Seconds to wait for missing URLs once all are live: a platform may return them a little later."""
FINAL_STATES = frozenset({"published", "failed", "canceled", "blocked"})
"""States that no stage advances."""

WIDTHS = {"post": 9, "platform": 9, "account": 17, "state": 10, "lateness": 8, "url": None}
"""Columns of the live table and their widths; the URL gets the remaining width."""

Read = Callable[[str], Mapping[str, Any]]
"""Post id -> the post as the API returns it."""


class Row(NamedTuple):
    """One delivery of a post at one poll. The first three cells identify it."""

    post: str
    platform: str
    account: str
    state: str
    lateness: str
    url: str
    """Where it is live, or what went wrong."""


def follow(read: Read, posts: Mapping[str, str], timeout: float, console: Console) -> None:
    """Show the states of ``posts`` (name -> id) until all are final or ``timeout`` seconds have passed."""
    if console.is_terminal:
        _follow_in_table(read, posts, timeout, console)
        return
    began, seen, say = time.monotonic(), dict[tuple[str, ...], str](), demo_stack.get_printer(console)
    for rows in _poll(read, posts, timeout):
        for row in rows:
            latest = row.url if row.state == "published" else row.state
            if seen.get(row[:3]) != latest:
                seen[row[:3]] = latest
                say(_format_line(row, time.monotonic() - began))


def _follow_in_table(read: Read, posts: Mapping[str, str], timeout: float, console: Console) -> None:
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        for rows in _poll(read, posts, timeout):
            live.update(_build_table(rows), refresh=True)


def _poll(read: Read, posts: Mapping[str, str], timeout: float) -> Iterator[list[Row]]:
    end = time.monotonic() + timeout
    while True:
        rows = [row for name, post in posts.items() for row in _build_rows(name, read(post))]
        yield rows
        now = time.monotonic()
        if all(row.state in FINAL_STATES for row in rows):
            end = min(end, now + URL_TIMEOUT)
            if not any(row.state == "published" and not row.url for row in rows):
                return
        if now > end:
            return
        time.sleep(POLL_SECONDS)


def _build_rows(name: str, post: Mapping[str, Any]) -> list[Row]:
    due = datetime.fromisoformat(post["scheduled_at"])
    return [
        Row(
            post=name,
            platform=s["platform"],
            account=s["username"],
            state=s["state"],
            lateness=_format_lateness(due, s["published_at"], done=s["state"] in FINAL_STATES),
            url=s["published_url"] or s["error_message"] or "",
        )
        for s in post["accounts"]["states"]
    ]


def _format_lateness(due: datetime, published_at: str | None, *, done: bool) -> str:
    """Return the time left until the due time, or how long after it the delivery was found live, or is now."""
    if published_at is None and done:
        return ""
    instant = datetime.fromisoformat(published_at) if published_at else datetime.now(UTC)
    seconds = (instant - due).total_seconds()
    return f"in {-seconds:.0f} s" if seconds < 0 else f"+{seconds:.1f} s"


def _format_line(row: Row, seconds: float) -> str:
    where = f"{row.post} · {row.platform} {row.account}"
    return f"{seconds:6.1f} s  {where:<40}  {row.state:<10} {row.lateness:>8}  {row.url}".rstrip()


def _build_table(rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name, width in WIDTHS.items():
        # A long URL is cut: wrapped, it would change the height of the table. The final list has it whole.
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=width, ratio=None if width else 1)
    for row in rows:
        style = {"published": "green", "failed": "red", "blocked": "red"}.get(row.state, "")
        table.add_row(*row, style=style)
    return table


ACCOUNTS, ROWS = 60, 300
"""The accounts take turns, a turn a day: the first post of each is due soon, the others on the days after."""
LEAST_AHEAD = 30
"""Seconds until the first posts are due: they have to be in the future while the file is planned and applied."""
FAULT = {"platform": "tiktok", "step": "finalize", "fault": "effect-then-drop", "times": 1}
LOST_ANSWERS = 5
TIMEOUT = 240.0
"""Seconds for each step, after the last due time."""


def run_bulk(stack: demo_stack.Stack, ahead: int, console: Console) -> tuple[dict[str, Any], list[str]]:
    """Import, publish, roll back, compare. Return the numbers, and a sentence for each difference.

    Raises ClickException.
    """
    marker, ahead = f"demo-{secrets.token_hex(4)}", max(ahead, LEAST_AHEAD)
    say = demo_stack.get_printer(console)
    say("\nEach step is named by its command (`slipway import --help`).\n")
    say(f"$ slipway account add-sandbox --count {ACCOUNTS}")
    accounts = _add_accounts(stack, marker)
    say(f"$ slipway import template --rows {ROWS} --start {ahead}s")
    file = _write_file(stack, accounts, ahead, marker)
    say(f"  a post a day for each of the accounts, in {len(file):,} bytes of CSV")

    say("$ slipway import plan")
    sent = call_api(stack, "POST", "imports", data=file, params={"format": "csv", "name": f"{marker}.csv"})
    job = f"imports/{sent['id']}"
    planned = _follow_import(stack, job, console)
    say(f"  {_describe(planned['counts'])}")
    forecast = call_api(stack, "GET", f"{job}/forecast")
    _print_forecast(forecast, say)

    faulty = _lose_answers(stack, accounts)  # before any is due, however slow the machine is
    say(f"$ slipway sandbox fault tiktok finalize effect-then-drop   ({len(faulty)} answers will be lost)")
    say("$ slipway import apply")
    call_api(stack, "POST", f"{job}/apply", json={"plan": (planned["plan"] or {}).get("hash", "")})
    applied = _follow_import(stack, job, console)
    say(f"  {_describe(applied['result'])}")
    posts = _list_first_posts(stack, sent["id"])

    show_progress(lambda: _read_first_posts(stack, posts), console=console, timeout=ahead + TIMEOUT)

    say("$ slipway import rollback")
    call_api(stack, "POST", f"{job}/rollback")
    undone = _follow_import(stack, job, console)
    say(f"  {_describe(undone['result'])}")

    found, differences = _compare(stack, marker, posts, planned["counts"], undone["result"])
    lost = sum(
        fault["id"] in faulty and not fault["left"] for fault in control_sandbox(stack, "GET", "faults")
    )
    _print_result(found, differences, lost, say)
    return {"import": sent["id"], **found, "lost_answers": lost, "forecast": forecast}, differences


# --- accounts and file -----------------------------------------------------------------------------------------------


def _add_accounts(stack: demo_stack.Stack, marker: str) -> list[str]:
    """Add sandbox accounts on all platforms and return their ids. They stay."""
    words = ("account", "add-sandbox", "--count", str(ACCOUNTS), "--username", marker)
    added = json.loads(_run_slipway(stack, *words, "--workspace", stack.summary.workspace, "--json"))
    return [account["id"] for account in added]


def _write_file(stack: demo_stack.Stack, accounts: Sequence[str], ahead: int, marker: str) -> bytes:
    """Return a template with captions that only this run has."""
    words = ["import", "template", "--workspace", stack.summary.workspace, "--rows", str(ROWS)]
    names = [word for account in accounts for word in ("--accounts", account)]
    template = _run_slipway(stack, *words, *names, "--start", f"{ahead}s")
    return re.sub(rb"\bPost (\d+)", rb"Slipway %s: post \1." % marker.encode(), template)


def _run_slipway(stack: demo_stack.Stack, *words: str) -> bytes:
    """Run a command on the stack, as a user does, and return what it prints. Raises ClickException."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    ended = subprocess.run(  # noqa: S603  our own command
        [*slipway_command(), *words],
        env={**plain, FILE_VARIABLE: f"{stack.summary.folder}/run/settings.env"},
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        raise click.ClickException(f"`slipway {' '.join(words[:2])}` failed: {ended.stderr.decode().strip()}")
    return ended.stdout


# --- the import and its first posts ----------------------------------------------------------------------------------


def _follow_import(stack: demo_stack.Stack, job: str, console: Console) -> dict[str, Any]:
    """Return the import once it rests."""
    latest = call_api(stack, "GET", job)

    def read() -> Progress:
        nonlocal latest
        latest = call_api(stack, "GET", job)
        is_planning = latest["state"] in (ImportState.UPLOADED, ImportState.READING, ImportState.PLANNED)
        done = latest["counts"]["rows"] if is_planning else latest["done"]
        step, is_over = latest["state"].replace("_", " "), latest["state"] not in WORKING
        return Progress(step=step, done=done, total=ROWS, is_over=is_over)

    show_progress(read, console=console, timeout=TIMEOUT)
    return latest


def _list_first_posts(stack: demo_stack.Stack, job: str) -> dict[str, str]:
    """Return the posts of the first turn: the row's name -> id."""
    with open_tables(stack) as c:
        created = row_store.list_created(c, UUID(job), 0, ROWS)
    return {f"row {row.number}": str(row.post_id) for row in created if row.number <= ACCOUNTS}


def _lose_answers(stack: demo_stack.Stack, accounts: Sequence[str]) -> list[str]:
    """Order that the answers of some accounts' first posts are lost. They go live. Return the ids of the faults."""
    with open_tables(stack) as c:
        there = account_store.find_accounts(c, UUID(stack.summary.workspace))
    faulty = [one for one in there if str(one.id) in accounts and one.platform == FAULT["platform"]]
    orders = [{**FAULT, "account": one.remote_id} for one in faulty[:LOST_ANSWERS]]
    return [control_sandbox(stack, "POST", "faults", json=order)["id"] for order in orders]


def _read_first_posts(stack: demo_stack.Stack, posts: Mapping[str, str]) -> Progress:
    states = Counter(one.state for one in list_ours(stack, posts))
    return Progress(
        step="publishing",
        done=states["published"],
        total=len(posts),
        is_over=not states.keys() - FINAL_STATES,
        states=_describe(dict(sorted(states.items()))),
    )


# --- what is shown ---------------------------------------------------------------------------------------------------


def _describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {word}" for word, number in counts.items())


def _print_forecast(forecast: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Print a line for each day, over all accounts."""
    say("$ slipway import forecast   (here by day, over all accounts)")
    days: dict[str, list[Mapping[str, Any]]] = {}
    for one in forecast["days"]:
        days.setdefault(one["day"], []).append(one)
    for day, parts in sorted(days.items()):
        posts, fits = (sum(part[name] for part in parts) for name in ("posts", "fits"))
        last = max(part["last_at"] or "" for part in parts)
        say(f"  {day}  {posts} posts, {fits} fit the quotas, the last at {last[11:19]} UTC")
    for conflict in forecast["conflicts"]:
        say(f"  {conflict['kind']}: {conflict['username']}, {conflict['posts']} posts. {conflict['message']}")
    if not forecast["conflicts"]:
        say("  no conflicts")


def _compare(
    stack: demo_stack.Stack,
    marker: str,
    posts: Mapping[str, str],
    counts: Mapping[str, int],
    result: Mapping[str, int],
) -> tuple[dict[str, Any], list[str]]:
    """Compare the ledger with our tables, and what was rolled back with what is not live.

    By the ids at the platforms: some adapters build another form of the URL that the ledger has.
    """
    ours = [replace(one, url=None) for one in list_ours(stack, posts)]
    ledger = [e for e in control_sandbox(stack, "GET", "ledger") if marker in e["caption"]]
    _, differences = demo_stack.compare(ours, ledger, marker)
    published = sum(one.state == "published" for one in ours)
    cancelled = result.get("canceled", 0)
    if counts["accepted"] != ROWS:
        differences.append(f"Of {ROWS} rows {_describe(counts)}.")
    if len(ours) != ACCOUNTS:
        differences.append(f"{len(ours)} posts were due first, not {ACCOUNTS}.")
    if cancelled != ROWS - len(ledger):
        differences.append(
            f"{cancelled} posts were rolled back, {ROWS - len(ledger)} of {ROWS} are not live."
        )
    found = {"rows": dict(counts), "published": published, "ledger": len(ledger), "rolled_back": dict(result)}
    return found, differences


def _print_result(
    found: Mapping[str, Any], differences: Sequence[str], lost: int, say: Callable[[str], None]
) -> None:
    say("\nOur database compared with the sandbox's ledger:")
    say(f"  ours:   {found['published']} published, {lost} of them although their answer was lost")
    say(f"  ledger: {found['ledger']} live")
    say(f"  import: {_describe(found['rolled_back'])}")
    for difference in differences:
        say(f"Differs: {difference}")
    say("They differ.\n" if differences else f"All {found['ledger']} are live, each exactly once.\n")
