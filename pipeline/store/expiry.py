"""Which accounts' tokens run out soon."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows


def expiring(c: Connection, limit: int) -> list[tuple[UUID, int]]:
    """Active accounts in the last tenth of their token's life (at least 10 minutes, at most 7 days before its end).

    Without the token's birth at hand, its whole life is not known: a token that ends within 10 minutes is always
    refreshed; one of more than a week (60 days at Instagram) already a week ahead.
    """
    found = rows(
        c,
        """SELECT id, credentials_version FROM accounts
           WHERE status = 'active' AND platform IN (SELECT unnest(CAST(:platforms AS text[])))
             AND expires_at IS NOT NULL AND (refreshing_until IS NULL OR refreshing_until < now())
             AND (expires_at < now() + interval '10 minutes'
                  OR (settings ->> 'long_lived' = 'true' AND expires_at < now() + interval '7 days'))
           ORDER BY expires_at LIMIT :n""",
        platforms=["tiktok", "instagram", "youtube", "pinterest", "linkedin", "facebook"], n=limit,
    )  # fmt: skip
    return [(r.id, r.credentials_version) for r in found]
