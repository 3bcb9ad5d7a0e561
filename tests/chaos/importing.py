"""The import of a chaos run: a client uploads a file of posts, applies its plan and reads its receipts under faults.

Like the client of single posts it repeats what was not answered: the upload under its Idempotency-Key, the others as
they are. The posts of accepted rows are judged like all others, and those of rejected rows must not be live.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import requests

from pipeline.domain.post import IMMEDIATE
from tests.chaos.client import PATIENCE, POLL, SentPost
from tests.chaos.judge import Violation

ROWS = 1_010
"""Rows of the file: three chunks. Most repeat an earlier row, so that many rows make few posts."""
FORGED = 3
"""Rows that name an account that does not exist."""
ENDED = frozenset({"applied", "failed", "canceled"})
LONGEST = 150.0
"""Seconds that the import has after the last fault: two leases of a worker that died."""

Receipt = Mapping[str, Any]


def place_rows(posts: Sequence[SentPost]) -> dict[int, SentPost]:
    """Return row number -> post, for the first row of each: spread over the file, so that no chunk has none."""
    return {1 + n * ROWS // len(posts): post for n, post in enumerate(posts)}


def build_file(first_rows: Mapping[int, SentPost], build: Callable[[SentPost], dict[str, Any]]) -> bytes:
    """Return the NDJSON file. A row that is not the first of a post repeats the latest one."""
    lines, latest = [], b""
    for number in range(1, ROWS + 1):
        if number in first_rows:
            body = build(first_rows[number])
            latest = json.dumps({"scheduled_at": "now", **body}).encode() + b"\n"
        lines.append(latest)
    return b"".join(lines)


class Importer:
    """Import one file of *posts* in a thread of its own, from *at* seconds of the plan's clock on.

    *body_of* builds a request body; the last posts name an account that does not exist. Without posts it does nothing.
    """

    def __init__(
        self,
        api: str,
        key: str,
        posts: Sequence[SentPost],
        body_of: Callable[[SentPost], dict[str, Any]],
        clock: Callable[[], float],
        at: float,
    ) -> None:
        self.posts = posts
        self._job: dict[str, Any] | None = None
        self._receipts: list[Receipt] = []
        self._ended_at = 0.0
        self._first_rows, self._forged = place_rows(posts), posts[-FORGED:]
        self._url, self._headers = f"{api}/api/partner/v1/imports", {"Authorization": f"Bearer {key}"}
        self._body_of, self._clock, self._at = body_of, clock, at
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        if self.posts:
            self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether the import has ended and its receipts are read."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Stop the thread, wherever the import stands."""
        self._over.set()
        if self.posts:
            self._thread.join(2 * PATIENCE)

    def judge(self) -> list[Violation]:
        """Return what is wrong with the import itself, and store in its posts what became of their rows."""
        forged = frozenset(number for number, one in self._first_rows.items() if one in self._forged)
        return judge_import(self._job, self._receipts, self._first_rows, forged) if self.posts else []

    def describe(self) -> str:
        """Return how the import ended, for the scorecard."""
        job = self._job
        if job is None:
            return "unanswered"
        counts = ", ".join(f"{number} {name}" for name, number in (job["counts"] | job["result"]).items())
        return f"{job['state']} {self._ended_at - self._at:.0f} s after it was due to be uploaded: {counts}"

    def _build_file(self) -> bytes:
        """Return the file. Its times count from now."""
        now = datetime.now(UTC)
        for one in self.posts:
            ahead = None if one.planned.due is None else one.planned.due - one.planned.at
            one.due = None if ahead is None else now + timedelta(seconds=ahead)
            # the contract takes a time so close to the row's own, when it is applied at last, for "now"
            one.promised_due = None if one.due is None else one.due - IMMEDIATE
        return build_file(self._first_rows, self._build_body)

    def _build_body(self, one: SentPost) -> dict[str, Any]:
        forged = {"accounts": [{"id": str(uuid4())}]} if one in self._forged else {}
        return self._body_of(one) | forged

    def _work(self) -> None:
        while self._clock() < self._at:
            if self._over.wait(POLL):
                return
        upload = {"data": self._build_file(), "params": {"format": "ndjson"}}
        self._keep(self._send("POST", "", headers={"Idempotency-Key": "chaos"}, **upload))
        while self._job is not None and self._job["state"] not in ENDED and not self._over.wait(5 * POLL):
            if self._job["state"] == "planned":
                self._send("POST", f"/{self._job['id']}/apply", json={"plan": self._job["plan"]["hash"]})
            self._keep(self._send("GET", f"/{self._job['id']}"))
        if self._job is not None and self._job["state"] in ENDED:
            self._ended_at = self._clock()
            self._read_receipts(f"/{self._job['id']}/rows", self._job["counts"]["rows"])

    def _read_receipts(self, path: str, number: int) -> None:
        """Read all receipts; an answer that breaks off has fewer."""
        while len(self._receipts) != number and not self._over.is_set():
            answer = self._send("GET", path)
            if answer is not None and answer.ok and answer.content.endswith(b"\n"):
                self._receipts = [json.loads(line) for line in answer.content.splitlines()]
            self._over.wait(POLL)

    def _keep(self, answer: requests.Response | None) -> None:
        if answer is not None:
            answer.raise_for_status()  # nothing in the run may refuse it
            self._job = answer.json()["data"]

    def _send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **sent: Any
    ) -> requests.Response | None:
        """Send a request until it is answered conclusively. Return None once the thread is stopped."""
        every = self._headers | dict(headers or {})
        while not self._over.is_set():
            try:
                answer = requests.request(method, self._url + path, headers=every, timeout=PATIENCE, **sent)
            except requests.RequestException:
                self._over.wait(5 * POLL)
                continue
            if answer.status_code < 500 and answer.status_code not in (408, 429):
                return answer
            self._over.wait(5 * POLL)
        return None


def judge_import(
    job: Mapping[str, Any] | None,
    receipts: Sequence[Receipt],
    first_rows: Mapping[int, SentPost],
    forged: frozenset[int],
) -> list[Violation]:
    """Store in the posts what became of their rows, and return what is wrong with the import itself.

    *forged*: the first rows that must be rejected.
    """
    if job is None or job["state"] != "applied":
        return [_violation("stuck", "the import is " + ("unanswered" if job is None else job["state"]))]
    found = []
    by_row = {receipt["row"]: receipt for receipt in receipts}
    counts, verdicts = job["counts"], Counter(receipt["verdict"] for receipt in by_row.values())
    if (
        counts != {"rows": ROWS, **{name: verdicts[name] for name in ("accepted", "duplicate", "rejected")}}
        or sum(verdicts.values()) != ROWS
    ):
        found.append(
            _violation("misreported", f"of {ROWS} rows the import counts {counts}, its receipts {verdicts}")
        )
    for number, post in first_rows.items():
        receipt = by_row.get(number, {"verdict": "missing"})
        post.status = {"accepted": 201, "rejected": 400}.get(receipt["verdict"])
        if number in forged:
            is_right = receipt["verdict"] == "rejected"
        else:
            is_right = receipt["verdict"] == "accepted" or _is_too_late(receipt)
        if not is_right:
            found.append(_violation("misreported", f"row {number} ({post.word}): {receipt}"))
    created = [receipt["post_id"] for receipt in by_row.values() if receipt["verdict"] == "accepted"]
    repeated = {receipt["post_id"] for receipt in by_row.values() if receipt["verdict"] == "duplicate"}
    known = {
        *created,
        *(None for number in first_rows if _is_too_late(by_row.get(number, {"verdict": None}))),
    }
    if len(set(created)) != len(created) or not repeated <= known:
        found.append(
            _violation("misreported", f"posts of accepted rows {created}, of duplicate rows {repeated}")
        )
    return found


def _is_too_late(receipt: Receipt) -> bool:
    """Return whether the time of the row had passed when it was applied."""
    return receipt["verdict"] == "rejected" and any(i["path"] == "scheduled_at" for i in receipt["issues"])


def _violation(what: str, why: str) -> Violation:
    return Violation(what=what, word="import", site="", why=why)
