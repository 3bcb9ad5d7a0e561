"""Authenticate requests: the Bearer key, what it may do, and its workspace's plan and subscription."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from starlette.requests import Request

from pipeline.api.http.bulkhead import Bulkhead
from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.http.middleware import REQUEST_ID
from pipeline.api.http.request import find_address, get_header
from pipeline.domain.account import LIVE_SUBSCRIPTIONS, PUBLISHING_PLANS, Plan
from pipeline.domain.audit import Actor
from pipeline.domain.explanation_action import Right
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import Caller, find_caller, touch_key
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.api")

CACHE_SECONDS = 0.8
"""How long a looked-up key is trusted. A revoked key has to be refused within a second."""
TOUCH_SECONDS = 60.0
"""Least time between two writes of a key's last use."""
_MOST_CACHED = 10_000


class Authenticator:
    """Looks up keys and caches them for less than a second. Simultaneous requests with one key share one look-up."""

    def __init__(self, context: Context, bulkhead: Bulkhead) -> None:
        self._context, self._bulkhead = context, bulkhead
        self._cache: dict[bytes, tuple[float, asyncio.Task[Caller | None]]] = {}
        self._touched_at: dict[UUID, float] = {}
        self._touches: set[asyncio.Task[None]] = set()

    async def authenticate(
        self, request: Request, right: Right = Right.READ, *, is_audited: bool = True
    ) -> Caller:
        """Return the caller whose key the request carries, if it has the right. Raises Refusal, Unreachable.

        Its actor has the address and the id of a request that changes something. *is_audited* False: the rows that it
        stores are its own record, so its actor needs no address.
        """
        caller = await self._look_up(_parse_token(request))
        if caller is None:
            raise _unauthorized("The API key is unknown or was revoked, or it has expired.")
        if caller.is_closed:
            raise _unauthorized(
                "The workspace of the API key was deleted: nothing is published for it any more."
            )
        self._touch(caller.key_id)
        require_right(caller, right)
        if right is Right.READ or not is_audited:
            return caller
        return replace(caller, actor=self.locate(caller.require_actor(), request))

    def locate(self, actor: Actor, request: Request) -> Actor:
        """Return the actor with the address and the id of the request."""
        address = find_address(request.scope, self._context.settings.api.proxy_networks)
        return replace(actor, address=address, request_id=request.scope[REQUEST_ID])

    async def _look_up(self, token: str) -> Caller | None:
        digest = hashlib.sha256(token.encode()).digest()  # whole keys are not kept in memory
        since, task = self._cache.get(digest, (0.0, None))
        if task is None or time.monotonic() - since > CACHE_SECONDS:
            self._evict_expired()
            task = asyncio.create_task(self._bulkhead.run(partial(self._find, token)))
            self._cache[digest] = (time.monotonic(), task)
        try:
            # shielded, because other requests await the same look-up when this client disconnects
            found = task.result() if task.done() else await asyncio.shield(task)
        except BaseException:
            self._evict(digest, task)
            raise
        if found is None:
            self._evict(digest, task)
        return found

    def _find(self, token: str) -> Caller | None:
        with self._context.database.begin() as c:
            return find_caller(c, token)

    def _evict(self, digest: bytes, task: asyncio.Task[Caller | None]) -> None:
        """Drop a look-up that failed or found no key, so that the next request repeats it."""
        if task.done() and self._cache.get(digest, (0.0, None))[1] is task:
            del self._cache[digest]

    def _evict_expired(self) -> None:
        if len(self._cache) >= _MOST_CACHED:
            oldest = time.monotonic() - CACHE_SECONDS
            self._cache = {digest: entry for digest, entry in self._cache.items() if entry[0] > oldest}

    def _touch(self, key: UUID) -> None:
        """Record the use of the key in the background, so that the response does not wait for it."""
        now = time.monotonic()
        if now - self._touched_at.get(key, -TOUCH_SECONDS) < TOUCH_SECONDS:
            return
        self._touched_at[key] = now
        task = asyncio.create_task(self._record_use(key))
        self._touches.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._touches.discard)

    async def _record_use(self, key: UUID) -> None:
        try:
            await self._bulkhead.run(partial(self._write_use, key))
        except (Unreachable, HttpRefusal) as error:
            log.info("the last use of a key was not recorded: %s", error)

    def _write_use(self, key: UUID) -> None:
        with self._context.database.begin() as c:
            touch_key(c, key)


def require_right(caller: Caller, right: Right) -> None:
    """Raise Refusal 403 for a read-only key where it writes, and as ``require_plan`` where it publishes."""
    if right is Right.PUBLISH:
        require_plan(caller)
    if right is not Right.READ and caller.read_only:
        raise insufficient_scope("This key may only read: make one without --read-only.")


def list_rights(caller: Caller) -> Sequence[Right]:
    """Return the rights of a key now."""
    if caller.read_only:
        return [Right.READ]
    return [*Right] if find_plan_refusal(caller) is None else [Right.READ, Right.WRITE]


def insufficient_scope(message: str) -> HttpRefusal:
    """Build the refusal of a valid key that lacks the right: ``insufficient_scope`` of RFC 6750, section 3.1."""
    challenge = 'Bearer error="insufficient_scope"'
    return HttpRefusal(403, "insufficient_scope", message, headers={"WWW-Authenticate": challenge})


def require_plan(caller: Caller) -> None:
    """Raise Refusal 402 without a live publishing plan, 403 for the Scheduler tier, which has no API."""
    if refusal := find_plan_refusal(caller):
        raise refusal


def find_plan_refusal(caller: Caller) -> HttpRefusal | None:
    """Return why the plan does not publish, or None if it does."""
    if caller.subscription not in LIVE_SUBSCRIPTIONS:
        return HttpRefusal(
            402, "subscription_required", f"The subscription is {caller.subscription}: renew it to publish."
        )
    if caller.plan is Plan.SCHEDULER:
        return HttpRefusal(403, "tier_not_allowed", "The Scheduler tier does not publish through the API.")
    if caller.plan not in PUBLISHING_PLANS:
        return HttpRefusal(
            402,
            "subscription_required",
            "Publishing needs a Creator, Professional or Business plan, and this workspace has none.",
        )
    return None


def _parse_token(request: Request) -> str:
    given = get_header(request, b"authorization")
    if given is None:
        raise _unauthorized("The API key is missing. Send Authorization: Bearer <key>.")
    scheme, _, token = given.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or "." not in token or not token.isascii():
        raise _unauthorized("The API key is malformed. Send Authorization: Bearer <public id>.<secret>.")
    return token


def _unauthorized(message: str) -> HttpRefusal:
    return HttpRefusal(401, "invalid_token", message)
