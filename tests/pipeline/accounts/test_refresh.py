"""Refresh of credentials with a scripted platform."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest

from adapters.contract import Credentials
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    PermissionMissing,
    Unavailable,
)
from pipeline.accounts.refresh import refresh
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.stages.publish import publish
from pipeline.store.accounts import accounts
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import credentials, together


@pytest.fixture
def account(core: CoreFixture) -> UUID:
    return core.account("one")


def stands(core: CoreFixture) -> tuple[str, int, AccountStatus]:
    with core.context.database.begin() as c:
        opened, version, status = accounts.read_account(c, core.context.vault, core.accounts["one"])
    return opened.credentials.access_token.get_secret_value(), version, status


def test_of_eight_workers_one_refreshes_and_the_others_wait(core: CoreFixture, account: UUID) -> None:
    done = threading.Event()

    def slow() -> Credentials:
        done.wait(120)
        return credentials("fresh")

    script = Script(refresh=slow)
    context = with_script(core.context, script)
    answers: list[AdapterError | None] = []

    def others() -> None:
        answers.extend(together(*[lambda: refresh(context, account, 1)] * 7))
        done.set()

    def first() -> None:
        answers.append(refresh(context, account, 1))

    one = threading.Thread(target=first)
    one.start()
    while script.made("refresh") == 0:
        assert one.is_alive()
    others()
    one.join()
    assert script.made("refresh") == 1
    assert answers[-1] is None
    assert all(isinstance(a, Unavailable) and a.retry_after for a in answers[:-1])
    assert stands(core) == ("fresh", 2, AccountStatus.ACTIVE)
    assert refresh(context, account, 1) is None, "somebody did already"
    assert script.made("refresh") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CredentialsRevoked("gone"), AccountStatus.RECONNECT),
        (PermissionMissing("our app"), AccountStatus.ACTIVE),
        (Unavailable("down"), AccountStatus.ACTIVE),
        (ZeroDivisionError("bug"), AccountStatus.ACTIVE),
    ],
)
def test_only_a_definite_refusal_disconnects(
    core: CoreFixture, account: UUID, error: Exception, status: AccountStatus
) -> None:
    assert isinstance(
        refresh(with_script(core.context, Script(refresh=raising(error))), account, 1), AdapterError
    )
    assert stands(core) == ("token-1", 1, status)
    if status is AccountStatus.ACTIVE:
        assert refresh(with_script(core.context, Script()), account, 1) is None


def test_what_a_person_connected_meanwhile_stays(core: CoreFixture, account: UUID) -> None:
    def slow() -> Credentials:
        with core.context.database.begin() as c:
            accounts.store_credentials(c, core.context.vault, account, credentials("by hand"))
        return credentials("of the old grant")

    assert refresh(with_script(core.context, Script(refresh=slow)), account, 1) is None
    assert stands(core) == ("by hand", 2, AccountStatus.ACTIVE)

    def refused() -> Credentials:
        slow()
        raise CredentialsRevoked("the old grant is gone")

    assert isinstance(
        refresh(with_script(core.context, Script(refresh=refused)), account, 2), CredentialsRevoked
    )
    assert stands(core) == ("by hand", 3, AccountStatus.ACTIVE)


def test_an_app_of_ours_that_is_not_set_up_right_asks_seldom(core: CoreFixture, account: UUID) -> None:
    post = core.ledger.post([account], State.QUEUED)
    script = Script(
        finalize=raising(CredentialsExpired("old")), refresh=raising(PermissionMissing("our app"))
    )
    assert publish(with_script(core.context, script), post.deliveries[0], 0) is State.RETRYING
    found = core.ledger.delivery(post.deliveries[0])
    assert found.spent == 0
    assert found.next_at - found.now > timedelta(seconds=core.context.settings.publish.backoff_cap - 60)
