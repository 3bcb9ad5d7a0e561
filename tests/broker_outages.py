"""Outages of a broker, each as a context manager: it hangs, is dead, or is full, until the block ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from pipeline.embedded.postgres import Postgres
from pipeline.embedded.valkey import Valkey

Outage = Callable[[Valkey], AbstractContextManager[None]]


@contextmanager
def hung(valkey: Valkey) -> Iterator[None]:
    """The kernel accepts connections for it, and it answers nothing."""
    pid = _pid(valkey)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def dead(engine: Valkey | Postgres) -> Iterator[None]:
    """It is killed, and started again on its data. A database dies so, too."""
    os.kill(_pid(engine), signal.SIGKILL)
    engine.stop()
    try:
        yield
    finally:
        engine.start()


@contextmanager
def full(valkey: Valkey) -> Iterator[None]:
    """It refuses every command that needs memory."""
    with valkey.client() as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


OUTAGES: tuple[Outage, ...] = (hung, dead, full)


def count_messages(valkey: Valkey, queue: str, database: int = 0) -> int:
    """Return how many messages wait in a queue."""
    with valkey.client(database) as client:
        return int(str(client.llen(queue)))


def _pid(engine: Valkey | Postgres) -> int:
    assert engine.child is not None
    return engine.child.pid
