"""State machine over the real code: rules for all events of a few posts, and invariants checked after each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from pipeline.actions import resolve as decide
from pipeline.actions.cancel_delete_retry import cancel, retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import ALWAYS_ARMED, Reason, State
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status, derive_post_status
from pipeline.stages.delay import sweep
from tests.model.environment import LEASE_AND_MORE, SETTLE_AND_MORE, MachineBase, is_finished
from tests.model.fake_platform import FINALIZE, LOOK, PREPARE, REFRESH
from tests.model.faults import KILL, NO_FAULT, FaultPlan
from tests.model.points import failpoints

MAY_BE_LIVE = frozenset({State.PUBLISHING, State.PUBLISHED, State.BLOCKED}) | ALWAYS_ARMED
"""States in which a post may be live or may still appear."""
MOST_POSTS = 6
ROUNDS = 40

_EMPTY = (
    "attempts",
    "moves",
    "post_checks",
    "delivery_checks",
    "replays",
    "old_handles",
    "deliveries",
    "posts",
    "pauses",
)
_DATABASE_FAULTS = [
    FaultPlan(at=n, how=how) for n in range(1, 8) for how in ("dies after", "refused", "answer lost")
]


def _fault_plans(*stages: str) -> st.SearchStrategy[FaultPlan]:
    """Draw a fault at one of these stages' failpoints, a database fault, or none."""
    mine = [name for name in failpoints() if name.startswith(stages)]
    pauses = [FaultPlan(at=name, how="pauses") for name in mine]
    crashes = [FaultPlan(at=name, how="dies") for name in mine]
    return st.one_of(
        *[st.sampled_from(some) for some in (pauses, pauses, crashes, _DATABASE_FAULTS, [NO_FAULT]) if some]
    )


_NTH = st.integers(0, 50)


def _mostly_ok(faults: Sequence[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just("ok"), st.just("ok"), st.sampled_from(faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """The faults around one message."""

    before: int | None
    """Seconds that pass before it, followed by maintenance and a sweep."""
    plan: FaultPlan
    finalize: str
    prepare: str
    look: str
    refresh: str


def _conditions(*stages: str) -> st.SearchStrategy[Conditions]:
    return st.builds(
        Conditions,
        before=st.sampled_from([LEASE_AND_MORE, SETTLE_AND_MORE, None, None, 1, 35, 70]),
        plan=_fault_plans(*stages),
        finalize=st.sampled_from(sorted(FINALIZE)),
        prepare=_mostly_ok(PREPARE),
        look=st.one_of(st.just("ok"), st.just("lags"), st.sampled_from(LOOK)),
        refresh=st.sampled_from(REFRESH),
    )


class Deliveries(MachineBase):
    """Up to six posts on two accounts, and all events."""

    @initialize(both=st.booleans())
    def begin(self, both: bool) -> None:
        """Delete all posts and ingest the first two."""
        with self.context.database.begin() as c:
            for table in _EMPTY:
                c.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  our own names
            c.exec_driver_sql(
                """UPDATE accounts SET status = 'active', error = NULL, refreshing_until = NULL, unanswered = 0,
                   refresh_after = NULL"""
            )
        self._ingest(both=both)
        self._ingest(both=False)

    # --- clients -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.accepted) < MOST_POSTS)
    @rule(
        both=st.booleans(),
        late=st.sampled_from([0, 120, 3600]),
        dies=st.booleans(),
        on_late=st.sampled_from(["publish", "publish", "skip", "hold"]),
    )
    def ingest(self, both: bool, late: int, dies: bool, on_late: str) -> None:
        self._ingest(both=both, late=late, dies=dies, on_late=on_late)

    def _ingest(self, *, both: bool, late: int = 0, dies: bool = False, on_late: str = "publish") -> None:
        accounts = [self.core.accounts[name] for name in (("one", "two") if both else ("one",))]
        now = self.core.now()
        asked = self.core.request(
            caption=f"post {len(self.accepted)}",
            account_ids=accounts,
            external_id=f"x{len(self.accepted)}",
            scheduled_at=now + timedelta(seconds=late) if late else None,
            on_late=on_late,
            expires_at=None if on_late == "publish" else now + timedelta(hours=2),
        )
        found: list[UUID] = []
        plan = FaultPlan(at="ingest.committed", how="dies") if dies else NO_FAULT
        self._run_work("ingest", lambda: found.append(self.core.accept(asked).id), plan)
        if dies:
            again = self.core.accept(asked)  # the client got no answer and repeats
            assert again.duplicate
            found = [again.id]
        [post] = found
        self.accepted[post] = len(accounts)

    @precondition(lambda self: self.accepted)
    @rule(
        n=_NTH,
        what=st.sampled_from(["edit", "edit", "edit", "move", "move", "move", "cancel", "retry", "retry"]),
        plan=_fault_plans("edit.", "steer."),
        later=st.sampled_from([None, 0, 300, 7200]),
    )
    def steer(self, n: int, what: str, plan: FaultPlan, later: int | None) -> None:
        post, caller = list(self.accepted)[n % len(self.accepted)], self.core.caller
        moment = self.core.now() + timedelta(seconds=later) if later else None
        change = Change(given=frozenset({"caption"}), caption=f"edited {n}")
        moved = Change(given=frozenset({"scheduled_at"}), scheduled_at=moment)
        work: dict[str, Callable[[], object]] = {
            "edit": lambda: edit(self.context, caller, post, change),
            "move": lambda: edit(self.context, caller, post, moved),
            "cancel": lambda: cancel(self.context, caller, [post]),
            "retry": lambda: retry(self.context, caller, [post]),
        }
        self._run_work(what, work[what], plan)

    # --- the system --------------------------------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(["wait", "tick", "upkeep", "flush broker", "pause", "lift"]),
        plan=_fault_plans("delay.", "rescue."),
        seconds=st.sampled_from([1, 10, LEASE_AND_MORE, SETTLE_AND_MORE, 2000]),
    )
    def system_event(self, what: str, plan: FaultPlan, seconds: int) -> None:
        work: dict[str, Callable[[], object]] = {
            "wait": lambda: self._advance(seconds),
            "tick": lambda: sweep(self.context),
            "upkeep": self._run_maintenance,
            "flush broker": self.dispatcher.messages.clear,
            "pause": lambda: self._pause_platform(on=True),
            "lift": lambda: self._pause_platform(on=False),
        }
        self._run_work(what, work[what], plan if what in ("tick", "upkeep") else NO_FAULT)

    @rule(
        n=_NTH,
        gone=st.booleans(),
        several=st.booleans(),
        conditions=_conditions("publish.", "status.", "credentials."),
    )
    def deliver_message(self, n: int, gone: bool, several: bool, conditions: Conditions) -> None:
        self._deliver("", n, conditions, gone=gone, several=several)

    @rule(n=st.integers(0, 3), conditions=_conditions("publish."))
    def deliver_publish(self, n: int, conditions: Conditions) -> None:
        self._deliver("publish.step", n, conditions)

    @rule(n=st.integers(0, 3), conditions=_conditions("status."))
    def deliver_look(self, n: int, conditions: Conditions) -> None:
        self._deliver("status.look", n, conditions)

    def _deliver(
        self, task: str, n: int, conditions: Conditions, *, gone: bool = False, several: bool = False
    ) -> None:
        if conditions.before is not None:
            self._advance(conditions.before)
            self._run_maintenance()
            sweep(self.context)
        message = self._message(task, n, several=several, gone=gone)
        self.model_environment.record("deliver" if message else "deliver: nothing there")
        if message is None:
            return
        self._apply(conditions)
        note(f"{message[0]} {message[1]}")
        self._run_work(message[0], lambda: self._run(*message), conditions.plan)
        self.fake_platform.clear_faults()

    @rule(
        n=st.integers(0, 3),
        conditions=_conditions("publish.", "status."),
        ends=st.sampled_from([False, False, False, True]),
    )
    def resume_worker(self, n: int, conditions: Conditions, ends: bool) -> None:
        """Resume a paused worker, or deliver a message if none is paused: draws must not depend on timing."""
        if not self.paused:
            self._deliver("publish.step", n, conditions)
            return
        self._apply(conditions)
        self._run_worker(self.paused.pop(n % len(self.paused)), KILL if ends else conditions.plan)
        self.fake_platform.clear_faults()

    def _apply(self, conditions: Conditions) -> None:
        if conditions.before is not None and self.paused:
            self._advance(conditions.before)
        self.fake_platform.finalize, self.fake_platform.prepare = conditions.finalize, conditions.prepare
        self.fake_platform.look, self.fake_platform.refresh = conditions.look, conditions.refresh

    # --- people ------------------------------------------------------------------------------------------------------

    @rule(n=_NTH, what=st.sampled_from(["tells", "tells", "connects again", "connects again", "lies"]))
    def person_acts(self, n: int, what: str) -> None:
        if what == "tells":
            self._resolve_all()
        elif what == "connects again":
            self._reconnect()
        else:
            self._confirm_wrongly(n)

    def _confirm_wrongly(self, n: int) -> None:
        """Decide "publish again" for a live post. The decision is accepted; its duplicate is the person's mistake."""
        mine = [d for d in self._all() if d.state in decide.RESOLVABLE]
        if mine:
            one = mine[n % len(mine)]
            if self.fake_platform.live(str(one.id)) and self._publish_again(one.id):
                self.wrongly_confirmed.add(str(one.id))
                self.model_environment.record("a lie")

    # --- invariants --------------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_has_each_once_and_ours_says_what_it_says(self) -> None:
        assert not self.violations, self.violations
        for d in self._all():
            live = self.fake_platform.live(str(d.id))
            summary = (
                f"{d.id} is {d.state} ({d.reason}), armed {d.armed_at is not None}, live as {list(live)}"
            )
            before = self.seen.get(d.id, (0, 0))
            assert d.generation >= before[0], f"its generation went back: {summary}"
            assert d.fence >= before[1], f"its fence went back: {summary}"
            self.seen[d.id] = (d.generation, d.fence)
            if str(d.id) in self.wrongly_confirmed:
                continue
            assert len(live) <= 1, f"twice: {summary}"
            if d.state == State.PUBLISHED:
                assert live, f"not there: {summary}"
            elif live or self.fake_platform.may_appear(str(d.id)):
                assert d.state in MAY_BE_LIVE, f"it is live or will be: {summary}"
                assert d.armed_at is not None, f"it may be sent again: {summary}"

    @invariant()
    def every_accepted_post_is_there_and_says_what_its_deliveries_say(self) -> None:
        posts = self._posts()
        assert {p.id: len(p.parts) for p in posts} == self.accepted
        for p in posts:
            words = [derive_account_status(State(s), Reason(r) if r else None) for s, r in p.parts]
            # a claim does not update the post: a delivery prepared early makes the stored status pending only when
            # another move stores it (readers derive the status from the deliveries)
            ahead = [
                PostStatus.SCHEDULED if s == State.PUBLISHING else w
                for (s, _), w in zip(p.parts, words, strict=True)
            ]
            fit = {
                derive_post_status(some)
                for some in (words, ahead, [apply_due_time(w, p.due_at, p.now) for w in words])
            }
            assert apply_due_time(PostStatus(p.status), p.due_at, p.now) in fit | {
                apply_due_time(f, p.due_at, p.now) for f in fit
            }, f"{p.id} is {p.status}, its deliveries {p.parts}"

    def teardown(self) -> None:
        """Without further faults, every delivery must settle or be blocked with a reason."""
        try:
            if self.accepted and not self.violations:
                self._recover()
        finally:
            for worker in self.paused:
                self._run_worker(worker, KILL)
        super().teardown()

    def _recover(self) -> None:
        self.fake_platform.clear_faults()
        self.model_environment.faulty_database.inject(NO_FAULT)
        self._pause_platform(on=False)
        for _ in range(ROUNDS):
            if not self.paused and all(is_finished(d) for d in self._all()):
                break
            self._reconnect()
            self._advance(2000)
            self._run_maintenance()
            sweep(self.context)
            self._deliver_all()
            for worker in [self.paused.pop() for _ in self.paused[:1]]:  # a paused worker resumes long after
                self._run_worker(worker, NO_FAULT)
            self.the_ledger_has_each_once_and_ours_says_what_it_says()
        for d in self._all():
            self.model_environment.record(f"ends {d.state}")
            assert is_finished(d), f"{d.id} is stuck as {d.state}"
        self.the_ledger_has_each_once_and_ours_says_what_it_says()
        self.every_accepted_post_is_there_and_says_what_its_deliveries_say()
