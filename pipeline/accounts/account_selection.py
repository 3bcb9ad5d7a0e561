"""Which of the accounts that a grant opens are stored: known and found ones in, a choice or a refusal out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.contract import RemoteAccount
from pipeline.domain.account import AccountStatus
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.accounts.oauth_sessions import ALL, CLI, Grant


def storable(
    grant: Grant, found: Iterable[RemoteAccount], known: Sequence[AccountRow]
) -> list[RemoteAccount]:
    """The same account when one is connected again, else those chosen beforehand, else all; each once.

    ``known``: the workspace's accounts. Raises Refusal 409 ``no_accounts``, ``wrong_account`` or ``account_inactive``.
    """
    fitting = {key(a): a for a in found if grant.connection in (None, a.connection)}
    if not fitting:
        raise Refusal(
            409,
            "no_accounts",
            f"This {grant.platform.value} login has no account that can be published to; nothing was changed.",
        )
    chosen = _chosen(grant, fitting.values(), known)
    usable = [a for a in chosen if key(a) not in _out_of_use(grant, known)]
    if not usable:
        raise Refusal(
            409,
            "account_inactive",
            f"{_names(chosen)} was taken out of use by the operator; nothing was changed.",
        )
    return usable


def key(account: AccountRow | RemoteAccount) -> tuple[str, str]:
    """What tells one account of a platform from another."""
    return account.connection, account.remote_id


def name_of(account: AccountRow | RemoteAccount) -> str:
    """As a person knows it."""
    return account.username or account.display_name or account.remote_id


def _chosen(grant: Grant, found: Iterable[RemoteAccount], known: Sequence[AccountRow]) -> list[RemoteAccount]:
    again = [a for a in known if a.id == grant.account_id]
    if again:
        chosen, about = [a for a in found if key(a) == key(again[0])], name_of(again[0])
    else:
        chosen = [a for a in found if grant.chosen in (None, ALL) or a.remote_id in grant.chosen]
        about = "the chosen ones"
    if not chosen:
        raise Refusal(
            409,
            "wrong_account",
            f"You signed in as {_names(found)}, but this is about {about}; nothing was changed. "
            "Sign out there, and connect again as the right account.",
        )
    return chosen


def _out_of_use(grant: Grant, known: Sequence[AccountRow]) -> frozenset[tuple[str, str]]:
    """What an operator has taken out of use, only an operator puts back."""
    if grant.starter == CLI:
        return frozenset()
    return frozenset(
        key(a) for a in known if a.platform is grant.platform and a.status is AccountStatus.INACTIVE
    )


def _names(accounts: Iterable[RemoteAccount]) -> str:
    return ", ".join(sorted(map(name_of, accounts)))
