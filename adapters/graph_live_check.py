"""The live check that Facebook and Instagram share: Meta's usage headers."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.graph_api import FULL_USAGE, Usage
from adapters.live_check import Finding, ok, warn


def check_usage(usage: Usage) -> Iterator[Finding]:
    """Yield how much of the call allowance is spent, where the response reports it."""
    if usage.percent:
        result = warn if usage.percent > FULL_USAGE else ok
        yield result("quota", f"{usage.percent:g} % of the call allowance used")
