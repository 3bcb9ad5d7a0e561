"""Walks one delivery through an adapter as the core does, by the core's own pure verdicts, with no database.

Every step is taken by a new adapter with a new client from a checkpoint that went through JSON: a worker that dies
after any step leaves exactly that to the next one. Time passes at once: whatever is waited for, is not.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from adapters.contract import (
    Absent,
    Account,
    Adapter,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    Pending,
    PrepareResult,
    Published,
    Ready,
)
from adapters.errors import AdapterError, CredentialsExpired
from adapters.http import HttpClient, Response
from pipeline.domain import retry_policy as decide
from pipeline.domain.delivery import Reason, State
from pipeline.domain.retry_policy import RetryPolicy, RetryState, Verdict
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.subjects import Subject

MOST_STEPS = 400
CALM_AFTER = 3
"""Looks, or spent tries, after which faults are cleared and a minute passes: what was stuck or late goes on."""
SHORTEST = 12
MINUTE = timedelta(minutes=1)
PATIENCE = 8
"""Looks that prove nothing, after which the platform's limit has passed."""
WORKS_FOR = 10.0
"""Real seconds that the sandbox may work on something, asked every PAUSE seconds."""
PAUSE = 0.02
MOST_WAIT = 10.0
"""Seconds of a wait that the adapters' clock is moved by: what they knew is old then, what they hold still lives."""
POLICY = RetryPolicy(
    tries=6,
    backoff=timedelta(0),
    cap=timedelta(0),
    chance=0,
    settle=timedelta(0),
    look_first=timedelta(0),
    look_longest=timedelta(0),
    look_limit=timedelta(hours=1),
)
READS = {
    # POST or PUT by name, reads by nature: they change nothing over there
    ("POST", "/v2/post/publish/status/fetch/"),
    ("POST", "/v2/post/publish/creator_info/query/"),
    ("POST", "/v2/video/list/"),
}
PROBES = {("PUT", "/upload/youtube/v3/videos")}
"""PUTs of no bytes: the resumable upload's question how far it is."""
ENDS = frozenset({State.PUBLISHED, State.FAILED, State.BLOCKED})
PASSED = [0.0]
"""Seconds by which waiting has moved this process's clock (conftest.py shows it to the adapters)."""
T = TypeVar("T", PrepareResult, FinalizeResult, LookResult)


class Broken(BaseException):
    """An adapter broke a SHALL. No Exception, so that the core's way of bearing everything does not bear this."""


def _hold(holds: object, calls: object) -> None:
    if not holds:
        raise Broken(calls)


class Hasty(HttpClient):
    """A client that gives no call more than its own limit."""

    def call(self, method: str, url: str, *, limit: timedelta | None = None, **more: Any) -> Response:
        """As the client's, the caller's own limit apart."""
        del limit
        return super().call(method, url, **more)


@dataclass(kw_only=True)
class Walk:
    """One delivery on its way, and everything that was seen of it."""

    ground: Ground
    subject: Subject
    account: Account
    draft: Draft
    checkpoint: CheckpointData = field(default_factory=dict)
    state: State = State.QUEUED
    armed_at: datetime | None = None
    reason: Reason | None = None
    published: Published | None = None
    spent: int = 0
    looks: int = 0
    surprises: int = 0
    stale: bool = False
    absences: int = 0
    taken: set[str] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """Every repr, str and traceback of what the adapter handed out or raised."""
    seen: list[LookResult] = field(default_factory=list)
    finalized: int = 0
    ready_at: CheckpointData | None = None
    """The last checkpoint that was Ready."""
    gives_up_at: float | None = None
    """By the real clock: when PENDING has lasted too long."""
    reconnected: int = 0
    hasty: timedelta | None = None
    """The most that any call may take."""
    _secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, ground: Ground, subject: Subject) -> Walk:
        """A new post of a new account."""
        return cls(
            ground=ground, subject=subject, account=ground.account(subject), draft=ground.draft(subject)
        )

    # --- single steps, each by a worker of its own -------------------------------------------------------------------

    def worker(self) -> tuple[Adapter, HttpClient]:
        """A new adapter with a new client; they share nothing with those before them."""
        client = HttpClient(limit=timedelta(seconds=10)) if self.hasty is None else Hasty(limit=self.hasty)
        return self.ground.adapters[self.subject.platform](client, self.ground.settings(self.subject)), client

    def prepare(self) -> PrepareResult:
        """One step; it may make one request, and none of it visible."""
        adapter, client = self.worker()
        with self._heard(client, 1):
            result = self._told(adapter.prepare(self.draft, self.account, self.stored))
        _hold(not any(visible for _, _, visible in client.calls), client.calls)
        return result

    def finalize(self) -> FinalizeResult:
        """The visible call: exactly one request, or none where it was live already."""
        adapter, client = self.worker()
        try:
            with self._heard(client, 1):
                return self._told(adapter.finalize(self.draft, self.account, self.stored))
        finally:
            self.finalized += len(client.calls)
            _hold(all(visible for _, _, visible in client.calls), client.calls)

    def look(self) -> LookResult:
        """One look; whatever it asks, only reads leave."""
        adapter, client = self.worker()
        armed = self.armed_at
        with self._heard(client, None):
            seen = self._told(
                adapter.look(self.draft, self.account, self.stored, armed, frozenset(self.taken))
            )
        _hold(
            all(is_read(method, url) and not visible for method, url, visible in client.calls), client.calls
        )
        self.seen.append(seen)
        return seen

    @property
    def stored(self) -> CheckpointData:
        """The checkpoint as another worker reads it."""
        kept: CheckpointData = json.loads(json.dumps(self.checkpoint))
        self._note_secrets(kept)
        return kept

    def _note_secrets(self, checkpoint: CheckpointData) -> None:
        tokens = (self.account.credentials.access_token, self.account.credentials.refresh_token)
        self._secrets |= {f"token {n}": t.get_secret_value() for n, t in enumerate(tokens) if t is not None}
        self._secrets |= dict(secrets_in(checkpoint, "checkpoint"))

    # --- the core's way ----------------------------------------------------------------------------------------------

    def run(self, until: Callable[[Walk], bool] = lambda _: False) -> Walk:
        """Until the delivery is settled or a person is needed, or ``until`` says so."""
        for _ in range(MOST_STEPS):
            if self.state in ENDS or until(self):
                return self
            if self.state in (State.PREPARING, State.PROCESSING, State.UNKNOWN):
                self.look_once()
            else:
                self.publish()
        raise AssertionError(
            f"{self.subject.name} gets nowhere: {self.state}, {self.errors[-3:]}, {self.seen[-3:]}"
        )

    def publish(self) -> None:
        """One slice: what is left to prepare, then the visible call."""
        try:
            waits = self.prepare_all()
            self.apply(waits if waits is not None else self._arm_and_finalize())
        except Exception as error:  # noqa: BLE001 - the core's catch-all: whatever it is becomes a verdict
            self._failed(error, decide.judge_error(error, self.standing, POLICY))

    def prepare_all(self) -> Verdict | None:
        """Prepares until Ready (None), or until the platform asks for time."""
        while True:
            result = self.prepare()
            self.checkpoint = result.checkpoint
            if isinstance(result, Ready):
                self.ready_at = self.stored
                return None
            if (waits := decide.judge_prepare(result)) is not None:
                return waits

    def run_prepared(self) -> None:
        """As far as the visible call, which is not made."""
        for _ in range(MOST_STEPS):
            waits = self.prepare_all()
            if waits is None:
                return
            self.apply(waits)
        raise AssertionError(f"{self.subject.name} is never ready: {self.checkpoint}")

    def _arm_and_finalize(self) -> Verdict:
        self.arm()
        return decide.judge_finalize(self.finalize())

    def arm(self) -> None:
        """From here on nothing is sent again unless its absence is proven."""
        self.armed_at, self.looks, self.absences = datetime.now(UTC), 0, 0

    def look_once(self) -> None:
        """One look and its verdict; faults end in time, and so does the wait."""
        self.looks += 1
        if self.looks == CALM_AFTER:
            self._time_passes()
        try:
            seen = self.look()
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error, decide.judge_look_error(error, self.standing, POLICY, self.state))
            return
        standing = self.standing
        if self.armed_at is not None and isinstance(seen, Absent | Ready):
            self.absences += 1
            if self.absences == 1:
                self.ground.later(self.worker()[0].capabilities.settle_window)
        self.stale = False
        self.apply(decide.judge_look(seen, standing, POLICY))
        if isinstance(seen, Pending) and self.looks > CALM_AFTER:
            time.sleep(PAUSE)  # the sandbox works in a process of its own: asked again until it is done

    def _time_passes(self) -> None:
        self.ground.calm()
        self.ground.later(MINUTE)

    @property
    def standing(self) -> RetryState:
        """What the core would know of the delivery now."""
        return RetryState(
            spent=self.spent,
            looks=self.looks,
            unexpected_errors=self.surprises,
            stale_before=self.stale,
            armed_for=None if self.armed_at is None else timedelta(0),
            waited=POLICY.look_limit if self._is_over else timedelta(0),
            absent_before=self.absences > 1,
            late_enough=self.absences > 0,
        )

    @property
    def _is_over(self) -> bool:
        if not self.seen or not isinstance(self.seen[-1], Pending):
            return self.looks >= PATIENCE
        if self.gives_up_at is None:
            self.gives_up_at = time.monotonic() + WORKS_FOR
        return time.monotonic() > self.gives_up_at

    def apply(self, verdict: Verdict) -> None:
        """Stores a verdict; what is waited for has passed when it returns."""
        PASSED[0] += min(verdict.wait / timedelta(seconds=1), MOST_WAIT)
        if verdict.spent and self.spent + 1 == CALM_AFTER:
            self._time_passes()
        self.state, self.reason = verdict.state, verdict.reason
        self.published = verdict.published or self.published
        self.spent += verdict.spent
        self.surprises += verdict.unexpected
        if verdict.disarm:
            self.armed_at = None
        if verdict.checkpoint is not None:
            self.checkpoint = verdict.checkpoint
        if verdict.refresh:
            self._refresh()
        if (
            self.reason is Reason.RECONNECT and self.reconnected < CALM_AFTER
        ):  # a person connects the account again
            self.reconnected += 1
            self.account = self.ground.reconnected(self.subject, self.account)
            self.state = State.QUEUED if self.armed_at is None else State.UNKNOWN

    def person_says_publish_again(self) -> None:
        """Somebody looked, and decided: only what the adapter ``keeps`` survives."""
        kept = self.worker()[0].capabilities.keeps
        self.checkpoint = {name: value for name, value in self.stored.items() if name in kept}
        self.state, self.armed_at, self.looks = State.RETRYING, None, 0

    def _failed(self, error: Exception, verdict: Verdict) -> None:
        self.errors.append(error)
        self.told += [str(error), repr(error), "".join(traceback.format_exception(error))]
        stale = isinstance(error, CredentialsExpired)
        self.apply(verdict)
        self.stale = stale

    def _refresh(self) -> None:
        adapter, _ = self.worker()
        try:
            fresh = adapter.refresh(self.account)
        except AdapterError as error:
            self.errors.append(error)
            self.told += [str(error), repr(error)]
            self.account = self.ground.reconnected(self.subject, self.account)  # a person did what was asked
        else:
            self.account = replace(self.account, credentials=fresh)

    def _told(self, result: T) -> T:
        self.told += [repr(result), str(result)]
        return result

    # --- what must not be seen of it ---------------------------------------------------------------------------------

    def leaks(self) -> list[str]:
        """Kinds of secrets that stand in something an adapter handed out, raised or logged."""
        return sorted(
            {kind for kind, secret in self._secrets.items() if any(secret in text for text in self.told)}
        )

    @contextmanager
    def _heard(self, client: HttpClient, most: int | None) -> Iterator[None]:
        """Hears every log line meanwhile, and counts requests."""
        ear = _Ear(self.told)
        root = logging.getLogger()
        before = root.level
        root.addHandler(ear)
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.removeHandler(ear)
            root.setLevel(before)
            _hold(most is None or len(client.calls) <= most, client.calls)


class _Ear(logging.Handler):
    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(record.getMessage())


def secrets_in(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Addresses that a checkpoint keeps, and all that stands in upload parameters: whoever has them may upload."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from secrets_in(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner, path)
    elif isinstance(value, str) and ("://" in value or ("parameters" in path and len(value) >= SHORTEST)):
        yield path, value


def is_read(method: str, url: str) -> bool:
    """GET, or one of the few that only are called otherwise."""
    return method == "GET" or any(method == m and url.endswith(path) for m, path in READS | PROBES)
