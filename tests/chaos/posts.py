"""The posts of a run: their bodies, and what the judge expects of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.chaos.client import SentPost
from tests.chaos.judge import ExpectedDelivery
from tests.chaos.plan import Planned
from tests.chaos.system import SystemUnderTest


class Posts:
    """Build the posts of a run: their media and accounts are the system's."""

    def __init__(self, system: SystemUnderTest, seed: int) -> None:
        self._system, self._seed = system, seed

    def build(self, planned: Planned) -> SentPost:
        """Return the post before it is sent."""
        mine = {site: self._owner(site, planned).remote_id for site in planned.sites}
        return SentPost(planned=planned, word=f"chaos-{self._seed:x}-{planned.number:07d}", targets=mine)

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
        return body | ({} if one.due is None else {"scheduled_at": one.due.isoformat()})


def list_expectations(sent: Sequence[SentPost]) -> list[ExpectedDelivery]:
    """Return what the judge has to look for: each post on each of its accounts."""
    return [
        ExpectedDelivery(
            word=one.word,
            site=site,
            account=account,
            kind=one.planned.kind,
            taken=one.is_taken,
            refused=one.status is not None and not one.is_taken,
            due=one.promised_due if one.due is not None else None,
            since=one.promised_due,
            history=one.history,
        )
        for one in sent
        for site, account in one.targets.items()
    ]
