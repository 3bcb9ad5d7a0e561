"""A key of the vault is lost: posts wait and say so, no job fails, and each secret is asked for once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from adapters.errors import Unavailable
from pipeline.accounts.refresh import refresh
from pipeline.actions.diagnose import diagnose
from pipeline.actions.explain import explain_post
from pipeline.actions.second_factor import read_secret, take_code
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.maintenance.finish_published import fill_urls, follow_up
from pipeline.maintenance.prepare_ahead import refresh_credentials
from pipeline.stages.publish import publish
from pipeline.stages.status import look
from pipeline.store.accounts.accounts import read_account, store_credentials
from pipeline.store.auth import second_factors, users
from pipeline.store.database import row
from pipeline.store.vault import Vault
from pipeline.store.webhooks import webhooks as webhook_store
from pipeline.webhooks import webhooks
from pipeline.webhooks.send_webhooks import send_webhooks
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture, open_core
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.store.ledger import HOUR, Post


@pytest.fixture
def core(environment: dict[str, str], vault_key: str) -> Iterator[CoreFixture]:
    """A workspace whose secrets the first key of the vault has sealed; the processes here have only a later one."""
    lost = {"SLIPWAY_VAULT__KEYS": Fernet.generate_key().decode()}
    with open_core(environment | lost, vault_key, lambda context: with_script(context, Script())) as made:
        made.context.send_guard.may_send()
        made.decided()
        yield made


def queued(core: CoreFixture) -> Post:
    post = core.ledger.post([core.accounts["one"]], due=-HOUR)
    core.ledger.put(post, State.QUEUED)
    return post


def try_to_publish(core: CoreFixture, post: Post) -> State | None:
    found = core.ledger.delivery(post.deliveries[0])
    return publish(core.context, found.id, found.generation)


def test_posts_wait_and_go_on_with_the_key_or_with_an_account_that_is_connected_again(
    core: CoreFixture, vault_key: str
) -> None:
    context, account = core.context, core.accounts["one"]
    first, second, sent = queued(core), queued(core), core.ledger.post([account], due=-HOUR)
    core.ledger.put(sent, State.UNKNOWN, armed=True)
    handle = core.ledger.vault.seal({"handle": "first"}, sent.deliveries[0])
    core.ledger.change(sent.deliveries[0], "checkpoint = :handle, next_at = now()", handle=handle)
    for post in (first, second):
        assert try_to_publish(core, post) is State.SCHEDULED
        found = explain_post(context, core.workspace, post.id)
        assert found is not None
        assert found.deliveries[0].view.held_for is Hold.VAULT
        assert "doctor" in found.deliveries[0].explanation.summary
        assert core.ledger.delivery(post.deliveries[0]).spent == 0
    live = core.ledger.delivery(sent.deliveries[0])
    assert look(context, live.id, live.generation, live.fence) is State.UNKNOWN
    assert core.ledger.delivery(live.id).held_for == Hold.VAULT

    with_key = replace(core, context=replace(context, vault=Vault(vault_key)))
    core.ledger.put(first, State.QUEUED)
    assert try_to_publish(with_key, first) is State.PUBLISHED
    with context.database.begin() as c:
        opened, version, _ = read_account(c, Vault(vault_key), account)
        assert store_credentials(c, context.vault, account, opened.credentials, version)
    core.ledger.put(second, State.QUEUED)
    assert try_to_publish(core, second) is State.PUBLISHED
    core.ledger.change(live.id, "next_at = now(), lease_until = NULL")
    seen = core.ledger.delivery(live.id)
    assert look(context, live.id, seen.generation, seen.fence) in {State.UNKNOWN, State.BLOCKED}
    assert "handle" in str(core.ledger.delivery(live.id).error), "its handle is lost: a person looks"


def test_each_secret_is_asked_for_of_whom_it_belongs_to_and_no_job_fails(core: CoreFixture) -> None:
    context, account = core.context, core.accounts["one"]
    with context.database.begin() as c:
        webhook, _ = webhook_store.create_webhook(
            c, core.ledger.vault, core.caller, url="https://hooks.example/", types=None, description=None
        )
        user = users.create_user(c, "ann", "x")
        second_factors.begin_factor(c, user, core.ledger.vault.seal({"secret": "JBSWY3DPEHPK3PXP"}, user))
        assert read_secret(c, context.vault, user) is None
        second_factors.set_recovery(c, user, ["abcd-efgh-ijkl-mnop"])
        assert not take_code(c, context.vault, user, "123456")
        assert take_code(c, context.vault, user, "abcd-efgh-ijkl-mnop")
    webhooks.test(context, core.caller, webhook.id, None)
    core.run("UPDATE accounts SET expires_at = now() + interval '1 minute', renewable = true")
    live = core.ledger.post([account], State.PUBLISHED)
    core.run("UPDATE deliveries SET url = NULL, next_at = now() WHERE post_id = :p", p=live.id)

    assert send_webhooks(context) == 0
    assert fill_urls(context) == follow_up(context) == refresh_credentials(context) == 0
    assert isinstance(refresh(context, account, 1), Unavailable)
    assert read_status(core, account) == "active", "putting the key back is enough"

    says = [one.says for one in diagnose(context) if (one.part, one.result) == ("vault", "fail")]
    asked = ["connect their accounts again", "slipway user reset LOGIN", "slipway webhook rotate WEBHOOK"]
    assert [word in line for word, line in zip(asked, says, strict=True)] == [True] * 3, says
    rotated, secret = webhooks.rotate(context, replace(core.caller, actor=TESTER), webhook.id)
    with context.database.begin() as c:
        found = row(c, "SELECT secrets FROM webhooks WHERE id = :id", id=rotated.id)
        assert found is not None
        opened = webhook_store.open_secrets(context.vault, rotated.id, found.secrets, with_earlier=True)
    assert opened == [secret]


def read_status(core: CoreFixture, account: UUID) -> str:
    with core.context.database.begin() as c:
        found = row(c, "SELECT status FROM accounts WHERE id = :id", id=account)
    assert found is not None
    return str(found.status)
