"""Compare the sandbox's ledger with the client's list of accepted posts. Pure.

No table is read. The states that the API reports at the end decide one thing: whether a delivery that is not live was
left to a person with a reason, on a platform that cannot prove absence.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

WORD = re.compile(r"chaos-[0-9a-f]+-\d{7}")
"""The unique text of every caption."""
REVISION = re.compile(r"revision (\d+)")
"""The number of its last edit, in a caption that was edited."""
WAITING = frozenset({"blocked", "unknown"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One edit: its number in the caption, and when it was answered as done; None: without a clear answer."""

    number: int
    done_at: datetime | None


@dataclass(kw_only=True, slots=True)
class History:
    """What was asked of a post after its acceptance, and done or perhaps done."""

    revisions: list[Revision] = field(default_factory=list)
    cancelled_at: datetime | None = None
    """When the cancel was answered as done."""
    may_be_cancelled: bool = False
    """A cancel was asked, and not refused."""

    def is_outdated(self, number: int, at: datetime) -> bool:
        """Return whether revision *number* (0: as accepted) had been replaced by an answered edit at this time."""
        unclear = {r.number for r in self.revisions if r.done_at is None}  # may be done at any later time
        done = [r.number for r in self.revisions if r.done_at is not None and r.done_at < at]
        return number not in unclear and number < max(done, default=0)

    def is_cancelled(self, at: datetime) -> bool:
        """Return whether the cancel had been answered as done at this time."""
        return self.cancelled_at is not None and self.cancelled_at < at


@dataclass(frozen=True, kw_only=True, slots=True)
class LivePost:
    """One line of the ledger."""

    at: datetime
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedDelivery:
    """One post on one account, as the client requested it."""

    word: str
    site: str
    account: str
    """The account's remote id."""
    kind: str
    """video, photo or slideshow."""
    taken: bool
    """The API answered 201 or 200."""
    refused: bool = False
    """The API answered another conclusive status."""
    due: datetime | None = None
    """Earliest time to go live; None: at once."""
    since: datetime | None = None
    """Start of lateness: the due time of the answer."""
    history: History = field(default_factory=History)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedState:
    """The delivery's state as the API reports it at the end."""

    state: str
    reason: str | None = None
    error: str | None = None


_OF_COMMENTS = {"posted": "published", "pending": "unknown", "retry": "retrying"}


def read_comment(comment: Mapping[str, Any]) -> ReportedState:
    """Return the state of a first comment, of which the API tells only the status."""
    error = comment["error"] or {}
    state = _OF_COMMENTS.get(comment["status"], comment["status"])
    return ReportedState(state=state, error=error.get("message"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One violated guarantee, with the evidence."""

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
    cancelled: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """Deliveries left to a person: platform, kind, state and reason -> number."""
    violations: list[Violation] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    """Seconds, sorted."""

    def count(self, what: str) -> int:
        """Return the number of violations of a kind."""
        return sum(violation.what == what for violation in self.violations)

    @property
    def stands(self) -> bool:
        """Whether there is no violation."""
        return not self.violations


VIOLATIONS = ("lost", "duplicated", "early", "stuck", "misreported", "unasked", "outdated")
"""lost: accepted and settled, but not live. stuck: accepted, not live, and neither settled nor left with a reason.
misreported: live, but the API reports a failure. unasked: live, but never accepted, or cancelled before. outdated: live
with the text of before an answered edit."""

CANNOT_TELL: Mapping[str, frozenset[str]] = {
    "tiktok": frozenset({"photo", "slideshow"}),
    "tiktok_business": frozenset({"video", "photo", "slideshow"}),
    "pinterest": frozenset({"video", "photo", "slideshow"}),
    "linkedin": frozenset({"video", "photo", "slideshow"}),
    **dict.fromkeys(
        ("instagram comment", "facebook comment", "youtube comment", "linkedin comment"),
        frozenset({"video", "photo", "slideshow"}),
    ),
}
"""Platform -> kinds whose absence it cannot prove, per the adapter's README ("What a lost answer leads to").

A live post is found there by its unique text, so only posts that are not live may be left to a person."""


def name_comment(site: str) -> str:
    """Return the name under which first comments on the posts of a platform are judged."""
    return f"{site} comment"


def _name_site(line: Mapping[str, Any]) -> str:
    site: str = line["platform"]
    return name_comment(site) if line.get("kind") == "comment" else site


def may_remain_open(site: str, kind: str, *, live: bool) -> bool:
    """Return whether the adapter's README leaves such a delivery to a person."""
    return not live and kind in CANNOT_TELL.get(site, ())


def judge(
    expectations: Sequence[ExpectedDelivery],
    ledger: Iterable[Mapping[str, Any]],
    reported: Mapping[tuple[str, str, str], ReportedState],
) -> Verdict:
    """Return the verdict. *reported* is keyed by (word, platform, remote account), as ledger lines are."""
    went_live: dict[tuple[str, str, str], list[LivePost]] = defaultdict(list)
    unknown: list[Violation] = []
    for line in ledger:
        found = WORD.search(str(line["caption"]))
        if found is None:
            unknown.append(
                Violation(
                    what="unasked",
                    word="?",
                    site=line["platform"],
                    why=f"a caption without the unique text: {line}",
                )
            )
            continue
        revision = REVISION.search(str(line["caption"]))
        post = LivePost(at=datetime.fromisoformat(line["at"]), revision=int(revision[1]) if revision else 0)
        went_live[found[0], _name_site(line), line["account"]].append(post)
    verdict = Verdict(submitted=len(expectations), violations=unknown)
    for expected in expectations:
        key = (expected.word, expected.site, expected.account)
        _judge_delivery(verdict, expected, went_live.pop(key, []), reported.get(key))
    verdict.violations += [
        Violation(what="unasked", word=word, site=site, why=f"live at {account}, never asked for")
        for word, site, account in went_live
    ]
    verdict.lateness.sort()
    return verdict


def _judge_delivery(
    verdict: Verdict, expected: ExpectedDelivery, posts: list[LivePost], reported: ReportedState | None
) -> None:
    def add(what: str, why: str) -> None:
        verdict.violations.append(Violation(what=what, word=expected.word, site=expected.site, why=why))

    went_live = sorted(post.at for post in posts)
    verdict.accepted += expected.taken
    verdict.refused += expected.refused
    verdict.unanswered += not (expected.taken or expected.refused)
    if len(went_live) > 1:
        add(
            "duplicated",
            f"live {len(went_live)} times: {', '.join(map(str, went_live))}; we say {_describe(reported)}",
        )
    if went_live and expected.refused:
        add("unasked", f"live at {went_live[0]}, but the request was refused")
    if went_live and expected.due is not None and went_live[0] < expected.due:
        add("early", f"live at {went_live[0]}, due at {expected.due}")
    for what, why in _compare_history(expected.history, posts):
        add(what, why)
    if not expected.taken:
        return
    if len(went_live) == 1:
        verdict.live_once += 1
        if expected.since is not None:
            verdict.lateness.append(max(0.0, (went_live[0] - expected.since).total_seconds()))
    _compare(verdict, expected, reported, add, live=bool(went_live))


def _compare_history(history: History, posts: Iterable[LivePost]) -> Iterator[tuple[str, str]]:
    """Yield what went live in spite of an answered cancel or edit."""
    for post in posts:
        if history.is_cancelled(post.at):
            yield "unasked", f"live at {post.at}, cancelled at {history.cancelled_at}"
        if history.is_outdated(post.revision, post.at):
            yield "outdated", f"live at {post.at} as revision {post.revision} of {history.revisions}"


def _compare(
    verdict: Verdict, expected: ExpectedDelivery, reported: ReportedState | None, add: Any, *, live: bool
) -> None:
    """Compare the reported state with what is live."""
    state = "missing" if reported is None else reported.state
    if state == "published":
        if not live:
            add("lost", "reported as published, but not live")
    elif state in WAITING:
        if may_remain_open(expected.site, expected.kind, live=live):
            verdict.left[f"{expected.site} {expected.kind}: {_describe(reported)}"] += 1
        else:
            add(
                "stuck",
                f"{'live, and ' if live else ''}{_describe(reported)}; the platform can prove absence",
            )
    elif state == "canceled" and expected.history.may_be_cancelled and not live:
        verdict.cancelled += 1
    elif state in ("failed", "canceled"):
        add("misreported" if live else "lost", f"we say {_describe(reported)}")
    elif state == "missing":
        add("misreported" if live else "lost", "the API does not know it")
    else:
        add("stuck", f"{'live, and ' if live else ''}{_describe(reported)}")


def _describe(reported: ReportedState | None) -> str:
    if reported is None:
        return "nothing"
    return " ".join(
        filter(None, (reported.state, reported.reason and f"({reported.reason})", reported.error))
    )


def find_doubles(ledger: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the unique texts that are live more than once on one account."""
    live = Counter(
        (found[0], _name_site(line), line["account"])
        for line in ledger
        if (found := WORD.search(str(line["caption"])))
    )
    return [word for (word, _, _), times in live.items() if times > 1]


def percentile(ordered: Sequence[float], part: float) -> float:
    """Return the nearest-rank percentile of a sorted sequence; 0 if it is empty."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-int(part * 1000) * len(ordered) // 1000) - 1))]
