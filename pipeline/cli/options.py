"""Types of options for durations, times and spans; options that choose posts or deliveries, and pages of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import DURATION as DURATION_SHAPE
from pipeline.api.http.timestamp import InvalidTimestamp, parse, parse_duration
from pipeline.cli import lazy_imports, runtime
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.domain.post import PostStatus
from pipeline.domain.posting_times import AUTO, parse_times
from pipeline.domain.time_zone import UnknownZone, find_zone

with lazy_imports():
    from pipeline.store.deliveries import selection
    from pipeline.store.posts import idempotency, texts


if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection


def _parse_instant(text: str, sign: int, hint: str, shown: str = "") -> datetime:
    """A time, or a duration after now or before it, as *sign* says. Raises ValueError."""
    if DURATION_SHAPE.fullmatch(text):
        return datetime.now(UTC) + sign * parse_duration(text)
    try:
        return parse(text)
    except InvalidTimestamp as error:
        raise ValueError(f"{shown or text!r}: {error} Or give a duration {hint}.") from None


def _parse_future(text: str) -> datetime:
    """A time after now, in UTC. Raises ValueError."""
    found = _parse_instant(text, 1, "from now: 90d")
    if found <= datetime.now(UTC):
        raise ValueError(f"{text} is in the past.")
    return found


def _parse_future_or_now(text: str) -> datetime | str:
    """As `_parse_future`; `now`, and `auto` with what follows it, are returned as they are. Raises ValueError."""
    return text if text == "now" or text.split()[:1] == [AUTO] else _parse_future(text)


def _parse_past(text: str) -> datetime:
    """A time, or a duration before now, in UTC. Raises ValueError."""
    return _parse_instant(text, -1, "before now: 30d")


def _parse_past_or_now(text: str) -> datetime:
    """As `_parse_past`, or `now`; a time in the future is refused. Raises ValueError."""
    now = datetime.now(UTC)
    found = now if text == "now" else _parse_past(text)
    if found > now:
        raise ValueError(f"{text} is in the future.")
    return found


def _parse_span(text: str) -> tuple[datetime | None, datetime | None]:
    """A day in UTC, or FROM..TO, where either may be empty. Raises ValueError."""
    start, dots, end = text.partition("..")
    if dots:
        span = _parse_bound(start, text), _parse_bound(end, text)
    else:
        day = _parse_day(text)
        span = day, day + timedelta(days=1)
    if span == (None, None) or (span[0] and span[1] and span[0] >= span[1]):
        raise ValueError(f"{text!r} is empty: give FROM..TO, where FROM is earlier.")
    return span


def _parse_bound(text: str, span: str) -> datetime | None:
    if not text or text == "now":
        return datetime.now(UTC) if text else None
    signed = text.removeprefix("-")
    sign, bound = (-1, signed) if DURATION_SHAPE.fullmatch(signed) and signed != text else (1, text)
    return _parse_instant(bound, sign, "from now: -2h..7d", shown=span)


def _parse_day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is not a day such as 2027-01-31, nor a span such as -2h..now.") from None


class Parsed(click.ParamType[object]):
    """An option's type: a name for --help and a function that parses. Its ValueError has a sentence for the user."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:  # noqa: ARG002 - click's signature
        """Parse the text. Raises BadParameter."""
        try:
            return self._parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None


def _parse_zone(text: str) -> str:
    """The name of a time zone, in any case. Raises ValueError."""
    try:
        return find_zone(text).key
    except UnknownZone as error:
        raise ValueError(f"{text!r}: {error}") from None


def id_of(noun: str, command: str = "") -> Parsed:
    """Return the type of the id of a thing; *command*: of which ``list`` shows them."""
    return Parsed(noun, partial(runtime.parse_id, noun=noun, command=command))


PLATFORM = Parsed("text", runtime.parse_platform)
DURATION = Parsed("duration", parse_duration)
FUTURE = Parsed("when", _parse_future)
FUTURE_OR_NOW = Parsed("when", _parse_future_or_now)
SPAN = Parsed("span", _parse_span)
PAST = Parsed("when", _parse_past)
PAST_OR_NOW = Parsed("when", _parse_past_or_now)
ZONE = Parsed("zone", _parse_zone)
POSTING_TIMES = Parsed("times", parse_times)


limit_option = click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
workspace_filter = click.option("--workspace", help="Only of this workspace (name or id).")
platform_filter = click.option("--platform", type=PLATFORM, help="Only of this platform.")
account_filter = click.option("--account", help="Only of this account (id or username).")
_FILTERS = (
    workspace_filter,
    platform_filter,
    account_filter,
    click.option(
        "--import", "import_id", type=id_of("import"), help="Only of posts that this import created."
    ),
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
_READS = (
    click.option(
        "--external-id",
        help="Only of the posts that were sent with this external_id, by any key of the workspace.",
    ),
    click.option(
        "--text", help="Only of posts with this text in caption, titles or external_id, in either case."
    ),
    click.option(
        "--created",
        type=SPAN,
        metavar="FROM..TO",
        help="Only of posts that were created then: a day, or a span of times as of --due.",
    ),
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
"""Filters of reads only: what they select changes with time alone, while a steering job runs."""
_PAGING = (
    click.option(
        "--sort",
        type=click.Choice(["created", "due"]),
        default="created",
        show_default=True,
        help="created: the newest first; due: the first due first.",
    ),
    limit_option,
    click.option("--after", metavar="ID", help="The next page: what comes after the row with this id."),
)


def add_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds options to a command, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        return reduce(lambda decorated, option: option(decorated), reversed(options), command)

    return decorate


filter_options = add_options(*_FILTERS)
read_options = add_options(*_FILTERS, *_READS)
list_options = add_options(*_FILTERS, *_READS, *_PAGING)


def read_filter(c: Connection, options: dict[str, Any]) -> selection.ListFilter:
    """Return the filter that the options describe. Raises ClickException and NoSuchWorkspace."""
    workspace, account = options["workspace"], options["account"]
    within = runtime.find_workspace_id(c, workspace)
    if account:
        known = (
            runtime.require_account_of(c, within, account) if within else runtime.require_account(c, account)
        )
        account = known.id
    chosen = {name: options[name] for name in selection.ListFilter.__dataclass_fields__ if name in options}
    chosen |= {"workspace": within, "account": account}
    chosen["posts"] = _find_posts(c, None if within is None else [within], options)
    for name in ("created", "due", "late"):
        chosen[f"{name}_from"], chosen[f"{name}_until"] = options.get(name) or (None, None)
    return selection.ListFilter(**chosen)


def _find_posts(
    c: Connection, within: Collection[UUID] | None, options: Mapping[str, Any]
) -> tuple[UUID, ...] | None:
    """Return the posts that have the external id, or may have the text, by an index; None where none says which."""
    sent, text = options.get("external_id"), options.get("text")
    if sent is not None:
        return tuple(idempotency.find_posts_sent_as(c, sent, within))
    found = None if text is None else texts.find_posts(c, text, within)
    return None if found is None else tuple(found)


def read_page(options: dict[str, Any], noun: str) -> dict[str, Any]:
    """Return the arguments for the page that the options describe. Raises ClickException."""
    after = options["after"]
    return {
        "order": selection.Order(options["sort"]),
        "limit": options["limit"],
        "after": runtime.parse_id(after, noun) if after else None,
    }
