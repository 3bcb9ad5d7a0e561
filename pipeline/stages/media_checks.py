"""The media and music URLs of a post and their checks: opening them, waiting a little, refusing what cannot be used.

Lock order: checks (in URL order), then posts, then deliveries; the verdict of a check walks the same way.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import MediaFacts, Track
from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.queues import REACHABILITY
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import Refusal
from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import Check, Purpose, hash_url

MUSIC = -1
"""The position of the music link among a post's checks."""
POLL_INTERVAL = 0.05
"""Seconds between two glances at open checks while a request waits."""

Link = tuple[int, Purpose, str]
"""Position, what it is to be, and the URL."""


def list_links(media: Mapping[str, Any], music_link: str | None) -> list[Link]:
    """Everything of a post that has to be looked at."""
    purpose: Purpose = "video" if media["type"] == "video" else "image"
    links: list[Link] = [(n, purpose, url) for n, url in enumerate(list_urls(media))]
    return links + ([(MUSIC, "music", music_link)] if music_link else [])


def open_checks(
    context: Context, c: Connection, workspace: UUID, links: Iterable[Link], stale: Iterable[str] = ()
) -> dict[int, Check]:
    """A fresh good check of each link, or the undecided one. ``stale``: URLs whose old checks tell nothing any more."""
    fresh = timedelta(seconds=context.settings.reachability.fresh)
    checks = {}
    # in URL order: two requests with the same new URLs in another order would wait for each other for ever
    for position, purpose, url in sorted(links, key=lambda x: (hash_url(x[2]), x[1])):
        found = None if url in stale else store.find_fresh_check(c, workspace, purpose, url, fresh)
        checks[position] = found or store.open_check(c, workspace, purpose, url)
    return checks


def await_checks(context: Context, checks: Mapping[int, Check], *, bulk: bool = False) -> Mapping[int, Check]:
    """Rings for the open checks and waits a little, holding no connection; nobody to wait for, no waiting.

    ``bulk``: mass work rings on its own queue and never waits.
    """
    failpoint("links.opened", *list_undecided(checks))
    tried = {check.id: check.tries for check in checks.values() if check.verdict is None}
    rang = context.dispatcher.send_new_checks(tried, bulk=bulk)
    if bulk or not rang or not context.liveness.is_alive(REACHABILITY):
        return checks
    until = time.monotonic() + context.settings.reachability.wait
    while time.monotonic() < until and any(_open(check) for check in checks.values()):
        time.sleep(POLL_INTERVAL)  # a glance, not a synchronisation: what decides is the committed verdict
        with context.database.begin() as c:
            now = store.read_checks(c, [check.id for check in checks.values()])
        checks = {position: now[check.id] for position, check in checks.items()}
    return checks


def lock_checks(c: Connection, workspace: UUID, checks: Mapping[int, Check]) -> Mapping[int, Check]:
    """The checks as they stand; no verdict of an open one lands before the transaction ends.

    Music that nobody answered for only warns, so it is asked for anew: a post never waits for a check that is over.
    """
    if open_ones := list_undecided(checks):
        now = store.read_checks(c, open_ones, lock=True)
        checks = {position: now.get(check.id, check) for position, check in checks.items()}
    music = checks.get(MUSIC)
    if music is not None and music.verdict == "unanswered":
        checks = {**checks, MUSIC: store.open_check(c, workspace, "music", music.url)}
    return checks


def refuse_unreachable(checks: Mapping[int, Check]) -> None:
    """Refused or tried in vain: 400 and nothing stored. A music resolver that did not answer only warns."""
    for _, refusal in find_unreachable(checks):
        raise refusal


def find_unreachable(checks: Mapping[int, Check]) -> Iterator[tuple[int, Refusal]]:
    """What cannot be used, by position: what was refused first, then what was tried in vain."""
    for position, check in sorted(checks.items()):
        if check.verdict == "refused":
            yield position, _unreachable(position, check)
    for position, check in sorted(checks.items()):
        if position != MUSIC and (check.verdict == "unanswered" or (check.verdict is None and check.seen)):
            yield position, _unreachable(position, check)


def are_all_good(checks: Mapping[int, Check]) -> bool:
    """Whether nothing is left to be looked at."""
    return all(check.verdict == "good" for check in checks.values())


def list_media_facts(checks: Mapping[int, Check]) -> dict[int, MediaFacts | None]:
    """What the checks saw of the media, by position."""
    return {position: check.media_facts for position, check in checks.items() if position != MUSIC}


def get_track(checks: Mapping[int, Check]) -> Track | None:
    """The sound behind the music link, once resolved."""
    return checks[MUSIC].track if MUSIC in checks else None


def map_check_ids(checks: Mapping[int, Check]) -> dict[int, UUID]:
    """The ids a post pins."""
    return {position: check.id for position, check in checks.items()}


def list_undecided(checks: Mapping[int, Check]) -> Sequence[UUID]:
    """The checks to ring for."""
    return [check.id for check in checks.values() if check.verdict is None]


def _open(check: Check) -> bool:
    """Neither decided, nor tried in vain."""
    return check.verdict is None and check.seen is None


def _unreachable(position: int, check: Check) -> Refusal:
    if position == MUSIC:
        return Refusal(400, "invalid_music_url", f"music_url {check.url}: {check.seen}")
    return Refusal(
        400, "media_unreachable", f"media URL {position} ({check.url}) cannot be used: {check.seen}."
    )
