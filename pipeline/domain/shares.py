"""Shares of slots: the work that a claim may take, and the workspace and host that it counts for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Claimed(Protocol):
    """Claimed work, with the workspace and host that it counts for. An empty host does not count."""

    @property
    def workspace_id(self) -> UUID:
        """Whose it is."""

    @property
    def host(self) -> str:
        """Which host it waits for."""

    @property
    def slow(self) -> bool:
        """True if it needs one of the few slots of slow work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """The work that the claiming process has under way, and the work that it may claim."""

    running: Mapping[UUID, int]
    """Work under way by workspace; workspaces with none are left out."""
    full_hosts: Sequence[str]
    """Hosts that have their share, of several workspaces' work."""
    share: int
    """Work that a workspace may have under way while another one waits."""
    only_new: bool
    """Claim only for a workspace with none under way, from a host that is not full: the last slots are for these."""
    free_hosts: Sequence[str] = ("",)
    """Hosts without slots: our own, and that of music links."""
