"""Shares of a process's slots among what it claims: per workspace, per host, and for slow work.

A URL can keep its slot for as long as a check or a webhook may take, so without shares one workspace's slow URLs hold
every slot (measured: 320 of them for 33 minutes). Each process shares out its own slots; what holds in each holds over
all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from pipeline.domain.shares import Claimed, Shares

C = TypeVar("C", bound=Claimed)

SHARE = 4
"""A workspace, and a host, may have a quarter of the slots while others wait."""
FEW = 8
"""An eighth of the slots is kept for workspaces that have none, and slow work may take as many."""


class SharedSlots(Generic[C]):
    """The claimed work of one kind in this process. Thread-safe; one claim at a time, so that none counts too little.

    ``shared_hosts``: hosts that do not count, because they serve every workspace and are our own.
    """

    def __init__(self, slots: int, shared_hosts: frozenset[str] = frozenset()) -> None:
        self._shared_hosts = shared_hosts | {""}
        # by the identity of the claim: a check that goes to the slow lane may be claimed again before its slot is freed
        self._running: dict[int, C] = {}
        self._lock = Lock()
        self._turn = self._fruitless_turn = 0
        """Counts claims; the last one that found nothing, unless a slot was freed since."""
        self._slots = slots
        self._share = max(1, slots // SHARE)
        self._few = max(1, slots // FEW)

    def claim(self, claim: Callable[[Shares, bool], C | None], *, slow_first: bool = False) -> C | None:
        """Return work that may run now, or None. The caller hands it back to ``release``.

        ``claim``: claims the next for these shares; True: a slow one. ``slow_first``: take a slow one if few enough of
        them run. A message brings a check that a request may wait for, so what a message starts takes a slow one only
        if no other is due.
        """
        arrived = self._turn
        with self._lock:
            if (
                self._fruitless_turn > arrived
            ):  # it began after this call, so it would have found the same: nothing
                return None
            self._turn += 1
            for slow in (True, False) if slow_first else (False, True):
                shares = self._get_shares(slow=slow)
                claimed = None if shares is None else claim(shares, slow)
                if claimed is not None:
                    self._running[id(claimed)] = claimed
                    return claimed
            self._fruitless_turn = self._turn
        return None

    def release(self, claimed: C) -> None:
        """Free the slot of claimed work."""
        with self._lock:
            self._running.pop(id(claimed), None)
            self._fruitless_turn = 0

    def count(self) -> int:
        """Return how many slots are taken."""
        return len(self._running)

    def _get_shares(self, *, slow: bool) -> Shares | None:
        """Return what may be claimed, or None if no slot is free; the last free ones are not for slow work."""
        mine = [one for one in self._running.values() if one.slow == slow]
        free = self._slots - len(self._running)
        is_nearly_full = free <= self._few and self._slots > 1
        if free <= 0 or (slow and (is_nearly_full or len(mine) >= self._few)):
            return None
        # each workspace counts once, so that one alone keeps no other from a host
        hosts = Counter(host for _, host in {(one.workspace_id, one.host) for one in mine})
        share = max(1, self._few // SHARE) if slow else self._share
        return Shares(
            running=Counter(one.workspace_id for one in mine),
            full_hosts=[host for host, n in hosts.items() if n >= share and host not in self._shared_hosts],
            share=share,
            only_new=is_nearly_full,
            free_hosts=list(self._shared_hosts),
        )
