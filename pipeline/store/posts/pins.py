"""Pins: which checks a post's deliveries go by, and the posts whose accepted deliveries wait for them.

A post pins one check per link. A delivery goes by those of the media that it publishes: with media of its own, by the
positions from their base on (``domain/own_content.py``), else by the post's; and by the music's. Where a retry pins
newer ones, the deliveries that wait keep the checks they had, in ``delivery_checks``: they hold for one generation of
the delivery, and go before the post's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED
from pipeline.domain.own_content import SPAN, OwnContent
from pipeline.store.arrays import Records
from pipeline.store.checks.checks import Check
from pipeline.store.database import build, execute, row, rows
from pipeline.store.deliveries.move import lock_post
from pipeline.store.posts.options import CONTENT, PostContent, gather_options

OWN_PIN = """LEFT JOIN delivery_checks own ON own.delivery_id = d.id AND own.position = pc.position
                                     AND own.generation = d.generation"""
"""SQL: joins what a delivery ``d`` keeps to ``post_checks pc``; its check is ``PINNED``."""
PINNED = "coalesce(own.check_id, pc.check_id)"
_BASE = "coalesce(CAST(d.own ->> 'base' AS integer), 0)"
IS_USED = f"(pc.position = -1 OR pc.position BETWEEN {_BASE} - 2 AND {_BASE} + {SPAN - 3})"
"""SQL: whether a delivery ``d`` publishes what ``post_checks pc`` pins."""
PLACE = f"(CASE WHEN pc.position = -1 THEN -1 ELSE pc.position - {_BASE} END)"
"""SQL: its position among what the delivery publishes."""
PINS = f"""(SELECT d.id AS delivery_id, d.post_id, d.state, d.due_at, {PLACE} AS position, {PINNED} AS check_id
            FROM post_deliveries d JOIN post_checks pc ON pc.post_id = d.post_id AND {IS_USED} {OWN_PIN})"""
"""SQL: a row for each delivery and link of what it publishes, with the check that the delivery goes by."""


def select_pinning_posts(check: str) -> str:
    """Return SQL that selects the ``post_id`` of posts that pin a check, or of which a delivery keeps it."""
    return f"""SELECT post_id FROM post_checks WHERE check_id = {check}
        UNION SELECT d.post_id FROM delivery_checks own JOIN post_deliveries d ON d.id = own.delivery_id
              WHERE own.check_id = {check}"""


_PINNED = Records("position integer, check_id uuid")


def pin_checks(c: Connection, post: UUID, checks: Mapping[int, UUID]) -> None:
    """Replace the checks that a post pins."""
    execute(c, "DELETE FROM post_checks WHERE post_id = :id", id=post)
    sql = (
        f"INSERT INTO post_checks (post_id, position, check_id) SELECT :id, position, check_id FROM {_PINNED}"
    )
    execute(c, sql, id=post, **_PINNED.bind(checks.items()))


def pin_checks_for_retry(c: Connection, post: UUID, checks: Mapping[int, UUID]) -> None:
    """Replace the checks that a post pins, for its settled deliveries only. The caller holds the post's lock."""
    execute(
        c,
        """INSERT INTO delivery_checks AS own (delivery_id, position, generation, check_id)
           SELECT d.id, pc.position, d.generation, pc.check_id
           FROM post_deliveries d JOIN post_checks pc ON pc.post_id = d.post_id
           WHERE d.post_id = :id AND d.state <> ALL (:settled)
           ON CONFLICT (delivery_id, position) DO UPDATE
               SET generation = excluded.generation, check_id = excluded.check_id
               WHERE own.generation <> excluded.generation""",
        id=post,
        settled=[*map(str, SETTLED)],
    )
    pin_checks(c, post, checks)


def read_pins(c: Connection, post: UUID) -> dict[UUID, dict[int, Check]]:
    """Return the checks that each delivery of a post goes by, by position."""
    found = rows(
        c,
        f"""SELECT p.delivery_id, p.position, k.id, k.purpose, k.url, k.verdict, k.facts, k.seen
            FROM {PINS} p JOIN checks k ON k.id = p.check_id WHERE p.post_id = :id ORDER BY p.position""",
        id=post,
    )
    pins: dict[UUID, dict[int, Check]] = {}
    for r in found:
        pins.setdefault(r.delivery_id, {})[r.position] = build(Check, r)
    return pins


@dataclass(kw_only=True, slots=True)
class WaitingPost(PostContent):
    """A post with accepted deliveries."""

    is_expired: bool
    """True if it is not to be sent any more: past its ``expires_at``, with ``on_late`` skip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedDelivery:
    """A delivery that waits for its post's checks."""

    id: UUID
    account_id: UUID
    generation: int
    request_id: str | None
    """The id of the request that made the post."""
    own: OwnContent | None
    late_for: timedelta
    """Since its due time; negative before."""
    checks: Mapping[int, Check]
    """The checks that it waits for, by position."""


_EXPIRED = """(p.on_late = 'skip' AND p.expires_at <= now() AND NOT EXISTS (
    SELECT FROM post_deliveries d
    WHERE d.post_id = p.id AND d.state = 'accepted' AND d.error ->> 'code' = 'expired')) IS TRUE"""
"""Condition: the post ``p`` is late and its author skips late posts, unless a user has retried it after it expired."""

_POSTS = f"""
SELECT {CONTENT}, {_EXPIRED} AS is_expired FROM posts p"""

_WAITING = f"""{_POSTS}
WHERE p.id IN ({select_pinning_posts(":check")})
  AND EXISTS (SELECT FROM {PINS} pin
              WHERE pin.post_id = p.id AND pin.state = 'accepted' AND pin.check_id = :check AND {{when}})
"""


_THIS = f"""{_POSTS}
WHERE p.id = :id AND EXISTS (SELECT FROM post_deliveries d WHERE d.post_id = p.id AND d.state = 'accepted')
"""


def lock_waiting_post(c: Connection, post: UUID) -> WaitingPost | None:
    """Lock a post and read it again, as it may have been edited since. None when it no longer waits."""
    lock_post(c, post)
    found = row(c, _THIS, id=post)
    return None if found is None else WaitingPost(**gather_options(found._mapping))


def list_waiting(c: Connection, check: UUID) -> list[WaitingPost]:
    """Return the posts that wait for a check, in id order: the lock order."""
    return _list(c, f"{_WAITING.format(when='true')} ORDER BY p.id", check=check)


def list_within_grace(c: Connection, check: UUID, grace: timedelta) -> list[WaitingPost]:
    """Return the posts that wait for a check and are not yet past their time: due time plus grace, or expiry."""
    waiting = _WAITING.format(when="pin.due_at + CAST(:grace AS interval) > now()")
    sql = f"{waiting} AND NOT {_EXPIRED} ORDER BY p.id"
    return _list(c, sql, check=check, grace=grace)


def list_past_grace(c: Connection, check: UUID, grace: timedelta) -> list[WaitingPost]:
    """Return the posts that wait for a check and are past their time: due time plus grace, or expiry."""
    waiting = _WAITING.format(when=f"(pin.due_at + CAST(:grace AS interval) <= now() OR {_EXPIRED})")
    sql = f"{waiting} ORDER BY p.id"
    return _list(c, sql, check=check, grace=grace)


def _list(c: Connection, sql: str, **values: object) -> list[WaitingPost]:
    return [WaitingPost(**gather_options(r._mapping)) for r in rows(c, sql, **values)]


def list_stranded(c: Connection, limit: int) -> list[WaitingPost]:
    """Return posts with a delivery that waits although all its checks are decided: a worker died between the two."""
    return _list(
        c,
        f"""{_POSTS}
           WHERE p.id IN (SELECT post_id FROM post_deliveries w
                          WHERE state = 'accepted' AND updated_at < now() - interval '10 seconds'
                            AND NOT EXISTS (SELECT FROM {PINS} pin JOIN checks k ON k.id = pin.check_id
                                            WHERE pin.delivery_id = w.id AND k.verdict IS NULL))
           ORDER BY p.id LIMIT :n""",
        n=limit,
    )


def list_accepted_deliveries(c: Connection, post: UUID) -> list[AcceptedDelivery]:
    """Return the accepted deliveries of a post, in id order."""
    pins = read_pins(c, post)
    found = rows(
        c,
        """SELECT id, account_id, generation, (SELECT request_id FROM posts WHERE id = :id) AS request_id, own,
                  now() - due_at AS late_for
           FROM post_deliveries WHERE post_id = :id AND state = 'accepted' ORDER BY id""",
        id=post,
    )
    return [
        AcceptedDelivery(**{**r._mapping, "own": OwnContent.from_dict(r.own)}, checks=pins.get(r.id, {}))
        for r in found
    ]
