"""Polls posts through the API and shows their states: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

POLL_SECONDS = 0.25
URL_TIMEOUT = 30.0
"""Seconds to wait for missing URLs once all are live: a platform may return them a little later."""
FINAL_STATES = frozenset({"published", "failed", "canceled", "blocked"})
"""States that no stage advances."""

WIDTHS = {"post": 9, "platform": 9, "account": 17, "state": 10, "lateness": 8, "url": None}
"""Columns of the live table and their widths; the URL gets the remaining width."""

Read = Callable[[str], Mapping[str, Any]]
"""Post id -> the post as the API returns it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One delivery of a post at one poll."""

    post: str
    platform: str
    username: str
    state: str
    lateness: str
    url: str
    message: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Post, platform and username identify the row."""
        return self.post, self.platform, self.username


def follow(read: Read, posts: Mapping[str, str], timeout: float, console: Console) -> None:
    """Show the states of ``posts`` (name -> id) until all are final or ``timeout`` seconds have passed."""
    if console.is_terminal:
        _follow_in_table(read, posts, timeout, console)
        return
    began, seen = time.monotonic(), dict[tuple[str, str, str], str]()
    for rows in _poll(read, posts, timeout):
        for row in rows:
            if seen.get(row.key) != (latest := row.state + row.url):
                seen[row.key] = latest
                console.print(
                    _format_line(row, time.monotonic() - began), soft_wrap=True, markup=False, highlight=False
                )


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
            username=s["username"],
            state=s["state"],
            lateness=_format_lateness(due, s["published_at"], done=s["state"] in FINAL_STATES),
            url=s["published_url"] or "",
            message=s["error_message"] or "",
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
    where = f"{row.post} · {row.platform} {row.username}"
    return (
        f"{seconds:6.1f} s  {where:<40}  {row.state:<10} {row.lateness:>8}  {row.url or row.message}".rstrip()
    )


def _build_table(rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name, width in WIDTHS.items():
        # A long URL is cut: wrapped, it would change the height of the table. The final list has it whole.
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=width, ratio=None if width else 1)
    for row in rows:
        style = {"published": "green", "failed": "red", "blocked": "red"}.get(row.state, "")
        table.add_row(
            row.post, row.platform, row.username, row.state, row.lateness, row.url or row.message, style=style
        )
    return table
