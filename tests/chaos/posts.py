"""The posts of a run: their bodies, and what the judge expects of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.chaos.approvals import EVERY, WITHHELD
from tests.chaos.client import SentPost
from tests.chaos.judge import ExpectedDelivery, name_comment
from tests.chaos.plan import Planned
from tests.chaos.system import SystemUnderTest

NEW_EVERY = 10
"""One post in so many has more than a caption and files of its own, unless it is edited all the time."""
_COMMENTED = frozenset({"instagram", "facebook", "youtube", "linkedin"})
_NEW: Sequence[tuple[str, frozenset[str] | None]] = (
    ("text", frozenset({"facebook", "linkedin"})),
    ("document", frozenset({"linkedin"})),
    ("first comment", _COMMENTED),
    ("own words", None),
)
"""What such a post has, and the platforms that all of its accounts are on; None: any."""


def find_new(planned: Planned) -> str | None:
    """Return what the post has that most have not."""
    turn, rest = divmod(planned.number, NEW_EVERY)
    fitting = [what for what, sites in _NEW if sites is None or sites.issuperset(planned.sites)]
    return None if rest or planned.stormy else fitting[turn % len(fitting)]


class Posts:
    """Build the posts of a run: their media and accounts are the system's."""

    def __init__(self, system: SystemUnderTest, seed: int) -> None:
        self._system, self._seed = system, seed

    def build(self, planned: Planned, *, by_agent: bool) -> SentPost:
        """Return the post before it is sent; *by_agent*: every third needs an approval."""
        mine = {site: self._owner(site, planned).remote_id for site in planned.sites}
        return SentPost(
            planned=planned,
            word=f"chaos-{self._seed:x}-{planned.number:07d}",
            targets=mine,
            needs_approval=by_agent and planned.number % EVERY == 0,
            is_withheld=by_agent and planned.number % WITHHELD == 0 and not planned.stormy,
        )

    def _owner(self, site: str, planned: Planned) -> Any:
        owners = self._system.owners[site]
        return owners[planned.account % len(owners)]

    def build_body(self, one: SentPost) -> dict[str, Any]:
        """Return the request body."""
        p = one.planned
        mark = f"?post={p.number}" if p.fresh else ""
        names = {"photo": ["sample-1.jpg"], "slideshow": ["sample-2.jpg", "sample-3.jpg"]}.get(p.kind)
        media: dict[str, Any] = {"type": "video", "url": self._system.stack.media("sample.mp4") + mark}
        if names is not None:
            media = {"type": "slideshow", "urls": [self._system.stack.media(name) + mark for name in names]}
        body = {
            "caption": f"{one.word} {p.kind}",
            "media": media,
            "external_id": one.word,
            "accounts": [{"id": self._owner(site, p).id} for site in p.sites],
        }
        if "pinterest" in p.sites and p.number % 2:
            body["pinterest"] = {"link": f"https://example.com/{p.number}"}
        return self._vary(one, body) | ({} if one.due is None else {"scheduled_at": one.due.isoformat()})

    def _vary(self, one: SentPost, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body with what the post has that most have not."""
        document = {"type": "document", "url": self._system.stack.media("sample.pdf"), "title": one.word}
        own = [{**entry, "caption": f"{body['caption']} own"} for entry in body["accounts"]]
        more: Mapping[str | None, dict[str, Any]] = {
            "text": {"media": {"type": "text"}},
            "document": {"media": document},
            "first comment": {"first_comment": f"{one.word} comment"},
            "own words": {"accounts": own},
        }
        return body | more.get(find_new(one.planned), {})


def list_expectations(sent: Sequence[SentPost]) -> list[ExpectedDelivery]:
    """Return what the judge has to look for: each post on each of its accounts, and its first comment there."""
    posts = [_expect(one, site, account) for one in sent for site, account in one.targets.items()]
    commented = [one for one in sent if find_new(one.planned) == "first comment"]
    comments = [
        replace(_expect(one, name_comment(site), account), since=None)
        for one in commented
        for site, account in one.targets.items()
    ]
    return posts + comments


def _expect(one: SentPost, site: str, account: str) -> ExpectedDelivery:
    return ExpectedDelivery(
        word=one.word,
        site=site,
        account=account,
        kind=one.planned.kind,
        taken=one.is_taken and not one.is_withheld,
        refused=one.is_withheld or (one.status is not None and not one.is_taken),
        due=one.promised_due if one.due is not None else None,
        since=None if one.needs_approval else one.promised_due,
        history=one.history,
    )
