"""Filters of `slipway post list|export` and `slipway delivery list`, and paging of lists, which are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.durations import SPAN
from pipeline.cli.output import json_option, print_rows
from pipeline.cli.runtime import parse_id
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.domain.post import PostStatus

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipeline.store.deliveries.listing import ListFilter

_FILTERS = (
    click.option("--workspace", help="Only of this workspace (name or id)."),
    click.option("--platform", help="Only of this platform."),
    click.option("--account", help="Only of this account (id or username)."),
    click.option("--import", "import_id", metavar="IMPORT", help="Only of posts that this import created."),
    click.option(
        "--status", type=click.Choice([s.value for s in PostStatus]), help="Only of posts of this status."
    ),
    click.option(
        "--state", type=click.Choice([s.value for s in State]), help="Only deliveries in this state."
    ),
    click.option(
        "--reason",
        type=click.Choice([r.value for r in Reason]),
        help="Only deliveries blocked for this reason.",
    ),
    click.option("--error-class", help="Only deliveries whose last error is of this class: Unavailable."),
    click.option(
        "--due",
        type=SPAN,
        metavar="FROM..TO",
        help="Only what is due then: a day (2027-01-31, in UTC), or a span of times, durations from now and `now`, "
        "with either end open: -2h..now, ..now, now..7d.",
    ),
)
_LATE = (
    click.option(
        "--held-for",
        type=click.Choice([*map(str, Hold), "none"]),
        help="Only deliveries that this holds; none: nothing holds them.",
    ),
    click.option(
        "--late",
        type=SPAN,
        metavar="FROM..TO",
        help="Only what should be sent since then and is not, without the time of a limit: ..-1m.",
    ),
)
"""Of reads only: a steering job may be run by older code, which would ignore them."""
_PAGING = (
    click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True),
    click.option("--after", metavar="ID", help="The next page: what comes after the row with this id."),
    json_option,
)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose posts or deliveries."""
    return _add(command, _FILTERS)


def read_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose posts or deliveries to read."""
    return _add(command, (*_FILTERS, *_LATE))


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a list."""
    return _add(command, (*_FILTERS, *_LATE, *_PAGING))


def _add(command: Callable[..., Any], options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def read_filter(c: Connection, options: dict[str, Any]) -> ListFilter:
    """Return the filter that the options describe. Raises ClickException and NoSuchWorkspace."""
    from pipeline.cli.account import parse_platform, require_account, require_account_of
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.deliveries.listing import ListFilter

    workspace, account = options["workspace"], options["account"]
    within = find_workspace(c, workspace).id if workspace else None
    if account:
        known = require_account_of(c, within, account) if within else require_account(c, account)
        account = known.id
    given = options["import_id"]
    due_from, due_until = options["due"] or (None, None)
    late_from, late_until = options.get("late") or (None, None)
    return ListFilter(
        workspace=within,
        platform=parse_platform(options["platform"]).value if options["platform"] else None,
        account=account,
        import_id=parse_id(given, "import") if given else None,
        due_from=due_from,
        due_until=due_until,
        late_from=late_from,
        late_until=late_until,
        **{name: options.get(name) for name in ("status", "state", "reason", "held_for", "error_class")},
    )


def read_page(options: dict[str, Any], noun: str) -> dict[str, Any]:
    """Return the arguments for the page that the options describe. Raises ClickException."""
    after = options["after"]
    return {"limit": options["limit"], "after": parse_id(after, noun) if after else None}


def print_page(rows: Sequence[dict[str, Any]], options: dict[str, Any], *, as_json: bool, noun: str) -> None:
    """Print a page; if there may be more, say on standard error how to get the next one."""
    print_rows(rows, as_json=as_json, empty=f"No such {noun}.")
    if len(rows) == options["limit"]:
        click.echo(f"There may be more: repeat with --after {rows[-1]['id']}", err=True)
