"""Holds what we say of posts against the sandbox's own ledger, which knows nothing of our tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]
"""One line of the sandbox's ledger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ours:
    """One delivery as our tables have it, and what it went out as."""

    post: str
    """What the demo calls the post."""
    caption: str
    platform: str
    username: str
    account: str
    """The account's id at the platform."""
    state: str
    due_at: datetime
    remote_id: str | None
    url: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One delivery beside the ledger's entries for it. ``differs`` is empty when it is live exactly once, as we say."""

    ours: Ours
    theirs: Sequence[Entry]
    differs: str

    @property
    def late(self) -> float | None:
        """Seconds from the due time to the moment it went live over there."""
        if not self.theirs:
            return None
        return (datetime.fromisoformat(self.theirs[0]["at"]) - self.ours.due_at).total_seconds()

    def facts(self) -> dict[str, Any]:
        """For printing."""
        first = self.theirs[0] if self.theirs else {}
        return {
            "post": self.ours.post,
            "platform": self.ours.platform,
            "account": self.ours.username,
            "our_state": self.ours.state,
            "our_id": self.ours.remote_id,
            "our_url": self.ours.url,
            "ledger_entries": len(self.theirs),
            "ledger_id": first.get("remote_id"),
            "ledger_url": first.get("url"),
            "live_at": first.get("at"),
            "late_seconds": None if self.late is None else round(self.late, 3),
            "differs": self.differs or None,
        }


def compare(ours: Sequence[Ours], ledger: Sequence[Entry], marker: str) -> tuple[list[Compared], list[str]]:
    """Each delivery beside its entries, and a sentence for all that differs, unexpected entries included.

    ``marker``: a word in the captions of this run and of nothing else.
    """
    entries = [entry for entry in ledger if marker in entry["caption"]]
    compared = [_one(o, [e for e in entries if _is_of(e, o)]) for o in ours]
    said = [f"{c.ours.post} on {c.ours.platform}: {c.differs}" for c in compared if c.differs]
    strangers = [e for e in entries if not any(_is_of(e, o) for o in ours)]
    said += [
        f"{e['platform']} has {e['remote_id']} live on {e['account']}, which nobody ordered."
        for e in strangers
    ]
    return compared, said


def _is_of(entry: Entry, ours: Ours) -> bool:
    return (entry["platform"], entry["account"]) == (ours.platform, ours.account) and ours.caption in entry[
        "caption"
    ]


def _one(ours: Ours, theirs: Sequence[Entry]) -> Compared:
    return Compared(ours=ours, theirs=theirs, differs=_difference(ours, theirs))


def _difference(ours: Ours, theirs: Sequence[Entry]) -> str:
    reason = f" ({ours.error})" if ours.error else ""
    if len(theirs) != 1:
        return f"live {len(theirs)} times, not once; we say {ours.state}{reason}."
    if ours.state != "published":
        return f"it is live, and we say {ours.state}{reason}."
    if ours.remote_id not in {theirs[0]["remote_id"], theirs[0]["handle"]}:
        return f"we say it is {ours.remote_id}, the ledger says {theirs[0]['remote_id']}."
    if ours.url and ours.url != theirs[0]["url"]:
        return f"we say it is at {ours.url}, the ledger says {theirs[0]['url']}."
    return ""
