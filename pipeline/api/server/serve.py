"""`python -m pipeline.api.server.serve APP`: what ``slipway api`` turns into. uvicorn, held to what the settings say.

uvicorn's own command line would do but for two things: told to stop, its processes' parent goes on holding the door
open while nobody comes to it any more, and a single process that ended well says that a signal killed it (0.54,
supervisors/multiprocess.py and server.py, read 2026-11-26).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from config.settings import Settings, settings
from pipeline.api.server.balancer import BOOK
from pipeline.api.server.connection_counts import Book

KEEP_ALIVE = 75
"""Seconds a connection may lie idle: longer than clients and proxies let it (60 is usual), so that it is they who close
it, and none of them sends a request into a connection that is just being closed."""


class Processes(Multiprocess):
    """Several servers behind one door, begun anew when one dies."""

    def terminate_all(self) -> None:
        """Nobody new is let in; then each is told to finish."""
        for door in self.sockets:
            door.close()
        super().terminate_all()


def configured(app: str, s: Settings) -> uvicorn.Config:
    """Uvicorn's settings out of ours."""
    return uvicorn.Config(
        app,
        host=s.api.host,
        port=s.api.port,
        workers=s.api.processes,
        ws="none",
        loop="pipeline.api.server.balancer:Loop",
        http="pipeline.api.server.http_protocol:Connection",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=s.api.shutdown,
        log_level=s.log.level.lower(),
    )


def main(app: str) -> None:
    """Serves until told to stop."""
    signal.signal(signal.SIGTERM, _ended)
    config = configured(app, settings())
    if config.workers == 1:
        uvicorn.Server(config).run()
    else:
        with TemporaryDirectory(prefix="slipway-api-") as book:
            # twice as many pages as processes: one that follows another may begin before that has ended
            Book.write(Path(book), 2 * config.workers)
            os.environ[BOOK] = book
            Processes(config, [config.bind_socket()]).run()


def _ended(_number: int, _frame: FrameType | None) -> None:
    """Uvicorn hands its signal on once it has stopped; before it has begun there is nothing to finish."""
    sys.exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
