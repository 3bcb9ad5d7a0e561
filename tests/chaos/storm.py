"""Edit, cancel and retry posts again and again around their due second, and record the answers for the judge."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import requests

from tests.chaos.judge import History, Revision
from tests.chaos.plan import Planned

Answer = Literal["done", "refused", "unclear"]
BEFORE, AFTER = 0.6, 1.4
"""Seconds before and after the due time between which the requests of a storm are sent."""
EDITS, RETRIES = 3, 4
"""Requests of one storm, beside the one cancel of every third."""
PATIENCE = 8.0
"""Seconds to wait for one answer."""
THREADS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A post that the API has accepted."""

    id: str
    caption: str
    planned: Planned
    due: datetime
    history: History


class Storms:
    """Send the storms of all targets, each around its due time. *url*: of the posts."""

    def __init__(self, url: str, key: str) -> None:
        self.count = 0
        self._url, self._headers = url, {"Authorization": f"Bearer {key}"}
        self._pool = ThreadPoolExecutor(THREADS)
        self._over, self._lock = threading.Event(), threading.Lock()

    def add(self, target: Target) -> None:
        """Send a storm around the target's due time."""
        self.count += 1
        chance = random.Random(target.planned.number)
        jobs: list[Callable[[], None]] = [lambda: self._edit(target, chance), lambda: self._retry(target)]
        if target.planned.number % 3 == 0:
            jobs.append(lambda: self._cancel(target, chance))
        wait = (target.due - datetime.now(UTC)).total_seconds() - BEFORE
        timer = threading.Timer(max(0.0, wait), lambda: self._start(jobs))
        timer.daemon = True
        timer.start()

    def _start(self, jobs: Sequence[Callable[[], None]]) -> None:
        with self._lock:
            for job in jobs if not self._over.is_set() else ():
                self._pool.submit(job)

    def stop(self) -> None:
        """End all storms; requests under way are awaited."""
        with self._lock:
            self._over.set()
        self._pool.shutdown(cancel_futures=True)

    def _edit(self, target: Target, chance: random.Random) -> None:
        for number in range(1, EDITS + 1):
            text = f"{target.caption} revision {number}"
            answer, _ = self._ask("PATCH", f"/{target.id}", {"caption": text})
            if answer != "refused":
                done = datetime.now(UTC) if answer == "done" else None
                target.history.revisions.append(Revision(number=number, done_at=done))
            self._over.wait(chance.uniform(0, (BEFORE + AFTER) / EDITS))

    def _retry(self, target: Target) -> None:
        for _ in range(RETRIES):
            self._ask("POST", "/retry", {"post_ids": [target.id]})
            self._over.wait((BEFORE + AFTER) / RETRIES)

    def _cancel(self, target: Target, chance: random.Random) -> None:
        self._over.wait(chance.uniform(0, BEFORE + AFTER))
        target.history.may_be_cancelled = True
        answer, data = self._ask("POST", "/cancel", {"post_ids": [target.id]})
        if answer == "done" and data["canceled"]:
            target.history.cancelled_at = datetime.now(UTC)
        elif answer != "unclear":
            target.history.may_be_cancelled = False

    def _ask(self, method: str, path: str, body: dict[str, Any]) -> tuple[Answer, Any]:
        if self._over.is_set():
            return "refused", None  # not sent
        try:
            answer = requests.request(
                method, self._url + path, json=body, headers=self._headers, timeout=PATIENCE
            )
            data = answer.json()["data"] if answer.ok else None
        except (requests.RequestException, ValueError):
            return "unclear", None
        if answer.status_code >= 500 or answer.status_code == 429:
            return "unclear", None
        return ("done" if answer.ok else "refused"), data
