"""Who is asking, and whether they may: the Bearer key, what it was made for, its workspace's plan and subscription."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from functools import partial
from uuid import UUID

from starlette.requests import Request

from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.http.worker_lane import Lane
from pipeline.context import Context
from pipeline.domain.account import LIVE_SUBSCRIPTIONS, PUBLISHING_PLANS, Plan
from pipeline.store.auth.keys import Caller, find_caller, touch_key
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.api")

KNOWN_FOR = 0.8
"""Seconds a key is believed without asking the database again; a revoke has to work within one."""
TOUCHED_EVERY = 60.0
"""Seconds between two notes that a key was used."""
_MOST_KNOWN = 10_000


class Keyring:
    """Keys that were looked up a moment ago. Many requests with one key at once make one look-up."""

    def __init__(self, context: Context, lane: Lane) -> None:
        self._core, self._lane = context, lane
        self._known: dict[bytes, tuple[float, asyncio.Task[Caller | None]]] = {}
        self._touched: dict[UUID, float] = {}
        self._touching: set[asyncio.Task[None]] = set()

    async def caller(self, request: Request) -> Caller:
        """Whom the request speaks for. Raises Refusal 401, Unreachable."""
        caller = await self._look_up(_token(request))
        if caller is None:
            raise _unauthorized("The API key is unknown or was revoked, or it has expired.")
        self._touch(caller.key_id)
        return caller

    async def writer(self, request: Request) -> Caller:
        """The same, for what changes something. Raises Refusal 403 too."""
        caller = await self.caller(request)
        require_writing(caller)
        return caller

    async def publisher(self, request: Request) -> Caller:
        """The same, for what only a paid plan may do. Raises Refusal 402 too."""
        caller = await self.caller(request)
        require_plan(caller)
        require_writing(caller)
        return caller

    async def _look_up(self, token: str) -> Caller | None:
        name = hashlib.sha256(token.encode()).digest()  # whole keys are not kept in memory
        since, task = self._known.get(name, (0.0, None))
        if task is None or time.monotonic() - since > KNOWN_FOR:
            self._forget_old()
            task = asyncio.create_task(self._lane.run(partial(self._find, token)))
            self._known[name] = (time.monotonic(), task)
        try:
            # shielded: others wait for the same look-up when this client hangs up
            found = task.result() if task.done() else await asyncio.shield(task)
        except BaseException:
            self._forget(name, task)
            raise
        if found is None:
            self._forget(name, task)
        return found

    def _find(self, token: str) -> Caller | None:
        with self._core.database.begin() as c:
            return find_caller(c, token)

    def _forget(self, name: bytes, task: asyncio.Task[Caller | None]) -> None:
        """What failed or found nobody is asked again by the next request."""
        if task.done() and self._known.get(name, (0.0, None))[1] is task:
            del self._known[name]

    def _forget_old(self) -> None:
        if len(self._known) >= _MOST_KNOWN:
            old = time.monotonic() - KNOWN_FOR
            self._known = {name: known for name, known in self._known.items() if known[0] > old}

    def _touch(self, key: UUID) -> None:
        """Notes the use of the key, behind the answer's back."""
        now = time.monotonic()
        if now - self._touched.get(key, -TOUCHED_EVERY) < TOUCHED_EVERY:
            return
        self._touched[key] = now
        task = asyncio.create_task(self._note(key))
        self._touching.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._touching.discard)

    async def _note(self, key: UUID) -> None:
        try:
            await self._lane.run(partial(self._write, key))
        except (Unreachable, HttpRefusal) as error:
            log.info("the use of a key was not noted: %s", error)

    def _write(self, key: UUID) -> None:
        with self._core.database.begin() as c:
            touch_key(c, key)


def require_writing(caller: Caller) -> None:
    """Raises Refusal 403 for a key that was made for reading."""
    if caller.read_only:
        raise out_of_scope("This key may only read: make one without --read-only.")


def out_of_scope(message: str) -> HttpRefusal:
    """The key is good, but not for this: named as in RFC 6750 section 3.1, whose invalid_token the 401 is."""
    challenge = 'Bearer error="insufficient_scope"'
    return HttpRefusal(403, "insufficient_scope", message, headers={"WWW-Authenticate": challenge})


def require_plan(caller: Caller) -> None:
    """Raises Refusal 402 without a live publishing plan, 403 for the tier that schedules by hand only."""
    if caller.subscription not in LIVE_SUBSCRIPTIONS:
        raise HttpRefusal(
            402, "subscription_required", f"The subscription is {caller.subscription}: renew it to publish."
        )
    if caller.plan is Plan.SCHEDULER:
        raise HttpRefusal(403, "tier_not_allowed", "The Scheduler tier does not publish through the API.")
    if caller.plan not in PUBLISHING_PLANS:
        raise HttpRefusal(
            402,
            "subscription_required",
            "Publishing needs a Creator, Professional or Business plan; there is none.",
        )


def _token(request: Request) -> str:
    given = request.headers.get("authorization")
    if given is None:
        raise _unauthorized("There is no API key: send Authorization: Bearer <key>.")
    scheme, _, token = given.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or "." not in token or not token.isascii():
        raise _unauthorized("The API key is malformed: send Authorization: Bearer <public id>.<secret>.")
    return token


def _unauthorized(message: str) -> HttpRefusal:
    return HttpRefusal(401, "invalid_token", message)
