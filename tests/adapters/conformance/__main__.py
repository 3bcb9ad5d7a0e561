"""`python -m tests.adapters.conformance`: prints what a lost answer leads to, by platform and post kind, as seen."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.adapters.conformance.environment import sandbox
from tests.adapters.conformance.lost import DID_NOT, DUPLICATE, WENT_OUT, again, expected, fate
from tests.adapters.conformance.subjects import ready


def main() -> int:
    """Exit status: 0 when it is as the READMEs say, else 1."""
    wrong = 0
    print(f"{'platform':<10} {'post kind':<38} {'it went out':<56} it did not")
    with (
        tempfile.TemporaryDirectory(prefix="slipway-conformance-") as folder,
        sandbox(Path(folder)) as ground,
    ):
        for subject in ready():
            live, gone = fate(ground, subject, WENT_OUT[0]), fate(ground, subject, DID_NOT[0])
            seen = (live.word, gone.word)
            if expected(subject)[0] == DUPLICATE:
                seen = (again(live.walk), gone.word)
            mark = "" if seen == expected(subject) else "   <- the README says otherwise"
            wrong += bool(mark)
            kind = subject.name.removeprefix(f"{subject.platform} ")
            print(f"{subject.platform:<10} {kind:<38} {seen[0]:<56} {seen[1]}{mark}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
