"""Pins: which checks a post's deliveries go by.

A post pins one check per link. Where a retry pins newer ones, the deliveries that wait keep the checks they had, in
``delivery_checks``: they hold for one generation of the delivery, and go before the post's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import SETTLED
from pipeline.store.checks.checks import Check
from pipeline.store.database import row, rows

OWN_PIN = """LEFT JOIN delivery_checks own ON own.delivery_id = d.id AND own.position = pc.position
                                     AND own.generation = d.generation"""
"""SQL: joins what a delivery ``d`` keeps to ``post_checks pc``; its check is ``PINNED``."""
PINNED = "coalesce(own.check_id, pc.check_id)"
PINS = f"""(SELECT d.id AS delivery_id, d.post_id, d.state, pc.position, {PINNED} AS check_id
            FROM deliveries d JOIN post_checks pc ON pc.post_id = d.post_id {OWN_PIN})"""
"""SQL: a row for each delivery and link, with the check that the delivery goes by."""


def select_pinning_posts(check: str) -> str:
    """Return SQL that selects the ``post_id`` of posts that pin a check, or of which a delivery keeps it."""
    return f"""SELECT post_id FROM post_checks WHERE check_id = {check}
        UNION SELECT d.post_id FROM delivery_checks own JOIN deliveries d ON d.id = own.delivery_id
              WHERE own.check_id = {check}"""


def pin_checks(c: Connection, post: UUID, checks: Mapping[int, UUID]) -> None:
    """Replace the checks that a post pins."""
    row(c, "WITH gone AS (DELETE FROM post_checks WHERE post_id = :id) SELECT 1 AS one", id=post)
    for position, check in checks.items():
        row(
            c,
            "INSERT INTO post_checks (post_id, position, check_id) VALUES (:id, :n, :check) RETURNING position",
            id=post,
            n=position,
            check=check,
        )


def pin_checks_for_retry(c: Connection, post: UUID, checks: Mapping[int, UUID]) -> None:
    """Replace the checks that a post pins, for its settled deliveries only. The caller holds the post's lock."""
    row(
        c,
        """INSERT INTO delivery_checks AS own (delivery_id, position, generation, check_id)
           SELECT d.id, pc.position, d.generation, pc.check_id
           FROM deliveries d JOIN post_checks pc ON pc.post_id = d.post_id
           WHERE d.post_id = :id AND d.state <> ALL (:settled)
           ON CONFLICT (delivery_id, position) DO UPDATE
               SET generation = excluded.generation, check_id = excluded.check_id
               WHERE own.generation <> excluded.generation
           RETURNING position""",
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
        pins.setdefault(r.delivery_id, {})[r.position] = to_check(r)
    return pins


def to_check(r: Any) -> Check:
    """Return the check in a row."""
    return Check(id=r.id, purpose=r.purpose, url=r.url, verdict=r.verdict, facts=r.facts, seen=r.seen)
