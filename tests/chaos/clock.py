"""Clock skew: the environment of a process whose wall clock is five minutes ahead.

Uses libfaketime (https://github.com/wolfcw/libfaketime) from the wheel in the dev group or from Debian's package.
Monotonic clocks are not changed, as on a machine with a wrong clock.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

AHEAD = 300
PLACES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
MISSING = "libfaketime does not work here: `apt-get install libfaketime` has one built for this machine"


def build_environment() -> dict[str, str] | None:
    """Return the environment of such a process, or None if no libfaketime works here."""
    for library in _libraries():
        environment = {"LD_PRELOAD": str(library), "FAKETIME": f"+{AHEAD}s", "DONT_FAKE_MONOTONIC": "1"}
        if _works(environment):
            return environment
    return None


def _libraries() -> list[Path]:
    spec = importlib.util.find_spec("libfaketime")
    found = sorted(Path(spec.origin).parent.rglob("libfaketime.so*")) if spec and spec.origin else []
    return found + [path for place in PLACES for path in sorted(Path(place).glob("libfaketime.so*"))]


def _works(environment: dict[str, str]) -> bool:
    """Return whether a child's wall clock is ahead and its monotonic clock is not."""
    asked = "import time; print(time.time(), time.monotonic())"
    words = [sys.executable, "-I", "-S", "-c", asked]
    outputs = [
        subprocess.run(
            words, env=more, capture_output=True, text=True, check=False, timeout=20
        ).stdout.split()
        for more in ({}, environment)
    ]
    if any(len(answer) != 2 for answer in outputs):
        return False
    (wall, steady), (ahead, same) = ([float(number) for number in answer] for answer in outputs)
    return abs(ahead - wall - AHEAD) < 20 and abs(same - steady) < 20
