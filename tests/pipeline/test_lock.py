"""A workspace is locked for a leaked key: nobody who had access keeps it, and nothing goes out until it is unlocked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from config.settings import load
from pipeline.actions import lock_workspace
from pipeline.actions.explain import explain_post
from pipeline.domain.account import Role
from pipeline.domain.attention import Kind
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.domain.post import NO_TIME
from pipeline.maintenance import finish_published
from pipeline.stages import delay
from pipeline.stages.post_request import Refusal
from pipeline.stages.publish import publish
from pipeline.store.attention import read_matters
from pipeline.store.auth import access, sessions, users
from pipeline.store.auth.keys import create_key, find_caller, read_caller
from pipeline.store.database import new_id, rows
from pipeline.store.deliveries import pauses
from pipeline.store.deliveries.published import record_follow_ups
from pipeline.store.posts import approvals
from pipeline.store.vault import Vault
from pipeline.store.webhooks import webhooks as webhook_store
from pipeline.webhooks import webhooks
from pipeline.wiring import build_context
from tests.actors import TESTER
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.store.ledger import HOUR, Ledger, Post


@dataclass(kw_only=True)
class Scene:
    """A workspace with two keys, a webhook, people, a link and posts, beside another one."""

    core: CoreFixture
    other: CoreFixture
    keys: list[str]
    """Of the workspace, then of the other."""
    secret: str
    webhook: UUID
    tokens: dict[str, str]
    """Sessions: of its own author, who works for the other too; of one of the other; of one of all."""
    due: Post
    armed: Post
    draft: Post

    def lock(self) -> Any:
        return lock_workspace.lock(self.core.context, TESTER, self.core.workspace, "leaked")

    def read(self, sql: str) -> list[Any]:
        with self.core.context.database.begin() as c:
            return rows(c, sql, w=self.core.workspace)

    def held(self, post: UUID) -> Hold | None:
        found = explain_post(self.core.context, self.core.workspace, post)
        assert found is not None
        hold = found.deliveries[0].view.held_for
        return None if hold is None else Hold(hold)


@pytest.fixture
def scene(environment: dict[str, str], vault_key: str) -> Iterator[Scene]:
    context = with_script(build_context(load(environment)), Script())
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    core, other = make_core(context, ledger), make_core(context, ledger)
    for one in (core, other):
        one.account("one")
        one.decided()
    due, armed, draft = (ledger.post([core.accounts["one"]], due=-HOUR) for _ in range(3))
    ledger.change(draft.deliveries[0], "due_at = :never, next_at = :never", never=NO_TIME)
    ledger.armed(armed)
    with context.database.begin() as c:
        keys = [create_key(c, one.workspace, "k") for one in (core, other)]
        caller = read_caller(c, core.workspace, None)
        assert caller is not None
        webhook, secret = webhook_store.create_webhook(
            c, context.vault, caller, url="https://hooks.example/", types=None, description=None
        )
        link = approvals.ApprovalLink(
            id=new_id(),
            workspace_id=core.workspace,
            posts=[due.id],
            answered=[],
            maker="ann",
            expires_at=datetime.now(UTC) + HOUR,
        )
        approvals.add_link(c, "of-a-link", link)
        tokens = {}
        for name, places in {"own": (core, other), "others": (other,), "all": ()}.items():
            user = users.create_user(c, name, "x")
            for place in places:
                users.set_role(c, user, place.workspace, Role.AUTHOR)
            if not places:
                users.set_role(c, user, None, Role.ADMIN)
            stored = users.StoredPassword(user_id=user, password_hash="x")
            tokens[name] = sessions.start_session(c, stored, "::1", "a browser") or ""
    yield Scene(
        core=core,
        other=other,
        keys=keys,
        secret=secret,
        webhook=webhook.id,
        tokens=tokens,
        due=due,
        armed=armed,
        draft=draft,
    )
    ledger.database.close()
    context.database.close()


def list_access(scene: Scene) -> dict[str, Any]:
    """Return what still lets anyone in."""
    context = scene.core.context
    with context.database.begin() as c:
        [stored] = rows(c, "SELECT secrets, paused_why FROM webhooks WHERE id = :id", id=scene.webhook)
        return {
            "keys": [find_caller(c, key) is not None for key in scene.keys],
            "sessions": [sessions.find_session(c, token) is not None for token in scene.tokens.values()],
            "link": approvals.find_link(c, "of-a-link") is not None,
            "secret": webhook_store.open_secrets(
                context.vault, scene.webhook, stored.secrets, with_earlier=False
            )
            == [scene.secret],
            "paused": stored.paused_why,
        }


OPEN = {"keys": [True] * 2, "sessions": [True] * 3, "link": True, "secret": True, "paused": None}
LOCKED = {
    "keys": [False, True],
    "sessions": [False, True, True],
    "link": False,
    "secret": False,
    "paused": "locked",
}


def test_a_lock_ends_the_access_of_its_workspace_alone_and_holds_until_it_is_unlocked(scene: Scene) -> None:
    core, context = scene.core, scene.core.context
    assert list_access(scene) == OPEN
    counted = {"keys": 2, "webhooks": 1, "sessions": 1, "links": 1, "deliveries": 1}
    assert scene.lock() == counted, "neither the draft, nor what is being sent"
    audited = scene.read("SELECT verb, kind FROM audit WHERE workspace_id = :w ORDER BY verb, kind")
    assert scene.lock() is None
    assert scene.read("SELECT verb, kind FROM audit WHERE workspace_id = :w ORDER BY verb, kind") == audited
    verbs = [(r.verb, r.kind) for r in audited]
    assert verbs == [("lock", "workspace"), ("revoke", "key"), ("revoke", "key"), ("rotate", "webhook")]
    assert list_access(scene) == LOCKED

    # a new key works, and what it schedules is held too; what was armed goes on
    with context.database.begin() as c:
        caller = find_caller(c, create_key(c, core.workspace, "new"))
    assert caller is not None
    fresh = replace(core, caller=caller).accept()
    delay.release_due(context)
    assert publish(context, scene.due.deliveries[0], 0) is None
    assert [scene.held(one) for one in (scene.due.id, fresh.id)] == [Hold.LOCKED] * 2
    assert core.ledger.states(scene.armed) == [State.PUBLISHING]
    explained = explain_post(context, core.workspace, scene.due.id)
    assert explained is not None
    action = explained.deliveries[0].explanation.action
    assert action is not None
    assert (action.command, action.call) == (f"slipway workspace unlock {core.workspace}", None)

    # only an unlock lifts it
    with context.database.begin() as c:
        place: tuple[Any, str] = ("workspace", str(core.workspace))
        assert not pauses.lift(c, *place)
        assert not pauses.pause(c, *place, "another")
        [listed] = pauses.list_pauses(c, [core.workspace])
        assert (listed.why, listed.is_lock, listed.holds) == ("leaked", True, 3)
        matters = read_matters(c, queues=(), silent=HOUR, within=[core.workspace], kinds=[Kind.PAUSED])
        assert [(one.reason, one.count) for one in matters] == [("lock", 1)]
    owner = replace(core.caller, key_id=UUID(int=0), actor=TESTER)
    rotated, secret = webhooks.rotate(context, owner, scene.webhook)
    assert (rotated.paused_why, secret != scene.secret) == (None, True)

    assert lock_workspace.lock(context, TESTER, scene.other.workspace, "leaked")
    assert lock_workspace.unlock(context, TESTER, core.workspace)
    assert not lock_workspace.unlock(context, TESTER, core.workspace)
    with context.database.begin() as c:
        assert pauses.is_locked(c, scene.other.workspace)
    assert scene.held(fresh.id) in {None, Hold.BACKLOG, Hold.CHECKING}
    delay.release_due(context)
    assert core.ledger.states(scene.due) == [State.QUEUED]


def test_a_pause_that_a_lock_found_is_back_after_it(scene: Scene) -> None:
    context, workspace, other = scene.core.context, scene.core.workspace, scene.other.workspace
    with context.database.begin() as c:
        for one in (workspace, other):
            pauses.pause(c, "workspace", str(one), "under review", "user ann")
        [before] = pauses.list_pauses(c, [workspace])
    scene.lock()
    lock_workspace.lock(context, TESTER, other, "leaked")
    assert lock_workspace.unlock(context, TESTER, workspace)
    assert not lock_workspace.unlock(context, TESTER, workspace), "what is left is a pause"
    with context.database.begin() as c:
        assert pauses.list_pauses(c, [workspace]) == [before]
        assert pauses.is_locked(c, other)
    assert scene.held(scene.due.id) is Hold.PAUSED


def test_what_is_held_is_canceled_instead_and_drafts_stay(scene: Scene) -> None:
    scene.lock()
    core = scene.core
    checked = core.accept(media={"type": "video", "url": "https://media.example/other.mp4"})
    assert scene.held(checked.id) is Hold.CHECKING
    owner = replace(core.caller, key_id=UUID(int=0), actor=TESTER)
    assert lock_workspace.cancel_held(core.context, owner) == 2
    assert core.ledger.states(scene.due) == [State.CANCELLED]
    assert core.deliveries(checked.id)[0].state == State.CANCELLED
    assert core.ledger.states(scene.draft) == [State.SCHEDULED]
    core.ledger.claimed(core.ledger.post([core.accounts["one"]], due=-HOUR))
    with pytest.raises(Refusal, match="1 deliveries are being sent"):
        lock_workspace.cancel_held(core.context, owner)


def test_first_comments_that_are_not_sent_are_canceled_too(scene: Scene) -> None:
    core = scene.core
    waiting, late, others = (add_live(one) for one in (core, core, scene.other))
    core.run("UPDATE follow_ups SET next_at = now() + interval '1 hour' WHERE delivery_id <> :id", id=waiting)
    assert finish_published.follow_up(core.context) == 1, "its comment is a delivery now"
    scene.lock()
    owner = replace(core.caller, key_id=UUID(int=0), actor=TESTER)
    assert lock_workspace.cancel_held(core.context, owner) == 2, "the post that is due, and the comment"
    assert scene.read("SELECT state FROM deliveries WHERE workspace_id = :w AND is_comment") == [
        ("cancelled",)
    ]
    followed = "SELECT delivery_id, error FROM follow_ups WHERE done_at IS NULL ORDER BY error"
    assert scene.read(followed) == [(late, access.CANCELED), (others, None)]


def add_live(core: CoreFixture) -> UUID:
    """Add a live post whose first comment is due; return its delivery."""
    [delivery] = core.ledger.post([core.accounts["one"]], State.PUBLISHED).deliveries
    core.run("UPDATE deliveries SET remote_id = id::text WHERE id = :id", id=delivery)
    with core.context.database.begin() as c:
        record_follow_ups(c, delivery, {"comment": {"text": "Links below"}})
    return delivery


def test_a_lock_that_dies_has_done_all_or_nothing(
    scene: Scene, environment: dict[str, str], crashes: Crashes
) -> None:
    environment = environment | {"SLIPWAY_SANDBOX__URL": "http://127.0.0.1:9"}
    *before, after, lifted = crashes.points
    for point in before:
        crashes.crash(environment, point, "lock_or_unlock", str(scene.core.workspace), "lock")
        assert list_access(scene) == OPEN
        assert scene.held(scene.due.id) is Hold.BACKLOG
        assert scene.read("SELECT 1 AS one FROM audit WHERE workspace_id = :w") == []
    crashes.crash(environment, after, "lock_or_unlock", str(scene.core.workspace), "lock")
    assert list_access(scene) == LOCKED
    assert scene.lock() is None
    assert scene.held(scene.due.id) is Hold.LOCKED
    crashes.crash(environment, lifted, "lock_or_unlock", str(scene.core.workspace), "unlock")
    assert scene.held(scene.due.id) is Hold.BACKLOG
