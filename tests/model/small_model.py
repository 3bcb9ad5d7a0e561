"""Small model of one delivery, two workers and one platform, and an exhaustive search of its interleavings.

Mapping of the model (left) to the code (right):

* ``World.state``, ``armed``, ``lease``, ``absent``, ``spent``, ``crashes``: the columns of ``deliveries``. Fence and
  generation are counters there; here a worker only knows whether its own is still the current one (``holds``,
  ``fresh``), which is all that any statement asks and makes the model finite.
* ``dispatched``: a publish message of the current generation is in the broker. It is never removed, so it may be
  delivered twice, late and out of order, or never. Messages of older generations match no row
  (``store.deliveries.claim``) and are left out.
* release = ``stages.delay`` (possibly ahead of ``due_at``, because of the prepare lead) · claim, arm, send, settle =
  ``stages.publish`` and the statements of ``store.deliveries`` · look = ``stages.status`` and ``domain.retry_policy`` ·
  rescue = ``maintenance.rescue_expired_leases`` · proof = ``store.deliveries.late_results`` · edit, cancel = a change
  of an un-armed delivery · person = ``actions.resolve``, with a true answer.
* ``late``: the worker's ``Deadline`` has passed. A lease is longer than a deadline, so when the lease is over, every
  worker that claimed before is late. ``window``: deadline, HTTP deadline and settle window are over; what the platform
  has not shown until then it never will (an assumption, as is that a listing misses a live post at most once).
* Left out, because nothing in software can close it: a pause between the deadline check and the first byte.

``Rules`` switches single safeguards off; for each, the search must find a double, early or misreported post.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The safeguards, all on; a broken variant has one off."""

    fence: bool = True  #: settle and arm ask whether the claim is still the worker's
    arm_first: bool = True  #: the point of no return is committed before the call
    deadline: bool = True  #: checked right before the first byte
    unknown_is_looked_at: bool = True  #: an unclear outcome is not simply tried again
    two_looks: bool = True  #: absence takes two looks
    settle_window: bool = True  #: absence counts only after it
    due_at_arm: bool = True  #: arm asks for the time
    armed_is_untouchable: bool = True  #: no edit and no cancel after arm
    patient_decide: bool = True  #: "publish again" is refused until nothing can appear any more


class Worker(NamedTuple):
    """``at``: its next step. ``knows``: a result it has not stored yet."""

    at: str = "idle"
    holds: bool = False
    fresh: bool = False
    late: bool = False
    knows: str = ""


class World(NamedTuple):
    """The state of the model."""

    state: str = "scheduled"
    armed: bool = False
    lease: bool = False  #: still running
    due: bool = False
    dispatched: bool = False
    window: bool = False  #: over
    absent: bool = False  #: a look that was late enough found nothing
    missed: bool = False  #: the listing has missed the live post once
    spent: int = 0
    crashes: int = 0
    edited: bool = False
    live: int = 0
    coming: int = 0  #: acts that the platform has yet to do, or to forget
    wrong: str = ""
    workers: tuple[Worker, Worker] = (Worker(), Worker())


TRIES = 2
CRASHES = 2
SETTLED = ("published", "failed", "cancelled")
UNARMED = ("scheduled", "queued", "publishing", "retrying", "blocked")
#: outcome of the visible call -> (acts now, acts later, what the worker knows)
ANSWERS: Mapping[str, tuple[int, int, str]] = {
    "acts and says so": (1, 0, "ok"),
    "acts and the answer is lost": (1, 0, "unclear"),
    "will act later and the answer is lost": (0, 1, "unclear"),
    "does nothing and the answer is lost": (0, 0, "unclear"),
    "asks to come back later": (0, 0, "refused"),
    "refuses for good": (0, 0, "rejected"),
}
Step = tuple[str, World]


def steps(w: World, rules: Rules) -> Iterator[Step]:
    """Yield every possible next step."""
    yield from _time(w)
    yield from _upkeep(w)
    yield from _people(w, rules)
    for n, worker in enumerate(w.workers):
        name = f"worker {'AB'[n]}"
        if worker.at != "idle":
            yield f"{name} dies", _with(w, n, Worker())
        for label, after in _work(w, n, rules):
            yield f"{name} {label}", after


def _time(w: World) -> Iterator[Step]:
    if not w.due:
        yield "the due time comes", w._replace(due=True)
    if w.lease:
        yield "the lease runs out", _all_late(w)._replace(lease=False)
    for n, worker in enumerate(w.workers):
        if worker.at in ("claimed", "armed") and not worker.late:
            yield f"worker {'AB'[n]} is paused past its deadline", _with(w, n, worker._replace(late=True))
    if w.armed and not w.window and not w.coming and not w.lease:
        yield "the settle window is over", _all_late(w)._replace(window=True)
    if w.coming:
        yield "the platform acts late", w._replace(coming=w.coming - 1, live=w.live + 1)
        yield "the platform forgets the call", w._replace(coming=w.coming - 1)


def _upkeep(w: World) -> Iterator[Step]:
    if w.state in ("scheduled", "retrying"):
        yield "delay releases it", w._replace(state="queued", dispatched=True)
    if w.state == "publishing" and not w.lease:
        yield "rescue takes it from its worker", _rescued(_raise_fence(w))


def _rescued(w: World) -> World:
    if w.armed:
        return w._replace(state="unknown")
    if w.crashes + 1 >= CRASHES:
        return w._replace(state="blocked", crashes=w.crashes + 1)
    return w._replace(state="queued", dispatched=True, crashes=w.crashes + 1)


def _people(w: World, rules: Rules) -> Iterator[Step]:
    if w.state in (*UNARMED, "unknown") and not (w.armed and rules.armed_is_untouchable):
        a, b = (worker._replace(fresh=False) for worker in w.workers)
        changed = w._replace(armed=False, dispatched=False, workers=(a, b))
        yield "a person cancels it", changed._replace(state="cancelled")
        if not w.edited:
            yield "a person edits it to later", changed._replace(state="scheduled", due=False, edited=True)
    if w.state in ("unknown", "blocked") and w.armed:
        again = _raise_fence(w)._replace(state="retrying", armed=False, absent=False, crashes=0)
        if w.live:
            yield "a person sees it live and says so", _raise_fence(w)._replace(state="published")
        elif w.window or not rules.patient_decide:
            yield "a person sees nothing and says: again", again
    if w.state == "blocked":
        yield "a person resumes it", w._replace(state="unknown" if w.armed else "retrying", crashes=0)


def _work(w: World, n: int, rules: Rules) -> Iterator[Step]:
    worker = w.workers[n]
    if worker.at == "idle":
        yield from _begin(w, n)
    elif worker.at == "claimed":
        yield _arm(w, n, rules)
    elif worker.at == "armed":
        yield from _send(w, n, rules)
    elif worker.at == "answered":
        yield _settle(w, n, rules)
    elif worker.at == "looking":
        yield from _see(w, n)
    elif worker.at == "seen":
        yield from _settle_look(w, n, rules)


def _begin(w: World, n: int) -> Iterator[Step]:
    if w.state == "queued" and w.dispatched:
        mine = Worker(at="claimed", holds=True, fresh=True)
        yield (
            "gets the message and claims",
            _with(_raise_fence(w), n, mine)._replace(state="publishing", lease=True),
        )
    if w.state == "unknown":
        mine = Worker(at="looking", holds=True, fresh=True, knows="enough" if w.window else "soon")
        yield "claims a look", _with(_raise_fence(w), n, mine)


def _arm(w: World, n: int, rules: Rules) -> Step:
    worker = w.workers[n]
    mine = w.state == "publishing" and worker.fresh and (worker.holds or not rules.fence)
    if mine and w.lease and not w.armed and (w.due or not rules.due_at_arm):
        armed = _with(w, n, worker._replace(at="armed"))
        if rules.arm_first:
            return "arms", armed._replace(armed=True, window=False, absent=False)
        return "goes on without arming", armed
    back = _with(w, n, Worker())
    if mine and not w.armed:
        return "may not arm, puts it back", back._replace(state="scheduled", lease=False)
    return "may not arm, stops", back


def _send(w: World, n: int, rules: Rules) -> Iterator[Step]:
    worker = w.workers[n]
    if worker.late and rules.deadline:
        yield (
            "finds its deadline passed, sends nothing",
            _with(w, n, worker._replace(at="answered", knows="refused")),
        )
        return
    for answer, (now, later, knows) in ANSWERS.items():
        wrong = _wrong_to_send(w, worker) if now or later else ""
        after = _with(w, n, worker._replace(at="answered", knows=knows))
        yield (
            f"sends: the platform {answer}",
            after._replace(live=w.live + now, coming=w.coming + later, wrong=w.wrong or wrong),
        )


def _wrong_to_send(w: World, worker: Worker) -> str:
    if not w.due:
        return "it was sent before its time"
    return "" if worker.fresh else "an edited delivery went out with its old text"


def _settle(w: World, n: int, rules: Rules) -> Step:
    worker, free = w.workers[n], _with(w, n, Worker())
    if w.state == "publishing" and worker.fresh and (worker.holds or not rules.fence):
        done = free._replace(lease=False)
        if worker.knows == "ok":
            return "stores: published", done._replace(state="published")
        if worker.knows == "rejected":
            return "stores: failed", done._replace(state="failed", armed=False)
        if worker.knows == "refused" or not rules.unknown_is_looked_at:
            return "stores: refused before acting, to be retried", _spent(done)
        return "stores: unknown", done._replace(state="unknown", armed=True)
    if worker.knows == "ok" and w.state not in SETTLED:
        return "comes too late, its proof settles it", _raise_fence(free)._replace(
            state="published", dispatched=False
        )
    return "comes too late, stores nothing", free


def _see(w: World, n: int) -> Iterator[Step]:
    worker = w.workers[n]
    seen = worker._replace(at="seen")
    if w.live:
        yield "looks and sees it", _with(w, n, seen._replace(knows="live"))
    if not w.live or not w.missed:
        missed = w._replace(missed=w.missed or bool(w.live))
        label = "looks and sees nothing" + (" (the listing lags)" if w.live else "")
        yield label, _with(missed, n, seen._replace(knows="absent, " + worker.knows))
    yield "looks and cannot tell", _with(w, n, seen._replace(knows="cannot tell"))


def _settle_look(w: World, n: int, rules: Rules) -> Iterator[Step]:
    worker, free = w.workers[n], _with(w, n, Worker())
    mine = w.state == "unknown" and worker.fresh and (worker.holds or not rules.fence)
    if worker.knows == "live" and w.state not in SETTLED:
        yield "stores: it is live", _raise_fence(free)._replace(state="published", dispatched=False)
    elif not mine:
        yield "comes too late, stores nothing", free
    elif worker.knows == "cannot tell":
        yield "stores: look again", free._replace(absent=False)
        yield "stores: a person has to tell", free._replace(state="blocked", absent=False)
    elif worker.knows == "absent, soon" and rules.settle_window:
        yield "stores: not there, but too early to count", free._replace(absent=False)
    elif w.absent or not rules.two_looks:
        yield "stores: proven absent, to be retried", _spent(free)
    else:
        yield "stores: not there, once", free._replace(absent=True)


def _spent(w: World) -> World:
    state = "failed" if w.spent + 1 >= TRIES else "retrying"
    return w._replace(state=state, spent=w.spent + 1, armed=False, absent=False, lease=False)


def _with(w: World, n: int, worker: Worker) -> World:
    return w._replace(workers=(worker, w.workers[1]) if n == 0 else (w.workers[0], worker))


def _raise_fence(w: World) -> World:
    a, b = (worker._replace(holds=False) for worker in w.workers)
    return w._replace(workers=(a, b))


def _all_late(w: World) -> World:
    a, b = (
        worker._replace(late=True) if worker.at in ("claimed", "armed") else worker for worker in w.workers
    )
    return w._replace(workers=(a, b))


# --- violations, and the search --------------------------------------------------------------------------------------


def violation(w: World) -> str:
    """Return the violation in *w*, or an empty string."""
    if w.wrong:
        return w.wrong
    if w.live > 1:
        return "it is live twice"
    if w.state == "published" and not w.live:
        return "it is published and not live: lost"
    if w.state in ("failed", "cancelled") and (w.live or w.coming):
        return f"it is {w.state} and live"
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Result of a search. ``trace``: the shortest trace to the violation, or empty."""

    worlds: Mapping[World, Step | None]
    """Every world reached -> the step that led there: its name and the world before."""
    stuck: Sequence[World]
    """Worlds from which the system alone reaches no end: lost."""
    wrong: str = ""
    trace: Sequence[str] = ()


def search(rules: Rules, looking_for: str = "") -> Found:
    """Search all interleavings breadth first, up to the first violation that contains *looking_for*."""
    start = World()
    came: dict[World, Step | None] = {start: None}
    backwards: dict[World, list[World]] = {}
    waiting = deque([start])
    while waiting:
        w = waiting.popleft()
        if (wrong := violation(w)) and looking_for in wrong:
            return Found(worlds=came, stuck=(), wrong=wrong, trace=_trace(came, w))
        for label, after in steps(w, rules):
            if "a person" not in label or "stores" in label:
                backwards.setdefault(after, []).append(w)
            if after not in came:
                came[after] = (label, w)
                waiting.append(after)
    return Found(worlds=came, stuck=_stuck(came, backwards))


def _stuck(
    worlds: Mapping[World, Step | None], backwards: Mapping[World, Sequence[World]]
) -> Sequence[World]:
    """Return the worlds from which no end (settled, or blocked for a person) is reachable, by a backward search."""
    ending = deque(w for w in worlds if w.state in (*SETTLED, "blocked"))
    fine = set(ending)
    while ending:
        for before in backwards.get(ending.popleft(), ()):
            if before not in fine:
                fine.add(before)
                ending.append(before)
    return [w for w in worlds if w not in fine]


def _trace(came: Mapping[World, Step | None], end: World) -> Sequence[str]:
    lines: list[str] = []
    at: World = end
    while step := came[at]:
        lines.append(f"{step[0]}  [{at.state}{', armed' if at.armed else ''}, live {at.live}]")
        at = step[1]
    return lines[::-1]
