"""Messages between versions: every message that is sent is understood, and an unknown one does no harm."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from config.settings import load
from pipeline.broker.queues import ALL_QUEUES, REACHABILITY, UPKEEP
from pipeline.domain.delivery import State
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.store.canaries import read_silences
from pipeline.store.checks import checks
from pipeline.store.database import rows
from tests.conftest import free_ports
from tests.forked_program import ForkedProgram
from tests.pipeline.core_fixture import CoreFixture, open_core
from tests.pipeline.store.ledger import HOUR
from tests.pipeline.worker.broker_messages import SAMPLES, BrokerMessage, put, sent
from tests.pipeline.worker.processes import Start, start_worker
from tests.pipeline.worker.tick_rows import hold_ticks
from tests.stack import until

ROOT = Path(__file__).parents[3]


@dataclass(kw_only=True)
class Worker:
    """A real worker on all queues; the platforms' hosts are a closed port."""

    core: CoreFixture
    client: redis.Redis
    process: ForkedProgram
    log: Path

    def done(self) -> bool:
        """Return True if no message waits and none is being worked on."""
        return not self.client.hlen("unacked") and not any(self.client.llen(queue) for queue in ALL_QUEUES)

    def errors(self) -> str:
        lines = self.log.read_text().splitlines()
        # no platform answers here, which the circuit breakers report
        return "\n".join(x for x in lines if " ERROR " in x and "slipway.platform_health" not in x)


@pytest.fixture
def messages(environment: dict[str, str]) -> list[BrokerMessage]:
    """One message of each kind that this code sends, taken out of the broker again."""
    return sent(load(environment))


@pytest.fixture
def worker(
    environment: dict[str, str],
    messages: list[BrokerMessage],
    vault_key: str,
    start: Start,
    tmp_path: Path,
) -> Iterator[Worker]:
    nobody, no_media = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    environment |= {"SLIPWAY_SANDBOX__URL": nobody, "SLIPWAY_SANDBOX__MEDIA_URL": no_media}
    with open_core(environment, vault_key) as core:
        settings = core.context.settings
        hold_ticks(core.context.database, settings)
        process = start_worker(start, "worker", *ALL_QUEUES, armed=environment)
        client = create_redis_client(settings.broker.url.get_secret_value())
        yield Worker(core=core, client=client, process=process, log=tmp_path / "0.log")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        client.close()


def test_only_the_doorbell_rings() -> None:
    calls = ("send_task", "apply_async", ".delay(")
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pipeline").rglob("*.py")
        if any(call in path.read_text() for call in calls)
    }
    assert found == {"pipeline/broker/dispatch.py"}


def test_everything_that_is_sent_is_understood(worker: Worker, messages: list[BrokerMessage]) -> None:
    core, ledger = worker.core, worker.core.ledger
    core.context.liveness.set_marker()  # a broker that has forgotten everything would be filled with today's messages
    assert core.context.send_guard.may_send(), "somebody keeps the mark already: nothing is sent before"
    one = [core.accounts["one"]]
    queued = [p.deliveries[0] for p in ledger.posts(3, one, State.QUEUED)]
    looked = [p.deliveries[0] for p in ledger.posts(3, one, State.UNKNOWN)]
    for delivery in looked:  # not the sweep's to ring: taken by this test's message, or by none
        ledger.change(delivery, "next_at = now() + interval '1 hour'")
    [due] = ledger.post(one, due=-HOUR / 60).deliveries
    with core.context.database.begin() as c:
        url = f"{core.context.settings.sandbox.media_url}/f.jpg"
        check = checks.open_check(c, core.workspace, "image", url).id
    for message in filled(messages, [*queued, *looked, check]):
        put(worker.client, message)
    # first of all: this mark fades in twelve seconds
    until(lambda: core.context.liveness.is_alive(REACHABILITY) or None, 60)
    # one that is between its queue and the worker's hands is in neither: what it does is waited for
    until(lambda: all(("publish", "queued", "publishing") in ledger.moves(d) for d in queued) or None, 60)
    until(lambda: all(ledger.delivery(d).fence > 1 for d in looked) or None, 60)
    until(lambda: ("delay", "scheduled", "queued") in ledger.moves(due) or None, 60)
    until(worker.done, 60)
    assert worker.errors() == ""
    with core.context.database.begin() as c:
        assert checks.read_tries(c, check) >= 1
        assert read_silences(c).keys() >= {m["queue"] for m in messages if m["headers"]["task"] == "canary"}


def test_what_no_task_here_understands_is_left_to_the_ledger(
    worker: Worker, messages: list[BrokerMessage]
) -> None:
    """A newer version's message, other arguments under a known name, and no message at all."""
    core, ledger = worker.core, worker.core.ledger
    posts = ledger.posts(4, [core.accounts["one"]], State.QUEUED)
    mine = [p.deliveries[0] for p in posts]
    step = next(m for m in filled(messages, [*mine, *SAMPLES[4:]]) if m["headers"]["task"] == "publish.step")
    put(worker.client, renamed(step, "publish.step.2"))
    put(worker.client, with_arguments(step, ["tiktok", [{"delivery": str(mine[1]), "generation": 0}]]))
    put(worker.client, with_arguments(step, ["tiktok", [[str(mine[2]), 0]], {"more": 1}]))
    put(worker.client, {**step, "body": f"not a message about {mine[3]}"})
    put(worker.client, renamed({**step, "queue": UPKEEP}, "upkeep.unheard-of"))
    until(worker.done, 60)
    assert worker.process.poll() is None
    assert "Received unregistered task of type 'publish.step.2'" in worker.log.read_text()
    for delivery in mine:
        found = ledger.delivery(delivery)
        assert (found.state, found.fence, found.crashes, found.spent) == ("queued", 0, 0, 0), "nobody took it"
        ledger.change(delivery, "updated_at = now() - interval '11 seconds'")
    assert rescue_expired_leases(core.context) >= len(mine), (
        "its queue stands empty: rung again, not after a lease"
    )
    until(lambda: all(("publish", "queued", "publishing") in ledger.moves(d) for d in mine), 60)
    with core.context.database.begin() as c:
        assert not rows(c, "SELECT FROM deliveries WHERE crashes > 0")


def filled(messages: list[BrokerMessage], ids: list[UUID]) -> Iterator[BrokerMessage]:
    """Return the messages with ids of this test's rows."""
    text = json.dumps(messages)
    for sample, mine in zip(SAMPLES, ids, strict=False):
        text = text.replace(str(sample), str(mine))
    yield from json.loads(text)


def renamed(message: BrokerMessage, task: str) -> BrokerMessage:
    return {**message, "headers": {**message["headers"], "task": task}}


def with_arguments(message: BrokerMessage, args: list[Any]) -> BrokerMessage:
    return {**message, "body": [args, *message["body"][1:]]}
