"""The core fixture: a workspace on real engines, and helpers to post to it and read what became of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import text

from adapters.contract import Platform
from config.settings import load
from pipeline.api.posts.schema import FORM
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.runtime.context import Context
from pipeline.stages.ingest import accept
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.store.auth.keys import Caller, create_key, find_caller
from pipeline.store.checks import checks
from pipeline.store.database import IDLE, rows
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.pipeline.store.ledger import Ledger

GOOD_VIDEO = {
    "content_type": "video/mp4",
    "bytes": 1_000_000,
    "width": 1080,
    "height": 1920,
    "duration": 12.0,
    "codec": "h264",
    "fps": 30.0,
    "etag": '"1"',
}
GOOD_IMAGE = {"content_type": "image/jpeg", "bytes": 90_000, "width": 1080, "height": 1080, "etag": '"1"'}
VIDEO = "https://media.example/v.mp4"
MUSIC = "https://www.tiktok.com/@genviral/video/7234567890123456789"


def with_options(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request with the platforms' sections together in ``options``."""
    sections = {Platform(name): value for name, value in fields.items() if name in set(Platform)}
    return {**{n: v for n, v in fields.items() if n not in sections}, "options": sections}


@dataclass(kw_only=True)
class CoreFixture:
    """One workspace, its key and accounts, on one context."""

    context: Context
    ledger: Ledger
    workspace: UUID
    caller: Caller
    accounts: dict[str, UUID] = field(default_factory=dict)

    def account(self, name: str, platform: Platform = Platform.TIKTOK) -> UUID:
        self.accounts[name] = self.ledger.account(self.workspace, platform)
        return self.accounts[name]

    def decided(
        self,
        url: str = VIDEO,
        purpose: checks.Purpose = "video",
        verdict: checks.Verdict = "good",
        facts: Mapping[str, Any] | None = None,
        seen: str = "ok",
    ) -> UUID:
        """Add a check of this URL that has its verdict already; return its id."""
        with self.context.database.begin() as c:
            check = checks.open_check(c, self.workspace, purpose, url)
            found = (
                dict(facts or (GOOD_VIDEO if purpose == "video" else GOOD_IMAGE))
                if verdict == "good"
                else None
            )
            assert checks.decide_check(c, check.id, verdict, facts=found, seen=seen)
        return check.id

    def request(self, **given: Any) -> PostRequest:
        """Build a request for a video to the account ``one``; the body's hash follows from its fields."""
        asked: dict[str, Any] = {
            "caption": "hello",
            "media": {"type": "video", "url": VIDEO},
            "account_ids": [self.accounts["one"]] if "one" in self.accounts else [],
            **given,
        }
        told = {k: str(v) if k == "own" else v for k, v in asked.items() if k != "external_id"}
        body = json.loads(json.dumps(told, default=str, sort_keys=True))
        fingerprint = FORM + hashlib.sha256(json.dumps(body).encode()).digest()
        sent = {k: v for k, v in asked.items() if v is not None}
        return PostRequest(**with_options(sent), fingerprint=fingerprint)

    def accept(self, request: PostRequest | None = None, **given: Any) -> AcceptedPost:
        return accept(self.context, self.caller, request or self.request(**given))

    def refused(self, request: PostRequest | None = None, **given: Any) -> Refusal:
        """Return the refusal of a request, after asserting that nothing was stored."""
        before = self.posts()
        try:
            accepted = self.accept(request, **given)
        except Refusal as refusal:
            assert self.posts() == before
            return refusal
        raise AssertionError(f"it was accepted: {accepted}")

    def run(self, sql: str, **values: Any) -> None:
        """Run one statement in a transaction of its own."""
        with self.context.database.begin() as c:
            c.execute(text(sql), values)

    def now(self) -> datetime:
        with self.context.database.begin() as c:
            moment: datetime = rows(c, "SELECT now() AS now")[0].now
        return moment

    def posts(self) -> list[UUID]:
        with self.context.database.begin() as c:
            return [r.id for r in rows(c, "SELECT id FROM posts WHERE workspace_id = :w", w=self.workspace)]

    def deliveries(self, post: UUID) -> Sequence[Any]:
        with self.context.database.begin() as c:
            return rows(c, "SELECT * FROM deliveries WHERE post_id = :id ORDER BY platform, id", id=post)

    def status(self, post: UUID) -> str:
        with self.context.database.begin() as c:
            found: str = rows(c, "SELECT status FROM posts WHERE id = :id", id=post)[0].status
        return found

    def check_ids(self, url: str) -> list[UUID]:
        with self.context.database.begin() as c:
            found = rows(
                c,
                "SELECT id FROM checks WHERE workspace_id = :w AND url = :u ORDER BY id",
                w=self.workspace,
                u=url,
            )
        return [r.id for r in found]

    def messages(self, queue: str) -> int:
        """Return how many messages wait in a queue of the broker."""
        client: redis.Redis = create_redis_client(self.context.settings.broker.url.get_secret_value())
        length = client.llen(queue)
        client.close()
        assert isinstance(length, int)
        return length

    def with_settings(self, **groups: Mapping[str, Any]) -> CoreFixture:
        """Return the same core under other settings."""
        changed = {
            name: getattr(self.context.settings, name).model_copy(update=dict(values))
            for name, values in groups.items()
        }
        context = replace(self.context, settings=self.context.settings.model_copy(update=changed))
        return replace(self, context=context)


def make_core(context: Context, ledger: Ledger) -> CoreFixture:
    """Create a workspace with a key. A pause of the tests' own process, on a busy machine, ends no transaction."""
    context.database.frozen = IDLE
    workspace = ledger.workspace()
    with context.database.begin() as c:
        caller = find_caller(c, create_key(c, workspace, "tests"))
    assert caller is not None
    return CoreFixture(context=context, ledger=ledger, workspace=workspace, caller=caller)


@contextmanager
def open_core(
    environment: Mapping[str, str], vault_key: str, adapt: Callable[[Context], Context] = lambda made: made
) -> Iterator[CoreFixture]:
    """Yield a workspace with the account ``one`` on a database of the test's own. *adapt* changes the context."""
    context = adapt(build_context(load(dict(environment))))
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    made = make_core(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()
