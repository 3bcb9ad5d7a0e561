"""How `slipway top` shows the activity: tables for people, a JSON object for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from config.settings import settings
from pipeline.actions.activity import Activity, PlatformActivity, find_lateness

HEADS = ("platform", "waiting", "work", "overdue", "oldest", "attention", "settled/min", "late")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
NOTHING = "·"


def to_dict(activity: Activity) -> dict[str, Any]:
    """Return what --json prints. Lateness is of everything that was counted."""
    return {
        "platforms": [
            {
                "platform": name,
                "waiting": dict(one.waiting),
                "in_work": one.in_work,
                "overdue": dict(one.overdue),
                "oldest_overdue_seconds": round(one.oldest_overdue, 3),
                "unknown": one.unknown,
                "blocked": one.blocked,
                "settled_last_minute": dict(one.settled),
                "lateness_le": find_lateness(one.lateness, {}),
            }
            for name, one in activity.platforms.items()
        ],
        "queues": [
            {"queue": queue, "silence_seconds": None if silence is None else round(silence, 3)}
            for queue, silence in activity.queues.items()
        ],
        "count_age_seconds": round(activity.count_age, 3),
    }


def render(activity: Activity, before: Activity | None = None) -> RenderableType:
    """Return the tables. *before*: an earlier reading, since which lateness counts; None: since counting began."""
    silent = settings().worker.silent
    queues = [_render_queue(queue, silence, silent) for queue, silence in activity.queues.items()]
    return Group(
        _render_platforms(activity, before),
        Text("\nlast message taken from each queue", style="bold"),
        Columns(queues, padding=(0, 3), equal=True),
        Text(f"\ncounted {_format_span(activity.count_age)} ago", style="dim"),
    )


def _render_platforms(activity: Activity, before: Activity | None) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for head in HEADS:
        table.add_column(head, no_wrap=head == "platform")
    for name, one in activity.platforms.items():
        base = {} if before is None else before.platforms[name].lateness
        style = "red" if one.unknown or one.blocked or one.oldest_overdue else ""
        table.add_row(
            name, *_format_cells(one), _format_bound(find_lateness(one.lateness, base)), style=style
        )
    return table


def _format_cells(one: PlatformActivity) -> tuple[str, ...]:
    return (
        _format_counts(one.waiting),
        str(one.in_work or NOTHING),
        _format_counts(one.overdue),
        _format_span(one.oldest_overdue) if one.oldest_overdue else NOTHING,
        _format_counts({"unknown": one.unknown, "blocked": one.blocked}),
        _format_counts(one.settled),
    )


def _format_counts(counts: Mapping[str, int]) -> str:
    """Return a line for each reason, the largest number first."""
    lines = (f"{n} {name}" for name, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])) if n)
    return "\n".join(lines) or NOTHING


def _format_bound(bound: str | None) -> str:
    """Return the upper bound of a bucket of lateness, in words."""
    if bound is None:
        return NOTHING
    return "> 1 h" if bound == "+Inf" else f"≤ {float(bound):g} s"


def _render_queue(queue: str, silence: float | None, silent: float) -> Text:
    """Return a queue and its silence; red: longer than *silent* seconds."""
    if silence is None:
        return Text(f"{queue} never", style="red")
    return Text(f"{queue} {_format_span(silence)}", style="red" if silence > silent else "")


def _format_span(seconds: float) -> str:
    """Return seconds in the largest unit of which there is one: ``<1 s``, ``3 min``, ``2 d``."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "<1 s"
