"""Fork server: run each order in a child process forked from this one, which has imported everything.

A child has its own environment, working folder, streams and exit status; it saves only the second that imports take.
An order is a line of JSON on stdin; the answer is the child's exit status.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import pipeline
import tests.crash_tasks
from pipeline.cli import main

PROGRAMS = ("pipeline.cli.__main__", "pipeline.worker", "pipeline.api.app", "pipeline.store.migrations")
"""Modules that do more than define names when they are imported."""


def import_all() -> None:
    """Import what commands import when they run: the dialect, and their own modules."""
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if not module.name.startswith(PROGRAMS):
            import_module(module.name)
    import_module("sqlalchemy.dialects.postgresql.psycopg")
    gc.freeze()  # a collection in a child would copy every page


def become(order: dict[str, Any]) -> NoReturn:
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    for number, name, flags in (
        (0, "stdin", os.O_RDONLY),
        (1, "stdout", os.O_WRONLY),
        (2, "stderr", os.O_WRONLY),
    ):
        os.dup2(os.open(order[name], flags), number)
        setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    status: Any = 0
    try:
        if "call" in order:
            getattr(tests.crash_tasks, order["call"])(*order["arguments"])
        else:
            sys.argv = ["slipway", *order["words"]]
            main()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # noqa: BLE001  as the interpreter does at exit
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    import_all()
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            become(json.loads(line))
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)
