"""Fault injection: the kinds of faults, the steps they apply to, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Container
from typing import Final

from adapters.sandbox.dialect import read_table
from adapters.sandbox.store import Record, Store

_TABLE = read_table("faults.toml")
STEPS: Final[tuple[str, ...]] = _TABLE["steps"]
AFTER: Final[tuple[str, ...]] = _TABLE["after"]
"""Replace the response after the effect is flushed to disk; a refused request does not spend them."""
WITH_STATUS: Final[tuple[str, ...]] = _TABLE["with_status"]
"""Respond with a status and a body of one's choice, as a proxy in between does."""
WITHIN: Final[tuple[str, ...]] = _TABLE["within"]
"""Change the effect of the request; spent only by a request that has that effect."""
FAULTS: Final[tuple[str, ...]] = _TABLE["before"] + AFTER + WITHIN

_KIND = "fault"
_ALIASES = {"status": "look"}


class Faults:
    """The faults in force, with the uses left of each. They survive a kill."""

    def __init__(self, store: Store) -> None:
        """Use the faults in `store`."""
        self._store = store
        self._numbers = itertools.count(1 + max((int(key) for key in store.get_all(_KIND)), default=0))
        self.is_active = False
        self._update_active()

    def add(self, fault: Record) -> Record:
        """Add a fault and return it with its id."""
        key = str(next(self._numbers))
        record = {"id": key, **fault, "left": fault["times"]}
        self._store.put(_KIND, key, record)
        self._update_active()
        return record

    def list_all(self) -> list[Record]:
        """Return every fault, spent ones included, oldest first."""
        return list(self._store.get_all(_KIND).values())

    def remove(self, key: str) -> bool:
        """Remove a fault; return False if there is none with that id."""
        if key not in self._store.get_all(_KIND):
            return False
        self._store.drop(_KIND, key)
        self._update_active()
        return True

    def is_set(self, key: str) -> bool:
        """Return True until the fault is removed, even if it is spent."""
        return key in self._store.get_all(_KIND)

    def find_matching(self, platforms: Container[str], step: str, account: str | None) -> list[Record]:
        """Return the unspent faults for this platform, step and account, oldest first."""
        return [
            fault
            for fault in self._store.get_all(_KIND).values()
            if fault["left"] != 0
            and fault["platform"] in platforms
            and _matches_step(fault["step"], step)
            and fault["account"] in (None, account)
        ]

    def spend(self, fault: Record) -> None:
        """Count one use of the fault."""
        if fault["left"] is not None:
            fault["left"] -= 1
            self._store.put(_KIND, fault["id"], fault)
            self._update_active()

    def _update_active(self) -> None:
        self.is_active = any(fault["left"] != 0 for fault in self._store.get_all(_KIND).values())


def _matches_step(fault_step: str, step: str) -> bool:
    if fault_step == "any":
        return step != "media"
    return _ALIASES.get(fault_step, fault_step) == step
