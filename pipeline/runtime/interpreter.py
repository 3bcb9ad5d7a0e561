"""The interpreter: zstd, of Python 3.14 or its backport, and what keeps the memory of a process small."""

from __future__ import annotations

import atexit
import ctypes
import gc
import sys
from contextlib import suppress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["collect_rarely", "freeze_modules", "limit_arenas", "zstd"]

THRESHOLD = 50_000
"""Allocations between two collections: a request makes hundreds of objects, and hardly ever a reference cycle."""


def collect_rarely() -> None:
    """Collect less often, and not at all at the interpreter's end; before modules are loaded.

    In both, the collector would visit every imported object for nothing: 1.2 of the 2.9 s of processor time that it
    takes to load the API and to end (2026-12-02).
    """
    gc.set_threshold(THRESHOLD)
    atexit.register(gc.freeze)


def freeze_modules() -> None:
    """Leave objects that live for ever out of collections, once all modules are loaded.

    Scanning the modules again would stop the process for 80 ms at a time: every second in an API under load, and for a
    third of the time in a worker that imports a file (measured).
    """
    gc.freeze()


def limit_arenas() -> None:
    """Let all threads of this process share two of glibc's arenas; before any thread starts.

    Each arena keeps the most that a thread ever had in it: a worker grew with each import that another thread took.
    """
    with suppress(OSError, AttributeError):  # another C library has no arenas
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


_M_ARENA_MAX = -8
"""An option of mallopt(3), `malloc.h`."""
