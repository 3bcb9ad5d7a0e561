"""Crashes in the middle of one piece of work, and what the next process makes of what they leave.

Each crash is a process of its own (``tests/crash_tasks.py``), killed at a failpoint, on real engines. The platform is
scripted here; ``tests/proof`` crashes at the same points on each real protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from adapters.contract import Platform, Published
from pipeline.accounts import authorize as connect
from pipeline.actions.cancel_delete_retry import cancel
from pipeline.domain.delivery import State
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.maintenance.expire import expire_files
from pipeline.maintenance.finish_published import fill_urls
from pipeline.maintenance.prepare_ahead import recheck_media
from pipeline.maintenance.rebuild_broker import rebuild_broker
from pipeline.maintenance.rescue_expired_leases import redispatch_checks, rescue_expired_leases
from pipeline.stages import delay
from pipeline.stages.post_request import Refusal
from pipeline.stages.publish import publish
from pipeline.stages.status import look
from pipeline.store.accounts.oauth_sessions import CLI
from pipeline.store.auth.keys import create_key
from pipeline.store.database import rows
from pipeline.store.files.thumbnails import find_thumbnails
from pipeline.store.vault import Vault, _can_open, rotate
from tests.actors import TESTER
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import CoreFixture, open_core
from tests.pipeline.maintenance.test_jobs import published, scheduled, url, warnings
from tests.pipeline.media.servers import Site, file, serving, status
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.single_check import run_check
from tests.pipeline.stages.test_reachability import Served, picture
from tests.pipeline.store.ledger import Post

OVER = "lease_until = now() - interval '1 second'"
LONG_AGO = "updated_at = now() - interval '11 seconds'"


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback that counts as the sandbox's media host."""
    with serving() as running:
        yield running


@pytest.fixture
def given(environment: dict[str, str], site: Site) -> dict[str, str]:
    """The environment of the processes that crash."""
    nobody = "http://127.0.0.1:9"  # consent pages are opened there, and never asked for
    return environment | {"SLIPWAY_SANDBOX__URL": nobody, "SLIPWAY_SANDBOX__MEDIA_URL": site.origin}


@pytest.fixture
def core(given: dict[str, str], vault_key: str) -> Iterator[CoreFixture]:
    """A workspace on a database of this test's own."""
    with open_core(given, vault_key) as made:
        made.context.liveness.set_marker()
        yield made


def key_of(core: CoreFixture) -> str:
    with core.context.database.begin() as c:
        return create_key(c, core.workspace, "dies")


def dies_publishing(core: CoreFixture, given: dict[str, str], crashes: Crashes, what: str) -> Post:
    """Return a post whose worker crashes at the test's failpoint while the platform follows the script."""
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    [point] = crashes.points
    crashes.crash(given, point, "publish", str(post.deliveries[0]), 0, what)
    return post


def publishes(core: CoreFixture, post: Post, script: Script) -> State | None:
    delay.release_due(core.context)
    context, delivery = with_script(core.context, script), post.deliveries[0]
    return publish(context, delivery, core.ledger.delivery(delivery).generation)


# --- publishing ------------------------------------------------------------------------------------------------------


def test_a_refusal_outlives_the_worker_that_dies_in_the_refresh_after_it(
    core: CoreFixture, given: dict[str, str], crashes: Crashes
) -> None:
    post, script = dies_publishing(core, given, crashes, "stale"), Script()
    [delivery] = post.deliveries
    now = core.ledger.delivery(delivery)
    assert (now.state, now.armed_at) == ("publishing", None), "nothing went out, and nobody has to be asked"
    assert [a.outcome for a in core.ledger.attempts(delivery)] == ["refused"]
    core.ledger.change(delivery, OVER)
    rescue_expired_leases(core.context)
    assert publishes(core, post, script) is State.PUBLISHED
    assert script.made("finalize") == 1
    assert [a.outcome for a in core.ledger.attempts(delivery)] == ["refused", "published"]


def test_what_a_late_worker_could_not_tell_is_found_and_never_sent_again(
    core: CoreFixture, given: dict[str, str], crashes: Crashes
) -> None:
    what = "so slow that its worker is taken for dead"
    post, script = (
        dies_publishing(core, given, crashes, what),
        Script(look=lambda _: Published(remote_id="late")),
    )
    now = core.ledger.delivery(post.deliveries[0])
    assert (now.state, [a.late for a in core.ledger.attempts(now.id)]) == ("unknown", [None])
    assert look(with_script(core.context, script), now.id, now.generation, now.fence) is State.PUBLISHED
    assert script.made("finalize") == 0


# --- media -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", get_points("whenever_a_look_at_it_died"))
def test_a_url_is_looked_at_again_whenever_a_look_at_it_died(
    core: CoreFixture, site: Site, given: dict[str, str], point: str, crashes: Crashes
) -> None:
    served = Served(core, site)
    where = served.url(file(picture()) if point == "reachability.seen" else status(503))
    check = served.opened(where)
    post = served.waits(check)
    crashes.crash(given, point, "check", str(check))
    assert core.ledger.states(post) == [State.ACCEPTED]
    served.changes(where, file(picture()))
    core.ledger.update("checks", check, "lease_until = NULL, next_at = now()")
    assert redispatch_checks(core.context) == 1
    assert run_check(core.context, check) == "good"
    assert core.ledger.states(post) == [State.SCHEDULED]


def test_a_thumbnail_whose_worker_died_is_none_and_leaves_nothing(
    core: CoreFixture, site: Site, given: dict[str, str], crashes: Crashes
) -> None:
    served = Served(core, site)
    check = served.opened(served.url(file(picture())))
    post = served.waits(check)
    crashes.crash(given, "thumbnail.stored", "check", str(check))
    assert (served.check(check).verdict, core.ledger.states(post)) == ("good", [State.SCHEDULED])
    folder = core.context.settings.files_folder
    stored = {path for path in folder.rglob("*") if path.is_file()}
    assert stored, "its bytes"
    with core.context.database.begin() as c:
        assert find_thumbnails(c, [post.id])[post.id].address is None
    assert expire_files(core.context) == 0, "it could still be under way"
    core.run("UPDATE file_puts SET begun_at = now() - interval '2 days'")
    core.run("UPDATE files SET created_at = now() - interval '2 days'")
    assert expire_files(core.context) == 2, "the object, and its row"
    assert not any(path.exists() for path in stored)
    with core.context.database.begin() as c:
        assert rows(c, "SELECT id FROM files UNION ALL SELECT file_id FROM file_puts") == []


def test_a_request_that_died_while_its_media_were_looked_at_stored_nothing(
    core: CoreFixture, site: Site, given: dict[str, str], crashes: Crashes
) -> None:
    site.routes["/f.jpg"] = file(picture())
    where = f"{site.origin}/f.jpg"
    asked: dict[str, Any] = {
        "caption": "hello",
        "media": {"type": "slideshow", "urls": [where]},
        "external_id": "once",
    }
    accounts = [str(core.accounts["one"])]
    crashes.crash(given, "links.opened", "ingest", key_of(core), {**asked, "account_ids": accounts})
    assert (core.posts(), len(core.check_ids(where))) == ([], 1)
    again = core.accept(**asked)
    assert core.posts() == [again.id]
    [check] = core.check_ids(where)
    assert run_check(core.context, check) == "good"
    assert [d.state for d in core.deliveries(again.id)] == ["scheduled"]


def test_media_whose_second_look_died_keep_no_post_back(
    core: CoreFixture, site: Site, given: dict[str, str], crashes: Crashes
) -> None:
    site.routes["/gone.jpg"] = status(404)
    posts = []
    for point in crashes.points:
        posts.append(scheduled(core, f"{site.origin}/gone.jpg", "23 hours", "3 days", picture(), '"1"'))
        crashes.crash(given, point, "run_job", "recheck")
    assert recheck_media(core.context) == 0, "each time once: the last word is the publish step's"
    for post in posts:
        assert (core.ledger.states(post), warnings(core, post)) == ([State.SCHEDULED], [])


def test_stranded_posts_are_moved_by_the_next(
    core: CoreFixture, given: dict[str, str], crashes: Crashes
) -> None:
    check = core.decided()
    posts = [core.ledger.post([core.accounts["one"]], State.ACCEPTED, checks={0: check}) for _ in range(2)]
    for post in posts:
        core.ledger.change(post.deliveries[0], LONG_AGO)
    crashes.crash(given, "checks.advanced", "run_job", "checks")
    assert sorted(core.ledger.states(post)[0] for post in posts) == ["accepted", "scheduled"]
    assert redispatch_checks(core.context) == 1
    assert {core.ledger.states(post)[0] for post in posts} == {State.SCHEDULED}


def test_an_address_is_found_once_more(core: CoreFixture, given: dict[str, str], crashes: Crashes) -> None:
    where = "https://t.example/9"
    for point, found in (("urls.looked", None), ("urls.stored", where)):
        post = published(core)
        crashes.crash(given, point, "fill_missing_urls", where)
        assert url(core, post)[1] == found
        script = Script(look=lambda _: Published(remote_id=where, url=where))
        assert fill_urls(with_script(core.context, script)) == (found is None)
        assert url(core, post) == (where, where)
        core.ledger.change(post.deliveries[0], "remote_id = NULL")


# --- ringing ---------------------------------------------------------------------------------------------------------


def test_what_was_to_be_rung_is_rung_by_the_next(
    core: CoreFixture, given: dict[str, str], crashes: Crashes
) -> None:
    core.ledger.post([core.accounts["one"]], State.QUEUED)
    crashes.crash(given, "rebuild.found", "rebuild")
    assert core.messages("publish.tiktok") == 0
    assert rebuild_broker(core.context, per_second=100_000, on_progress=lambda _: None).deliveries == 1
    assert core.messages("publish.tiktok") == 1

    client = create_redis_client(core.context.settings.broker.url.get_secret_value())
    client.flushdb()
    client.close()
    crashes.crash(given, "rescue.refilled", "run_job", "rescue")
    assert (core.messages("publish.tiktok"), core.context.liveness.has_marker()) == (1, False)
    rescue_expired_leases(core.context)
    assert (core.messages("publish.tiktok"), core.context.liveness.has_marker()) == (2, True), (
        "rung once more"
    )

    unknown = core.ledger.post([core.accounts["one"]], State.UNKNOWN)
    rung = "next_at = now(), lease_until = now() + interval '290 seconds'"
    core.ledger.change(unknown.deliveries[0], f"{rung}, {LONG_AGO}")
    crashes.crash(given, "rescue.looks-found", "run_job", "rescue")
    assert core.messages("status") == 0
    core.ledger.change(unknown.deliveries[0], LONG_AGO)
    assert rescue_expired_leases(core.context) == 1
    assert core.messages("status") == 1


# --- people ----------------------------------------------------------------------------------------------------------


def test_what_a_person_asked_of_many_is_asked_again_for_the_rest(
    core: CoreFixture, given: dict[str, str], crashes: Crashes
) -> None:
    posts = [core.ledger.post([core.accounts["one"]]) for _ in range(2)]
    crashes.crash(given, "steer.cancelled", "cancel", key_of(core), [str(p.id) for p in posts])
    assert [core.ledger.states(p)[0] for p in posts] == [State.CANCELLED, State.SCHEDULED]
    done = cancel(core.context, core.caller, [p.id for p in posts])
    assert (list(done.ids), done.errors) == ([p.id for p in posts], {})
    assert [core.ledger.states(p)[0] for p in posts] == [State.CANCELLED] * 2


def test_a_no_that_was_not_noted_changed_nothing(
    core: CoreFixture, given: dict[str, str], crashes: Crashes
) -> None:
    started = connect.start_authorization(core.context, TESTER, core.workspace, Platform.TIKTOK, CLI)
    crashes.crash(given, "connect.noting", "decline", "tiktok", started.state)
    with pytest.raises(Refusal) as again:
        connect.decline_authorization(core.context, Platform.TIKTOK, started.state, "access_denied", CLI)
    assert again.value.code == "state_used"
    anew = connect.start_authorization(core.context, TESTER, core.workspace, Platform.TIKTOK, CLI)
    assert (
        connect.decline_authorization(core.context, Platform.TIKTOK, anew.state, "access_denied", CLI).code
        == "access_denied"
    )


def test_secrets_that_were_not_sealed_anew_are_sealed_by_the_next(
    core: CoreFixture, given: dict[str, str], vault_key: str, crashes: Crashes
) -> None:
    core.account("two")
    new = Fernet.generate_key().decode()
    both = f"{new},{vault_key}"
    crashes.crash(given, "rotation.sealed", "rotate_keys", both)
    assert len(opened_by(core, new)) == 1
    counted = rotate(core.context.database, TESTER, both, lambda _: None)[0]
    assert (counted.sealed_again, counted.newest_already) == (1, 1)
    assert opened_by(core, new) == set(core.accounts.values())


def opened_by(core: CoreFixture, key: str) -> set[UUID]:
    with core.context.database.begin() as c:
        sealed = rows(c, "SELECT id, credentials FROM accounts")
    vault = Vault(key)
    return {r.id for r in sealed if _can_open(vault, r.credentials, r.id)}
