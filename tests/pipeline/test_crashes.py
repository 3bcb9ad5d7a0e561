"""A process that dies in the middle of one piece of work, and what whoever comes next makes of what it left.

Each death is a process of its own (``tests/crash_tasks.py``), killed at a failpoint, on real engines. Where a platform
has part in it, a script stands for it: who dies at these points on each real protocol is ``tests/proof``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from adapters.contract import Platform, Published
from config.settings import load
from pipeline.accounts import authorize as connect
from pipeline.actions.cancel_delete_retry import cancel
from pipeline.domain.delivery import State
from pipeline.maintenance.fill_urls import fill_urls
from pipeline.maintenance.rebuild_broker import rebuild_broker
from pipeline.maintenance.recheck_media import recheck_media
from pipeline.maintenance.redispatch_checks import ring_checks
from pipeline.maintenance.rescue_expired_leases import rescue_dropped
from pipeline.rate_buckets import redis_client
from pipeline.stages import delay, reachability
from pipeline.stages.post_request import Refusal
from pipeline.stages.publish import publish
from pipeline.stages.status import look
from pipeline.store.accounts.oauth_sessions import CLI
from pipeline.store.auth.keys import create_key
from pipeline.store.database import row, rows
from pipeline.store.vault import Vault
from pipeline.store.vault_rotation import _opens, rotate
from pipeline.wiring import build
from tests.crash_table import Deaths, points_of
from tests.pipeline.actions.test_dead_letters import dead, discard, listed
from tests.pipeline.core_fixture import House, moved_in
from tests.pipeline.maintenance.test_jobs import published, scheduled, url, warnings
from tests.pipeline.media.servers import Site, file, serving, status
from tests.pipeline.scripted_adapter import Script, playing
from tests.pipeline.stages.test_reachability import Served, picture
from tests.pipeline.store.ledger import Ledger, Post

OVER = "lease_until = now() - interval '1 second'"
LONG_AGO = "updated_at = now() - interval '11 seconds'"


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback that counts as the sandbox's media host."""
    with serving() as running:
        yield running


@pytest.fixture
def given(environment: dict[str, str], site: Site) -> dict[str, str]:
    """What the processes that die are started with."""
    nobody = "http://127.0.0.1:9"  # consent pages are opened there, and never asked for
    return environment | {"SLIPWAY_SANDBOX__URL": nobody, "SLIPWAY_SANDBOX__MEDIA_URL": site.origin}


@pytest.fixture
def house(given: dict[str, str], vault_key: str) -> Iterator[House]:
    """A workspace on a database of this test's own."""
    context = build(load(given))
    context.liveness.remember()
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    made = moved_in(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()


def key_of(house: House) -> str:
    with house.context.database.begin() as c:
        return create_key(c, house.workspace, "dies")


def dies_publishing(house: House, given: dict[str, str], deaths: Deaths, what: str) -> Post:
    """A post whose worker dies at the test's point while the platform behaves like this."""
    post = house.ledger.post([house.accounts["one"]], State.QUEUED)
    [point] = deaths.points
    deaths.of(given, point, "publish", str(post.deliveries[0]), 0, what)
    return post


def publishes(house: House, post: Post, script: Script) -> State | None:
    delay.slot(house.context)
    context, delivery = playing(house.context, script), post.deliveries[0]
    return publish(context, delivery, house.ledger.delivery(delivery).generation)


# --- publishing ------------------------------------------------------------------------------------------------------


def test_a_refusal_outlives_the_worker_that_dies_in_the_refresh_after_it(
    house: House, given: dict[str, str], deaths: Deaths
) -> None:
    post, script = dies_publishing(house, given, deaths, "stale"), Script()
    [delivery] = post.deliveries
    now = house.ledger.delivery(delivery)
    assert (now.state, now.armed_at) == ("publishing", None), "nothing went out, and nobody has to be asked"
    assert [a.outcome for a in house.ledger.attempts(delivery)] == ["refused"]
    house.ledger.change(delivery, OVER)
    rescue_dropped(house.context)
    assert publishes(house, post, script) is State.PUBLISHED
    assert script.made("finalize") == 1
    assert [a.outcome for a in house.ledger.attempts(delivery)] == ["refused", "published"]


def test_what_a_late_worker_could_not_tell_is_found_and_never_sent_again(
    house: House, given: dict[str, str], deaths: Deaths
) -> None:
    what = "so slow that its worker is taken for dead"
    post, script = (
        dies_publishing(house, given, deaths, what),
        Script(look=lambda _: Published(remote_id="late")),
    )
    now = house.ledger.delivery(post.deliveries[0])
    assert (now.state, [a.late for a in house.ledger.attempts(now.id)]) == ("unknown", [None])
    assert look(playing(house.context, script), now.id, now.generation, now.fence) is State.PUBLISHED
    assert script.made("finalize") == 0


# --- media -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", points_of("whenever_a_look_at_it_died"))
def test_a_url_is_looked_at_again_whenever_a_look_at_it_died(
    house: House, site: Site, given: dict[str, str], point: str, deaths: Deaths
) -> None:
    served = Served(house, site)
    where = served.url(file(picture()) if point == "reachability.seen" else status(503))
    check = served.opened(where)
    post = served.waits(check)
    deaths.of(given, point, "check", str(check))
    assert house.ledger.states(post) == [State.ACCEPTED]
    served.changes(where, file(picture()))
    with house.context.database.begin() as c:
        row(c, "UPDATE checks SET lease_until = NULL, next_at = now() WHERE id = :id RETURNING id", id=check)
    assert ring_checks(house.context) == 1
    assert reachability.check(house.context, check) == "good"
    assert house.ledger.states(post) == [State.SCHEDULED]


def test_a_request_that_died_while_its_media_were_looked_at_stored_nothing(
    house: House, site: Site, given: dict[str, str], deaths: Deaths
) -> None:
    site.routes["/f.jpg"] = file(picture())
    where = f"{site.origin}/f.jpg"
    asked: dict[str, Any] = {
        "caption": "hello",
        "media": {"type": "slideshow", "urls": [where]},
        "external_id": "once",
    }
    accounts = [str(house.accounts["one"])]
    deaths.of(given, "links.opened", "ingest", key_of(house), {**asked, "account_ids": accounts})
    assert (house.posts(), len(house.check_ids(where))) == ([], 1)
    again = house.accept(**asked)
    assert house.posts() == [again.id]
    [check] = house.check_ids(where)
    assert reachability.check(house.context, check) == "good"
    assert [d.state for d in house.deliveries(again.id)] == ["scheduled"]


def test_media_whose_second_look_died_keep_no_post_back(
    house: House, site: Site, given: dict[str, str], deaths: Deaths
) -> None:
    site.routes["/gone.jpg"] = status(404)
    posts = []
    for point in deaths.points:
        posts.append(scheduled(house, f"{site.origin}/gone.jpg", "23 hours", "3 days", picture(), '"1"'))
        deaths.of(given, point, "chore", "recheck")
    assert recheck_media(house.context) == 0, "each time once: the last word is the publish step's"
    for post in posts:
        assert (house.ledger.states(post), warnings(house, post)) == ([State.SCHEDULED], [])


def test_stranded_posts_are_moved_by_the_next(house: House, given: dict[str, str], deaths: Deaths) -> None:
    check = house.decided()
    posts = [house.ledger.post([house.accounts["one"]], State.ACCEPTED, checks={0: check}) for _ in range(2)]
    for post in posts:
        house.ledger.change(post.deliveries[0], LONG_AGO)
    deaths.of(given, "checks.advanced", "chore", "checks")
    assert sorted(house.ledger.states(post)[0] for post in posts) == ["accepted", "scheduled"]
    assert ring_checks(house.context) == 1
    assert {house.ledger.states(post)[0] for post in posts} == {State.SCHEDULED}


def test_an_address_is_found_once_more(house: House, given: dict[str, str], deaths: Deaths) -> None:
    where = "https://t.example/9"
    for point, found in (("urls.looked", None), ("urls.stored", where)):
        post = published(house)
        deaths.of(given, point, "find_addresses", where)
        assert url(house, post)[1] == found
        script = Script(look=lambda _: Published(remote_id=where, url=where))
        assert fill_urls(playing(house.context, script)) == (found is None)
        assert url(house, post) == (where, where)
        house.ledger.change(post.deliveries[0], "remote_id = NULL")


# --- ringing ---------------------------------------------------------------------------------------------------------


def test_what_was_to_be_rung_is_rung_by_the_next(house: House, given: dict[str, str], deaths: Deaths) -> None:
    house.ledger.post([house.accounts["one"]], State.QUEUED)
    deaths.of(given, "rebuild.found", "rebuild")
    assert house.messages("publish.tiktok") == 0
    assert rebuild_broker(house.context, per_second=100_000, told=lambda _: None).deliveries == 1
    assert house.messages("publish.tiktok") == 1

    client = redis_client(house.context.settings.broker.url.get_secret_value())
    client.flushdb()
    client.close()
    deaths.of(given, "rescue.refilled", "chore", "rescue")
    assert (house.messages("publish.tiktok"), house.context.liveness.remembers()) == (1, False)
    rescue_dropped(house.context)
    assert (house.messages("publish.tiktok"), house.context.liveness.remembers()) == (2, True), (
        "rung once more"
    )

    unknown = house.ledger.post([house.accounts["one"]], State.UNKNOWN)
    rung = "next_at = now(), lease_until = now() + interval '290 seconds'"
    house.ledger.change(unknown.deliveries[0], f"{rung}, {LONG_AGO}")
    deaths.of(given, "rescue.looks-found", "chore", "rescue")
    assert house.messages("status") == 0
    house.ledger.change(unknown.deliveries[0], LONG_AGO)
    assert rescue_dropped(house.context) == 1
    assert house.messages("status") == 1


# --- people ----------------------------------------------------------------------------------------------------------


def test_what_a_person_asked_of_many_is_asked_again_for_the_rest(
    house: House, given: dict[str, str], deaths: Deaths
) -> None:
    posts = [house.ledger.post([house.accounts["one"]]) for _ in range(2)]
    deaths.of(given, "steer.cancelled", "cancel", key_of(house), [str(p.id) for p in posts])
    assert [house.ledger.states(p)[0] for p in posts] == [State.CANCELLED, State.SCHEDULED]
    done = cancel(house.context, house.caller, [p.id for p in posts])
    assert (list(done.ids), done.errors) == ([p.id for p in posts], {})
    assert [house.ledger.states(p)[0] for p in posts] == [State.CANCELLED] * 2

    house.decided()
    letters = [dead(house).deliveries[0] for _ in range(2)]
    deaths.of(given, "dead_letters.dealt", "discard", str(house.workspace), [str(x) for x in letters])
    assert listed(house) == letters[1:]
    dealt = discard(house, letters)
    assert (dealt.done, list(dealt.skipped), listed(house)) == (letters[1:], letters[:1], [])


def test_a_no_that_was_not_noted_changed_nothing(house: House, given: dict[str, str], deaths: Deaths) -> None:
    started = connect.start(house.context, house.workspace, Platform.TIKTOK, CLI)
    deaths.of(given, "connect.noting", "decline", "tiktok", started.state)
    with pytest.raises(Refusal) as again:
        connect.decline(house.context, Platform.TIKTOK, started.state, "access_denied", CLI)
    assert again.value.code == "state_used"
    anew = connect.start(house.context, house.workspace, Platform.TIKTOK, CLI)
    assert (
        connect.decline(house.context, Platform.TIKTOK, anew.state, "access_denied", CLI).code
        == "access_denied"
    )


def test_secrets_that_were_not_sealed_anew_are_sealed_by_the_next(
    house: House, given: dict[str, str], vault_key: str, deaths: Deaths
) -> None:
    house.account("two")
    new = Fernet.generate_key().decode()
    both = f"{new},{vault_key}"
    deaths.of(given, "rotation.sealed", "seal", both)
    assert len(opened_by(house, new)) == 1
    counted = rotate(house.context.database, both, lambda _: None)[0]
    assert (counted.sealed_again, counted.newest_already) == (1, 1)
    assert opened_by(house, new) == set(house.accounts.values())


def opened_by(house: House, key: str) -> set[UUID]:
    with house.context.database.begin() as c:
        sealed = rows(c, "SELECT id, credentials FROM accounts")
    vault = Vault(key)
    return {r.id for r in sealed if _opens(vault, r.credentials, r.id)}
