"""Shares out the memory that the probes of this process may have together. A probe waits for its part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import BoundedSemaphore

from pipeline.media.probe.probe_worker import CONVERSION_MEMORY, MEMORY, SMALL_MEMORY
from pipeline.media.refusal import Unanswered


class ProbeMemory:
    """Parts of three sizes out of ``total`` bytes: a quarter for large ones, a quarter for conversions (at least one).

    Each size has its own parts: files that need much memory never keep the others waiting.
    """

    def __init__(self, total: int) -> None:
        large = max(1, total // 4 // MEMORY)
        conversions = max(1, total // 4 // CONVERSION_MEMORY)
        rest = total - large * MEMORY - conversions * CONVERSION_MEMORY
        small = max(1, rest // SMALL_MEMORY)
        self.parts = {CONVERSION_MEMORY: conversions, MEMORY: large, SMALL_MEMORY: small}
        self._free = {size: BoundedSemaphore(n) for size, n in self.parts.items()}

    @contextmanager
    def reserve(self, size: int, seconds: float) -> Iterator[None]:
        """Hold a part of one of the three sizes. Raises Unanswered when none is free within ``seconds``."""
        if not self._free[size].acquire(timeout=max(0.0, seconds)):
            raise Unanswered(f"could not be read within {seconds:.0f} s: too many files are being checked")
        try:
            yield
        finally:
            self._free[size].release()


@lru_cache
def get_probe_memory(total: int) -> ProbeMemory:
    """Return what all probes of this process share, for the total that the settings name."""
    return ProbeMemory(total)
