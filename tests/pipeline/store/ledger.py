"""The ledger fixture: create workspaces, accounts, posts and deliveries in any state, and read them back."""
# ruff: noqa: S608  column lists of this file are put into statements; values are always bound

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection

from adapters.contract import Credentials, Platform, RemoteAccount
from pipeline.domain.delivery import Reason, State
from pipeline.domain.post import PostStatus, apply_due_time
from pipeline.store.accounts.accounts import add_account
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.checks.checks import Purpose, open_check
from pipeline.store.database import Database, new_id, row, rows
from pipeline.store.deliveries.arm import arm
from pipeline.store.deliveries.claim import CLAIMED_COLUMNS, CLAIMED_JOIN, ClaimedDelivery, claim, to_claimed
from pipeline.store.deliveries.lease import ExpiredLease
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.posts.insert_batch import NewDelivery, NewPost, store_posts
from pipeline.store.vault import Vault

T = TypeVar("T")
P = ParamSpec("P")
HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=5)
MEDIA = {"type": "video", "url": "https://media.example/v.mp4"}

_ARMED = """armed_at = now() - interval '10 seconds', armed_deadline = now() + interval '50 seconds',
            working_since = now() - interval '10 seconds'"""
#: Columns of a delivery in each state, beside the state; states that may be armed or not are not armed here.
COLUMNS_OF_STATE = {
    State.ACCEPTED: "",
    State.SCHEDULED: "",
    State.QUEUED: "lease_until = now() + interval '5 minutes'",
    State.PUBLISHING: "lease_until = now() + interval '3 minutes', fence = 1",
    State.PREPARING: "fence = 1, working_since = now()",
    State.PROCESSING: "fence = 1, " + _ARMED,
    State.UNKNOWN: "fence = 1, " + _ARMED,
    State.RETRYING: "fence = 1",
    State.BLOCKED: "fence = 1, reason = 'person_needed'",
    State.PUBLISHED: "fence = 1, published_at = now(), remote_id = id::text, delivered_as = 'post'",
    State.FAILED: "fence = 1",
    State.CANCELLED: "",
}
WITH_ATTEMPT = frozenset(State) - {
    State.ACCEPTED,
    State.SCHEDULED,
    State.QUEUED,
    State.CANCELLED,
    State.FAILED,
}


FIRST_TOKEN = "token-1"


def credentials(token: str = FIRST_TOKEN) -> Credentials:
    return Credentials(
        access_token=SecretStr(token), refresh_token=SecretStr("refresh-1"), scopes=("publish",)
    )


@dataclass(kw_only=True)
class Post:
    """A post and its deliveries, in the order of its accounts."""

    id: UUID
    workspace: UUID
    deliveries: list[UUID]


class Ledger:
    """A test's database, with methods to arrange rows and to read them."""

    def __init__(self, url: str, vault: Vault, *, pool: int = 20) -> None:
        self.database = Database(url, pool=pool, wait=30)
        self.vault = vault

    def do(self, job: Callable[Concatenate[Connection, P], T], /, *args: P.args, **more: P.kwargs) -> T:
        """Call a function of the store in a transaction of its own."""
        with self.database.begin() as c:
            return job(c, *args, **more)

    def do_once(self, job: Callable[Concatenate[Connection, P], T], /, *args: P.args, **more: P.kwargs) -> T:
        """Call a function of the store whose single statement is a transaction."""
        with self.database.once() as c:
            return job(c, *args, **more)

    def execute(self, sql: str, **values: Any) -> None:
        """Execute a statement that returns nothing."""
        self.do(row, f"{sql} RETURNING 1 AS one", **values)

    def analyze(self, tables: str) -> None:
        """Give the planner the statistics and the visible pages of tables, as autovacuum does."""
        with self.database.once() as c:
            c.exec_driver_sql(f"VACUUM ANALYZE {tables}")

    # --- arranging ---------------------------------------------------------------------------------------------------

    def open_breaker(self, platform: Platform = Platform.TIKTOK) -> None:
        """Let calls of a platform be held back, as if it had not answered."""
        self.execute(
            """INSERT INTO platform_health (platform, opened_at, probe_at, why)
               VALUES (:p, now(), now(), 'test')""",
            p=platform,
        )

    def pause_delivery(self, delivery: UUID) -> None:
        """Pause one delivery, as a steering job does."""
        self.execute(
            "INSERT INTO paused_deliveries (delivery_id, job_id, why) VALUES (:d, :d, 'test')", d=delivery
        )

    def workspace(self) -> UUID:
        with self.database.begin() as c:
            return create_workspace(c, name="Tests")

    def account(self, workspace: UUID, platform: Platform = Platform.TIKTOK, **settings: Any) -> UUID:
        name = new_id().hex
        with self.database.begin() as c:
            remote = RemoteAccount(
                connection="creator",
                remote_id=name,
                username=name[-6:],
                display_name="A test",
                credentials=credentials(),
                settings=settings,
            )
            return add_account(c, self.vault, workspace, platform, remote)

    def check(self, workspace: UUID, url: str, purpose: Purpose = "video") -> UUID:
        with self.database.begin() as c:
            return open_check(c, workspace, purpose, url).id

    def posts(
        self,
        number: int,
        accounts: Sequence[UUID],
        state: State = State.SCHEDULED,
        *,
        due: timedelta = timedelta(0),
        lead: timedelta = timedelta(0),
        checks: Mapping[int, UUID] | None = None,
        platform: Platform = Platform.TIKTOK,
        expires: timedelta | None = None,
        on_late: str = "publish",
    ) -> list[Post]:
        """Posts due this long after now, each with one delivery per account."""
        with self.database.begin() as c:
            workspace = row(c, "SELECT workspace_id AS w FROM accounts WHERE id = :id", id=accounts[0])
            assert workspace is not None
            now = datetime.now(UTC)
            new = [
                make_post(
                    workspace.w,
                    due_at=now + due,
                    expires_at=None if expires is None else now + expires,
                    on_late=on_late,
                    checks=checks or {},
                    deliveries=[
                        NewDelivery(
                            id=new_id(),
                            account_id=a,
                            platform=platform,
                            next_at=now + due - lead,
                            state="accepted" if state is State.ACCEPTED else "scheduled",
                        )
                        for a in accounts
                    ],
                )
                for _ in range(number)
            ]
            store_posts(c, new, timedelta(0))
        made = [Post(id=p.id, workspace=p.workspace_id, deliveries=[d.id for d in p.deliveries]) for p in new]
        if state not in (State.ACCEPTED, State.SCHEDULED):
            self.put_all(made, state)
        return made

    def post(self, accounts: Sequence[UUID], state: State = State.SCHEDULED, **more: Any) -> Post:
        return self.posts(1, accounts, state, **more)[0]

    def fresh(self, state: State = State.SCHEDULED, accounts: int = 1, **more: Any) -> Post:
        """A post of a workspace and accounts of its own."""
        workspace = self.workspace()
        return self.post([self.account(workspace) for _ in range(accounts)], state, **more)

    def put(self, post: Post, state: State, *, armed: bool = False, reason: Reason | None = None) -> None:
        """Puts all its deliveries into a state, as if they had come there."""
        self.put_all([post], state, armed=armed, reason=reason)

    def put_all(
        self, posts: Sequence[Post], state: State, *, armed: bool = False, reason: Reason | None = None
    ) -> None:
        """The same of posts that are alike, set by set: one transaction for each of thousands takes a minute."""
        dress = COLUMNS_OF_STATE[state]
        if armed and _ARMED not in dress:
            dress = ", ".join(filter(None, (dress, _ARMED)))
        chosen = "id = ANY (CAST(:ids AS uuid[]))"
        ids = [delivery for post in posts for delivery in post.deliveries]
        with self.database.begin() as c:
            sets = f"state = :state{', ' + dress if dress else ''}"
            rows(c, f"UPDATE deliveries SET {sets} WHERE {chosen} RETURNING id", ids=ids, state=state)
            if reason is not None:
                rows(c, f"UPDATE deliveries SET reason = :r WHERE {chosen} RETURNING id", ids=ids, r=reason)
            if state in WITH_ATTEMPT:
                rows(
                    c,
                    f"""INSERT INTO attempts (delivery_id, account_id, n, generation, fence, armed_at)
                        SELECT id, account_id, 1, generation, fence, armed_at FROM deliveries WHERE {chosen}
                        ORDER BY id RETURNING id""",
                    ids=ids,
                )
            status = recompute_post_status(c, posts[0].id)
            rows(
                c,
                f"""UPDATE posts SET status = :status, updated_at = now() WHERE {chosen} AND status <> :status
                    RETURNING id""",
                ids=[post.id for post in posts],
                status=status,
            )

    def change(self, delivery: UUID, assignments: str, **values: Any) -> None:
        """Update columns of a delivery."""
        self.update("deliveries", delivery, assignments, **values)

    def update(self, table: str, identity: UUID, assignments: str, **values: Any) -> None:
        """Update columns of the row with this id."""
        with self.database.begin() as c:
            sql = f"UPDATE {table} SET {assignments} WHERE id = :id RETURNING id"
            assert row(c, sql, id=identity, **values) is not None

    def read_claimed(self, delivery: UUID) -> ClaimedDelivery:
        """Return a delivery in any state as a claimed one, without claiming it."""
        with self.database.begin() as c:
            found = row(
                c,
                f"SELECT {CLAIMED_COLUMNS} FROM deliveries d {CLAIMED_JOIN} WHERE d.id = :id",
                id=delivery,
            )
            assert found is not None
            return to_claimed(found, self.vault)

    def claimed(self, post: Post, nth: int = 0) -> ClaimedDelivery:
        """Queue and claim the nth delivery of a post."""
        delivery = post.deliveries[nth]
        self.change(delivery, "state = 'queued', lease_until = now() + interval '5 minutes'")
        with self.database.once() as c:
            generation = row(c, "SELECT generation FROM deliveries WHERE id = :id", id=delivery)
            assert generation is not None
            held = claim(c, self.vault, delivery, generation.generation, LEASE)
        assert held is not None
        return held

    def armed(self, post: Post, nth: int = 0) -> ClaimedDelivery:
        """Queue, claim and arm the nth delivery of a post."""
        held = self.claimed(post, nth)
        with self.database.once() as c:  # as if the epoch file recorded it
            row(c, "DELETE FROM brought_forward WHERE delivery_id = :id RETURNING delivery_id", id=held.id)
        with self.database.once() as c:
            assert arm(c, self.vault, held, {"handle": "first"}, timedelta(minutes=1)) is not None
        return held

    # --- looking -----------------------------------------------------------------------------------------------------

    def delivery(self, delivery: UUID) -> Any:
        with self.database.begin() as c:
            found = row(c, "SELECT *, now() AS now FROM deliveries WHERE id = :id", id=delivery)
        assert found is not None
        return found

    def state(self, delivery: UUID) -> State:
        return State(self.delivery(delivery).state)

    def states(self, post: Post) -> list[State]:
        return [self.state(d) for d in post.deliveries]

    def status(self, post: Post) -> str:
        with self.database.begin() as c:
            found = row(c, "SELECT status FROM posts WHERE id = :id", id=post.id)
        assert found is not None
        status: str = found.status
        return status

    def reads(self, post: Post) -> str:
        """Return the post's public status as a client reads it now."""
        with self.database.begin() as c:
            found = row(c, "SELECT status, due_at, now() AS now FROM posts WHERE id = :id", id=post.id)
        assert found is not None
        return apply_due_time(PostStatus(found.status), found.due_at, found.now)

    def attempts(self, delivery: UUID) -> list[Any]:
        with self.database.begin() as c:
            return rows(c, "SELECT * FROM attempts WHERE delivery_id = :id ORDER BY n", id=delivery)

    def moves(self, delivery: UUID) -> list[tuple[str, str | None, str]]:
        with self.database.begin() as c:
            found = rows(
                c, "SELECT mover, origin, target FROM moves WHERE delivery_id = :id ORDER BY id", id=delivery
            )
        return [(r.mover, r.origin, r.target) for r in found]

    def while_locked(self, delivery: UUID, job: Callable[[], T]) -> T:
        """Run a job while another transaction locks the delivery, and return its result."""
        with ThreadPoolExecutor(1) as pool, self.database.begin() as c:
            row(c, "SELECT id FROM deliveries WHERE id = :id FOR UPDATE", id=delivery)
            return pool.submit(job).result(120)

    def waits(self) -> bool:
        """Return whether a statement on this database waits for a lock."""
        with self.database.begin() as c:
            found = rows(
                c,
                """SELECT pid FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'""",
            )
        return bool(found)

    def last_why(self, delivery: UUID) -> str:
        with self.database.begin() as c:
            found = row(
                c, "SELECT why FROM moves WHERE delivery_id = :id ORDER BY id DESC LIMIT 1", id=delivery
            )
        assert found is not None
        return found.why or ""


def make_post(workspace: UUID, **more: Any) -> NewPost:
    """Return a post as ingest stores it: due now, without deliveries, unless *more* says otherwise."""
    plain: dict[str, Any] = {
        "id": new_id(),
        "workspace_id": workspace,
        "key_id": None,
        "caption": "hello",
        "media": MEDIA,
        "music_url": None,
        "options": {},
        "due_at": datetime.now(UTC),
        "expires_at": None,
        "on_late": "publish",
        "external_id": None,
        "replay_token": None,
        "fingerprint": b"",
        "checks": {},
        "deliveries": [],
    }
    return NewPost(**{**plain, **more})


def to_expired(held: ClaimedDelivery) -> ExpiredLease:
    """Return a claim as rescue finds it once its lease has expired."""
    return ExpiredLease(
        id=held.id,
        post_id=held.post_id,
        platform="tiktok",
        generation=held.generation,
        fence=held.fence,
        crashes=0,
        armed_at=held.armed_at,
    )


def together(*jobs: Callable[[], T]) -> list[T]:
    """Run all jobs at the same moment, each in its own thread; raise the first error."""
    barrier = threading.Barrier(len(jobs))

    def start(job: Callable[[], T]) -> T:
        barrier.wait(120)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(90) for future in [pool.submit(start, job) for job in jobs]]
