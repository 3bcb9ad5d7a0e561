"""When draining is over. Pure: the caller passes the states and the time.

It ends in any case: what keeps moving without settling counts as stuck after its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.chaos.judge import WAITING, ReportedState

SETTLED = frozenset({"published", "failed", "canceled"})
LONGEST = 420.0
"""Seconds that a delivery has to settle after the last fault: more than the 300 of a queued lease."""
SHARE = 0.5
"""The same as a share of the run's time, where that is more: a long run has a backlog."""
QUIET_FOR = 45.0
"""Seconds without any change of state after which deliveries that wait for an operator stay as they are: more than
between two looks that may settle one."""
RESTLESS = 40
"""Changes of state without settling, after the last fault, after which a delivery is not waited for."""

States = Mapping[tuple[str, str, str], ReportedState]


class Drain:
    """Progress of the deliveries after the last fault. *now*: seconds of any clock."""

    def __init__(self, now: float, seconds: float) -> None:
        self.changed = now
        self._end = now + max(LONGEST, seconds * SHARE)
        self._last: States = {}
        self._changes: Counter[tuple[str, str, str]] = Counter()

    def is_over(self, reported: States, now: float) -> bool:
        """Return whether nothing is left to wait for."""
        moved = [key for key, state in reported.items() if not _is_same(state, self._last.get(key, state))]
        self._changes.update(moved)
        if not self._last or any(self._changes[key] < RESTLESS for key in moved):
            self.changed = now
        self._last = dict(reported)
        left = {key: state for key, state in reported.items() if state.state not in SETTLED}
        is_quiet = now - self.changed > QUIET_FOR
        waits = {key for key, state in left.items() if is_quiet and state.state in WAITING}
        restless = {key for key in left if self._changes[key] >= RESTLESS}
        return now > self._end or left.keys() == waits | restless

    def describe(self) -> str:
        """Return the number of unsettled deliveries of each state."""
        states = Counter(state.state for state in self._last.values() if state.state not in SETTLED)
        return ", ".join(f"{times} {state}" for state, times in sorted(states.items()))


def _is_same(state: ReportedState, before: ReportedState) -> bool:
    """Compare without the sentence, which names the time of the next look."""
    return (state.state, state.reason) == (before.state, before.reason)
