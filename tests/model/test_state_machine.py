"""Posts under everything that can happen to them, on a real database: the platform's own ledger is the judge.

A state machine over the code of ``domain``, ``store``, ``stages`` and ``upkeep`` as it is. What it drives is the world:
messages (lost, late, twice, out of order), deaths at every failpoint and at every commit, pauses of any length in
which others go on, a database that is away before or after a commit, all a platform can answer, and people.

Time passes by moving every time in the database back, the deadlines' clock and the platform's forward, all together.
``MODEL_EXAMPLES``, ``MODEL_STEPS`` and ``MODEL_SEED`` make the search larger, or another one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.contract import Platform
from config.settings import load
from pipeline.bootstrap import build
from pipeline.core import Core
from pipeline.domain.delivery import ALWAYS_ARMED, SETTLED, State
from pipeline.domain.post import as_read, status_of, PostStatus, account_status
from pipeline.domain.delivery import Reason
from pipeline.stages import decide, delay, publish, status
from pipeline.stages.edit import Change, edit
from pipeline.stages.ingest import accept
from pipeline.stages.request import Refusal
from pipeline.stages.steer import cancel, retry
from pipeline.store.accounts import store_credentials
from pipeline.store.database import Unreachable, row, rows
from pipeline.store.pauses import lift, pause
from pipeline.store.vault import Vault
from pipeline.upkeep.rescue_dropped import rescue_dropped
from pipeline.upkeep.resume_blocked import resume_blocked
from pipeline.upkeep.ring_checks import ring_checks
from tests.model.points import failpoints
from tests.model.shore import FINALIZE, LOOK, PREPARE, REFRESH, Shore, at, token
from tests.model.trouble import NONE, Clock, Died, Gaps, Message, Plan, Pouch, Shaky, clock_columns, seams
from tests.pipeline.stages.house import House, moved_in
from tests.pipeline.store.ledger import Ledger

MAY_BE_LIVE = frozenset({State.PUBLISHING, State.PUBLISHED, State.BLOCKED}) | ALWAYS_ARMED
"""Nothing may be live, or on its way there, of a delivery in any other state."""
MOST_POSTS = 6
LEASE_AND_MORE, SETTLE_AND_MORE = 200, 400
ROUNDS = 40

PAUSED = ("lease", "settle", "rescue", "tick", "deliver", "person", "edit")
"""What may happen while a worker is paused."""


@dataclass(kw_only=True)
class Ground:
    """What the examples share: engines, a house, and the seams."""

    house: House
    shaky: Shaky
    gaps: Gaps
    clock: Clock
    columns: Mapping[str, Sequence[str]]
    spent: dict[str, int] = field(default_factory=dict)
    """How often each thing was done, over all examples: what a search never did it has not tested."""

    def did(self, what: str) -> None:
        self.spent[what] = self.spent.get(what, 0) + 1


@pytest.fixture
def ground(environment: dict[str, str], vault_key: str) -> Iterator[Ground]:
    core = build(load(environment | {"SLIPWAY_PUBLISH__PREPARES_PER_DAY": "1000"}))
    ledger = Ledger(core.settings.store.url.get_secret_value(), Vault(vault_key))
    shaky, gaps, clock = Shaky(core.database), Gaps(), Clock()
    house = moved_in(replace(core, database=shaky), ledger)
    house.account("one")
    house.account("two")
    house.decided()
    with core.database.begin() as c:
        columns = clock_columns(rows(c, _TIMES))
    with seams(gaps, clock):
        yield Ground(house=house, shaky=shaky, gaps=gaps, clock=clock, columns=columns)
    ledger.database.close()
    core.database.close()


_TIMES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE data_type = 'timestamp with time zone' AND table_schema = current_schema()
  AND table_name IN ('accounts', 'attempts', 'deliveries', 'posts', 'replays') ORDER BY 1, 2
"""
_EMPTY = ("attempts", "moves", "post_checks", "replays", "old_handles", "deliveries", "posts", "pauses")
_PLANS = st.sampled_from([
    *[NONE] * 15,
    *[Plan(at=name, how=how) for name in failpoints() for how in ("dies", "pauses", "pauses")],
    *[Plan(at=n, how=how) for n in range(1, 8) for how in ("dies after", "refused", "answer lost")],
])  # fmt: skip
_MEANWHILE = st.lists(st.sampled_from(PAUSED), max_size=8)
_NTH = st.integers(0, 50)


def _mostly_fine(faults: Sequence[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just("ok"), st.just("ok"), st.sampled_from(faults))


class Deliveries(RuleBasedStateMachine):
    """One house, a few posts, and everything that can happen."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.shore = Shore(witness=self._arrives)
        self.pouch = Pouch()
        self.core: Core = replace(
            ground.house.core, adapters={Platform.TIKTOK: at(self.shore)}, doorbell=self.pouch
        )
        self.house = replace(ground.house, core=self.core)
        self.accepted: dict[UUID, int] = {}
        self.lied: set[str] = set()
        self.seen: dict[UUID, tuple[int, int]] = {}
        self.meanwhile: Sequence[str] = ()
        self.wrong: list[str] = []
        ground.gaps.pause = self._pause
        ground.gaps.plan = NONE
        ground.shaky.expect(NONE)

    @initialize(both=st.booleans())
    def begin(self, both: bool) -> None:
        """A house without posts, then the first two."""
        with self.core.database.begin() as c:
            for table in _EMPTY:
                c.exec_driver_sql(f"DELETE FROM {table}")
            c.exec_driver_sql(
                """UPDATE accounts SET status = 'active', error = NULL, refreshing_until = NULL, unanswered = 0,
                   refresh_after = NULL"""
            )
        self._ingest(both=both)
        self._ingest(both=False)

    # --- clients -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.accepted) < MOST_POSTS)
    @rule(
        both=st.booleans(), late=st.sampled_from([0, 120, 3600]), dies=st.booleans(),
        on_late=st.sampled_from(["publish", "publish", "skip", "hold"]),
    )  # fmt: skip
    def ingest(self, both: bool, late: int, dies: bool, on_late: str) -> None:
        self._ingest(both=both, late=late, dies=dies, on_late=on_late)

    def _ingest(self, *, both: bool, late: int = 0, dies: bool = False, on_late: str = "publish") -> None:
        accounts = [self.house.accounts[name] for name in (("one", "two") if both else ("one",))]
        now = self.house.now()
        asked = self.house.request(
            caption=f"post {len(self.accepted)}", account_ids=accounts, external_id=f"x{len(self.accepted)}",
            scheduled_at=now + timedelta(seconds=late) if late else None, on_late=on_late,
            expires_at=None if on_late == "publish" else now + timedelta(hours=2),
        )  # fmt: skip
        self.ground.gaps.plan = Plan(at="ingest.committed", how="dies") if dies else NONE
        try:
            post = self.house.accept(asked).id
        except Died:
            again = self.house.accept(asked)  # the client had no answer and asks again
            assert again.duplicate
            post = again.id
        self.accepted[post] = len(accounts)

    @precondition(lambda self: self.accepted)
    @rule(n=_NTH, what=st.sampled_from(["edit", "edit", "move", "move", "cancel", "retry", "retry"]), plan=_PLANS,
          later=st.sampled_from([None, 0, 300, 7200]))  # fmt: skip
    def steer(self, n: int, what: str, plan: Plan, later: int | None) -> None:
        post, caller = list(self.accepted)[n % len(self.accepted)], self.house.caller
        moment = self.house.now() + timedelta(seconds=later) if later else None
        change = Change(given=frozenset({"caption"}), caption=f"edited {n}")
        moved = Change(given=frozenset({"scheduled_at"}), scheduled_at=moment)
        work: dict[str, Callable[[], object]] = {
            "edit": lambda: edit(self.core, caller, post, change),
            "move": lambda: edit(self.core, caller, post, moved),
            "cancel": lambda: cancel(self.core, caller, [post]),
            "retry": lambda: retry(self.core, caller, [post]),
        }
        self._try(what, work[what], plan)

    # --- the machinery -----------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 35, 70, LEASE_AND_MORE, SETTLE_AND_MORE, 2000]))
    def time_passes(self, seconds: int) -> None:
        self._advance(seconds)

    @rule(plan=_PLANS)
    def tick(self, plan: Plan) -> None:
        self._try("tick", lambda: delay.sweep(self.core), plan)

    @rule(plan=_PLANS)
    def upkeep(self, plan: Plan) -> None:
        self._try("upkeep", self._chores, plan)

    @rule(
        n=st.one_of(st.just(0), st.just(1), _NTH), before=st.sampled_from([None, 1, 35, 70, LEASE_AND_MORE, SETTLE_AND_MORE]), gone=st.booleans(),
        several=st.booleans(), plan=_PLANS, meanwhile=_MEANWHILE, finalize=st.sampled_from(sorted(FINALIZE)),
        prepare=_mostly_fine(PREPARE), look=_mostly_fine(LOOK), refresh=st.sampled_from(REFRESH),
    )  # fmt: skip
    def deliver(  # noqa: PLR0913  all that can come together
        self, n: int, before: int | None, gone: bool, several: bool, plan: Plan, meanwhile: list[str],
        finalize: str, prepare: str, look: str, refresh: str,
    ) -> None:  # fmt: skip
        if before is not None:
            self._advance(before)
            self._chores()
            delay.sweep(self.core)
        message = self._message(n, several=several, gone=gone)
        self.ground.did("deliver" if message else "deliver: nothing there")
        if message is None:
            return
        self.shore.finalize, self.shore.prepare, self.shore.look = finalize, prepare, look
        self.shore.refresh, self.meanwhile = refresh, meanwhile
        note(f"{message[0]} {message[1]}")
        self._try(message[0], lambda: self._run(*message), plan)
        self.meanwhile = ()
        self.shore.calm()

    deliver_another = deliver
    deliver_a_third = deliver

    @rule(what=st.sampled_from(["the broker forgets", "pause", "lift", "lift"]))
    def operations(self, what: str) -> None:
        if what == "the broker forgets":
            self.pouch.messages.clear()
            return
        with self.core.database.begin() as c:
            if what == "pause":
                pause(c, "platform", "tiktok", "a test")
            else:
                lift(c, "platform", "tiktok")

    # --- people ------------------------------------------------------------------------------------------------------

    @rule(n=_NTH, what=st.sampled_from(["tells", "tells", "connects again", "connects again", "lies"]))
    def a_person(self, n: int, what: str) -> None:
        if what == "tells":
            self._person()
        elif what == "connects again":
            self._reconnect()
        else:
            self._lie(n)

    def _lie(self, n: int) -> None:
        """Says "publish again" of something that is live or may become so: whatever follows is theirs."""
        mine = [d for d in self._all() if d.state in decide.DECIDABLE]
        if mine:
            one = mine[n % len(mine)]
            if self.shore.live(str(one.id)) or self.shore.coming(str(one.id)):
                self.lied.add(str(one.id))
                self.ground.did("a lie")
                decide.publish_again(self.core, one.id)

    # --- what must be true -------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_has_each_once_and_ours_says_what_it_says(self) -> None:
        assert not self.wrong, self.wrong
        for d in self._all():
            live = self.shore.live(str(d.id))
            told = f"{d.id} is {d.state} ({d.reason}), armed {d.armed_at is not None}, live as {list(live)}"
            before = self.seen.get(d.id, (0, 0))
            assert (d.generation >= before[0]) and (d.fence >= before[1]), f"fence or generation went back: {told}"
            self.seen[d.id] = (d.generation, d.fence)
            if str(d.id) in self.lied:
                continue
            assert len(live) <= 1, f"twice: {told}"
            if d.state == State.PUBLISHED:
                assert live, f"not there: {told}"
            elif live or self.shore.coming(str(d.id)):
                assert d.state in MAY_BE_LIVE, f"it is live or will be: {told}"
                assert d.armed_at is not None, f"it may be sent again: {told}"

    @invariant()
    def a_post_says_what_its_deliveries_say(self) -> None:
        for p in self._posts():
            words = [account_status(State(s), Reason(r) if r else None) for s, r in p.parts]
            fit = {status_of(words), status_of(as_read(w, p.due_at, p.now) for w in words)}
            assert as_read(PostStatus(p.status), p.due_at, p.now) in fit | {
                as_read(f, p.due_at, p.now) for f in fit
            }, f"{p.id} is {p.status}, its deliveries {p.parts}"

    @invariant()
    def nothing_accepted_is_gone(self) -> None:
        found = {p.id: len(p.parts) for p in self._posts()}
        assert found == self.accepted

    def teardown(self) -> None:
        """Everything works again: all comes to an end, or waits for a person with a reason."""
        if self.accepted and not self.wrong:
            self._heal()
        super().teardown()

    def _heal(self) -> None:
        self.shore.calm()
        self.ground.gaps.plan = NONE
        self.ground.shaky.expect(NONE)
        with self.core.database.begin() as c:
            lift(c, "platform", "tiktok")
        for _ in range(ROUNDS):
            if all(_is_over(d) for d in self._all()):
                break
            self._reconnect()
            self._advance(2000)
            self._chores()
            delay.sweep(self.core)
            self._deliver_all()
            self.the_ledger_has_each_once_and_ours_says_what_it_says()
        for d in self._all():
            self.ground.did(f"ends {d.state}")
            assert _is_over(d), f"{d.id} is stuck as {d.state}"
        self.the_ledger_has_each_once_and_ours_says_what_it_says()
        self.a_post_says_what_its_deliveries_say()
        self.nothing_accepted_is_gone()

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _try(self, what: str, work: Callable[[], object], plan: Plan) -> None:
        """One piece of work that may go wrong; whoever did it is then gone."""
        self.ground.gaps.plan = plan if isinstance(plan.at, str) else NONE
        self.ground.shaky.expect(plan if isinstance(plan.at, int) else NONE)
        try:
            work()
            self.ground.did(what)
        except Died as death:
            note(f"died: {death}")
            self.ground.did(f"died at {death}")
        except (Unreachable, Refusal) as error:
            self.ground.did(f"{what}: {type(error).__name__} {error}"[:60])
        finally:
            self.ground.gaps.plan = NONE
            self.ground.shaky.expect(NONE)

    def _message(self, n: int, *, several: bool, gone: bool) -> Message | None:
        """One of the messages, first those that still mean something; or several that travel together, as when very many are due."""
        awake = {(str(d.id), d.generation, d.fence) for d in self._all()}
        awake |= {(str(d.id), d.generation) for d in self._all() if d.state == State.QUEUED}  # type: ignore[misc]
        found = sorted(self.pouch.messages, key=lambda m: not awake.intersection(m[1][-1] if m[1] else ()))
        if not found:
            return None
        message = found[n % len(found)]
        together = [m for m in found if several and m[0] == message[0] != "delay.slot"] or [message]
        for one in together if gone else ():
            del self.pouch.messages[one]
        if message[0] == "delay.slot":
            return message
        items = tuple(item for one in together for item in one[1][-1])
        return message[0], (*message[1][:-1], items)

    def _run(self, task: str, args: tuple[Any, ...]) -> None:
        if task == "publish.step":
            publish.publish_all(self.core, args[0], [(UUID(d), g) for d, g in args[1]])
        elif task == "status.look":
            status.look_all(self.core, [(UUID(d), g, f) for d, g, f in args[0]])
        elif task == "delay.slot":
            delay.slot(self.core)
        else:
            raise AssertionError(f"nobody takes {task}")

    def _deliver_all(self) -> None:
        for message in list(self.pouch.messages):
            del self.pouch.messages[message]
            self._run(*message)

    def _chores(self) -> None:
        rescue_dropped(self.core)
        resume_blocked(self.core)
        ring_checks(self.core)

    def _pause(self) -> None:
        """What others do while a worker stands still."""
        steps = {
            "lease": lambda: self._advance(LEASE_AND_MORE),
            "settle": lambda: self._advance(SETTLE_AND_MORE),
            "rescue": self._chores,
            "tick": lambda: delay.sweep(self.core),
            "deliver": self._deliver_all,
            "person": self._person,
            "edit": self._edit_while_paused,
        }
        for name in self.meanwhile:
            note(f"  meanwhile: {name}")
            steps[name]()
        self.ground.did("paused")

    def _edit_while_paused(self) -> None:
        for post in self.accepted:
            change = Change(given=frozenset({"caption"}), caption="edited while a worker stood still")
            self._quietly(lambda post=post: edit(self.core, self.house.caller, post, change))  # type: ignore[misc]

    def _quietly(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Refusal as refusal:
            note(f"  refused: {refusal.code}")

    def _person(self) -> None:
        """Looks at the account and says what is there, once nothing can appear any more."""
        for d in self._all():
            if d.state not in decide.DECIDABLE or self.shore.coming(str(d.id)):
                continue
            if self.shore.live(str(d.id)):
                decide.it_is_live(self.core, d.id, f"https://shore.example/{self.shore.live(str(d.id))[0]}")
                self.ground.did("a person: live")
            elif d.reason != Reason.RECONNECT and self._all_late(d):
                decide.publish_again(self.core, d.id)
                self.ground.did("a person: again")

    def _all_late(self, d: Any) -> bool:
        return d.armed_deadline is None or d.armed_deadline < d.now

    def _reconnect(self) -> None:
        with self.core.database.begin() as c:
            for account in self.house.accounts.values():
                row(c, "UPDATE accounts SET status = 'active', error = NULL WHERE id = :id RETURNING id", id=account)
                store_credentials(c, self.core.vault, account, token("again"))

    def _advance(self, seconds: int) -> None:
        with self.core.database.begin() as c:
            for table, columns in self.ground.columns.items():
                moved = ", ".join(f"{name} = {name} - :by" for name in columns)
                row(c, f"UPDATE {table} SET {moved} RETURNING 1 AS one", by=timedelta(seconds=seconds))
        self.ground.clock.ahead += seconds
        self.shore.advance(seconds)

    def _arrives(self, delivery: str) -> None:
        """The visible call has come: it must have been armed, in an attempt, and be due."""
        with self.ground.shaky.engine.begin() as c:
            found = row(
                c,
                """SELECT d.armed_at IS NOT NULL AS armed, d.due_at <= now() AS due, d.generation = a.generation AS fresh,
                          a.armed_at IS NOT NULL AS written
                   FROM deliveries d LEFT JOIN attempts a ON a.delivery_id = d.id AND a.closed_at IS NULL
                   WHERE d.id = :id""",
                id=UUID(delivery),
            )
        self.ground.did(f"sent: {self.shore.finalize}")
        if found is None or not (found.armed and found.due and found.written and found.fresh):
            self.wrong.append(f"{delivery} was sent while it was {found and dict(found._mapping)}")

    def _all(self) -> list[Any]:
        with self.ground.shaky.engine.begin() as c:
            return rows(c, "SELECT *, now() AS now FROM deliveries ORDER BY id")

    def _posts(self) -> list[Any]:
        with self.ground.shaky.engine.begin() as c:
            return rows(
                c,
                """SELECT p.id, p.status, p.due_at, now() AS now,
                          array_agg(ARRAY[d.state, d.reason] ORDER BY d.id) AS parts
                   FROM posts p JOIN deliveries d ON d.post_id = p.id GROUP BY p.id""",
            )


def _is_over(d: Any) -> bool:
    return d.state in SETTLED or (d.state == State.BLOCKED and d.reason is not None)


def test_whatever_happens_each_is_live_once_or_somebody_is_told(ground: Ground) -> None:
    number = int(os.environ.get("MODEL_SEED", "1"))
    examples = int(os.environ.get("MODEL_EXAMPLES", "60"))
    steps = int(os.environ.get("MODEL_STEPS", "40"))
    print(f"MODEL_SEED={number} MODEL_EXAMPLES={examples} MODEL_STEPS={steps}")

    def machine() -> Deliveries:
        return Deliveries(ground)

    began = time.monotonic()
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink], print_blob=False,
        ),
    )  # fmt: skip
    for what, times in sorted(ground.spent.items()):
        print(f"{times:6} {what}")
    print(f"{time.monotonic() - began:.1f} s; failpoints met: {', '.join(sorted(ground.gaps.met))}")
