"""Account selection: which of the accounts that a sign-in gives access to are stored, once the user confirms.

``filter_candidates`` keeps the account to reconnect, or the accounts named at the start. The user then confirms
(``offer_candidates``, then ``confirm_accounts`` or ``decline_accounts``). If several candidates remain and the start
named none, the user also selects the member, organization or page to publish as.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from oauthlib.common import generate_token  # type: ignore[import-untyped]
from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from pipeline.accounts.connected_account import (
    CompletedConnection,
    PendingConfirmation,
    refuse_unusable,
    store_accounts,
)
from pipeline.domain.account import AccountStatus
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts import oauth_sessions as store
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.accounts.oauth_sessions import (
    ALL,
    CLI,
    OAuthSession,
    Starter,
    end_session,
    read_origin,
)
from pipeline.store.audit import find_actor, record_change

log = logging.getLogger("slipway.connect")

BROWSER = Actor(kind="system", name="a browser")
TICKET_LENGTH = 43
"""Characters, of 62 each: over 256 bits, as in a state."""


def filter_candidates(
    session: OAuthSession, found: Iterable[RemoteAccount], known: Sequence[AccountRow]
) -> list[RemoteAccount]:
    """Return the accounts that may be stored: the one to reconnect, else those named at the start, else all; each once.

    *known*: the workspace's accounts. Raises Refusal 409 ``no_accounts``, ``wrong_account`` or ``account_inactive``.
    """
    candidates = {account_key(a): a for a in found if session.connection in (None, a.connection)}
    if not candidates:
        raise Refusal(
            409,
            "no_accounts",
            f"This {session.platform.value} login has no account that can be published to; nothing was changed.",
        )
    asked_for = _filter_asked_for(session, candidates.values(), known)
    inactive = _list_inactive(session, known)
    usable = [a for a in asked_for if account_key(a) not in inactive]
    if not usable:
        raise Refusal(
            409,
            "account_inactive",
            f"{_join_names(asked_for)} was taken out of use by the operator; nothing was changed.",
        )
    return usable


def offer_candidates(
    c: Connection, context: Context, session: OAuthSession, found: Sequence[RemoteAccount]
) -> PendingConfirmation:
    """Keep the candidates, sealed, until the user confirms; no account is stored or changed."""
    is_named = session.chosen is not None or session.account_id is not None
    pending = PendingConfirmation(
        session=session.id,
        ticket=str(generate_token(TICKET_LENGTH)),
        accounts=found,
        is_choice=not is_named and len(found) > 1,
        origin=read_origin(c, session.id),
    )
    store.save_candidates(c, context.vault, session, pending.ticket, found)
    return pending


def confirm_accounts(
    context: Context,
    platform: Platform,
    session: UUID,
    ticket: str,
    indexes: Collection[int],
    starter: Starter | None = None,
    *,
    browser: Actor = BROWSER,
) -> CompletedConnection:
    """Store the candidates at these indexes of the ``PendingConfirmation``, and end the session.

    *browser*: where the confirmation comes from; it acts for what began the sign-in.

    Raises Refusal as ``finish_authorization`` does if the ticket cannot be used, and 400 ``nothing_picked``, after
    which the confirmation can be made again.
    """
    with _lock_candidates(context, platform, session, ticket, starter) as (c, opened, found):
        selected = [one for index, one in enumerate(found) if index in indexes]
        if not selected:
            raise Refusal(400, "nothing_picked", "Nothing was ticked: go back one page and tick an account.")
        known = find_accounts(c, opened.workspace_id)
        actor = _name_actor(c, browser, opened)
        usable = filter_candidates(opened, selected, known)
        connected = store_accounts(c, context, actor, opened, usable, known)
        result = CompletedConnection(accounts=connected, origin=read_origin(c, session))
    for one in connected:
        log.info("connected %s account %s for workspace %s", platform.value, one.id, opened.workspace_id)
    return result


def decline_accounts(
    context: Context,
    platform: Platform,
    session: UUID,
    ticket: str,
    starter: Starter | None = None,
    *,
    browser: Actor = BROWSER,
) -> Refusal:
    """Delete the candidates and end the session; return the refusal. Raises as ``confirm_accounts``."""
    message = f"The {platform.value} sign-in was not confirmed; nothing was changed."
    refusal = Refusal(403, "access_denied", message)
    with _lock_candidates(context, platform, session, ticket, starter) as (c, opened, _):
        end_session(c, session, {"error": {"code": refusal.code, "message": refusal.message}})
        actor = _name_actor(c, browser, opened)
        record_change(c, actor, "decline", "sign-in", session, opened.workspace_id)
    return refusal


def _name_actor(c: Connection, browser: Actor, session: OAuthSession) -> Actor:
    """Return the actor who began the sign-in, with the browser's address: the link stands for that actor.

    The browser itself, if there is no record of who began it.
    """
    begun = find_actor(c, ("begin",), "sign-in", session.id) or browser
    return replace(begun, address=browser.address, request_id=browser.request_id)


@contextmanager
def _lock_candidates(
    context: Context, platform: Platform, session: UUID, ticket: str, starter: Starter | None
) -> Iterator[tuple[Connection, OAuthSession, list[RemoteAccount]]]:
    """Open a transaction in which the candidates are locked. Raises Refusal if the ticket cannot be used."""
    with refuse_unusable(platform, "confirmation"), context.database.begin() as c:
        yield c, *store.lock_candidates(c, context.vault, platform, session, ticket, starter)


def account_key(account: AccountRow | RemoteAccount) -> tuple[str, str]:
    """Return the key that identifies an account within its platform."""
    return account.connection, account.remote_id


def format_account_name(account: AccountRow | RemoteAccount) -> str:
    """Return the name by which a user knows the account."""
    return account.username or account.display_name or account.remote_id


def _filter_asked_for(
    session: OAuthSession, found: Iterable[RemoteAccount], known: Sequence[AccountRow]
) -> list[RemoteAccount]:
    reconnected = [a for a in known if a.id == session.account_id]
    if reconnected:
        asked_for = [a for a in found if account_key(a) == account_key(reconnected[0])]
        expected = format_account_name(reconnected[0])
    else:
        asked_for = [a for a in found if session.chosen in (None, ALL) or a.remote_id in session.chosen]
        expected = "the chosen ones"
    if not asked_for:
        raise Refusal(
            409,
            "wrong_account",
            f"You signed in as {_join_names(found)}, but this is about {expected}; nothing was changed. "
            "Sign out there, and connect again as the right account.",
        )
    return asked_for


def _list_inactive(session: OAuthSession, known: Sequence[AccountRow]) -> frozenset[tuple[str, str]]:
    """Return the accounts that an operator took out of use: only the command line connects them again."""
    if session.starter == CLI:
        return frozenset()
    return frozenset(
        account_key(a) for a in known if a.platform is session.platform and a.status is AccountStatus.INACTIVE
    )


def _join_names(accounts: Iterable[RemoteAccount]) -> str:
    return ", ".join(sorted(map(format_account_name, accounts)))
