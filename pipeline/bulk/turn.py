"""A worker's turn at an import: the chunks that one message does, one after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from pipeline.bulk.judge import PostFormat
from pipeline.context import Context
from pipeline.domain.bulk_import import WORKING
from pipeline.store.auth.keys import Caller
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

LEASE = timedelta(minutes=1)
"""After which another worker may take the import of one that died; each chunk extends it."""


@dataclass(kw_only=True, slots=True)
class Turn:
    """One claim of an import. ``job``: as it stands after the last chunk that was committed."""

    context: Context
    job: Import
    caller: Caller
    form: PostFormat
    until: float = 0.0
    """By the monotonic clock: no chunk begins later, but for the first."""

    def may_go_on(self) -> bool:
        """Return whether there is time for one more chunk."""
        return time.monotonic() < self.until

    def finish_chunk(self, c: Connection, **changes: Any) -> Import | None:
        """Store where the import stands after a chunk; None: the claim is released, and the turn is over.

        *changes*: as in ``finish_step``.
        """
        goes_on = changes.get("state", self.job.state) in WORKING and self.may_go_on()
        after = store.finish_step(c, self.job, LEASE if goes_on else None, **changes)
        return after if goes_on else None
