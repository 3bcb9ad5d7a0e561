"""The results of tasks, as Flower shows them. The ledger has the truth; these are for a person who watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.domain.verdict import Verdict

NOTHING = "nothing stored"
"""Another worker has the delivery, the message is stale, or nothing may be sent now."""


def summarize(verdicts: Iterable[Verdict | None]) -> str:
    """Return how many deliveries are in which state, with the error's class: ``published 2, failed 1 Rejected``."""
    counts = Counter(_describe(verdict) for verdict in verdicts)
    return ", ".join(f"{state} {n} {error}".rstrip() for (state, error), n in counts.items())


def _describe(verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return NOTHING, ""
    return verdict.state, type(verdict.error).__name__ if verdict.error else ""
