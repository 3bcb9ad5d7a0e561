"""The person's choice among the accounts that a consent opened: as which member, organization or page to publish."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from oauthlib.common import generate_token  # type: ignore[import-untyped]
from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from pipeline.accounts.account_selection import storable
from pipeline.accounts.connected_account import AGAIN, Choice, Connected, keep, refusal_of
from pipeline.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts import oauth_candidates as store
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.accounts.oauth_sessions import Grant, GrantRefused, Starter
from pipeline.store.vault import VaultError

log = logging.getLogger("slipway.connect")

TICKET = 43
"""Characters; of 62 each, as many as a state has."""


def is_to_pick(grant: Grant, found: Sequence[RemoteAccount]) -> bool:
    """Whether only the person can say: several were found, and whoever began named none and no account to reconnect."""
    return grant.chosen is None and grant.account_id is None and len(found) > 1


def offered(c: Connection, context: Context, grant: Grant, found: Sequence[RemoteAccount]) -> Choice:
    """Keeps what was found, sealed, until the person has picked."""
    choice = Choice(grant=grant.id, ticket=str(generate_token(TICKET)), accounts=found)
    store.offer(c, context.vault, grant, choice.ticket, found)
    return choice


def pick(
    context: Context,
    platform: Platform,
    grant: UUID,
    ticket: str,
    places: Collection[int],
    starter: Starter | None = None,
) -> list[Connected]:
    """Stores the accounts at these places of the ``Choice``, and none of the others; once.

    Raises Refusal as ``connect.finish`` does for a ticket that cannot be used, and 400 ``nothing_picked``, after which
    the choice stands as before.
    """
    try:
        with context.database.begin() as c:
            opened, found = store.taken(c, context.vault, platform, grant, ticket, starter)
            picked = [one for place, one in enumerate(found) if place in places]
            if not picked:
                raise Refusal(
                    400, "nothing_picked", "Nothing was ticked: go back one page and tick an account."
                )
            known = find_accounts(c, opened.workspace_id)
            connected = keep(c, context, opened, storable(opened, picked, known), known)
    except GrantRefused as error:
        log.warning("a choice was refused for %s: %s", platform.value, error.reason.value)
        raise refusal_of(error) from None
    except VaultError:
        raise Refusal(409, "state_unusable", f"The keys were changed meanwhile. {AGAIN}") from None
    for one in connected:
        log.info("connected %s account %s for workspace %s", platform.value, one.id, opened.workspace_id)
    return connected
