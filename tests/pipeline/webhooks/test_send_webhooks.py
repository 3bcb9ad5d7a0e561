"""Sending events: order, tries, pauses, secrets, limits, and several senders at once; the receiver is a real server."""

from __future__ import annotations

import base64
import logging
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from pipeline.domain import webhook as domain
from pipeline.domain.webhook import DELAYS, TRIES, EventState, PauseReason
from pipeline.maintenance.expire import expire_webhook_events
from pipeline.media.fetch import Fetcher, FetchPolicy
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Terms, create_key, find_caller, revoke_key
from pipeline.store.webhooks import rounds
from pipeline.store.webhooks.events import Replay
from pipeline.store.webhooks.webhooks import count_paused_webhooks
from pipeline.webhooks import send_webhooks as sending
from pipeline.webhooks import webhooks
from tests.pipeline.core_fixture import make_core
from tests.pipeline.maintenance.counted import counting
from tests.pipeline.media.servers import Answer, Handler, drip, endless, status
from tests.pipeline.store.ledger import together
from tests.pipeline.webhooks.receiver import Receiver


def by_post(receiver: Receiver) -> dict[str, list[int]]:
    """Return what each post's events were numbered, in the order of their first arrival."""
    found: dict[str, list[int]] = defaultdict(list)
    for event in receiver.got():
        if event["data"]["nth"] not in found[event["data"]["lane"]]:
            found[event["data"]["lane"]].append(event["data"]["nth"])
    return found


def answering(choose: Callable[[Mapping[str, Any]], int]) -> Answer:
    """Return a route that answers the status that *choose* says for the last post."""

    def answer(handler: Handler) -> None:
        status(choose(dict(handler.headers.items())))(handler)

    return answer


# --- order -----------------------------------------------------------------------------------------------------------


def test_an_event_that_fails_keeps_those_of_its_post_back_and_no_others(receiver: Receiver) -> None:
    webhook, secret = receiver.subscribe()
    one, two = uuid4(), uuid4()
    first, *_ = receiver.queue(webhook.id, one, two, one, two, one)
    receiver.site.routes["/hook"] = answering(lambda h: 500 if h["webhook-id"] == first else 200)
    assert receiver.send() == 3
    assert by_post(receiver) == {str(one): [0], str(two): [1, 3]}
    receiver.site.routes["/hook"] = status(204)
    receiver.pass_time(webhook.id)
    receiver.send()
    assert by_post(receiver) == {str(one): [0, 2, 4], str(two): [1, 3]}
    assert [e["id"] for e in receiver.got(secret)].count(first) == 2, "the same id at every try"
    assert {e.state for e in receiver.events(webhook.id)} == {EventState.DELIVERED}


def test_four_senders_at_once_send_each_event_once_and_each_post_in_order(receiver: Receiver) -> None:
    webhook, _ = receiver.subscribe()
    posts = [uuid4() for _ in range(10)]
    receiver.queue(webhook.id, *(posts * 8))
    together(*[receiver.send] * 4)
    receiver.send()
    assert Counter(e["id"] for e in receiver.got()).most_common(1)[0][1] == 1
    assert by_post(receiver) == {str(p): list(range(n, 80, 10)) for n, p in enumerate(posts)}


# --- tries and pauses ------------------------------------------------------------------------------------------------


def test_an_event_has_ten_tries_over_three_days(receiver: Receiver) -> None:
    webhook, _ = receiver.subscribe()
    bad, good = receiver.queue(webhook.id, *[uuid4()] * 2)
    receiver.site.routes["/hook"] = answering(lambda h: 500 if h["webhook-id"] == bad else 200)
    for nth in range(TRIES):
        receiver.pass_time(webhook.id)
        sending.send_webhooks(receiver.core.context)
        [wait] = receiver.read(
            "SELECT next_at - now() AS wait FROM webhook_events WHERE id = :id", id=UUID(bad)
        )
        if nth < TRIES - 1:
            assert DELAYS[nth] * 0.9 < wait.wait < DELAYS[nth] * 1.1 + timedelta(seconds=1)
    receiver.pass_time(webhook.id)
    receiver.send()
    assert [e["id"] for e in receiver.got()] == [bad] * TRIES + [good], "the post's next event goes on"
    failed, delivered = receiver.events(webhook.id)
    assert (failed.state, len(failed.attempts)) == (EventState.FAILED, TRIES)
    assert (failed.attempts[0]["outcome"], failed.attempts[0]["status"]) == ("http_error", 500)
    assert delivered.state is EventState.DELIVERED
    assert timedelta(days=3) < sum(DELAYS, timedelta()) < timedelta(days=3, hours=6)


def test_three_dead_days_pause_it_with_an_event_and_lose_nothing(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook, secret = receiver.subscribe()
    other, _ = receiver.subscribe("import.finished")
    sent = receiver.queue(webhook.id, *[uuid4()] * 2)
    receiver.site.routes["/hook"] = answering(lambda h: 200 if h["webhook-id"] not in sent else 500)
    receiver.send()
    receiver.read(
        "UPDATE webhooks SET failing_since = now() - interval '73 hours' WHERE id = :w RETURNING id",
        w=webhook.id,
    )
    receiver.pass_time(webhook.id)
    receiver.send()
    assert receiver.webhook(webhook.id).paused_why is PauseReason.DEAD
    [told] = receiver.events(other.id)
    assert (told.type, told.state) == ("webhook.paused", EventState.DELIVERED)
    assert f"webhook={webhook.id}" in caplog.text
    assert "is paused: dead" in caplog.text
    later = receiver.queue(webhook.id, uuid4())
    receiver.site.routes["/hook"] = status(200)
    before = len(receiver.got())
    receiver.pass_time(webhook.id)
    receiver.send()
    assert len(receiver.got()) == before, "nothing is sent while it is paused"
    webhooks.change(receiver.core.context, receiver.core.caller, webhook.id, paused=False)
    receiver.send()
    got = [e["id"] for e in receiver.got()][before:]
    assert set(got) == {*sent, *later, str(told.id)}
    assert got.index(sent[0]) < got.index(sent[1])
    assert not [word for word in (secret, secret[6:], "in-the-query") if word in caplog.text]


def test_410_pauses_at_once_and_the_event_waits(receiver: Receiver) -> None:
    webhook, _ = receiver.subscribe()
    receiver.queue(webhook.id, uuid4())
    receiver.site.routes["/hook"] = status(410)
    receiver.send()
    assert receiver.webhook(webhook.id).paused_why is PauseReason.GONE
    with receiver.core.context.database.begin() as c:
        assert count_paused_webhooks(c)[PauseReason.GONE] == 1
    assert [e.state for e in receiver.events(webhook.id)] == [EventState.PENDING] * 2
    assert [e.attempts[0]["outcome"] for e in receiver.events(webhook.id) if e.attempts] == ["gone"]


def read_wait(receiver: Receiver, webhook: UUID) -> tuple[float, float, int]:
    """Return the seconds until the event and until its webhook are tried again, and the tries used up."""
    [found] = receiver.read(
        """SELECT extract(epoch FROM e.next_at - now())::float AS event,
                  extract(epoch FROM w.hold_until - now())::float AS webhook, e.tries
           FROM webhook_events e JOIN webhooks w ON w.id = e.webhook_id WHERE w.id = :w""",
        w=webhook,
    )
    return found.event, found.webhook, found.tries


@pytest.mark.parametrize(("code", "asked"), [(429, 0), (503, 5)])
def test_a_short_retry_after_costs_five_seconds_each_time_and_no_try(
    receiver: Receiver, code: int, asked: int
) -> None:
    webhook, _ = receiver.subscribe()
    receiver.queue(webhook.id, uuid4())
    receiver.site.routes["/hook"] = status(code, Retry_After=asked)
    for _ in range(3):
        receiver.pass_time(webhook.id)
        assert sending.send_webhooks(receiver.core.context) == 1
        event, held, tries = read_wait(receiver, webhook.id)
        assert 0 < event < 5.6
        assert 0 < held <= 5
        assert tries == 0
    assert sending.send_webhooks(receiver.core.context) == 0, "not before the time"
    receiver.site.routes["/hook"] = status(200)
    receiver.pass_time(webhook.id)
    receiver.send()
    assert [e.state for e in receiver.events(webhook.id)] == [EventState.DELIVERED]


def test_an_event_that_is_replayed_while_its_try_is_deferred_has_all_its_tries(receiver: Receiver) -> None:
    webhook, _ = receiver.subscribe()
    [event] = receiver.queue(webhook.id, uuid4())

    def answer(handler: Handler) -> None:
        webhooks.replay(receiver.core.context, receiver.core.caller, webhook.id, Replay(ids=[UUID(event)]))
        status(429, Retry_After=5)(handler)

    receiver.site.routes["/hook"] = answer
    assert sending.send_webhooks(receiver.core.context) == 1
    assert read_wait(receiver, webhook.id)[2] == 0


def test_a_server_that_defers_for_ever_uses_up_the_ten_tries_after_all(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "MAX_DEFERRED", 2)
    webhook, _ = receiver.subscribe()
    [bad, _] = receiver.queue(webhook.id, *[uuid4()] * 2)

    def answer(handler: Handler) -> None:
        status(429, Retry_After=5)(handler) if handler.headers["webhook-id"] == bad else status(200)(handler)

    receiver.site.routes["/hook"] = answer
    for _ in range(TRIES + 3):
        receiver.pass_time(webhook.id)
        sending.send_webhooks(receiver.core.context)
    failed, delivered = receiver.events(webhook.id)
    assert (failed.state, failed.tries, delivered.state) == (EventState.FAILED, TRIES, EventState.DELIVERED)
    assert [e["id"] for e in receiver.got()].count(bad) == TRIES + 2


def test_a_retry_after_of_a_year_counts_as_a_day_for_the_whole_webhook_and_loses_nothing(
    receiver: Receiver,
) -> None:
    webhook, _ = receiver.subscribe()
    receiver.queue(webhook.id, uuid4())
    receiver.site.routes["/hook"] = status(429, Retry_After=365 * 86400)
    receiver.send()
    event, held, tries = read_wait(receiver, webhook.id)
    assert 86390 < event <= 86400
    assert 86390 < held <= 86400
    assert tries == 1
    receiver.queue(webhook.id, uuid4())
    assert receiver.send() == 0, "nor is anything else sent to it"
    receiver.site.routes["/hook"] = status(200)
    receiver.pass_time(webhook.id)
    receiver.send()
    assert {e.state for e in receiver.events(webhook.id)} == {EventState.DELIVERED}


def test_the_webhook_of_a_revoked_restricted_key_is_paused(receiver: Receiver) -> None:
    core = receiver.core
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "agency", Terms(accounts=[core.account("one")]))
        caller = find_caller(c, key)
    bound, _ = receiver.subscribe(by=caller)
    other, _ = receiver.subscribe()
    with core.context.database.begin() as c:
        revoke_key(c, key)
    receiver.queue(bound.id, uuid4())
    receiver.send()
    assert [e["type"] for e in receiver.got()] == ["webhook.paused"]
    assert receiver.webhook(bound.id).paused_why is PauseReason.KEY_REVOKED
    assert [e.type for e in receiver.events(other.id)] == ["webhook.paused"]


def test_replay_sends_again_in_order_under_the_same_ids(receiver: Receiver) -> None:
    webhook, _ = receiver.subscribe()
    post = uuid4()
    ids = receiver.queue(webhook.id, post, post, uuid4(), post)
    receiver.send()
    context, caller = receiver.core.context, receiver.core.caller
    assert webhooks.replay(context, caller, webhook.id, Replay(ids=[UUID(ids[3]), UUID(ids[0])])) == (2, None)
    receiver.send()
    assert [e["id"] for e in receiver.got()][4:] == [ids[0], ids[3]]
    since = receiver.core.now() - timedelta(minutes=1)
    assert webhooks.replay(context, caller, webhook.id, Replay(since=since, until=since)) == (0, None)
    assert webhooks.replay(context, caller, webhook.id, Replay(since=since)) == (4, None)
    assert webhooks.replay(context, caller, webhook.id, Replay(since=since)) == (0, None), (
        "they are under way"
    )
    receiver.send()
    assert Counter(e["id"] for e in receiver.got()) == {ids[0]: 3, ids[1]: 2, ids[2]: 2, ids[3]: 3}
    again = [e["id"] for e in receiver.got()][6:]
    assert [i for i in again if i != ids[2]] == [ids[0], ids[1], ids[3]]


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_after_a_rotation_both_secrets_sign_for_a_day(receiver: Receiver) -> None:
    webhook, old = receiver.subscribe()
    _, new = webhooks.rotate(receiver.core.context, receiver.core.caller, webhook.id)
    receiver.queue(webhook.id, uuid4())
    receiver.send()
    assert len(receiver.got(old)) == len(receiver.got(new)) == 1
    found = receiver.webhook(webhook.id)
    assert found.earlier_until is not None
    assert timedelta(hours=23) < found.earlier_until - receiver.core.now() <= timedelta(days=1)
    receiver.read("UPDATE webhooks SET earlier_until = now() WHERE id = :w RETURNING id", w=webhook.id)
    receiver.queue(webhook.id, uuid4())
    receiver.send()
    _, headers, body = receiver.site.posts[-1]
    Verifier(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(old).verify(body, headers)
    [stored] = receiver.read("SELECT secrets FROM webhooks WHERE id = :w", w=webhook.id)
    assert new[6:].encode() not in bytes(stored.secrets)


def test_a_time_of_any_zone_is_signed_as_what_it_is() -> None:
    at = datetime.now(timezone(timedelta(hours=5)))
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    headers = sending.sign([secret], "an-id", at, '{"a": 1}')
    assert Verifier(secret).verify('{"a": 1}', headers) == {"a": 1}


# --- hostile servers -------------------------------------------------------------------------------------------------


def hostile(handler: Handler) -> None:
    handler.head(500, Content_Type="text/plain")
    handler.put(b"\0no\xff" + b"x" * 1_000_000)


@pytest.mark.parametrize(
    ("route", "outcome", "answer"),
    [
        (status(302, Location="/elsewhere"), "http_error", ""),
        (drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), "unanswered", None),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), "delivered", None),
        (endless, "delivered", None),
        (hostile, "http_error", "\ufffdno\ufffd" + "x" * 996),
        (lambda h: h.put(b"nonsense\r\n\r\n"), "unanswered", None),
    ],
    ids=["redirect", "dripping headers", "dripping body", "endless", "large", "no HTTP"],
)
def test_what_a_server_answers_costs_little(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, route: Answer, outcome: str, answer: str | None
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.5)
    webhook, _ = receiver.subscribe()
    receiver.queue(webhook.id, uuid4())
    receiver.site.routes["/hook"] = route
    receiver.send()
    receiver.site.release.set()
    [event] = receiver.events(webhook.id)
    assert (event.attempts[0]["outcome"], event.attempts[0]["answer"]) == (outcome, answer)
    assert receiver.site.paths() == ["/hook?token=in-the-query"]


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/"])
def test_a_url_that_is_not_public_https_is_refused(receiver: Receiver, url: str) -> None:
    with pytest.raises(Refusal) as refused:
        webhooks.create(receiver.core.context, receiver.core.caller, url=url, types=None, description=None)
    assert (refused.value.status, refused.value.code) == (422, "invalid_payload")
    assert refused.value.issues[0]["path"] == "url"


def test_a_name_that_leads_inside_is_never_called(receiver: Receiver) -> None:
    dialled: list[str] = []

    def dial(address: str, *_: object) -> socket.socket:
        dialled.append(address)
        raise OSError(address)

    guard = Fetcher(FetchPolicy(), resolver=lambda _: ["10.0.0.1"], dial=dial)
    inside = replace(
        receiver, core=replace(receiver.core, context=replace(receiver.core.context, receivers=guard))
    )
    webhook, _ = webhooks.create(
        guard_context := inside.core.context,
        inside.core.caller,
        url="https://a.example/",
        types=None,
        description=None,
    )
    inside.queue(webhook.id, uuid4())
    assert sending.send_webhooks(guard_context) == 1
    [event] = inside.events(webhook.id)
    assert event.attempts[0]["outcome"] == "refused"
    assert not dialled


# --- neighbours ------------------------------------------------------------------------------------------------------


EVENTS = sending.ROUND
"""Of one round."""


class SlowReceivers:
    """Webhooks of one workspace whose server answers 200, but not before it is released."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver, self.released = receiver, threading.Event()
        receiver.site.routes["/hook"] = self._answer
        self.ids = [receiver.subscribe()[0].id for _ in range(webhooks.MAX_WEBHOOKS)]

    def _answer(self, handler: Handler) -> None:
        self.arrived.release()
        assert self.released.wait(60)
        status(200)(handler)

    def _count_attempts(self) -> str:
        sql = "SELECT outcome, error, count(*) FROM webhook_attempts GROUP BY 1, 2"
        return f"attempts by outcome: {self._receiver.read(sql)}"

    @contextmanager
    def attacking(self, requests: int) -> Iterator[None]:
        """Start more senders than there are slots; enter when this many requests wait, leave when all are answered."""
        self.arrived = threading.Semaphore(0)
        self.released.clear()
        for one in self.ids:
            self._receiver.queue(one, *(uuid4() for _ in range(EVENTS)))
        with ThreadPoolExecutor(12) as pool:
            senders = [pool.submit(sending.send_webhooks, self._receiver.core.context) for _ in range(12)]
            try:
                for _ in range(requests):
                    assert self.arrived.acquire(timeout=60), self._count_attempts()
                for _ in islice(as_completed(senders, timeout=60), len(senders) - requests // EVENTS):
                    pass  # the others have found nothing for them, and hold no slot
                yield
                assert not self.arrived.acquire(blocking=False), "no further one has begun"
            finally:
                self.released.set()
            for sender in senders:
                sender.result()


@pytest.fixture
def neighbour(receiver: Receiver) -> Receiver:
    """Another workspace with a server of its own path, which answers at once."""
    core = make_core(receiver.core.context, receiver.core.ledger)
    return Receiver(site=receiver.site, core=core, path="/neighbour")


def test_receivers_that_answer_slowly_keep_no_other_workspaces_events(
    receiver: Receiver, neighbour: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they are known to be slow or not. All of a round's events wait, so nothing else is sent to them."""
    monkeypatch.setattr(sending, "SECONDS", 60.0)
    receiver.site.routes["/neighbour"] = status(200)
    webhook, _ = neighbour.subscribe()
    slow = SlowReceivers(receiver)
    for is_known in (False, True):
        if is_known:
            receiver.read(
                "UPDATE webhooks SET served_at = hold_until - interval '9 s' WHERE workspace_id = :w RETURNING id",
                w=receiver.core.workspace,
            )
        with slow.attacking(EVENTS * (sending.MOST - 1)):
            neighbour.queue(webhook.id, uuid4())
            assert sending.send_webhooks(neighbour.core.context) == 1
            assert {e.state for e in neighbour.events(webhook.id)} == {EventState.DELIVERED}


def test_a_round_that_is_slow_ends_the_turn_of_its_webhook(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SLOW_AFTER", timedelta(0))
    one, other = (receiver.subscribe()[0] for _ in range(2))
    for webhook in (one, other):
        receiver.queue(webhook.id, *[uuid4()] * 3)
    receiver.send()
    ids = {e.id: webhook.id for webhook in (one, other) for e in receiver.events(webhook.id)}
    order = [ids[UUID(e["id"])] for e in receiver.got()]
    assert sorted(order[:2]) == sorted(order[2:4]) == sorted(order[4:]) == sorted([one.id, other.id])


# --- counted, kept, deleted ------------------------------------------------------------------------------------------


def test_tries_are_counted_by_outcome(receiver: Receiver) -> None:
    webhook, _ = receiver.subscribe()
    with counting(receiver.core) as changed:
        receiver.queue(webhook.id, uuid4(), uuid4())
        receiver.send()
        receiver.site.routes["/hook"] = status(500)
        receiver.queue(webhook.id, uuid4())
        receiver.send()
    assert changed == {("webhook_attempts", "delivered"): 2, ("webhook_attempts", "http_error"): 1}


def test_events_are_kept_for_thirty_days_and_those_behind_them_go_on(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    webhook, _ = receiver.subscribe()
    old, new = receiver.queue(webhook.id, *[uuid4()] * 2)
    webhooks.change(receiver.core.context, receiver.core.caller, webhook.id, paused=True)
    expire_webhook_events(receiver.core.context)
    assert expire_webhook_events(receiver.core.context) == 0
    receiver.read(
        "UPDATE webhook_events SET created_at = now() - interval '31 days' WHERE id = :id RETURNING id",
        id=UUID(old),
    )
    assert expire_webhook_events(receiver.core.context) == 1
    assert "1 events expired that were never delivered" in caplog.text
    webhooks.change(receiver.core.context, receiver.core.caller, webhook.id, paused=False)
    receiver.send()
    assert new in [e["id"] for e in receiver.got()]
    webhooks.delete(receiver.core.context, receiver.core.caller, webhook.id)
    receiver.queue(webhook.id, uuid4())
    assert receiver.send() == 0, "a deleted one gets nothing"
    expire_webhook_events(receiver.core.context)
    assert not receiver.read("SELECT id FROM webhooks WHERE id = :w", w=webhook.id)
    assert not receiver.read("SELECT id FROM webhook_events WHERE webhook_id = :w", w=webhook.id)
