from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from pipeline.store.accounts.accounts import read_account
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.second_factors import begin_factor
from pipeline.store.auth.users import create_user
from pipeline.store.vault import Vault, VaultError, rotate
from pipeline.store.webhooks.webhooks import create_webhook
from tests.actors import TESTER
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger

KEYS = "SLIPWAY_VAULT__KEYS"


def key() -> str:
    return Fernet.generate_key().decode()


def create_secrets(ledger: Ledger) -> tuple[UUID, UUID]:
    """Create an account with credentials, a delivery with a checkpoint, a webhook, and a user's second factor."""
    post = ledger.fresh()
    ledger.armed(post)
    with ledger.database.begin() as c:
        caller = read_caller(c, post.workspace, None)
        assert caller is not None
        create_webhook(c, ledger.vault, caller, url="https://a.example/", types=None, description=None)
        user = create_user(c, f"user-{post.id}", "a hash")
        begin_factor(c, user, ledger.vault.seal({"secret": "x"}, user))
    found = ledger.delivery(post.deliveries[0])
    return found.account_id, found.id


def counts(rows: Any) -> list[tuple[int, int, int]]:
    return [(r["sealed_again"], r["newest_already"], r["unopened"]) for r in rows]


def test_everything_opens_with_the_new_key_alone_and_a_second_run_has_nothing_to_do(
    terminal: Terminal, ledger: Ledger, vault_key: str
) -> None:
    account, delivery = create_secrets(ledger)
    new = key()
    both = {KEYS: f"{new},{vault_key}"}
    # a run that was interrupted leaves what is rotated as it is, and the rest follows
    for again, already in ((1, 0), (0, 1), (1, 1)):
        if again and already:
            create_secrets(ledger)
        found = counts(terminal.json("vault rotate", **both))
        assert found == [(0, 0, 0) if n == 2 else (again, already, 0) for n in range(5)]
    with ledger.database.begin() as c, pytest.raises(VaultError):
        read_account(c, ledger.vault, account)
    with ledger.database.begin() as c:
        opened, version, _ = read_account(c, Vault(new), account)
    assert (opened.credentials.access_token.get_secret_value(), version) == ("token-1", 1)
    assert Vault(new).open(ledger.delivery(delivery).checkpoint, delivery) == {"handle": "first"}


def test_batches_smaller_than_what_there_is_reach_all_of_it(ledger: Ledger, vault_key: str) -> None:
    for _ in range(5):
        create_secrets(ledger)
    heard: list[int] = []
    found = rotate(
        ledger.database, TESTER, f"{key()},{vault_key}", lambda n: heard.append(n.sealed_again), batch=2
    )
    assert [n.sealed_again for n in found] == [5, 5, 0, 5, 5]
    assert heard == sorted(heard[: len(heard) // 4]) * 4


def test_what_opens_with_no_key_is_left_alone_and_said(terminal: Terminal, ledger: Ledger) -> None:
    account, _ = create_secrets(ledger)
    ended = terminal.run("vault rotate", SLIPWAY_VAULT__KEYS=key())
    assert ended.status == 1
    assert "put the key that encrypted them back" in ended.stderr
    with ledger.database.begin() as c:
        read_account(c, ledger.vault, account)
