"""Refusals by the mandate of a key, in the audit: what an agent tried beyond it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from starlette.requests import Request

from pipeline.api.state import get_app_state
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.mandate import CODE
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.api")

MOST = 20
"""Sentences of one request that are kept; equal ones count once."""


async def record_refusal(request: Request, refusal: Refusal) -> None:
    """Record a refusal, if it is one by a mandate."""
    if refusal.code == CODE:
        await record_refusals(request, [refusal.message])


async def record_refusals(request: Request, sentences: Sequence[str]) -> None:
    """Record what the mandate of the request's key refused; nothing for a request without a key or a sentence."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None or not sentences:
        return
    app_state = get_app_state(request)
    actor = app_state.authenticator.locate(caller.require_actor(), request=request)
    kept = [*dict.fromkeys(sentences)][:MOST]
    work = partial(_record, app_state.context, caller, actor, request.scope["path"], kept)
    try:
        await app_state.action_bulkhead.run(work, caller.key_id)
    except (Refusal, Unreachable):
        log.exception("what the mandate of key %s refused is not in the audit: %s", actor.name, kept)


def _record(context: Context, caller: Caller, actor: Actor, path: str, sentences: Sequence[str]) -> None:
    after = {"path": path, "refused": sentences}
    with context.database.begin() as c:
        record_change(c, actor, "refuse", "key", actor.name, caller.workspace_id, after=after)
