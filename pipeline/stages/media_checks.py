"""The checks of a post's media and music links: open them, wait for them briefly, refuse links that cannot be used.

Lock order: checks (in URL order), then posts, then deliveries; a check's verdict locks in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import MediaFacts, Track
from pipeline.broker.queues import REACHABILITY
from pipeline.domain.own_content import SPAN, OwnContent
from pipeline.media.uploads import NO_FILE
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.drafts import COVER, MUSIC, get_cover_url, list_files
from pipeline.stages.post_request import PostContent, Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import Check, Purpose
from pipeline.store.files.files import list_names_of_others

POLL_INTERVAL = 0.05
"""Seconds between two reads of open checks while a request waits."""
BULK_WAIT = timedelta(minutes=1)
"""The checks of bulk work are due this much later than now at the earliest."""

Link = tuple[int, Purpose, str]
"""Position, purpose and URL."""


def list_links(
    media: Mapping[str, Any], music_link: str | None, own: Iterable[OwnContent] = ()
) -> list[Link]:
    """Return the links of a post that need a check, those of single accounts' media (*own*) too."""
    links = _list_media_links(media, 0)
    for one in own:
        if one.media is not None:
            links += _list_media_links(one.media, one.base)
    return links + ([(MUSIC, "music", music_link)] if music_link else [])


def _list_media_links(media: Mapping[str, Any], base: int) -> list[Link]:
    links: list[Link] = [(base + n, kind, url) for n, (kind, url) in enumerate(list_files(media))]
    if cover := get_cover_url(media):
        links.append((base + COVER, "image", cover))
    return links


T = TypeVar("T")


def pick(found: Mapping[int, T], base: int) -> Mapping[int, T]:
    """Return what *found* has of the media at a base, by their positions among themselves, and of the music."""
    last = base + SPAN + COVER
    return {
        n if n == MUSIC else n - base: one
        for n, one in found.items()
        if n == MUSIC or base + COVER <= n < last
    }


def get_base(position: int) -> int:
    """Return the base of the media that a position belongs to."""
    return (position - COVER) // SPAN * SPAN


def name_field(content: PostContent, position: int) -> str:
    """Return the field of the request that holds the link at this position."""
    if position == MUSIC:
        return "music_url"
    base = get_base(position)
    account = next((account for account, one in content.own.items() if base and one.base == base), None)
    media = content.media if account is None else content.own[account].media or content.media
    place = position - base
    name = "media.cover" if place == COVER else f"media.urls[{place}]" if "urls" in media else "media.url"
    return name if account is None else f"accounts[{account}].{name}"


def open_checks(
    context: Context,
    c: Connection,
    workspace: UUID,
    links: Iterable[Link],
    stale: Iterable[str] = (),
    *,
    due_at: datetime | None = None,
    bulk: bool = False,
) -> dict[int, Check]:
    """Return a fresh good check of each link, by position, or an undecided one.

    ``stale``, ``bulk``: as in ``open_distinct_checks``. ``due_at``: when the post is due, by default now.
    """
    links = list(links)
    found = open_distinct_checks(
        context, c, {(workspace, purpose, url): due_at for _, purpose, url in links}, stale, bulk=bulk
    )
    return {position: found[workspace, purpose, url] for position, purpose, url in links}


def open_distinct_checks(
    context: Context,
    c: Connection,
    requested: Mapping[store.Link, datetime | None],
    stale: Iterable[str] = (),
    *,
    bulk: bool = False,
) -> dict[store.Link, Check]:
    """Return a fresh good check of each link, or an undecided one, which stays undecided until the transaction ends.

    The values are due times, None for now. ``stale``: URLs whose old checks no longer hold. ``bulk``: no request waits
    for the checks of bulk work, so they come after the checks that requests opened in the same minute.
    """
    if bulk:
        soonest = datetime.now(UTC) + BULK_WAIT
        requested = {link: max(due_at or soonest, soonest) for link, due_at in requested.items()}
    changed = frozenset(stale)
    fresh = timedelta(seconds=context.settings.reachability.fresh)
    own = context.files.addresses.public_url("")
    good = store.find_good(c, [link for link in requested if link[2] not in changed], fresh, own)
    found = {link: check for link, (check, _) in good.items()}
    return found | store.open_checks(c, {link: due for link, due in requested.items() if link not in found})


def await_checks(context: Context, checks: Mapping[int, Check], *, bulk: bool = False) -> Mapping[int, Check]:
    """Dispatch the open checks and wait briefly for them, holding no connection.

    Do not wait without a live worker, nor while the broker takes no messages. ``bulk``: bulk work is dispatched to a
    queue of its own and never waits.
    """
    failpoint("links.opened", *list_undecided(checks))
    tried = {check.id: check.tries for check in checks.values() if check.verdict is None}
    dispatcher = context.dispatcher
    is_dispatched = dispatcher.send_new_checks(tried, bulk=bulk) and dispatcher.is_responsive()
    if bulk or not is_dispatched or not context.liveness.is_alive(REACHABILITY):
        return checks
    until = time.monotonic() + context.settings.reachability.wait
    while (
        time.monotonic() < until
        and any(check.verdict is None and check.seen is None for check in checks.values())
        and dispatcher.is_responsive()
    ):
        time.sleep(POLL_INTERVAL)  # polling only ends the wait early: the committed verdict decides
        with context.database.begin() as c:
            now = store.read_checks(c, [check.id for check in checks.values()])
        checks = {position: now[check.id] for position, check in checks.items()}
    return checks


def lock_checks(c: Connection, workspace: UUID, checks: Mapping[int, Check]) -> Mapping[int, Check]:
    """Lock and read the checks: no open one gets its verdict before the transaction ends.

    An unanswered music link only warns, so a new check is opened for it: a post never waits for a decided check.
    """
    if open_ones := list_undecided(checks):
        now = store.read_checks(c, open_ones, lock=True)
        checks = {position: now.get(check.id, check) for position, check in checks.items()}
    music = checks.get(MUSIC)
    if music is not None and music.verdict == "unanswered":
        checks = {**checks, MUSIC: store.open_check(c, workspace, "music", music.url)}
    return checks


def refuse_unreachable(checks: Mapping[int, Check]) -> None:
    """Raise Refusal 400 for a link that was refused or unanswered; an unanswered music link only warns."""
    for _, refusal in find_unreachable(checks):
        raise refusal


def find_unreachable(checks: Mapping[int, Check]) -> Iterator[tuple[int, Refusal]]:
    """Find the links that cannot be used, by position: those refused, then those unanswered."""
    for position, check in sorted(checks.items()):
        if check.verdict == "refused":
            yield position, _build_refusal(position, check.url, check.seen)
    for position, check in sorted(checks.items()):
        if position != MUSIC and (check.verdict == "unanswered" or (check.verdict is None and check.seen)):
            yield position, _build_refusal(position, check.url, check.seen)


def find_files_of_others(
    context: Context, c: Connection, caller: Caller, links: Iterable[Link]
) -> Iterator[tuple[int, Refusal]]:
    """Find the links to files that another key uploaded, by position: a key restricted to accounts may not use them.

    They are refused as files that do not exist are.
    """
    if caller.accounts is None:
        return
    names = {n: (name, url) for n, _, url in links if (name := context.files.addresses.parse_name(url))}
    if names:
        others = list_names_of_others(c, caller, {name for name, _ in names.values()})
        for position, (name, url) in names.items():
            if name in others:
                yield position, _build_refusal(position, url, NO_FILE)


def refuse_files_of_others(context: Context, c: Connection, caller: Caller, links: Iterable[Link]) -> None:
    """Raise Refusal 400 for the first of ``find_files_of_others``."""
    for _, refusal in find_files_of_others(context, c, caller, links):
        raise refusal


def are_all_good(checks: Mapping[int, Check]) -> bool:
    """Return True if every check is good."""
    return all(check.verdict == "good" for check in checks.values())


def list_media_facts(checks: Mapping[int, Check]) -> dict[int, MediaFacts | None]:
    """Return the media facts by position, without the music link."""
    return {position: check.media_facts for position, check in checks.items() if position != MUSIC}


def get_track(checks: Mapping[int, Check]) -> Track | None:
    """Return the sound of the music link, or None before it is resolved."""
    return checks[MUSIC].track if MUSIC in checks else None


def map_check_ids(checks: Mapping[int, Check]) -> dict[int, UUID]:
    """Return the ids of the checks, for the post to pin."""
    return {position: check.id for position, check in checks.items()}


def list_undecided(checks: Mapping[int, Check]) -> Sequence[UUID]:
    """Return the ids of the undecided checks."""
    return [check.id for check in checks.values() if check.verdict is None]


def _build_refusal(position: int, url: str, seen: str | None) -> Refusal:
    if position == MUSIC:
        return Refusal(400, "invalid_music_url", f"music_url {url}: {seen}")
    base = get_base(position)
    name = "media.cover" if position - base == COVER else f"media URL {position - base}"
    name += " of an account's own media" if base else ""
    return Refusal(400, "media_unreachable", f"{name} ({url}) cannot be used: {seen}.")
