"""`slipway attention|doctor|live-check|top`: what needs an operator, what keeps posts from going out, what goes on."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import PLATFORM
from pipeline.cli.output import Command, is_json, pick, print_fields, print_rows, stream_rows

with lazy_imports():
    from adapters import live_check as live_checks
    from config import settings as config
    from pipeline import wiring
    from pipeline.actions import activity as activities
    from pipeline.actions import attention as attention_items
    from pipeline.actions import diagnose
    from pipeline.cli import top_table
    from pipeline.domain import account as account_domain
    from pipeline.store import health, vault
    from pipeline.store.accounts import accounts as account_store


if TYPE_CHECKING:
    from adapters.contract import Platform
    from pipeline.runtime.context import Context
    from pipeline.store.database import Database

_ATTENTION_WIDTHS = (14, 44, 6, 24)


@click.command(cls=Command)
def attention() -> None:
    """List everything that needs an operator: how much of it, since when, and the command that deals with it.

    Example:
      slipway attention --json
    """
    silent = timedelta(seconds=config.settings().worker.silent)
    with runtime.open_transaction(warn=False) as c:  # a restore is in the list
        rows = map(_to_row, attention_items.read_attention(c, silent))
        shown = rows if is_json() else map(_shorten, rows)
        stream_rows(shown, _ATTENTION_WIDTHS, empty="Nothing needs an operator.")


def _to_row(item: attention_items.AttentionItem) -> dict[str, Any]:
    matter = item.matter
    return {
        "kind": matter.kind.value,
        **pick(matter, "platform state reason error_class code count count_capped=is_capped oldest"),
        "command": item.command,
    }


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns for people: what it is in one, and a + behind a count that has more."""
    parts = [row[name] for name in ("platform", "state", "reason", "error_class", "code")]
    if row["kind"] == "unread":
        parts.append(f"took longer than {health.CHECK_SECONDS:.0f} s")
    return {
        "kind": row["kind"],
        "what": " ".join(str(part) for part in parts if part),
        "count": f"{row['count']}{'+' if row['count_capped'] else ''}",
        "oldest": row["oldest"],
        "command": row["command"],
    }


_FINDING_WIDTHS = (11, 6)


@click.command(cls=Command)
def doctor() -> None:
    """Check settings, disk, API versions, engines, clocks, tables, epoch, keys, queues, hosts and grants.

    Each finding that is not `ok` has the command that removes it, or names what to change. A table that is
    locked holds a check up for 2 s. Exit 1 when one is `fail`: posts do not go out.

    Example:
      slipway doctor --json
    """
    results = Counter[str]()

    def iterate() -> Iterator[dict[str, Any]]:
        for finding in diagnose.diagnose(context):
            results[finding.result] += 1
            yield asdict(finding) if is_json() else _finding_to_row(finding)

    with runtime.report_errors():
        context = wiring.build_context(config.settings(), keeps_epoch_file=False)
        with closing(context.database):
            stream_rows(iterate(), _FINDING_WIDTHS)
    if results["fail"]:
        raise SystemExit(1)


def _finding_to_row(finding: diagnose.Finding) -> dict[str, str]:
    """Return the columns for people: the command on a line of its own."""
    doctor = f"\n{'':<21}{finding.command}" if finding.command else ""
    return {"part": finding.part, "result": finding.result, "says": finding.says + doctor}


@click.command("live-check", cls=Command)
@click.argument("platform", required=False, type=PLATFORM)
@click.option("--account", help="Id or username; default every account that is in use.")
def live_check(platform: Platform | None, account: str | None) -> None:
    """Check by reads only whether the next post of PLATFORM's accounts would go out; exit 1 when one would not.

    Without PLATFORM, the accounts of all platforms are checked. Rows with the result `unknown` are what only a live
    post can tell.

    Example:
      slipway live-check tiktok --account acme
    """
    with runtime.open_context() as context:
        accounts = _select_accounts(context, platform, account)
        rows: list[dict[str, Any]] = []
        for one in _list_platforms(context, platform, accounts if account else None):
            rows += _check_platform(context, one, [row for row in accounts if row.platform is one])
    print_rows(rows)
    if any(row["result"] == "fail" for row in rows):
        raise SystemExit(1)


def _select_accounts(
    context: Context, platform: Platform | None, name: str | None
) -> list[account_store.AccountRow]:
    with context.database.begin() as c:
        if name is not None:
            found = [runtime.require_account(c, name)]
        else:
            found = [
                row
                for row in account_store.list_accounts(c)
                if row.status is not account_domain.AccountStatus.INACTIVE
            ]
    selected = [row for row in found if platform in (None, row.platform)]
    if platform is not None and not selected:
        problem = f"{name} is no account of {platform}" if name else f"No account of {platform} is connected"
        raise click.ClickException(f"{problem}: `slipway account connect {platform}` connects one.")
    return selected


def _list_platforms(
    context: Context, platform: Platform | None, only: Sequence[account_store.AccountRow] | None
) -> list[Platform]:
    """Return the platforms to report: the requested one, those of the accounts in *only*, or all."""
    if platform is not None:
        return [platform]
    return [one for one in context.adapters if only is None or one in {row.platform for row in only}]


def _check_platform(
    context: Context, platform: Platform, accounts: Sequence[account_store.AccountRow]
) -> Iterator[dict[str, Any]]:
    if not accounts:
        says = f"no account is connected: `slipway account connect {platform}` connects one"
        yield _to_dict(platform, None, live_checks.warn("account", says))
    for row in accounts:
        yield from (_to_dict(platform, row.username, finding) for finding in _check_account(context, row))
    connections = {row.connection for row in accounts}
    for question in live_checks.list_questions(context.adapters[platform], connections):
        yield _to_dict(platform, None, question)


def _to_dict(platform: Platform, username: str | None, finding: live_checks.Finding) -> dict[str, Any]:
    return {"platform": platform.value, "account": username, **asdict(finding)}


def _check_account(context: Context, row: account_store.AccountRow) -> Iterator[live_checks.Finding]:
    try:
        with context.database.begin() as c:
            account, _, _ = account_store.read_account(c, context.vault, row.id)
    except vault.VaultError:
        yield live_checks.fail("token", "it is sealed by a key that SLIPWAY_VAULT__KEYS does not have")
        return
    if row.status is account_domain.AccountStatus.RECONNECT:
        yield live_checks.fail("account", "it has to be connected again: its grant was refused")
    yield from live_checks.check_account(
        context.adapters[account.platform],
        context.platform_settings[account.platform],
        account,
        limit=timedelta(seconds=context.settings.publish.call),
    )


INTERVAL_SECONDS = 1.0
POLL_SECONDS = 0.1
"""From one look for a new reading to the next."""
SPAN_SECONDS = 60.0
"""The scope of the lateness of a refreshed table."""
PIPE_WIDTH = 140


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="Print one table and end, as into a pipe.")
def top(*, once: bool) -> None:
    """Show per platform what waits and for what, what is in work, settles and is late, and each queue's silence.

    Refreshed each second; q or Ctrl-C ends it. Settled counts the last minute. Lateness is what 95 % kept: of the last
    minute, or since counting began where one table is printed (--once, --json, into a pipe).

    Example:
      slipway top --once
    """
    with runtime.open_database() as database:
        if is_json():
            print_fields(top_table.to_dict(_read(database)))
        elif once or not sys.stdout.isatty():
            from rich.console import Console

            width = None if sys.stdout.isatty() else PIPE_WIDTH
            Console(width=width).print(top_table.render(_read(database)))
        else:
            _refresh(database)


def _read(database: Database) -> activities.Activity:
    with database.begin() as c:
        return activities.read_activity(c)


def _refresh(database: Database) -> None:
    """Show the activity on the terminal's alternate screen until q or Ctrl-C."""
    from rich.live import Live

    readings, errors = deque[tuple[float, "activities.Activity"]](), list[Exception]()
    with watch_keys() as wait_for_quit, Live(auto_refresh=False, screen=True) as live:
        # a thread, so that a database that does not answer keeps no key waiting
        threading.Thread(target=_read_on, args=(database, readings, errors), daemon=True).start()
        shown_at = 0.0
        while not wait_for_quit(POLL_SECONDS):
            if errors:
                raise errors[0]
            if readings and readings[-1][0] > shown_at:
                shown_at, activity = readings[-1]
                while readings[0][0] < shown_at - SPAN_SECONDS:
                    readings.popleft()
                live.update(top_table.render(activity, readings[0][1]), refresh=True)


def _read_on(
    database: Database, readings: deque[tuple[float, activities.Activity]], errors: list[Exception]
) -> None:
    """Append a reading each second, and the error that ends it."""
    try:
        while True:
            now = time.monotonic()
            readings.append((now, _read(database)))
            time.sleep(INTERVAL_SECONDS)
    except Exception as error:  # noqa: BLE001 - raised where the table is shown
        errors.append(error)


@contextmanager
def watch_keys() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits for some seconds and returns True as soon as q or Ctrl-C has been typed.

    The signal writes to a pipe and raises nothing: a KeyboardInterrupt is lost if it is raised in a finalizer or in a
    callback of a library, and one that comes just before a blocking call waits for its end.
    """
    import os
    import select
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sources = [reader] if before is None else [reader, keyboard]

    def wait_for_quit(seconds: float) -> bool:
        ready, _, _ = select.select(sources, [], [], seconds)
        # the byte stays in the pipe: once asked to end, it always ends
        return reader in ready or (keyboard in ready and os.read(keyboard, 1024) in {b"q", b"Q", b""})

    handler = signal.signal(signal.SIGINT, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        if before is not None:
            tty.setcbreak(keyboard)
        yield wait_for_quit
    finally:
        if before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        os.close(reader)
        os.close(writer)
