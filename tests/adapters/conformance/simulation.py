"""Simulate the pipeline for one delivery: drive an adapter by the verdicts of domain/retry_policy, without a database.

Every step uses a new adapter, a new client and a checkpoint that went through JSON, as after the death of a worker.
Waits pass at once: they only advance the clock that the adapter reads.
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
from pipeline.domain import retry_policy
from pipeline.domain.delivery import Reason, State
from pipeline.domain.verdict import RetryPolicy, RetryState, Verdict
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import PostCase

MAX_STEPS = 400
CLEAR_FAULTS_AFTER = 3
"""Looks, or spent tries, after which faults are cleared and the clock advances by a minute."""
MIN_SECRET_LENGTH = 12
MINUTE = timedelta(minutes=1)
MAX_LOOKS = 8
"""Looks without proof after which the look limit counts as reached."""
PROCESSING_TIMEOUT = 10.0
"""Real seconds that the sandbox may take to process media; a look follows every POLL_INTERVAL seconds."""
POLL_INTERVAL = 0.02
MAX_CLOCK_ADVANCE = 10.0
"""Most seconds that one wait advances the adapters' clock: cached reads expire, tokens and sessions do not."""
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
    # POST requests that change nothing
    ("POST", "/v2/post/publish/status/fetch/"),
    ("POST", "/v2/post/publish/creator_info/query/"),
    ("POST", "/v2/video/list/"),
}
PROBES = {("PUT", "/upload/youtube/v3/videos")}
"""PUT requests without bytes: the status probe of a resumable upload."""
FINAL_STATES = frozenset({State.PUBLISHED, State.FAILED, State.BLOCKED})
CLOCK_OFFSET = [0.0]
"""Seconds by which waits have advanced the clock; conftest.py adds it to ``time.time``."""
T = TypeVar("T", PrepareResult, FinalizeResult, LookResult)


class ContractViolation(BaseException):
    """An adapter broke its contract. A BaseException, so that the simulation does not turn it into a verdict."""


def _require(condition: object, calls: object) -> None:
    if not condition:
        raise ContractViolation(calls)


class ShortDeadlineClient(HttpClient):
    """A client whose own time limit overrides that of the caller."""

    def call(self, method: str, url: str, *, limit: timedelta | None = None, **more: Any) -> Response:
        """Make the call with the client's limit."""
        del limit
        return super().call(method, url, **more)


@dataclass(kw_only=True)
class DeliverySimulation:
    """One delivery: its state, and everything the adapter returned, raised or logged."""

    environment: Environment
    post_case: PostCase
    account: Account
    draft: Draft
    checkpoint: CheckpointData = field(default_factory=dict)
    state: State = State.QUEUED
    armed_at: datetime | None = None
    reason: Reason | None = None
    published: Published | None = None
    spent: int = 0
    looks: int = 0
    unexpected_errors: int = 0
    is_stale: bool = False
    absences: int = 0
    taken: set[str] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    """Every repr, str, traceback and log line of what the adapter returned, raised or logged."""
    look_results: list[LookResult] = field(default_factory=list)
    finalize_calls: int = 0
    ready_checkpoint: CheckpointData | None = None
    """The checkpoint of the last Ready."""
    processing_deadline: float | None = None
    """Monotonic time after which Pending counts as past the look limit."""
    reconnects: int = 0
    call_limit: timedelta | None = None
    """Time limit of every call; None: the caller's."""
    _secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, environment: Environment, post_case: PostCase) -> DeliverySimulation:
        """Create a new delivery for a new account."""
        return cls(
            environment=environment,
            post_case=post_case,
            account=environment.create_account(post_case),
            draft=environment.make_draft(post_case),
        )

    # --- single steps, each by a new worker --------------------------------------------------------------------------

    def make_worker(self) -> tuple[Adapter, HttpClient]:
        """Return a new adapter and its new client."""
        client = (
            HttpClient(limit=timedelta(seconds=10))
            if self.call_limit is None
            else ShortDeadlineClient(limit=self.call_limit)
        )
        return self.environment.adapters[self.post_case.platform](
            client, self.environment.make_settings(self.post_case)
        ), client

    def prepare(self) -> PrepareResult:
        """Run one prepare step; require at most one request, and no visible one."""
        adapter, client = self.make_worker()
        with self._capture_logs(client, 1):
            result = self._record(adapter.prepare(self.draft, self.account, self.stored_checkpoint))
        _require(not any(visible for _, _, visible in client.calls), client.calls)
        return result

    def finalize(self) -> FinalizeResult:
        """Make the visible call; require at most one request, marked visible."""
        adapter, client = self.make_worker()
        try:
            with self._capture_logs(client, 1):
                return self._record(adapter.finalize(self.draft, self.account, self.stored_checkpoint))
        finally:
            self.finalize_calls += len(client.calls)
            _require(all(visible for _, _, visible in client.calls), client.calls)

    def look(self) -> LookResult:
        """Look at the delivery; require that every request is a read."""
        adapter, client = self.make_worker()
        armed = self.armed_at
        with self._capture_logs(client, None):
            result = self._record(
                adapter.look(self.draft, self.account, self.stored_checkpoint, armed, frozenset(self.taken))
            )
        _require(
            all(is_read(method, url) and not visible for method, url, visible in client.calls), client.calls
        )
        self.look_results.append(result)
        return result

    @property
    def stored_checkpoint(self) -> CheckpointData:
        """Return the checkpoint after a round trip through JSON, as another worker reads it."""
        checkpoint: CheckpointData = json.loads(json.dumps(self.checkpoint))
        self._note_secrets(checkpoint)
        return checkpoint

    def _note_secrets(self, checkpoint: CheckpointData) -> None:
        tokens = (self.account.credentials.access_token, self.account.credentials.refresh_token)
        self._secrets |= {f"token {n}": t.get_secret_value() for n, t in enumerate(tokens) if t is not None}
        self._secrets |= dict(list_secrets(checkpoint, "checkpoint"))

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[DeliverySimulation], bool] = lambda _: False) -> DeliverySimulation:
        """Run until the delivery is settled or blocked, or ``until`` returns True."""
        for _ in range(MAX_STEPS):
            if self.state in FINAL_STATES or until(self):
                return self
            if self.state in (State.PREPARING, State.PROCESSING, State.UNKNOWN):
                self.look_once()
            else:
                self.publish()
        raise AssertionError(
            f"{self.post_case.name} is not settled: {self.state}, {self.errors[-3:]}, {self.look_results[-3:]}"
        )

    def publish(self) -> None:
        """Finish preparing, then make the visible call, and apply the verdict."""
        try:
            verdict = self.prepare_all()
            self.apply(verdict if verdict is not None else self._arm_and_finalize())
        except Exception as error:  # noqa: BLE001 - as in the pipeline, every error becomes a verdict
            self._apply_error(error, retry_policy.evaluate_error(error, self.retry_state, POLICY))

    def prepare_all(self) -> Verdict | None:
        """Prepare until Ready and return None, or return the verdict of a wait."""
        while True:
            result = self.prepare()
            self.checkpoint = result.checkpoint
            if isinstance(result, Ready):
                self.ready_checkpoint = self.stored_checkpoint
                return None
            if (verdict := retry_policy.evaluate_prepare(result)) is not None:
                return verdict

    def run_until_ready(self) -> None:
        """Prepare, waiting as often as needed, and stop before the visible call."""
        for _ in range(MAX_STEPS):
            verdict = self.prepare_all()
            if verdict is None:
                return
            self.apply(verdict)
        raise AssertionError(f"{self.post_case.name} is never ready: {self.checkpoint}")

    def _arm_and_finalize(self) -> Verdict:
        self.arm()
        return retry_policy.evaluate_finalize(self.finalize())

    def arm(self) -> None:
        """Arm the delivery: from now on it is sent again only if its absence is proven."""
        self.armed_at, self.looks, self.absences = datetime.now(UTC), 0, 0

    def look_once(self) -> None:
        """Look once and apply the verdict; after CLEAR_FAULTS_AFTER looks the faults are cleared."""
        self.looks += 1
        if self.looks == CLEAR_FAULTS_AFTER:
            self._clear_faults_and_advance_clock()
        try:
            result = self.look()
        except Exception as error:  # noqa: BLE001 - as above
            self._apply_error(
                error, retry_policy.evaluate_look_error(error, self.retry_state, POLICY, self.state)
            )
            return
        retry_state = self.retry_state
        if self.armed_at is not None and isinstance(result, Absent | Ready):
            self.absences += 1
            if self.absences == 1:
                self.environment.advance_clock(self.make_worker()[0].capabilities.settle_window)
        self.is_stale = False
        self.apply(retry_policy.evaluate_look(result, retry_state, POLICY))
        if isinstance(result, Pending) and self.looks > CLEAR_FAULTS_AFTER:
            time.sleep(POLL_INTERVAL)  # the sandbox processes media in real time

    def _clear_faults_and_advance_clock(self) -> None:
        self.environment.clear_faults()
        self.environment.advance_clock(MINUTE)

    @property
    def retry_state(self) -> RetryState:
        """Return what the retry policy is given about the delivery."""
        return RetryState(
            spent=self.spent,
            looks=self.looks,
            unexpected_errors=self.unexpected_errors,
            stale_before=self.is_stale,
            armed=self.armed_at is not None,
            waited=POLICY.look_limit if self._is_past_limit else timedelta(0),
            absent_before=self.absences > 1,
            late_enough=self.absences > 0,
        )

    @property
    def _is_past_limit(self) -> bool:
        if not self.look_results or not isinstance(self.look_results[-1], Pending):
            return self.looks >= MAX_LOOKS
        if self.processing_deadline is None:
            self.processing_deadline = time.monotonic() + PROCESSING_TIMEOUT
        return time.monotonic() > self.processing_deadline

    def apply(self, verdict: Verdict) -> None:
        """Apply a verdict; its wait has passed on return."""
        CLOCK_OFFSET[0] += min(verdict.wait / timedelta(seconds=1), MAX_CLOCK_ADVANCE)
        if verdict.spent and self.spent + 1 == CLEAR_FAULTS_AFTER:
            self._clear_faults_and_advance_clock()
        self.state, self.reason = verdict.state, verdict.reason
        self.published = verdict.published or self.published
        self.spent += verdict.spent
        self.unexpected_errors += verdict.unexpected
        if verdict.disarm:
            self.armed_at = None
        if verdict.checkpoint is not None:
            self.checkpoint = verdict.checkpoint
        if verdict.refresh:
            self._refresh_credentials()
        if self.reason is Reason.RECONNECT and self.reconnects < CLEAR_FAULTS_AFTER:
            # as if a person had reconnected the account
            self.reconnects += 1
            self.account = self.environment.reconnect(self.post_case, self.account)
            self.state = State.QUEUED if self.armed_at is None else State.UNKNOWN

    def resolve_publish_again(self) -> None:
        """Apply a person's decision "publish again"; the checkpoint keeps only what the adapter ``keeps``."""
        self.checkpoint = self.make_worker()[0].capabilities.keep_for_repetition(self.stored_checkpoint)
        self.state, self.armed_at, self.looks = State.RETRYING, None, 0

    def _apply_error(self, error: Exception, verdict: Verdict) -> None:
        self.errors.append(error)
        self.outputs += [str(error), repr(error), "".join(traceback.format_exception(error))]
        is_stale = isinstance(error, CredentialsExpired)
        self.apply(verdict)
        self.is_stale = is_stale

    def _refresh_credentials(self) -> None:
        adapter, _ = self.make_worker()
        try:
            fresh = adapter.refresh(self.account)
        except AdapterError as error:
            self.errors.append(error)
            self.outputs += [str(error), repr(error)]
            # as if a person had reconnected the account
            self.account = self.environment.reconnect(self.post_case, self.account)
        else:
            self.account = replace(self.account, credentials=fresh)

    def _record(self, result: T) -> T:
        self.outputs += [repr(result), str(result)]
        return result

    # --- leaked secrets ----------------------------------------------------------------------------------------------

    def list_leaks(self) -> list[str]:
        """Return the kinds of secrets found in the adapter's outputs."""
        return sorted(
            {kind for kind, secret in self._secrets.items() if any(secret in text for text in self.outputs)}
        )

    @contextmanager
    def _capture_logs(self, client: HttpClient, max_requests: int | None) -> Iterator[None]:
        """Capture log lines in the outputs; require at most ``max_requests`` requests (None: any number)."""
        handler = _LogCapture(self.outputs)
        root = logging.getLogger()
        before = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(before)
            _require(max_requests is None or len(client.calls) <= max_requests, client.calls)


class _LogCapture(logging.Handler):
    def __init__(self, outputs: list[str]) -> None:
        super().__init__()
        self._outputs = outputs

    def emit(self, record: logging.LogRecord) -> None:
        self._outputs.append(record.getMessage())


def list_secrets(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and value of every URL and upload parameter in a checkpoint; each of them permits an upload."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from list_secrets(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from list_secrets(inner, path)
    elif isinstance(value, str) and (
        "://" in value or ("parameters" in path and len(value) >= MIN_SECRET_LENGTH)
    ):
        yield path, value


def is_read(method: str, url: str) -> bool:
    """Return True for a GET, and for the other requests that change nothing."""
    return method == "GET" or any(method == m and url.endswith(path) for m, path in READS | PROBES)
