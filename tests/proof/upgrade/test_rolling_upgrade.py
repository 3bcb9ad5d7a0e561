"""Rolling upgrade: processes of a lower level and current ones run side by side, and the tables change under load.

All of them are this commit's code, which knows the migration s0001 only. Posts are created through both APIs while
migrations of this test are applied and while the older parts are stopped one by one. The sandbox's ledger must hold
each post once.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from adapters.contract import Platform
from pipeline.broker.queues import WORKER_GROUPS
from pipeline.domain.level import LEVEL
from pipeline.store.database import row, rows
from pipeline.store.migrate import upgrade
from tests.conftest import free_ports
from tests.pipeline.store.extra_migrations import more, number
from tests.stack import FAST, Stack, is_answering, until

PARTS = ("api", "beat", *(f"worker-{group}" for group in WORKER_GROUPS))
STOP_LIMIT = 40
"""Seconds a part may take to stop: SLIPWAY_WORKER__SHUTDOWN (5 s here) on a busy machine."""
EXPAND = (
    """op.execute('''
        ALTER TABLE posts ADD COLUMN caption_length integer;
        CREATE FUNCTION posts_are_measured() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.caption_length = length(NEW.caption); RETURN NEW; END $$;
        CREATE TRIGGER posts_are_measured BEFORE INSERT OR UPDATE ON posts
            FOR EACH ROW EXECUTE FUNCTION posts_are_measured()''')""",
    "index_concurrently('posts_by_length', 'ON posts (workspace_id, caption_length)')",
)
"""A column, which a trigger fills for code that does not know it, and an index."""
CONTRACT = (
    """op.execute('''ALTER TABLE posts ADD CONSTRAINT posts_have_length
                     CHECK (caption_length IS NOT NULL) NOT VALID''')""",
    "op.execute('ALTER TABLE posts VALIDATE CONSTRAINT posts_have_length')",
    """op.execute('''ALTER TABLE posts ALTER caption_length SET NOT NULL;
                     ALTER TABLE posts DROP CONSTRAINT posts_have_length''')""",
)
"""The column becomes NOT NULL once the rows of before are filled."""
FILL = """UPDATE posts SET caption_length = length(caption) WHERE id IN (
              SELECT id FROM posts WHERE caption_length IS NULL ORDER BY id LIMIT 3 FOR NO KEY UPDATE SKIP LOCKED)
          RETURNING id"""


@dataclass(kw_only=True)
class Deployment:
    """The parts of one level. ``stack`` has its own API port; database and broker are shared."""

    stack: Stack
    name: str

    def start(self, *parts: str) -> None:
        for part in parts:
            words = part.split("-")
            extra = ["--slots", "8", "--name", f"{self.name}-{part}@%h"] if words[0] == "worker" else []
            self.stack.start(f"{self.name}-{part}", "pipeline.cli", *words, *extra)
        until(lambda: all(self._is_up(part) for part in parts), 90, self._read_logs)

    def stop(self, part: str) -> None:
        """Send SIGTERM to the part's main process."""
        process = self.stack.parts[f"{self.name}-{part}"]
        assert process.poll() is None, self._read_log(part)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_LIMIT) == 0, self._read_log(part)

    def restart(self, part: str) -> None:
        """Stop a part and start it on the tables as they are now."""
        self.stop(part)
        (self.stack.folder / f"{self.name}-{part}.log").unlink()
        self.start(part)

    def _is_up(self, part: str) -> bool:
        if part == "api":
            return is_answering(f"{self.stack.api}/healthz")
        if part == "beat":  # which logs nothing while all is well: it is up once it talks to an engine
            return bool(psutil.Process(self.stack.parts[f"{self.name}-{part}"].pid).net_connections("all"))
        return " ready" in self._read_log(part)

    def _read_log(self, part: str) -> str:
        return (self.stack.folder / f"{self.name}-{part}.log").read_text()

    def _read_logs(self) -> str:
        return "\n".join(f"--- {part}\n{self._read_log(part)[-2000:]}" for part in PARTS)


@dataclass(kw_only=True)
class Client:
    """Create posts through either API and record them."""

    word: str = field(default_factory=lambda: f"upgrade {uuid4().hex[:12]}")
    posts: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def send(self, through: Stack, *platforms: str, due: timedelta | None = None, **options: Any) -> str:
        text = f"{self.word} {next(self._numbers)}."
        later = None if due is None else (datetime.now(UTC) + due).isoformat()
        post = through.create_post(text, *platforms, scheduled_at=later, **options)
        self.posts[post] = (text, platforms)
        return post

    @contextmanager
    def keep_sending(self, *through: Stack) -> Iterator[None]:
        """Send one post after the other through each API, from before the block's start to its end."""
        done, begun = Event(), [Event() for _ in through]

        def send(stack: Stack, first: Event) -> None:
            while not done.is_set():
                post = self.send(stack, "linkedin", "facebook")
                first.set()
                stack.await_status(post, "posted", 150)

        with ThreadPoolExecutor(len(through)) as pool:
            running = [pool.submit(send, stack, first) for stack, first in zip(through, begun, strict=True)]
            try:
                until(lambda: all(first.is_set() for first in begun) or any(r.done() for r in running), 60)
                yield
            finally:
                done.set()
            for one in running:
                one.result()

    def list_expected(self) -> Counter[tuple[str, str]]:
        return Counter((text, platform) for text, platforms in self.posts.values() for platform in platforms)

    def list_live(self, stack: Stack) -> Counter[tuple[str, str]]:
        return Counter((str(line["caption"]), line["platform"]) for line in stack.live(self.word))


@pytest.fixture(scope="module")
def deployments(
    module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Deployment]]:
    """The older and the current deployment; only the sandbox is running."""
    folder = tmp_path_factory.mktemp("rolling")
    sandbox, media, old_api, new_api = free_ports(4)
    environment = module_environment | {"SLIPWAY_FOLDER": str(folder)} | FAST
    new = Stack(environment=dict(environment), folder=folder, ports=[sandbox, media, new_api])
    old = Stack(
        environment=environment | {"SLIPWAY_LEVEL": "1"}, folder=folder, ports=[sandbox, media, old_api]
    )
    try:
        new.start_sandbox()
        new.seed(*Platform)
        old.key, old.accounts = new.key, new.accounts
        yield Deployment(stack=old, name="old"), Deployment(stack=new, name="new")
    finally:
        old.stop()
        new.stop()


def migrate(stack: Stack, tmp_path: Path) -> None:
    """Apply this test's migrations; between two of them the rows of before are filled in batches."""
    database = stack.context.database
    url = database.engine.url.render_as_string(hide_password=False)
    assert upgrade(url, more(tmp_path / "expand", *EXPAND)) == number(2)
    filled = True
    while filled:
        with database.begin() as c:
            filled = bool(rows(c, FILL))
    assert upgrade(url, more(tmp_path / "contract", *EXPAND, *CONTRACT)) == number(5)
    with database.begin() as c:
        found = row(
            c,
            """SELECT attnotnull AS required, indisvalid AS valid, count(*) AS n,
                      count(*) FILTER (WHERE caption_length = length(caption)) AS measured
               FROM posts, pg_attribute, pg_index WHERE attrelid = 'posts'::regclass AND attname = 'caption_length'
                 AND indexrelid = 'posts_by_length'::regclass GROUP BY 1, 2""",
        )
    assert found is not None
    assert (found.required, found.valid, found.measured) == (True, True, found.n)


@pytest.mark.timeout(600)
def test_posts_are_live_once_while_two_levels_work_side_by_side_and_the_tables_change(
    deployments: tuple[Deployment, Deployment], tmp_path: Path
) -> None:
    old, new = deployments
    assert LEVEL > 1, "there is a lower level"
    client = Client()

    old.start(*PARTS)
    first = [client.send(old.stack, *Platform), client.send(old.stack, "instagram", "linkedin")]
    for post in first:
        old.stack.await_status(post, "posted", 120)

    new.start(*PARTS)
    client.send(old.stack, "facebook", due=timedelta(seconds=60))  # due after the older parts have stopped
    for n in range(12):
        client.send(
            (old, new)[n % 2].stack, *(("instagram", "linkedin") if n % 3 else ("facebook", "youtube"))
        )
    newer = [client.send(new.stack, "youtube", youtube={"privacy": "private"}) for _ in range(4)]

    with client.keep_sending(old.stack, new.stack):
        migrate(new.stack, tmp_path)
    old.restart("worker-publish")
    new.restart("api")

    for part in (*(f"worker-{group}" for group in WORKER_GROUPS), "beat", "api"):
        client.send(old.stack, "linkedin", "facebook")
        client.send(new.stack, "instagram", "tiktok")
        old.stop(part)
    client.send(new.stack, *Platform)

    for post in client.posts:
        new.stack.await_status(post, "posted", 150)
    assert client.list_live(new.stack) == client.list_expected()
    texts = {client.posts[post][0] for post in newer}
    sent = [line["extra"]["privacy"] for line in new.stack.live(client.word) if line["caption"] in texts]
    assert sent == ["private"] * len(newer), "no process of the lower level sent one without its option"
    with new.stack.context.database.begin() as c:
        moved = rows(
            c,
            """SELECT DISTINCT m.target, d.crashes FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = ANY(CAST(:posts AS uuid[])) AND (m.target = 'unknown' OR d.crashes > 0)""",
            posts=[UUID(post) for post in client.posts],
        )
    assert not moved, "a delivery became unknown, or a stop counted as a crash"
