"""Pauses: what can be paused."""

from __future__ import annotations

from typing import Final, Literal

Scope = Literal["all", "platform", "workspace", "account"]
SCOPES: Final[tuple[Scope, ...]] = ("all", "platform", "workspace", "account")
BREAKER: Final = "breaker"
"""The scope of a platform's open circuit breaker; the system opens it, and a person can only close it."""
LiftedScope = Scope | Literal["breaker"]
EVERYWHERE: Final = frozenset({"all", "platform", BREAKER})
"""Scopes that concern every workspace."""
