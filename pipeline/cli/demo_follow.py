"""Watches posts through the API and shows how far each is: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GLANCE = 0.25
"""Seconds between two looks."""
ADDRESSES = 30.0
"""Seconds that addresses are waited for once all are live: a platform may tell them a little later."""
DONE = frozenset({"published", "failed", "cancelled", "blocked"})
"""States that do not change by themselves any more."""

WIDTHS = {"post": 9, "platform": 9, "account": 17, "state": 10, "lateness": 8, "url": None}
"""Columns of the live table; the address gets what is left."""

Read = Callable[[str], Mapping[str, Any]]
"""Post id -> the API's words for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One account's part of a post at one glance."""

    post: str
    platform: str
    username: str
    state: str
    lateness: str
    url: str
    message: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Which part of which post it is."""
        return self.post, self.platform, self.username


def follow(read: Read, posts: Mapping[str, str], patience: float, console: Console) -> None:
    """Shows where ``posts`` (what they are called -> id) stand until all are done or ``patience`` seconds are over."""
    if console.is_terminal:
        _live(read, posts, patience, console)
        return
    began, seen = time.monotonic(), dict[tuple[str, str, str], str]()
    for rows in _glances(read, posts, patience):
        for row in rows:
            if seen.get(row.key) != (news := row.state + row.url):
                seen[row.key] = news
                console.print(
                    _line(row, time.monotonic() - began), soft_wrap=True, markup=False, highlight=False
                )


def _live(read: Read, posts: Mapping[str, str], patience: float, console: Console) -> None:
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        for rows in _glances(read, posts, patience):
            live.update(_table(rows), refresh=True)


def _glances(read: Read, posts: Mapping[str, str], patience: float) -> Iterator[list[Row]]:
    end = time.monotonic() + patience
    while True:
        rows = [row for name, post in posts.items() for row in _rows(name, read(post))]
        yield rows
        now = time.monotonic()
        if all(row.state in DONE for row in rows):
            end = min(end, now + ADDRESSES)
            if not any(row.state == "published" and not row.url for row in rows):
                return
        if now > end:
            return
        time.sleep(GLANCE)


def _rows(name: str, post: Mapping[str, Any]) -> list[Row]:
    due = datetime.fromisoformat(post["scheduled_at"])
    return [
        Row(
            post=name,
            platform=s["platform"],
            username=s["username"],
            state=s["state"],
            lateness=_lateness(due, s["published_at"], done=s["state"] in DONE),
            url=s["published_url"] or "",
            message=s["error_message"] or "",
        )
        for s in post["accounts"]["states"]
    ]


def _lateness(due: datetime, published_at: str | None, *, done: bool) -> str:
    """Against the due time: how long still, or how long since; of a published one, when we knew that it was live."""
    if published_at is None and done:
        return ""
    moment = datetime.fromisoformat(published_at) if published_at else datetime.now(UTC)
    seconds = (moment - due).total_seconds()
    return f"in {-seconds:.0f} s" if seconds < 0 else f"+{seconds:.1f} s"


def _line(row: Row, seconds: float) -> str:
    where = f"{row.post} · {row.platform} {row.username}"
    return (
        f"{seconds:6.1f} s  {where:<40}  {row.state:<10} {row.lateness:>8}  {row.url or row.message}".rstrip()
    )


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name, width in WIDTHS.items():
        # An address that does not fit is cut here: folded, it would make the table jump; the end shows it whole.
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=width, ratio=None if width else 1)
    for row in rows:
        style = {"published": "green", "failed": "red", "blocked": "red"}.get(row.state, "")
        table.add_row(
            row.post, row.platform, row.username, row.state, row.lateness, row.url or row.message, style=style
        )
    return table
