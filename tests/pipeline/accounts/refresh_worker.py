"""Refresh one account once: ``python -m tests.pipeline.accounts.refresh_worker ACCOUNT VERSION``."""

from __future__ import annotations

import sys
from uuid import UUID

from pipeline.accounts.refresh import refresh
from pipeline.wiring import get_context

if __name__ == "__main__":
    print(repr(refresh(get_context(), UUID(sys.argv[1]), int(sys.argv[2]))), flush=True)
