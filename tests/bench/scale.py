"""How large a run is: the default one, and the quick one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Sizes and durations; durations are seconds."""

    warm: float
    """Of every load run, not counted."""
    load: float
    """Counted part of every load run."""
    deliveries: int
    """Due at once in the throughput run; the reference has as many tasks."""
    of_a_kind: int
    """Deliveries per post kind whose CPU time is counted."""
    idle: float
    """How long an idle system is watched before its CPU time is subtracted from a busy one's."""
    late_posts: int
    late_tasks: int
    settle: float
    """Before the footprint is taken."""
    footprint: float


FULL = Scale(
    warm=1, load=5, deliveries=4000, of_a_kind=200, idle=5, late_posts=60, late_tasks=40, settle=10, footprint=30
)  # fmt: skip
QUICK = Scale(
    warm=0.5, load=1.2, deliveries=800, of_a_kind=30, idle=2, late_posts=12, late_tasks=12, settle=2, footprint=5
)  # fmt: skip
LIMIT = 240.0
"""Seconds a measurement may take before it is broken off."""
