"""The faults a test can order: which there are, where they strike, how often."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

    from adapters.sandbox.store import Record, Store

STEPS: Final = (
    "creator_info",
    "prepare",
    "upload",
    "finalize",
    "look",
    "status",
    "refresh",
    "oauth",
    "resolve_music",
    "quota",
    "read",
    "cancel",
    "consent",
    "media",
    "any",
)
"""`status` is another word for `look`; `any` is every step but `media`."""

BEFORE: Final = (
    "latency",
    "429",
    "5xx",
    "drop",
    "token-expired",
    "token-revoked",
    "quota-exhausted",
    "spam-block",
)
"""Strike before the request has any effect."""

AFTER: Final = ("effect-then-5xx", "effect-then-drop", "effect-then-garbage")
"""Strike when the effect is recorded and flushed; a request that was refused leaves them unspent."""

WITHIN: Final = (
    "stuck-processing",
    "late-visibility",
    "fail-processing",
    "short-store",
    "moved-session",
    "oembed-no-anchor",
    "oembed-gone",
)
"""Change what the request does; spent only by a request that can do it."""

FAULTS: Final = BEFORE + AFTER + WITHIN

_KIND = "fault"
_SAME_STEP = {"status": "look"}


class Faults:
    """The faults that are on. They survive a kill, with what is left of each."""

    def __init__(self, store: Store) -> None:
        """Take up the faults that `store` has kept."""
        self._store = store
        self._numbers = itertools.count(1 + max((int(key) for key in store.get_all(_KIND)), default=0))
        self.active = False
        self._recount()

    def add(self, fault: Record) -> Record:
        """Switch a fault on; returns it with its id."""
        key = str(next(self._numbers))
        record = {"id": key, **fault, "left": fault["times"]}
        self._store.put(_KIND, key, record)
        self._recount()
        return record

    def list_all(self) -> list[Record]:
        """Every fault, spent ones too, oldest first."""
        return list(self._store.get_all(_KIND).values())

    def remove(self, key: str) -> bool:
        """Clear one fault; False when there is none with that id."""
        if key not in self._store.get_all(_KIND):
            return False
        self._store.drop(_KIND, key)
        self._recount()
        return True

    def is_set(self, key: str) -> bool:
        """Whether the fault has not been cleared yet; spent counts as not cleared."""
        return key in self._store.get_all(_KIND)

    def find_matching(self, platforms: Container[str], step: str, account: str | None) -> list[Record]:
        """Faults with something left that concern this request, oldest first."""
        return [
            fault
            for fault in self._store.get_all(_KIND).values()
            if fault["left"] != 0
            and fault["platform"] in platforms
            and _step_fits(fault["step"], step)
            and fault["account"] in (None, account)
        ]

    def spend(self, fault: Record) -> None:
        """Count one strike of the fault."""
        if fault["left"] is not None:
            fault["left"] -= 1
            self._store.put(_KIND, fault["id"], fault)
            self._recount()

    def _recount(self) -> None:
        self.active = any(fault["left"] != 0 for fault in self._store.get_all(_KIND).values())


def _step_fits(named: str, step: str) -> bool:
    if named == "any":
        return step != "media"
    return _SAME_STEP.get(named, named) == step
