"""Whatever reads a delivery names the same hold: the API, its lists, the command line, the queue, counts and gauges."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.broker.queues import ALL_QUEUES
from pipeline.domain.attention import Kind
from pipeline.domain.delivery import State
from pipeline.domain.hold import INTENDED, Hold
from pipeline.store.attention import read_matters
from pipeline.store.canaries import record_consumed
from pipeline.store.counters.gauges import RETRY, list_overdue
from pipeline.store.database import new_id, row
from pipeline.store.deliveries.pauses import lock_workspace, pause
from pipeline.store.recovery import epoch
from pipeline.store.steering.receipts import pause_deliveries
from tests.fork_server_client import ForkServer
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.store.ledger import HOUR, Ledger, Post

AHEAD, DUE, RETRYING = "ahead", "due", "retrying"
Seen = Mapping[str, str | None]
"""What a reader says of each of the three deliveries."""
ALL = (AHEAD, DUE, RETRYING)
PAUSED: Seen = dict.fromkeys(ALL, Hold.PAUSED)
HOLDS: Mapping[str, Seen] = {
    "nothing": {AHEAD: None, DUE: Hold.BACKLOG, RETRYING: None},
    "all": PAUSED,
    "platform": PAUSED,
    "workspace": PAUSED,
    "lock": dict.fromkeys(ALL, Hold.LOCKED),
    "account": PAUSED,
    "delivery": PAUSED,
    "newer_worker": dict.fromkeys(ALL, Hold.NEWER_WORKER),
    "breaker": {AHEAD: None, DUE: Hold.BREAKER, RETRYING: Hold.BREAKER},
    "epoch": {AHEAD: None, DUE: Hold.EPOCH, RETRYING: Hold.EPOCH},
}
"""What stands in the way -> the hold of each delivery."""
LISTED = {"all", "platform", "workspace", "account", "delivery", "breaker"}
"""Those that stand in the list of pauses."""


@dataclass(kw_only=True)
class Scene:
    """Three posts of one account: due in an hour, due an hour ago, and one to be tried again in nine minutes."""

    site: Site
    http: Client
    ledger: Ledger
    terminal: Terminal
    workspace: UUID
    account: UUID
    posts: Mapping[str, Post]

    def name(self, delivery: Any) -> str:
        return next(name for name, post in self.posts.items() if post.deliveries == [UUID(str(delivery))])

    def name_post(self, post: Any) -> str:
        return next(name for name, one in self.posts.items() if one.id == UUID(str(post)))

    def get(self, path: str) -> Any:
        answer = self.site.server.get(path, self.site.tenant.key)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
def scene(
    site: Site,
    http: Client,
    ledger: Ledger,
    fork_server: ForkServer,
    module_environment: dict[str, str],
) -> Iterator[Scene]:
    workspace = site.tenant.workspace
    account = ledger.account(workspace)
    posts = {
        AHEAD: ledger.post([account], due=HOUR),
        DUE: ledger.post([account], due=-HOUR),
        RETRYING: ledger.post([account], State.RETRYING, due=-HOUR),
    }
    ledger.change(posts[RETRYING].deliveries[0], "next_at = now() + interval '9 minutes'")
    with ledger.database.begin() as c:  # gauges find it by what the export of its moves would store
        row(
            c,
            """INSERT INTO counted_deliveries (delivery_id, platform, state, reason, since, due_at, attempts)
               SELECT id, platform, state, '', now(), due_at, 0 FROM deliveries WHERE id = :id RETURNING delivery_id""",
            id=posts[RETRYING].deliveries[0],
        )
    folder = Path(module_environment["SLIPWAY_FOLDER"])
    yield Scene(
        site=site,
        http=http,
        ledger=ledger,
        terminal=Terminal(environment=module_environment, fork_server=fork_server, folder=folder),
        workspace=workspace,
        account=account,
        posts=posts,
    )
    for post in posts.values():
        ledger.put(post, State.CANCELLED)


@contextmanager
def standing(scene: Scene, what: str) -> Iterator[None]:
    """Put something in the way of the three posts, and take it away again."""
    targets = {
        "all": "",
        "platform": "tiktok",
        "workspace": str(scene.workspace),
        "account": str(scene.account),
    }
    deliveries = [post.deliveries[0] for post in scene.posts.values()]
    with scene.ledger.database.begin() as c:
        match what:
            case "lock":
                assert lock_workspace(c, scene.workspace, "looking into it", "tests")
            case "delivery":
                pause_deliveries(c, deliveries, new_id(), "looking into it")
            case "newer_worker":
                record_consumed(c, ALL_QUEUES, 1)
                c.exec_driver_sql(
                    "UPDATE deliveries SET level = 2 WHERE id = ANY(%(ids)s)", {"ids": deliveries}
                )
            case "breaker":
                c.exec_driver_sql(
                    """INSERT INTO platform_health (platform, opened_at, probe_at, why)
                       VALUES ('tiktok', now(), now(), 'down')"""
                )
            case "epoch":
                epoch.hold(c, "declared", since=None, until=None)
            case scope if scope in targets:
                pause(c, scope, targets[scope], "looking into it")  # type: ignore[arg-type]
    try:
        yield
    finally:
        with scene.ledger.database.begin() as c:
            for table in ("pauses", "paused_deliveries", "platform_health", "canaries"):
                c.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  a constant
            c.exec_driver_sql("UPDATE mark SET held_at = NULL, held_why = NULL")


# --- readers ---------------------------------------------------------------------------------------------------------


def read_posts(scene: Scene) -> Seen:
    found = {name: scene.get(f"/posts/{post.id}") for name, post in scene.posts.items()}
    return {name: post["accounts"]["states"][0]["held_for"] for name, post in found.items()}


def read_list(scene: Scene) -> Seen:
    ours = {str(post.id) for post in scene.posts.values()}
    found = [post for post in scene.get("/posts?limit=100")["posts"] if post["id"] in ours]
    return {scene.name_post(post["id"]): post["accounts"]["states"][0]["held_for"] for post in found}


def read_explanations(scene: Scene) -> Seen:
    seen: dict[str, str | None] = {}
    for name, post in scene.posts.items():
        [found] = scene.get(f"/posts/{post.id}/explain")["accounts"]
        seen[name] = found["held_for"]
        if found["held_for"] not in (None, Hold.BACKLOG):
            assert found["held_for"] in {one["hold"] for one in found["evidence"]["holds"]}
            assert found["action"] or found["turn"] == "platform", found
    return seen


def read_command_line(scene: Scene) -> Seen:
    listed = scene.terminal.json("delivery", "list", "--account", str(scene.account))
    shown = {d["id"]: scene.terminal.json("delivery", "show", d["id"])["held_for"] for d in listed[:1]}
    assert all(shown[d["id"]] == d["held_for"] for d in listed[:1])
    return {scene.name(d["id"]): d["held_for"] for d in listed}


def read_queue_page(scene: Scene) -> Seen:
    """Return the hold of each post's delivery as the queue's filter finds it."""
    seen: dict[str, str | None] = {}
    for reason in (*Hold, "none"):
        query = {"account": str(scene.account), "reason": str(reason)}
        page = scene.http.get("/dashboard/queue", params=query)
        assert page.status_code == 200
        for found in re.findall(r'<li class="row queue" id="row-([0-9a-f-]+)"', page.text):
            seen[scene.name_post(found)] = None if reason == "none" else str(reason)
    return seen


READERS: Mapping[str, Callable[[Scene], Seen]] = {
    "GET /posts/{id}": read_posts,
    "GET /posts": read_list,
    "explain": read_explanations,
    "command line": read_command_line,
    "queue page": read_queue_page,
}


@pytest.mark.parametrize("what", HOLDS)
def test_every_reader_names_and_counts_the_same_hold(scene: Scene, what: str) -> None:
    with standing(scene, what):
        for name, read in READERS.items():
            assert read(scene) == HOLDS[what], name
        if what in LISTED:
            held = sum(hold is not None for hold in HOLDS[what].values())
            [listed] = scene.terminal.json("pause", "list")
            assert listed["holds"] == held
            page = scene.http.get("/dashboard/pauses").text
            assert re.search(rf'class="holds"><a [^>]*>{held} posts?</a>', page)
        with scene.ledger.database.begin() as c:
            gauges = {one.held_for: one.number for one in list_overdue(c)}
            matters = [*read_matters(c, queues=ALL_QUEUES, silent=timedelta(minutes=2))]
    late = [HOLDS[what][name] for name in (DUE, RETRYING)]
    assert gauges == {hold or RETRY: late.count(hold) for hold in late}
    overdue = [m for m in matters if m.kind is Kind.OVERDUE]
    unwanted = [hold for hold in late if hold not in INTENDED]
    assert sorted((m.reason or "", m.count) for m in overdue) == sorted((h or "", 1) for h in unwanted)
    newer = [(m.platform, m.count) for m in matters if m.kind is Kind.NEWER_WORKER]
    assert newer == ([("tiktok", 3)] if what == "newer_worker" else [])
