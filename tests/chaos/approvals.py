"""Approvals in a chaos run: a third of the posts is sent by a key that needs them, and another key gives them.

Some are never approved: one of those that is live breaks what was promised. They are canceled once the load is over.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import requests

from pipeline.domain.account import KeyLimits
from pipeline.store.auth.keys import Terms, create_key
from tests.stack import Stack

EVERY, WITHHELD = 3, 30
"""One post in so many needs an approval; one in so many never gets it."""
POLL = 0.5
"""Seconds between two looks at what waits."""
PATIENCE = 12.0
"""Seconds to wait for one answer."""


def create_agent(stack: Stack, **limits: Any) -> str:
    """Create a key of the run's workspace with these limits."""
    with stack.context.database.begin() as c:
        return create_key(c, stack.workspace, "chaos", Terms(limits=KeyLimits(**limits)))


class Approver:
    """Approve what waits, as it is shown, until it is stopped; *withheld*: external ids of what it leaves."""

    def __init__(self, url: str, key: str, withheld: Sequence[str]) -> None:
        self.count = 0
        """Approvals that were answered."""
        self._url, self._headers = url, {"Authorization": f"Bearer {key}"}
        self._withheld, self._over = frozenset(withheld), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._over.set()
        self._thread.join(PATIENCE + 5)

    def cancel_withheld(self) -> None:
        """Cancel what was withheld and waits still; the server may be away, and is asked until it answers."""
        while left := [post["id"] for post in self._list_waiting() if post["external_id"] in self._withheld]:
            self._send("POST", "/cancel", {"post_ids": left[:100]})
            self._over.wait(POLL)

    def _work(self) -> None:
        while not self._over.wait(POLL):
            for post in self._list_waiting():
                if post["external_id"] not in self._withheld and not self._over.is_set():
                    self._approve(post)

    def _list_waiting(self) -> Iterator[dict[str, Any]]:
        cursor = ""
        while (page := self._send("GET", f"?held_for=approval&limit=100{cursor}")) is not None:
            yield from page["posts"]
            if not page["next_cursor"]:
                return
            cursor = f"&cursor={page['next_cursor']}"

    def _approve(self, post: dict[str, Any]) -> None:
        found = self._send("GET", f"/{post['id']}/approval")
        if found is None or found["state"] != "needed" or found["checking"]:
            return
        is_past = datetime.fromisoformat(post["scheduled_at"]) <= datetime.now(UTC)
        body = {"hash": found["hash"], **({"now": True} if is_past else {})}
        self.count += self._send("POST", f"/{post['id']}/approve", body) is not None

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        """Return the data of an answer; None if there is none, or it is a refusal: the next look tries again."""
        try:
            answer = requests.request(
                method, self._url + path, json=body, headers=self._headers, timeout=PATIENCE
            )
            return answer.json()["data"] if answer.ok else None
        except (requests.RequestException, ValueError):
            return None
