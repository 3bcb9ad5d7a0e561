"""Entries of the navigation."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.domain.role import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A page that the navigation leads to, for visitors with its role somewhere."""

    title: str
    path: str
    role: Role
