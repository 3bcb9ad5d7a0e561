"""Compares our deliveries with the sandbox's own ledger, which is independent of our tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]
"""One line of the sandbox's ledger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OurDelivery:
    """One delivery from our tables, with the caption it was published with."""

    post: str
    """The demo's name of the post."""
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
    hold: str | None = None
    """Why it waits, and until when."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One delivery with its ledger entries. ``difference`` is empty if it is live exactly once, as our tables say."""

    ours: OurDelivery
    entries: Sequence[Entry]
    difference: str

    @property
    def late(self) -> float | None:
        """Seconds from the due time until it went live on the platform; None if it is not live."""
        if not self.entries:
            return None
        return (datetime.fromisoformat(self.entries[0]["at"]) - self.ours.due_at).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for printing."""
        first = self.entries[0] if self.entries else {}
        return {
            "post": self.ours.post,
            "platform": self.ours.platform,
            "account": self.ours.username,
            "our_state": self.ours.state,
            "our_id": self.ours.remote_id,
            "our_url": self.ours.url,
            "ledger_entries": len(self.entries),
            "ledger_id": first.get("remote_id"),
            "ledger_url": first.get("url"),
            "live_at": first.get("at"),
            "late_seconds": None if self.late is None else round(self.late, 3),
            "differs": self.difference or None,
        }


def compare(
    ours: Sequence[OurDelivery], ledger: Sequence[Entry], marker: str
) -> tuple[list[Comparison], list[str]]:
    """Return each delivery with its entries, and a sentence for each difference, unexpected entries included.

    ``marker``: a word that only the captions of this run contain.
    """
    entries = [entry for entry in ledger if marker in entry["caption"]]
    compared = [_compare_one(o, [e for e in entries if _belongs_to(e, o)]) for o in ours]
    differences = [f"{c.ours.post} on {c.ours.platform}: {c.difference}" for c in compared if c.difference]
    unexpected = [e for e in entries if not any(_belongs_to(e, o) for o in ours)]
    differences += [
        f"{e['platform']} has {e['remote_id']} live on {e['account']}, which belongs to no delivery."
        for e in unexpected
    ]
    return compared, differences


def _belongs_to(entry: Entry, ours: OurDelivery) -> bool:
    return (entry["platform"], entry["account"]) == (ours.platform, ours.account) and ours.caption in entry[
        "caption"
    ]


def _compare_one(ours: OurDelivery, entries: Sequence[Entry]) -> Comparison:
    return Comparison(ours=ours, entries=entries, difference=_find_difference(ours, entries))


def _find_difference(ours: OurDelivery, entries: Sequence[Entry]) -> str:
    why = ours.hold or ours.error
    reason = f" ({why})" if why else ""
    if len(entries) != 1:
        return f"live {len(entries)} times, not once; we say {ours.state}{reason}."
    if ours.state != "published":
        return f"it is live, and we say {ours.state}{reason}."
    if ours.remote_id not in {entries[0]["remote_id"], entries[0]["handle"]}:
        return f"we say it is {ours.remote_id}, the ledger says {entries[0]['remote_id']}."
    if ours.url and ours.url != entries[0]["url"]:
        return f"we say it is at {ours.url}, the ledger says {entries[0]['url']}."
    return ""
