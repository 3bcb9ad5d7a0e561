"""Make and revoke keys, for the command line and the page of keys: each with its audit row, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import AGENT, AGENT_LASTS, KeyLimits, choose_new_limits
from pipeline.domain.audit import Actor
from pipeline.store.audit import record_change
from pipeline.store.auth import keys as store

_MUSIC = {None: "as the server", True: "required", False: "optional"}


def plan_terms(terms: store.Terms, given: Mapping[str, Any], *, agent: bool, server_rate: int) -> store.Terms:
    """Return the terms with the limits that are given, for an *agent* over those of agents.

    *server_rate*: posts a minute of a key without a rate of its own; 0: no limit.
    """
    usual = {name: value for name, value in asdict(AGENT).items() if agent and value is not None}
    limits = KeyLimits(**{**usual, **given})
    if "posts_per_minute" not in given:
        limits = choose_new_limits(limits, server_posts_per_minute=server_rate, bulk=terms.bulk)
    ends = terms.expires_at or (datetime.now(UTC) + AGENT_LASTS if agent else None)
    return replace(terms, accounts=sorted(set(terms.accounts or ())) or None, expires_at=ends, limits=limits)


def create_key(
    c: Connection, actor: Actor, workspace: UUID, name: str, terms: store.Terms
) -> tuple[str, dict[str, Any]]:
    """Create a key; return it whole, and what the audit keeps of it. Raises OutsideWorkspace."""
    key = store.create_key(c, workspace, name, terms)
    facts = {"public_id": key.partition(".")[0], "workspace_id": workspace, "name": name}
    facts |= {field: getattr(terms, field) for field in ("read_only", "accounts", "expires_at", "bulk")}
    facts |= asdict(terms.limits)
    record_key(c, actor, "create", key, after=facts)
    return key, facts


def revoke_key(c: Connection, actor: Actor, public_id: str) -> bool:
    """Revoke a key for good; False when there is no such valid key."""
    if not store.revoke_key(c, public_id):
        return False
    record_key(c, actor, "revoke", public_id, {"revoked": False}, {"revoked": True})
    return True


def record_key(
    c: Connection,
    actor: Actor,
    verb: str,
    key: str,
    *sides: Mapping[str, Any],
    **after: Mapping[str, Any],
) -> None:
    """Record a change of this key, given whole or by its public half, in the change's transaction."""
    public = key.partition(".")[0]
    workspace = next(k.workspace_id for k in store.list_keys(c) if k.public_id == public)
    record_change(c, actor, verb, "key", public, workspace, *sides, **after)


def summarize_limits(limits: KeyLimits) -> dict[str, str]:
    """Return the limits as columns for people."""
    rates = ((limits.posts_per_minute, "minute"), (limits.posts_per_day, "day"))
    posts = [f"{rate or 'no limit'} a {unit}" for rate, unit in rates if rate is not None]
    lists = {"kinds": limits.kinds, "options": limits.options}
    mandate_of = [
        *([f"due in {limits.lead_minutes} minutes or later"] if limits.lead_minutes else []),
        *([f"due within {limits.ahead_days} days"] if limits.ahead_days is not None else []),
        *(["needs approval"] if limits.needs_approval else []),
        *(["may approve"] if limits.may_approve else []),
        *[f"{name}: {', '.join(value) or 'none'}" for name, value in lists.items() if value is not None],
    ]
    return {
        "posts": ", ".join(posts) or "as the server",
        "music": _MUSIC[limits.music_required],
        "mandate": "; ".join(mandate_of) or "all",
    }
