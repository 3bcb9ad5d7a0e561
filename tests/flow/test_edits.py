"""Edit, reschedule, cancel and delete posts at random around their due time, with real workers.

Asserted on the ledger: no old version goes live after its edit was answered, no post twice, and no cancelled or
deleted post. After a 409 the post is unchanged.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from pipeline.store.database import rows
from tests.flow.ledger import caption, slideshow
from tests.stack import Stack, until

POSTS, CLIENTS = 40, 10
AHEAD = 31
"""Seconds. A due time nearer than 30 s counts as immediate."""


@dataclass(kw_only=True)
class PostEditor:
    """Edits one post at random, and records the answers with their times."""

    stack: Stack
    chance: random.Random
    base: str
    accounts: Sequence[UUID]
    id: str = ""
    version: int = 0
    asked: int = 0
    due: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: dict[int, datetime] = field(default_factory=dict)
    """Version -> when the client received the answer that ended it."""
    refused: set[int] = field(default_factory=set)
    """Versions that were answered with 409."""
    ended: str = ""
    answers: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Create the post, and edit it until a little after its due time."""
        self._create()
        for _ in range(self.chance.randint(1, 4)):
            if self.ended:
                return
            around = self.due + timedelta(seconds=self.chance.triangular(-4, 3, 0))
            time.sleep(
                max(0.0, min((around - datetime.now(UTC)).total_seconds(), self.chance.uniform(0, 30)))
            )
            self.chance.choices(
                (self._edit, self._reschedule, self._cancel, self._delete), weights=(12, 3, 2, 1)
            )[0]()

    def text(self, version: int) -> str:
        """Return the caption of a version."""
        return f"{self.base} v{version}."

    def _media(self) -> Mapping[str, Any]:
        video = {"type": "video", "url": self.stack.media("sample.mp4")}
        return self.chance.choice((video, slideshow(self.stack), slideshow(self.stack, 3)))

    def _create(self) -> None:
        body: dict[str, Any] = {
            "caption": self.text(0),
            "media": self._media(),
            "accounts": [{"id": str(a)} for a in self.accounts],
        }
        if self.chance.random() < 0.6:
            ahead = timedelta(seconds=self.chance.uniform(AHEAD, AHEAD + 5))
            body["scheduled_at"] = (datetime.now(UTC) + ahead).isoformat()
        else:
            time.sleep(self.chance.uniform(0, 25))  # spread over the time that others wait
        answer = self.stack.post(**body)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["data"]["id"]
        self.due = datetime.fromisoformat(answer.json()["data"]["scheduled_at"])

    def _edit(self) -> None:
        more = {"media": self._media()} if self.chance.random() < 0.3 else {}
        self._patch(more)

    def _reschedule(self) -> None:
        self._patch({"scheduled_at": None})

    def _patch(self, more: Mapping[str, Any]) -> None:
        self.asked += 1
        answer = self._send("PATCH", f"/{self.id}", {"caption": self.text(self.asked), **more})
        held = datetime.now(UTC)
        self.answers[f"edit {answer.status_code}"] += 1
        if answer.status_code == 200:
            self.ended_at[self.version] = held
            self.version = self.asked
            self.due = datetime.fromisoformat(answer.json()["data"]["scheduled_at"])
            return
        code = answer.json()["error_code"]
        assert code in ("post_in_flight", "validation_failed"), (
            answer.text
        )  # the latter: it was already published
        self.refused.add(self.asked)
        self._assert_unchanged()

    def _assert_unchanged(self) -> None:
        now = self.stack.read(self.id)
        assert now["caption"] == self.text(self.version), now
        assert datetime.fromisoformat(now["scheduled_at"]) == self.due

    def _cancel(self) -> None:
        data = self._send("POST", "/cancel", {"post_ids": [self.id]}).json()["data"]
        held = datetime.now(UTC)
        self.answers["cancelled" if data["canceled"] else "not cancelled"] += 1
        if data["canceled"]:
            self._end("cancelled", held)
        else:
            self._assert_unchanged()

    def _delete(self) -> None:
        data = self._send("POST", "/delete", {"postIds": [self.id]}).json()["data"]
        held = datetime.now(UTC)
        self.answers["deleted" if data["deletedIds"] else "not deleted"] += 1
        if data["deletedIds"]:
            self._end("deleted", held)
        else:
            self._assert_unchanged()

    def _end(self, how: str, held: datetime) -> None:
        self.ended = how
        self.ended_at[self.version] = held

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> requests.Response:
        answer = requests.request(
            method,
            f"{self.stack.api}/api/partner/v1/posts{path}",
            json=body,
            timeout=30,
            headers={"Authorization": f"Bearer {self.stack.key}"},
        )
        assert answer.status_code < 500, answer.text
        return answer

    # --- checks ------------------------------------------------------------------------------------------------------

    def is_settled(self) -> bool:
        """Return whether all deliveries are settled, by their rows (the API does not return a deleted post)."""
        return all(state in ("published", "cancelled", "failed") for state in self.states().values())

    def states(self) -> dict[UUID, str]:
        """Return account -> state."""
        with self.stack.context.database.begin() as c:
            found = rows(c, "SELECT account_id, state FROM deliveries WHERE post_id = :id", id=UUID(self.id))
        return {r.account_id: r.state for r in found}

    def check(self, ledger: Sequence[Mapping[str, Any]]) -> None:
        """Compare what went live with the answers."""
        lines = [line for line in ledger if str(line["caption"]).startswith(f"{self.base} v")]
        where = Counter(line["account"] for line in lines)
        assert all(times == 1 for times in where.values()), f"live twice: {lines}"
        for line in lines:
            version = int(str(line["caption"]).removeprefix(f"{self.base} v").rstrip("."))
            assert version not in self.refused, f"a refused edit went live: {line}"
            over = self.ended_at.get(version)
            went = datetime.fromisoformat(line["at"])
            assert over is None or went <= over, f"v{version} went live at {went}, over since {over}: {line}"
        published = Counter(self.states().values())["published"]
        assert len(lines) == published, f"{self.states()} against {lines}"
        assert "failed" not in self.states().values()
        if not self.ended:
            assert published == len(self.accounts), "a delivery is lost"


@pytest.mark.parametrize("seed", [2026])
def test_nothing_old_goes_live_nothing_twice_and_nothing_that_was_taken_back(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)
    clients = [
        {
            platform: stack.connect(platform, f"editor{uuid4().hex[:8]}")
            for platform in ("tiktok", "instagram")
        }
        for _ in range(CLIENTS)
    ]
    editors = []
    for n in range(POSTS):
        client = clients[n % CLIENTS]
        wanted = chance.choice((["tiktok"], ["instagram"], ["tiktok", "instagram"]))
        editors.append(
            PostEditor(
                stack=stack,
                chance=random.Random(chance.random()),
                base=caption(),
                accounts=[client[p] for p in wanted],
            )
        )
    with ThreadPoolExecutor(POSTS) as pool:
        for running in [pool.submit(editor.run) for editor in editors]:
            running.result(120)
    until(
        lambda: all(editor.is_settled() for editor in editors) or None,
        90,
        lambda: str([editor.states() for editor in editors if not editor.is_settled()]),
    )
    ledger = stack.ledger()
    for editor in editors:
        editor.check(ledger)
    answers = sum((editor.answers for editor in editors), Counter())
    print(f"seed {seed}: {dict(answers)}, {len(ledger)} lines in the ledger")
    # without each of these answers the run would prove nothing
    assert min(answers["edit 200"], answers["edit 409"], answers["cancelled"]) > 0, answers
