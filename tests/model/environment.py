"""The environment that all examples of the state machine share, and the operations that its rules call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine

from adapters.contract import Platform
from pipeline.actions import resolve as decide
from pipeline.domain.delivery import SETTLED, Reason, State
from pipeline.limits.platform_health import PlatformHealth
from pipeline.maintenance.rescue_expired_leases import (
    redispatch_checks,
    rescue_expired_leases,
    resume_blocked,
)
from pipeline.runtime.context import Context
from pipeline.stages import delay, publish, status
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import store_credentials
from pipeline.store.database import Unreachable, row, rows
from pipeline.store.deliveries.pauses import lift, pause
from tests.actors import TESTER
from tests.model.fake_platform import FakePlatform, bind_adapter, token
from tests.model.faults import (
    NO_FAULT,
    Clock,
    Died,
    FailpointHook,
    FaultPlan,
    FaultyDatabase,
    Message,
    RecordingDispatcher,
    Worker,
)
from tests.pipeline.core_fixture import CoreFixture

LEASE_AND_MORE, SETTLE_AND_MORE = 200, 400


@dataclass(kw_only=True)
class ModelEnvironment:
    """Shared by all examples: the core fixture on real engines, and the fault hooks."""

    core: CoreFixture
    faulty_database: FaultyDatabase
    failpoint_hook: FailpointHook
    clock: Clock
    columns: Mapping[str, Sequence[str]]
    counts: dict[str, int] = field(default_factory=dict)
    """How often each operation ran, over all examples; one that never ran is not tested."""

    def record(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


class MachineBase(RuleBasedStateMachine):
    """Base of the state machine: its state and operations. The rules are in ``machine``."""

    def __init__(self, model_environment: ModelEnvironment) -> None:
        super().__init__()
        self.model_environment = model_environment
        self.fake_platform = FakePlatform(on_visible_call=self._check_visible_call)
        self.dispatcher = RecordingDispatcher()
        self.context: Context = replace(
            model_environment.core.context,
            adapters={Platform.TIKTOK: bind_adapter(self.fake_platform)},
            dispatcher=self.dispatcher,
            # without a real clock: an example that is replayed writes the same
            health=PlatformHealth(model_environment.core.context.database, timedelta(minutes=1), every=0),
        )
        self.core = replace(model_environment.core, context=self.context)
        self.accepted: dict[UUID, int] = {}
        self.wrongly_confirmed: set[str] = set()
        self.seen: dict[UUID, tuple[int, int]] = {}
        self.paused: list[Worker] = []
        self.violations: list[str] = []
        model_environment.faulty_database.inject(NO_FAULT)
        with model_environment.core.context.database.begin() as c:
            rows(c, "DELETE FROM platform_health RETURNING platform")
            rows(c, "DELETE FROM platform_failures RETURNING platform")

    def _run_work(self, what: str, work: Callable[[], object], plan: FaultPlan) -> None:
        """Run *work* in a new worker, which may crash or pause as *plan* says."""
        self._run_worker(Worker(what, work), plan)

    def _run_worker(self, worker: Worker, plan: FaultPlan) -> None:
        self.model_environment.faulty_database.inject(plan)
        try:
            if worker.run(plan):
                self.model_environment.record(worker.what)
            else:
                self.paused.append(worker)
                self.model_environment.record(f"pauses at {plan.at}")
        except Died as death:
            self.model_environment.record(f"died at {death}")
        except (Unreachable, Refusal) as error:
            self.model_environment.record(f"{worker.what}: {type(error).__name__} {error}"[:60])
        finally:
            self.model_environment.faulty_database.inject(NO_FAULT)

    def _message(self, task: str, n: int, *, several: bool, gone: bool) -> Message | None:
        """Return the *n*-th message, those that still match a delivery first.

        *several*: batch all messages of its task into one. *gone*: remove it from the broker.
        """
        found_now = self._all()
        awake: set[tuple[object, ...]] = {(str(d.id), d.generation, d.fence) for d in found_now}
        awake |= {(str(d.id), d.generation) for d in found_now if d.state == State.QUEUED}
        matching = [m for m in self.dispatcher.messages if task in m[0]]
        found = sorted(matching, key=lambda m: not awake.intersection(m[1][-1] if m[1] else ()))
        if not found:
            return None
        message = found[n % len(found)]
        together = [m for m in found if several and m[0] == message[0] != "delay.slot"] or [message]
        for one in together if gone else ():
            del self.dispatcher.messages[one]
        if message[0] == "delay.slot":
            return message
        items = tuple(item for one in together for item in one[1][-1])
        return message[0], (*message[1][:-1], items)

    def _run(self, task: str, args: tuple[Any, ...]) -> None:
        if task == "publish.step":
            publish.publish_batch(self.context, args[0], [(UUID(d), g) for d, g in args[1]])
        elif task == "status.look":
            status.look_batch(self.context, [(UUID(d), g, f) for d, g, f in args[0]])
        elif task == "delay.slot":
            delay.release_due(self.context)
        else:
            raise AssertionError(f"no handler for {task}")

    def _deliver_all(self) -> None:
        for message in list(self.dispatcher.messages):
            del self.dispatcher.messages[message]
            self._run(*message)

    def _run_maintenance(self) -> None:
        rescue_expired_leases(self.context)
        resume_blocked(self.context)
        redispatch_checks(self.context)

    def _resolve_all(self) -> None:
        """Resolve open deliveries by what is live, as a user does; "publish again" may be refused as too early."""
        for d in self._all():
            if d.state not in decide.RESOLVABLE:
                continue
            if self.fake_platform.live(str(d.id)):
                decide.confirm_live(
                    self.context,
                    TESTER,
                    d.id,
                    f"https://tiktok.example/{self.fake_platform.live(str(d.id))[0]}",
                )
                self.model_environment.record("a person: live")
            elif d.reason != Reason.RECONNECT and self._publish_again(d.id):
                self.model_environment.record("a person: again")

    def _publish_again(self, delivery: UUID) -> bool:
        try:
            decide.publish_again(self.context, TESTER, delivery)
        except decide.CannotResolve:
            self.model_environment.record("a person: too early")
            return False
        return True

    def _reconnect(self) -> None:
        with self.context.database.begin() as c:
            for account in self.core.accounts.values():
                row(
                    c,
                    "UPDATE accounts SET status = 'active', error = NULL WHERE id = :id RETURNING id",
                    id=account,
                )
                store_credentials(c, self.context.vault, account, token("again"))

    def _advance(self, seconds: int) -> None:
        with self.context.database.begin() as c:
            for table, columns in self.model_environment.columns.items():
                moved = ", ".join(f"{name} = {name} - :by" for name in columns)
                sql = f"UPDATE {table} SET {moved} RETURNING 1 AS one"  # noqa: S608  names out of information_schema
                row(c, sql, by=timedelta(seconds=seconds))
        self.model_environment.clock.ahead += seconds
        self.fake_platform.advance(seconds)

    def _pause_platform(self, *, on: bool) -> None:
        with self.context.database.begin() as c:
            if on:
                pause(c, "platform", "tiktok", "a test")
            else:
                lift(c, "platform", "tiktok")

    def _check_visible_call(self, delivery: str, caption: str) -> None:
        """Record a violation unless the delivery of this visible call is armed, attempted, due and has this caption."""
        with self.model_environment.faulty_database.engine.begin() as c:
            found = row(
                c,
                """SELECT d.armed_at IS NOT NULL AS armed, d.due_at <= now() AS due,
                          d.generation = a.generation AND p.caption = :caption AS fresh,
                          a.armed_at IS NOT NULL AS written
                   FROM deliveries d JOIN posts p ON p.id = d.post_id
                   LEFT JOIN attempts a ON a.delivery_id = d.id AND a.closed_at IS NULL
                   WHERE d.id = :id""",
                id=UUID(delivery),
                caption=caption,
            )
        self.model_environment.record(f"sent: {self.fake_platform.finalize}")
        if found is None or not (found.armed and found.due and found.written and found.fresh):
            self.violations.append(f"{delivery} was sent while it was {found and dict(found._mapping)}")

    def _all(self) -> list[Any]:
        with self.model_environment.faulty_database.engine.begin() as c:
            return rows(c, "SELECT *, now() AS now FROM deliveries ORDER BY id")

    def _posts(self) -> list[Any]:
        with self.model_environment.faulty_database.engine.begin() as c:
            return rows(
                c,
                """SELECT p.id, p.status, p.due_at, now() AS now,
                          array_agg(ARRAY[d.state, d.reason] ORDER BY d.id) AS parts
                   FROM posts p JOIN deliveries d ON d.post_id = p.id GROUP BY p.id""",
            )


def is_finished(d: Any) -> bool:
    """Return whether a delivery is settled, or blocked with a reason."""
    return d.state in SETTLED or (d.state == State.BLOCKED and d.reason is not None)
