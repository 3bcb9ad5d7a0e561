"""Start what `slipway api` becomes by forking a process that has imported it: this saves the second of the imports.

The child has an environment, streams, session and exit status of its own, as a program that was started.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pipeline.api.app", "pipeline.api.server.serve", __name__])


def start_api(environment: Mapping[str, str], log: Path) -> ForkServerProcess:
    """Start a server with this environment, whose output goes to *log*."""
    process = _CONTEXT.Process(target=_become_api, args=(dict(environment), str(log)))
    process.start()
    return process


def _become_api(environment: dict[str, str], log: str) -> None:
    from pipeline.api.server.serve import main

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    main("pipeline.api.app:app")
