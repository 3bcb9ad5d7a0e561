"""`slipway demo --bulk`: a file of posts for new sandbox accounts goes the way of an import, and is rolled back."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from config.settings import FILE_VARIABLE, PREFIX
from pipeline.cli.demo_client import call_api, control_sandbox, list_ours, list_theirs, open_tables
from pipeline.cli.demo_follow import FINAL_STATES, POLL_SECONDS
from pipeline.domain.bulk_import import WORKING, ImportState
from pipeline.embedded.services import slipway_command

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.cli.demo_compare import OurDelivery
    from pipeline.cli.demo_stack import Stack

ACCOUNTS, ROWS = 60, 300
"""The accounts take turns, a turn a day: the first post of each is due soon, the others on the days after."""
LEAST_AHEAD = 30
"""Seconds until the first posts are due: they have to be in the future while the file is planned and applied."""
FAULT = {"platform": "tiktok", "step": "finalize", "fault": "effect-then-drop", "times": 1}
LOST_ANSWERS = 5
TIMEOUT = 240.0
"""Seconds for each step, after the last due time."""

Progress = tuple[int, str, bool]
"""How many are done, in which states, and whether nothing is left to wait for."""


def run_bulk(stack: Stack, ahead: int, console: Console) -> tuple[dict[str, Any], list[str]]:
    """Import, publish, roll back, compare. Return the numbers, and a sentence for each difference.

    Raises ClickException.
    """
    marker, ahead = f"demo-{secrets.token_hex(4)}", max(ahead, LEAST_AHEAD)

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

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

    say("$ slipway import apply")
    call_api(stack, "POST", f"{job}/apply", json={"plan": (planned["plan"] or {}).get("hash", "")})
    applied = _follow_import(stack, job, console)
    say(f"  {_describe(applied['result'])}")
    posts = _list_first_posts(stack, sent["id"])

    faulty = _lose_answers(stack, list_ours(stack, posts))
    say(f"$ slipway sandbox fault tiktok finalize effect-then-drop   ({len(faulty)} answers will be lost)")
    _follow(console, "publishing", len(posts), lambda: _read_first_posts(stack, posts), ahead + TIMEOUT)

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


def _add_accounts(stack: Stack, marker: str) -> list[str]:
    """Add sandbox accounts on all platforms and return their ids. They stay."""
    words = ("account", "add-sandbox", "--count", str(ACCOUNTS), "--username", marker)
    added = json.loads(_run_slipway(stack, *words, "--workspace", stack.summary.workspace, "--json"))
    return [account["id"] for account in added]


def _write_file(stack: Stack, accounts: Sequence[str], ahead: int, marker: str) -> bytes:
    """Return a template with captions that only this run has."""
    words = ["import", "template", "--workspace", stack.summary.workspace, "--rows", str(ROWS)]
    names = [word for account in accounts for word in ("--accounts", account)]
    template = _run_slipway(stack, *words, *names, "--start", f"{ahead}s")
    return re.sub(rb"\bPost (\d+)", rb"Slipway %s: post \1." % marker.encode(), template)


def _run_slipway(stack: Stack, *words: str) -> bytes:
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


def _follow_import(stack: Stack, job: str, console: Console) -> dict[str, Any]:
    """Return the import once it rests."""
    latest = call_api(stack, "GET", job)

    def read() -> Progress:
        nonlocal latest
        latest = call_api(stack, "GET", job)
        is_planning = latest["state"] in (ImportState.UPLOADED, ImportState.READING, ImportState.PLANNED)
        done = latest["counts"]["rows"] if is_planning else latest["done"]
        return done, latest["state"].replace("_", " "), latest["state"] not in WORKING

    _follow(console, "import", ROWS, read, TIMEOUT)
    return latest


def _list_first_posts(stack: Stack, job: str) -> dict[str, str]:
    """Return the posts of the first turn: the row's name -> id."""
    from pipeline.store.imports.rows import list_created

    with open_tables(stack) as c:
        created = list_created(c, UUID(job), 0, ROWS)
    return {f"row {row.number}": str(row.post_id) for row in created if row.number <= ACCOUNTS}


def _lose_answers(stack: Stack, ours: Sequence[OurDelivery]) -> list[str]:
    """Order that the answers of some first posts are lost. The posts go live. Return the ids of the faults."""
    accounts = [one.account for one in ours if one.platform == FAULT["platform"]][:LOST_ANSWERS]
    orders = [{**FAULT, "account": account} for account in accounts]
    return [control_sandbox(stack, "POST", "faults", json=order)["id"] for order in orders]


def _read_first_posts(stack: Stack, posts: Mapping[str, str]) -> Progress:
    states = Counter(one.state for one in list_ours(stack, posts))
    is_over = not states.keys() - FINAL_STATES
    return states["published"], _describe(dict(sorted(states.items()))), is_over


def _follow(console: Console, what: str, total: int, read: Callable[[], Progress], timeout: float) -> None:
    """Show progress until the step is over or ``timeout`` seconds have passed: a bar, or lines outside a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    end, shown = time.monotonic() + timeout, ""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[states]}"),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, states="")
        while True:
            done, states, is_over = read()
            bar.update(task, completed=done, states=states)
            if not console.is_terminal and (line := f"  {what}: {done} of {total}; {states}") != shown:
                shown = line
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            if is_over or time.monotonic() > end:
                return
            time.sleep(POLL_SECONDS)


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
        last = max(part["last_at"] for part in parts)
        say(f"  {day}  {posts} posts, {fits} fit the quotas, the last at {last[11:19]} UTC")
    for conflict in forecast["conflicts"]:
        say(f"  {conflict['kind']}: {conflict['username']}, {conflict['posts']} posts. {conflict['message']}")
    if not forecast["conflicts"]:
        say("  no conflicts")


def _compare(
    stack: Stack, marker: str, posts: Mapping[str, str], counts: Mapping[str, int], result: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """Compare the ledger with our tables, and what was rolled back with what is not live.

    By the ids at the platforms: some adapters build another form of the URL that the ledger has.
    """
    from pipeline.cli.demo_compare import compare

    ours = [replace(one, url=None) for one in list_ours(stack, posts)]
    ledger = [e for e in list_theirs(stack) if marker in e["caption"]]
    _, differences = compare(ours, ledger, marker)
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
