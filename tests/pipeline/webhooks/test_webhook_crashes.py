"""Crashes of the export, of senders and of the expiry: no event is lost, and doubles have the same id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from config.settings import load
from pipeline.maintenance.expire import expire_webhook_events
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import make_core
from tests.pipeline.maintenance.counted import is_done
from tests.pipeline.maintenance.test_export_moves import accept, publish
from tests.pipeline.media.servers import Site, serving, status
from tests.pipeline.scripted_adapter import Script
from tests.pipeline.store.ledger import Ledger
from tests.pipeline.webhooks.receiver import Receiver
from tests.stack import until


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        running.routes["/hook"] = status(200)
        yield running


@pytest.fixture
def trial(environment: dict[str, str], site: Site) -> dict[str, str]:
    """Settings under which webhooks may lead to the server."""
    return {**environment, "SLIPWAY_SANDBOX__URL": site.origin, "SLIPWAY_WEBHOOKS__TRIAL_ORIGIN": site.origin}


@pytest.fixture
def receiver(trial: dict[str, str], site: Site, vault_key: str) -> Iterator[Receiver]:
    """A workspace on a database of this test's own, and a server."""
    context = build_context(load(trial))
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    yield Receiver(site=site, core=make_core(context, ledger))
    ledger.database.close()
    context.database.close()


def expire_lease(receiver: Receiver) -> None:
    receiver.read("UPDATE webhooks SET lease_until = NULL RETURNING id")


@pytest.mark.parametrize(
    "point", get_points("test_a_sender_that_dies_anywhere_loses_no_event_and_repeats_ids_only")
)
def test_a_sender_that_dies_anywhere_loses_no_event_and_repeats_ids_only(
    receiver: Receiver, trial: dict[str, str], crashes: Crashes, point: str
) -> None:
    webhook, secret = receiver.subscribe()
    posts = [uuid4() for _ in range(3)]
    ids = receiver.queue(webhook.id, *(posts * 3))
    crashes.crash(trial, point, "send_due_webhooks")
    expire_lease(receiver)
    until(lambda: receiver.send() or not _pending(receiver, webhook.id) or None, 20)
    got = receiver.got(secret)
    first = list(dict.fromkeys(e["id"] for e in got))
    assert sorted(first) == sorted(ids)
    for n in range(3):
        assert [i for i in first if i in ids[n::3]] == ids[n::3], "in order in each post"
    repeated = [i for i, n in Counter(e["id"] for e in got).items() if n > 1]
    assert sorted(repeated) == (sorted(ids[:3]) if point in ("webhooks.sent", "webhooks.settling") else [])


def _pending(receiver: Receiver, webhook: UUID) -> list[object]:
    return list(
        receiver.read("SELECT id FROM webhook_events WHERE webhook_id = :w AND state = 'pending'", w=webhook)
    )


@pytest.mark.parametrize("point", get_points("test_an_export_that_dies_anywhere_loses_no_event"))
def test_an_export_that_dies_anywhere_loses_no_event(
    receiver: Receiver, trial: dict[str, str], crashes: Crashes, point: str
) -> None:
    webhook, secret = receiver.subscribe()
    post = accept(receiver.core)
    publish(receiver.core, Script(), post)
    crashes.crash(trial, point, "run_job", "export")
    # its session holds the lock until the server notices
    until(
        lambda: receiver.send() or (is_done(receiver.core) and not _pending(receiver, webhook.id)) or None, 20
    )
    receiver.send()
    got = receiver.got(secret)
    assert [e["type"] for e in got] == ["post.scheduled", "delivery.published", "post.posted"]
    assert len({e["id"] for e in got}) == 3


def test_events_expire_though_the_job_died(
    receiver: Receiver, trial: dict[str, str], crashes: Crashes
) -> None:
    webhook, _ = receiver.subscribe()
    receiver.queue(webhook.id, *[uuid4()] * 3)
    receiver.read(
        "UPDATE webhook_events SET created_at = now() - interval '31 days' WHERE n < 3 RETURNING id"
    )
    crashes.crash(trial, "webhooks.expired", "run_job", "webhooks")
    expire_webhook_events(receiver.core.context)
    receiver.send()
    assert [e["data"]["nth"] for e in receiver.got()] == [2]
