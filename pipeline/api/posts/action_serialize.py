"""The answers to edits, retries, cancels, deletes and validations, in the words of the HTTP contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pipeline.actions.cancel_delete_retry import Deleted, Done
from pipeline.actions.edit import Edited
from pipeline.actions.validate import Finding, Validated
from pipeline.api.http.timestamp import written
from pipeline.domain.post import PostStatus
from pipeline.stages.post_request import PostRequest, Warned
from pipeline.store.auth.keys import Caller


def warned(warnings: Sequence[Warned]) -> dict[str, Any]:
    """Warnings, if there are any."""
    told = [{"field": w.field, "message": w.message, "code": w.code} for w in warnings]
    return {"warnings": told} if told else {}


def edited(e: Edited) -> dict[str, Any]:
    """The post as it stands after the edit."""
    return {
        "id": str(e.id),
        "status": e.status,
        "scheduled_at": written(e.scheduled_at),
        **warned(e.warnings),
    }


def retried(d: Done) -> dict[str, Any]:
    """How many are on their way again."""
    told = {"retried": len(d.ids), "ids": [str(i) for i in d.ids], "failed": len(d.errors)}
    return {**told, **_errors(d.errors)}


def canceled(d: Done) -> dict[str, Any]:
    """How many were taken back."""
    return {"canceled": len(d.ids), "failed": len(d.errors), **_errors(d.errors)}


def deleted(d: Deleted) -> dict[str, Any]:
    """Which are gone, which stay and why, and which were never there."""
    return {
        "deletedIds": [str(i) for i in d.ids],
        "blockedStatuses": [{"id": str(i), "status": status} for i, status in d.blocked],
        "skipped": [str(i) for i in d.skipped],
        **_errors(d.errors),
    }


def validated(v: Validated, asked: PostRequest, caller: Caller) -> dict[str, Any]:
    """How the request was understood, and what would be refused and warned."""
    due = v.due_at or asked.scheduled_at
    local = None if due is None else due.astimezone(ZoneInfo(caller.time_zone))
    return {
        "valid": not v.refused,
        "status": PostStatus.PENDING if v.immediate else PostStatus.SCHEDULED,
        "scheduled_at": written(due),
        "scheduled_at_local": None if local is None else local.isoformat(timespec="milliseconds"),
        "time_zone": caller.time_zone,
        "accounts": [
            {"id": str(a.id), "platform": a.platform, "username": a.username, "kind": kind}
            for a, kind in zip(v.accounts, v.kinds, strict=True)
        ],
        "refused": [_finding(f) for f in v.refused],
        "warnings": [_finding(f) for f in v.warnings],
    }


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "code": f.code,
        "field": f.field,
        "message": f.message,
        "account_id": None if f.account is None else str(f.account.id),
        "platform": None if f.account is None else f.account.platform,
        "limit": f.limit,
        "found": f.found,
    }


def _errors(errors: Mapping[UUID, str]) -> dict[str, Any]:
    return {"errors": {str(post): text for post, text in errors.items()}} if errors else {}
