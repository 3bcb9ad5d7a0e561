"""Workers as processes, by the fixture ``start`` of ``conftest.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.forked_program import ForkedProgram

Start = Callable[..., ForkedProgram]


def start_worker(
    start: Start, name: str, *queues: str, slots: int = 4, armed: Mapping[str, str] | None = None
) -> ForkedProgram:
    """Start a worker for these queues, *armed* with more environment variables."""
    options = ("-c", str(slots), "-Q", ",".join(queues), "-n", f"{name}@%h")
    return start("worker", *options, "--without-gossip", "--without-mingle", **(armed or {}))
