"""API client of the chaos run: send posts, repeat unanswered ones, and record the answers.

As the contract asks, a timeout or a 5xx is inconclusive, and the same body is sent again with the same ``external_id``.
The judge compares this record with the sandbox's ledger.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from tests.chaos.judge import History
from tests.chaos.plan import Planned
from tests.chaos.storm import Storms, Target

FEWEST, EACH = 8, 2000
"""Least number of threads, and the posts per thread beyond it: an answer may take seconds."""
POLL = 0.1
"""Seconds between two looks at the plan's clock."""
PATIENCE = 12.0
"""Seconds to wait for one answer."""


@dataclass(kw_only=True, slots=True)
class SentPost:
    """One post and what the API answered."""

    planned: Planned
    word: str
    """Unique text in the caption."""
    targets: dict[str, str]
    """Sandbox platform -> the account's remote id."""
    due: datetime | None = None
    """Earliest time to go live, as requested; None: at once."""
    promised_due: datetime | None = None
    """The due time of the answer. A repeat within 30 s of ``due`` is answered with the current time."""
    tries: int = 0
    status: int | None = None
    """201 or 200: accepted. Another: refused. None: no conclusive answer."""
    answered: datetime | None = None
    message: str = ""
    id: str = ""
    history: History = field(default_factory=History)
    needs_approval: bool = False
    is_withheld: bool = False
    """It needs an approval and never gets it."""

    @property
    def is_taken(self) -> bool:
        """Whether the API accepted the post."""
        return self.status in (200, 201)


class Client:
    """Send posts at their planned times from several threads, and their storms.

    *body_of* builds a request body, *clock* is the plan's; the key *agent* sends what needs an approval.
    """

    def __init__(
        self,
        url: str,
        key: str,
        agent: str,
        sent: Sequence[SentPost],
        body_of: Callable[[SentPost], dict[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self.sent = sent
        self._url, self._body_of, self._clock = url, body_of, clock
        self._keys = {needs: f"Bearer {one}" for needs, one in ((False, key), (True, agent))}
        self._next = iter(sent)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(max(FEWEST, len(sent) // EACH))
        ]
        self.storms = Storms(url, key)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        """Whether all threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop the threads; posts without an answer stay unanswered."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE + 5)
        self.storms.stop()

    def _work(self) -> None:
        while not self._over.is_set():
            with self._lock:
                one = next(self._next, None)
            if one is None:
                return
            while self._clock() < one.planned.at and not self._over.wait(POLL):
                pass
            self._send(one)

    def _send(self, one: SentPost) -> None:
        ahead = None if one.planned.due is None else one.planned.due - one.planned.at
        one.due = None if ahead is None else datetime.now(UTC) + timedelta(seconds=ahead)
        body = self._body_of(one)
        while not self._over.is_set():
            one.tries += 1
            if self._try_send(one, body):
                if one.is_taken and one.planned.stormy and one.promised_due is not None:
                    self.storms.add(
                        Target(
                            id=one.id,
                            caption=body["caption"],
                            planned=one.planned,
                            due=one.promised_due,
                            history=one.history,
                        )
                    )
                return
            self._over.wait(random.uniform(0.2, min(3.0, 0.4 * one.tries)))

    def _try_send(self, one: SentPost, body: dict[str, Any]) -> bool:
        try:
            headers = {"Authorization": self._keys[one.needs_approval]}
            answer = requests.post(self._url, json=body, headers=headers, timeout=PATIENCE)
            data = answer.json()
        except (requests.RequestException, ValueError) as error:
            one.message = type(error).__name__
            return False
        one.message = str(data.get("message", ""))[:300]
        if answer.status_code >= 500 or answer.status_code == 429:
            return False
        one.status, one.answered = answer.status_code, datetime.now(UTC)
        if one.is_taken:
            one.id = data["data"]["id"]
            one.promised_due = datetime.fromisoformat(data["data"]["scheduled_at"])
        return True
