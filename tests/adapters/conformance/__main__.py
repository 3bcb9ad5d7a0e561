"""Print what a lost response to the visible call leads to, by platform and post kind, as observed.

Run it with `python -m tests.adapters.conformance`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.adapters.conformance.environment import run_sandbox
from tests.adapters.conformance.lost_responses import (
    DUPLICATE_REFUSED,
    EFFECT_FAULTS,
    NO_EFFECT_FAULTS,
    get_documented_outcomes,
    lose_response,
    publish_again,
)
from tests.adapters.conformance.post_cases import list_runnable_cases


def main() -> int:
    """Return exit status 0 if all outcomes match the adapters' READMEs, else 1."""
    wrong = 0
    print(f"{'platform':<10} {'post kind':<38} {'it went out':<56} it did not")
    with (
        tempfile.TemporaryDirectory(prefix="slipway-conformance-") as folder,
        run_sandbox(Path(folder)) as environment,
    ):
        for post_case in list_runnable_cases():
            live = lose_response(environment, post_case, EFFECT_FAULTS[0])
            absent = lose_response(environment, post_case, NO_EFFECT_FAULTS[0])
            observed = (live.outcome, absent.outcome)
            documented = get_documented_outcomes(post_case)[:2]
            if documented[0] == DUPLICATE_REFUSED:
                observed = (publish_again(live.simulation), absent.outcome)
            note = "" if observed == documented else "   <- differs from the README"
            wrong += observed != documented
            kind = post_case.name.removeprefix(f"{post_case.platform} ")
            print(f"{post_case.platform:<10} {kind:<38} {observed[0]:<56} {observed[1]}{note}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
