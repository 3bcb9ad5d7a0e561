"""A fake platform with its own ledger, and the adapter that calls it.

The adapter implements the real contract; only its wire is a Python object. The platform does not recognise repeats, so
a post that is sent twice is live twice. Times are seconds of the state machine's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar

from pydantic import SecretStr

from adapters.contract import (
    Absent,
    Account,
    Adapter,
    CannotTell,
    Capabilities,
    CheckpointData,
    Credentials,
    Draft,
    Ended,
    FinalizeResult,
    LookResult,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Problem,
    Published,
    Ready,
    RemoteAccount,
)
from adapters.errors import (
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.listing import Listing
from adapters.live_check import ConnectionChecks
from adapters.post_options import PostOptions

SETTLE, CALL, LIMIT = 30, 20, 1800
CAPABILITIES = Capabilities(
    display_name="TikTok",
    post_kinds={},
    pulls_media=False,
    prepare_lead=timedelta(seconds=60),
    settle_window=timedelta(seconds=SETTLE),
    look_every=(timedelta(seconds=5), timedelta(seconds=60)),
    look_limit=timedelta(seconds=LIMIT),
)

#: outcome of the visible call -> (acts now, seconds until it acts, what the caller learns)
FINALIZE: dict[str, tuple[bool, float | None, str]] = {
    "ok": (True, None, "published"),
    "working": (False, 30, "pending"),
    "working, then refused": (False, None, "pending"),
    "stuck": (False, None, "pending"),
    "at once": (True, None, "pending now"),
    "429": (False, None, "429"),
    "refused": (False, None, "refused"),
    "expired": (False, None, "expired"),
    "revoked": (False, None, "revoked"),
    "no connection": (False, None, "no connection"),
    "5xx, nothing done": (False, None, "unknown"),
    "5xx, done": (True, None, "unknown"),
    "dropped, nothing done": (False, None, "unknown"),
    "dropped, done": (True, None, "unknown"),
    "dropped, done late": (False, 45, "unknown"),
    "garbage, done": (True, None, "broken"),
    "garbage, nothing done": (False, None, "broken"),
}
PREPARE = ("ok", "slow", "429", "refused", "expired", "revoked", "no connection", "broken")
LOOK = ("ok", "lags", "cannot tell", "429", "expired", "revoked", "no connection", "broken")
REFRESH = ("ok", "ok", "revoked", "no connection")

_ERRORS: dict[str, Callable[[], Exception]] = {
    "429": lambda: RateLimited("slow down", retry_after=timedelta(seconds=20)),
    "refused": lambda: Rejected("not this"),
    "expired": lambda: CredentialsExpired("stale"),
    "revoked": lambda: CredentialsRevoked("gone", http_status=400),
    "no connection": lambda: Unavailable("not there"),
    "unknown": lambda: OutcomeUnknown("no answer"),
    "broken": lambda: ValueError("unreadable"),
}


def _error(name: str) -> Exception:
    """Return a new error: the stages write into some."""
    return _ERRORS[name]()


@dataclass(kw_only=True)
class VisibleCall:
    """A visible call that arrived, and its outcome."""

    delivery: str
    remote_id: str
    handle: Any
    due: float | None
    """When it acts; None: never, or already done."""
    outcome: str


@dataclass(kw_only=True)
class FakePlatform:
    """The platform. ``ledger``: delivery -> remote ids of its live posts."""

    on_visible_call: Callable[[str, str], None]
    """Called when a visible call arrives, before it acts."""
    now: float = 0
    ledger: dict[str, list[str]] = field(default_factory=dict)
    calls: list[VisibleCall] = field(default_factory=list)
    finalize: str = "ok"
    prepare: str = "ok"
    look: str = "ok"
    refresh: str = "ok"
    lagged: set[str] = field(default_factory=set)
    """Remote ids that a listing has missed once; it does not miss one twice."""
    numbers: Any = field(default_factory=lambda: count(1))

    def clear_faults(self) -> None:
        """Let all further calls succeed."""
        self.finalize = self.prepare = self.look = self.refresh = "ok"

    def advance(self, seconds: float) -> None:
        """Advance the clock and act on calls that are due."""
        self.now += seconds
        for call in self.calls:
            if call.due is not None and call.due <= self.now:
                call.due = None
                self.ledger.setdefault(call.delivery, []).append(call.remote_id)

    def live(self, delivery: str) -> Sequence[str]:
        """Return the remote ids of a delivery's live posts."""
        return self.ledger.get(delivery, ())

    def may_appear(self, delivery: str) -> bool:
        """Return whether a post of this delivery may still go live."""
        return any(call.delivery == delivery and call.due is not None for call in self.calls)

    def receive(self, draft: Draft, handle: Any) -> VisibleCall:
        """Receive a visible call."""
        self.on_visible_call(draft.delivery_id, draft.caption)
        now, later, _ = FINALIZE[self.finalize]
        due = self.now if now else None if later is None else self.now + later
        call = VisibleCall(
            delivery=draft.delivery_id,
            remote_id=f"p{next(self.numbers)}",
            handle=handle,
            due=due,
            outcome=self.finalize,
        )
        self.calls.append(call)
        self.advance(0)
        return call

    def pop_fault(self, what: str) -> str:
        """Return the fault of one kind of call, and reset it."""
        found: str = getattr(self, what)
        setattr(self, what, "ok")
        return found


class FakeAdapter:
    """Adapter: prepare a handle, finalize with it, look. ``bind_adapter`` sets ``fake_platform``."""

    platform: ClassVar[Platform] = Platform.TIKTOK
    capabilities: ClassVar[Capabilities] = CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = None
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = ()
    fake_platform: ClassVar[FakePlatform]

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:  # noqa: ARG002  the contract's
        self._client = client

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: ARG002  the contract's
        return ()

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:  # noqa: ARG002
        fault = self.fake_platform.pop_fault("prepare")
        if fault in _ERRORS:
            raise _error(fault)
        if checkpoint:
            return Ready(checkpoint=checkpoint)
        made = {"handle": next(self.fake_platform.numbers)}
        return Pending(checkpoint=made, wait=timedelta(seconds=5 if fault == "slow" else 0))

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:  # noqa: ARG002
        if not _may_send(self._client):  # the wire checks this right before the first byte
            raise Unavailable("the deadline has passed; nothing was sent")
        outcome = FINALIZE[self.fake_platform.finalize][2]
        call = self.fake_platform.receive(draft, checkpoint["handle"])
        self.fake_platform.finalize = "ok"
        if outcome in _ERRORS:
            raise _error(outcome)
        if outcome == "published":
            return Published(remote_id=call.remote_id, url=f"https://tiktok.example/{call.remote_id}")
        waits = timedelta(seconds=0 if outcome == "pending now" else 5)
        return Pending(checkpoint={**checkpoint, "sent": call.remote_id}, wait=waits)

    def look(
        self,
        draft: Draft,
        account: Account,  # noqa: ARG002  the contract's
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        fault = self.fake_platform.pop_fault("look")
        if fault in _ERRORS:
            raise _error(fault)
        if fault == "cannot tell":
            return CannotTell(reason="the platform says nothing")
        if armed_at is None:
            return Ready(checkpoint=checkpoint) if checkpoint else Absent()
        seen = [remote for remote in self.fake_platform.live(draft.delivery_id) if remote not in taken]
        if seen and fault == "lags" and not self.fake_platform.lagged.issuperset(seen):
            self.fake_platform.lagged.update(seen)
            seen = []
        if seen:
            return Published(remote_id=seen[0], url=f"https://tiktok.example/{seen[0]}")
        return self._of_handle(checkpoint)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:  # noqa: ARG002  the contract's
        return Listing()

    def _of_handle(self, checkpoint: CheckpointData) -> LookResult:
        """Return the look result for a handle without a live post."""
        mine = [call for call in self.fake_platform.calls if call.remote_id == checkpoint.get("sent")]
        if mine and mine[0].outcome == "working, then refused":
            return Ended(error=Rejected("it did not pass"))
        if mine and (mine[0].due is not None or mine[0].outcome == "stuck"):
            return Pending(checkpoint=checkpoint, wait=timedelta(seconds=5))
        return Absent(checkpoint={"handle": checkpoint["handle"]} if "handle" in checkpoint else {})

    def refresh(self, account: Account) -> Credentials:  # noqa: ARG002  the contract's
        fault = self.fake_platform.pop_fault("refresh")
        if fault in _ERRORS:
            raise _error(fault)
        return token(f"refreshed-{next(self.fake_platform.numbers)}")

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        raise NotImplementedError

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        raise NotImplementedError

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:  # noqa: ARG002  the contract's
        return ()


def bind_adapter(fake_platform: FakePlatform) -> type[Adapter]:
    """Return an adapter class that calls this platform."""
    bound: type[Adapter] = type("BoundAdapter", (FakeAdapter,), {"fake_platform": fake_platform})
    return bound


def token(name: str) -> Credentials:
    """Return credentials with a refresh token."""
    return Credentials(access_token=SecretStr(name), refresh_token=SecretStr("refresh"), scopes=("publish",))


def _may_send(client: HttpClient) -> bool:
    ask = client._may_send
    return ask is None or ask()
