"""Sizes of the default and the quick run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Sizes and durations; durations are seconds."""

    clients: tuple[int, ...]
    processes: tuple[int, ...]
    warm: float
    """Uncounted start of every load run."""
    load: float
    """Counted part of every load run."""
    deliveries: int
    """Deliveries of the throughput run; the reference has as many tasks."""
    workers: tuple[int, ...]
    late_posts: int
    freezes_beat: bool = False
    """Stop beat with SIGSTOP before the posts of `lateness` are due."""
    measure_lateness: int
    posts_to_read: int
    reads: int
    rows_to_import: int
    rows_to_plan: int = 0
    """Rows of a large file that `bulk` plans instead, to measure memory."""


FULL = Scale(
    clients=(16, 64),
    processes=(1, 2),
    warm=1,
    load=5,
    deliveries=3000,
    workers=(1, 2),
    late_posts=60,
    measure_lateness=30,
    posts_to_read=1_000_000,
    reads=500,
    rows_to_import=20_000,
)
QUICK = Scale(
    clients=(64,),
    processes=(1, 2),
    warm=0.5,
    load=1.5,
    deliveries=800,
    workers=(1,),
    late_posts=8,
    measure_lateness=5,
    posts_to_read=100_000,
    reads=100,
    rows_to_import=4_000,
)
LIMIT = 180.0
"""Seconds a measurement may take."""
LONG_LIMIT = 2400.0
"""The same with `--posts`, `--rows` and `--frozen-beat`, which take longer."""
