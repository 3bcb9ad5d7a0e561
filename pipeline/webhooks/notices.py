"""Notices: targets that the operator adds, tests and removes, and what each is told of causes that come and go.

What a target knows and the notices that it gets are one transaction; the sender of webhooks sends them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from config.settings import EMAIL
from pipeline.actions.attention import AttentionItem, read_attention
from pipeline.domain.account import PLATFORM_NAMES
from pipeline.domain.audit import Actor
from pipeline.domain.notice import Form, build_key, describe, find_uncertain
from pipeline.media.url_policy import Refused, require_allowed
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import read_accounts
from pipeline.store.attention import ROWS
from pipeline.store.audit import record_change
from pipeline.store.auth.workspaces import find_workspace
from pipeline.store.database import new_id
from pipeline.store.health import database_now
from pipeline.store.webhooks.events import NewEvent, insert_events
from pipeline.store.webhooks.notices import add_target, list_targets, lock_target, update_causes
from pipeline.store.webhooks.webhooks import Webhook, delete_webhook, resume_webhook


def add(
    context: Context, actor: Actor, workspace: UUID | None, form: Form, address: str, kinds: Sequence[str]
) -> Webhook:
    """Add a target for notices of a workspace, None: of all. Raises Refusal 422 for the address."""
    if why := _find_fault(context, form, address):
        raise Refusal(422, "invalid_payload", f"{form}: {why}.")
    mail = f"{address[0]}…@{address.rpartition('@')[2]}"
    shown = mail if form is Form.EMAIL else f"https://{urlsplit(address).hostname}/…"
    with context.database.begin() as c:
        columns = {"workspace_id": workspace, "form": form, "url": shown, "types": list(kinds)}
        added = add_target(c, context.vault, address, **columns)
        _record(c, actor, "create", added, after={"form": form, "address": shown, "kinds": kinds})
    return added


def _find_fault(context: Context, form: Form, address: str) -> str | None:
    """Return which rule an address breaks. It is not repeated: that of a webhook is a secret."""
    if form is Form.EMAIL:
        if not re.fullmatch(EMAIL, address):
            return f"it must be the address of one mailbox: {address!r}"
        is_set = context.settings.smtp.host and context.settings.smtp.sender
        return None if is_set else "none can be sent, as SLIPWAY_SMTP__HOST or SLIPWAY_SMTP__SENDER is empty"
    try:
        require_allowed(address, context.receivers.policy.allowed_origins)
    except Refused as refused:
        return refused.reason
    return None


def remove(context: Context, actor: Actor, identity: UUID) -> None:
    """Remove a target: what is being sent now is the last. Raises Refusal 404."""
    with context.database.begin() as c:
        found = _find(c, identity)
        delete_webhook(c, found.id)
        _record(c, actor, "delete", found, {"form": found.form, "address": found.url, "kinds": found.types})


def test(context: Context, actor: Actor, identity: UUID) -> UUID:
    """Make a notice that says nothing, and return its id; a paused target is resumed. Raises Refusal 404."""
    with context.database.begin() as c:
        found = _find(c, identity)
        if found.paused_at is not None:
            resume_webhook(c, found.id)
        made = _build(c, context, found, new_id(), "notice.test", ["This is a test."])
        insert_events(c, [made])
        _record(c, actor, "test", found, after={"event": made.id})
    return made.id


def _find(c: Connection, identity: UUID) -> Webhook:
    if found := list_targets(c, identity=identity):
        return found[0]
    raise Refusal(404, "not_found", f"There is no target of notices {identity}.")


def _record(c: Connection, actor: Actor, verb: str, target: Webhook, *sides: Any, **after: Any) -> None:
    record_change(c, actor, verb, "notice", target.id, target.scope, *sides, **after)


def _build(
    c: Connection, context: Context, target: Webhook, lane: UUID, kind: str, lines: Sequence[str]
) -> NewEvent:
    data, now = {"lines": [*lines, f"{context.settings.own_url}/dashboard/"]}, database_now(c)
    return NewEvent(webhook_id=target.id, id=new_id(), lane=lane, type=kind, at=now, data=data)


def make_notices(context: Context) -> int:
    """Make the notices that are due and return how many. Of concurrent runs one works on a target."""
    with context.database.begin() as c:
        targets = list_targets(c)
    return sum(_look(context, target) for target in targets)


def _look(context: Context, target: Webhook) -> int:
    silent = timedelta(seconds=context.settings.worker.silent)
    within = [target.scope] if target.scope else None
    with context.database.begin() as c:
        if not lock_target(c, target.id):
            return 0
        items = [*read_attention(c, silent, within, by_account=True)]
        texts = _describe(c, target, [one for one in items if target.takes(one.matter.kind)])
        headlines = {cause: headline for cause, (headline, _) in texts.items()}
        told = update_causes(c, target.id, headlines, find_uncertain([one.matter for one in items], ROWS))
        made = []
        for one in told:
            kind, lines = "notice.ended", [f"Over: {one.headline}"]
            if one.is_open:  # without details if the list was not read whole
                kind, lines = "notice", [*texts.get(one.cause, (one.headline,))]
            made.append(_build(c, context, target, one.id, kind, lines))
        insert_events(c, made)
        failpoint("notices.made")
    return len(told)


def _describe(c: Connection, target: Webhook, items: Sequence[AttentionItem]) -> dict[str, tuple[str, str]]:
    """Return of each cause the headline, with the names of whom it concerns, and the details, by their clock."""
    accounts = read_accounts(c, {one.matter.account_id for one in items if one.matter.account_id})
    find, causes, texts = cache(partial(find_workspace, c)), defaultdict(list), {}
    for one in items:
        causes[build_key(one.matter)].append(one.matter)
    for one in items:
        account = accounts.get(one.matter.account_id) if one.matter.account_id else None
        owner = target.scope if account is None else account.workspace_id
        workspace = find(str(owner)) if owner else None
        name = f"{PLATFORM_NAMES.get(one.matter.platform or '', '')} {account.username if account else ''}"
        names, zone = ([workspace.name], workspace.time_zone) if workspace else ([], "UTC")
        cause = build_key(one.matter)
        texts[cause] = describe(causes[cause], [*names, name], one.command, ZoneInfo(zone))
    return texts
