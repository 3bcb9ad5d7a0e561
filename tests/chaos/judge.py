"""The verdict: what the platforms' own list says went live, against what the client was promised. Pure.

Our tables are never asked. What our API says at the end is used for one thing only: whether a post that is not live is
left to a person with a reason, and whether the platform really cannot tell in that case.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

WORD = re.compile(r"chaos-[0-9a-f]+-\d{7}")
"""What stands in every caption, once."""
WAITING = frozenset({"blocked", "unknown"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """One post at one account, as the client asked for it."""

    word: str
    site: str
    account: str
    """The account's id over there."""
    kind: str
    """video, photo or slideshow."""
    taken: bool
    """201 or 200 was answered."""
    refused: bool = False
    """Another status was answered."""
    due: datetime | None = None
    """Not before this; None: at once."""
    since: datetime | None = None
    """What lateness is counted from: the time that the answer named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What our API says of it in the end."""

    state: str
    reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One promise that was broken, with the evidence."""

    what: str
    word: str
    site: str
    why: str


@dataclass(kw_only=True, slots=True)
class Verdict:
    """The numbers of the scorecard, in deliveries."""

    submitted: int = 0
    accepted: int = 0
    live_once: int = 0
    refused: int = 0
    unanswered: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """Left to a person, where the platform cannot tell: site, kind, state and reason -> number."""
    faults: list[Fault] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    """Seconds, sorted."""

    def count(self, what: str) -> int:
        """How many faults of a kind."""
        return sum(fault.what == what for fault in self.faults)

    @property
    def stands(self) -> bool:
        """Whether the standard is kept."""
        return not self.faults


FAULTS = ("lost", "duplicated", "early", "stuck", "misreported", "unasked")
"""lost: promised, settled, and not live. stuck: promised, not live, and neither settled nor with a reason. misreported:
live, and our API says at the end that it failed. unasked: live although nobody was promised it."""

CANNOT_TELL: Mapping[str, frozenset[str]] = {
    "tiktok": frozenset({"photo", "slideshow"}),
    "tiktok_business": frozenset({"video", "photo", "slideshow"}),
    "pinterest": frozenset({"video", "photo", "slideshow"}),
    "linkedin": frozenset({"video", "photo", "slideshow"}),
}
"""Site -> kinds whose absence the platform never proves, by the adapter's README ("What a lost answer leads to").

What is live is found there all the same, for every text here is its own: so only what is not live may be left."""


def may_be_left(site: str, kind: str, *, live: bool) -> bool:
    """Whether the adapter's README leaves this to a person."""
    return not live and kind in CANNOT_TELL.get(site, ())


def judge(
    promises: Sequence[Promise],
    ledger: Iterable[Mapping[str, Any]],
    said: Mapping[tuple[str, str, str], Said],
) -> Verdict:
    """``said``: by (word, site, account over there), as the lines of the ledger are told apart."""
    lived: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    strangers: list[Fault] = []
    for line in ledger:
        found = WORD.search(str(line["caption"]))
        if found is None:
            strangers.append(
                Fault(what="unasked", word="?", site=line["platform"], why=f"a post without our word: {line}")
            )
            continue
        moment = datetime.fromisoformat(line["at"])
        lived[found[0], line["platform"], line["account"]].append(moment)
    verdict = Verdict(submitted=len(promises), faults=strangers)
    for promise in promises:
        key = (promise.word, promise.site, promise.account)
        _weigh(verdict, promise, sorted(lived.pop(key, [])), said.get(key))
    verdict.faults += [
        Fault(what="unasked", word=word, site=site, why=f"live at {account}, never asked for")
        for word, site, account in lived
    ]
    verdict.lateness.sort()
    return verdict


def _weigh(verdict: Verdict, promise: Promise, lived: list[datetime], said: Said | None) -> None:
    def fault(what: str, why: str) -> None:
        verdict.faults.append(Fault(what=what, word=promise.word, site=promise.site, why=why))

    verdict.accepted += promise.taken
    verdict.refused += promise.refused
    verdict.unanswered += not (promise.taken or promise.refused)
    if len(lived) > 1:
        fault("duplicated", f"live {len(lived)} times: {', '.join(map(str, lived))}; we say {_words(said)}")
    if lived and promise.refused:
        fault("unasked", f"live at {lived[0]}, but the request was refused")
    if lived and promise.due is not None and lived[0] < promise.due:
        fault("early", f"live at {lived[0]}, due at {promise.due}")
    if not promise.taken:
        return
    if len(lived) == 1:
        verdict.live_once += 1
        if promise.since is not None:
            verdict.lateness.append(max(0.0, (lived[0] - promise.since).total_seconds()))
    _compare(verdict, promise, said, fault, live=bool(lived))


def _compare(verdict: Verdict, promise: Promise, said: Said | None, fault: Any, *, live: bool) -> None:
    """What is live against what we say of it."""
    state = "missing" if said is None else said.state
    if state == "published":
        if not live:
            fault("lost", "we say published, and it is not live")
    elif state in WAITING:
        if may_be_left(promise.site, promise.kind, live=live):
            verdict.left[f"{promise.site} {promise.kind}: {_words(said)}"] += 1
        else:
            fault("stuck", f"{'live, and ' if live else ''}{_words(said)}; the platform could tell")
    elif state in ("failed", "cancelled"):
        fault("misreported" if live else "lost", f"we say {_words(said)}")
    elif state == "missing":
        fault("misreported" if live else "lost", "our API does not know it")
    else:
        fault("stuck", f"{'live, and ' if live else ''}{_words(said)}")


def _words(said: Said | None) -> str:
    if said is None:
        return "nothing"
    return " ".join(filter(None, (said.state, said.reason and f"({said.reason})", said.error)))


def percentile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank percentile of a sorted row; 0 for an empty one."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-int(part * 1000) * len(ordered) // 1000) - 1))]
