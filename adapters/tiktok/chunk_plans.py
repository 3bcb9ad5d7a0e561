"""Which chunk plan to request for a file, and which forms of plans TikTok has refused to our app.

A refusal at init costs nothing, as nothing is visible yet: the next prepare requests the next plan. Refused forms are
tried last for a day, in this process; losing that memory costs one refused request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from datetime import timedelta

from adapters.errors import Rejected
from adapters.tiktok.limits import CHUNK_MOST
from adapters.tiktok.upload import UploadPlan

REFUSAL_LIFE = 24 * 3600.0
"""Seconds that the refusal of a form is remembered."""


_OPERATOR = "Ask the operator of this server:"


class RefusedForms:
    """The forms of plans that TikTok refused to an app, by host and app id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str, str], float] = {}

    def add(self, host: str, app: str, form: str) -> None:
        """Remember a refusal that was just given."""
        with self._lock:
            now = time.monotonic()
            self._until = {key: until for key, until in self._until.items() if until > now}
            self._until[host, app, form] = now + REFUSAL_LIFE

    def contains(self, host: str, app: str, form: str) -> bool:
        """Return True if the form was refused within a day."""
        with self._lock:
            return time.monotonic() < self._until.get((host, app, form), 0.0)


REFUSED_FORMS = RefusedForms()


def choose_plan(size: int, limit: timedelta, host: str, app: str, refused: Collection[str]) -> UploadPlan:
    """Return the plan to request next. *refused*: forms that were refused for this very file.

    *limit* is the longest time that a visible call may take. Raise Rejected if no plan is left.
    """
    left = [plan for plan in UploadPlan.list_legal(size) if plan.form not in refused]
    fitting = [plan for plan in left if plan.fits_call(limit)]
    if fitting:
        return min(fitting, key=lambda plan: REFUSED_FORMS.contains(host, app, plan.form))
    if left:
        seconds = min(plan.call_time for plan in left).total_seconds()
        raise Rejected(
            "TikTok takes this video only in parts too large for the time that a visible call may take.",
            code="chunks_too_large",
            next_action=f"{_OPERATOR} SLIPWAY_WORKER__SHUTDOWN has to be at least {seconds + 3:.0f}.",
        )
    raise Rejected(
        "TikTok refused every chunk size that its rules allow for this video.",
        code="chunks_refused",
        next_action="Send a video of at most 64,000,000 bytes." if size > CHUNK_MOST else None,
    )
