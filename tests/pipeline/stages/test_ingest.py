"""Ingest of one post: the order of the rules, repeats, times, and the stored rows."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.broker.queues import REACHABILITY
from pipeline.domain.account import KeyLimits
from pipeline.runtime.context import Context
from pipeline.stages.post_request import AcceptedPost
from pipeline.store.accounts.grants import deactivate
from pipeline.store.auth.keys import Terms, create_key, find_caller
from pipeline.store.checks import checks
from pipeline.store.database import new_id
from pipeline.store.files import files
from tests.pipeline.core_fixture import GOOD_VIDEO, MUSIC, VIDEO, CoreFixture
from tests.pipeline.store.ledger import HOUR, together
from tests.stack import until

IMAGES = ["https://media.example/1.jpg", "https://media.example/2.jpg"]
SLIDESHOW = {"type": "slideshow", "urls": IMAGES}
SECOND = timedelta(seconds=1)


# --- taken -----------------------------------------------------------------------------------------------------------


def test_a_post_for_now_is_pending_and_due_by_the_servers_clock(ready: CoreFixture) -> None:
    before = ready.now()
    accepted = ready.accept()
    assert accepted.status == "pending"
    assert before <= accepted.scheduled_at <= ready.now()
    assert (accepted.duplicate, accepted.warnings) == (False, [])
    [delivery] = ready.deliveries(accepted.id)
    assert delivery.state == "scheduled"
    assert delivery.due_at == accepted.scheduled_at
    lead = ready.context.adapters[Platform.TIKTOK].capabilities.prepare_lead
    assert delivery.next_at == delivery.due_at - lead


def test_a_post_for_later_is_scheduled_and_its_work_starts_a_lead_earlier(ready: CoreFixture) -> None:
    ready.account("two", Platform.FACEBOOK)
    due = ready.now() + 2 * HOUR
    accepted = ready.accept(scheduled_at=due, account_ids=list(ready.accounts.values()))
    assert (accepted.status, accepted.scheduled_at) == ("scheduled", due)
    facebook, tiktok = ready.deliveries(accepted.id)
    for delivery in (facebook, tiktok):
        lead = ready.context.adapters[Platform(delivery.platform)].capabilities.prepare_lead
        assert (delivery.due_at, delivery.next_at) == (due, due - lead)
    assert facebook.next_at != tiktok.next_at


@pytest.mark.parametrize("seconds", [-29, 0, 29])
def test_a_time_within_half_a_minute_is_now(ready: CoreFixture, seconds: int) -> None:
    asked = ready.now() + seconds * SECOND
    accepted = ready.accept(scheduled_at=asked)
    assert accepted.status == "pending"
    assert abs(accepted.scheduled_at - ready.now()) < 5 * SECOND, "never a past time, never a later one"


def test_a_time_in_the_past_is_refused_and_never_taken_for_now(ready: CoreFixture) -> None:
    refusal = ready.refused(scheduled_at=ready.now() - 32 * SECOND)
    assert (refusal.status, refusal.code) == (400, "validation_failed")
    assert "past" in refusal.message


def test_what_was_asked_is_stored_as_asked(ready: CoreFixture) -> None:
    ready.decided(IMAGES[0], "image")
    ready.decided(IMAGES[1], "image")
    accepted = ready.accept(
        media={**SLIDESHOW, "width": 1080},
        tiktok={"title": "t", "auto_add_music": True},
        external_id="x-1",
        expires_at=ready.now() + HOUR,
        on_late="hold",
        caption="日本語 \U0001f600",
    )
    from pipeline.store.posts.views import read_post

    with ready.context.database.begin() as c:
        found = read_post(c, ready.workspace, accepted.id)
    assert found is not None
    assert found.media == {**SLIDESHOW, "width": 1080}
    assert (found.caption, found.options, found.external_id, found.on_late) == (
        "日本語 \U0001f600",
        {Platform.TIKTOK: {"title": "t", "auto_add_music": True}},
        "x-1",
        "hold",
    )


def test_one_file_shown_twice_is_checked_once(ready: CoreFixture) -> None:
    accepted = ready.accept(media={"type": "slideshow", "urls": [IMAGES[0]] * 3})
    assert len(ready.check_ids(IMAGES[0])) == 1
    [delivery] = ready.deliveries(accepted.id)
    assert delivery.state == "accepted"


# --- refused, in the contract's order --------------------------------------------------------------------------------


def test_the_first_rule_that_is_broken_answers(core: CoreFixture) -> None:
    """Everything is wrong at once; with each correction the answer is the next error of the contract's list."""
    core.account("one")
    core.account("other", Platform.INSTAGRAM)
    core.decided(IMAGES[0], "image")
    core.accept(media={"type": "slideshow", "urls": IMAGES[:1]}, external_id="known")
    wrong: dict[str, Any] = {
        "external_id": "known",
        "account_ids": [new_id()],
        "music_url": "https://elsewhere.example/1",
        "tiktok": {"privacy_level": "NOBODY"},
        "scheduled_at": core.now() - HOUR,
    }
    assert core.refused(**wrong).code == "create_failed"
    wrong["external_id"] = None
    assert core.refused(**wrong).code == "unknown_accounts"
    wrong["account_ids"] = []
    assert core.refused(**wrong).code == "missing_accounts"
    wrong["account_ids"] = [core.accounts["other"]]
    assert "past" in core.refused(**wrong).message
    wrong["scheduled_at"] = None
    refusal = core.refused(**wrong)
    assert (refusal.code, refusal.issues[0]["path"]) == ("validation_failed", "tiktok")
    wrong["account_ids"] = [core.accounts["one"]]
    refusal = core.refused(**wrong)
    assert refusal.code == "validation_failed"
    assert "NOBODY" in refusal.message
    wrong["tiktok"] = None
    assert core.refused(**wrong).code == "invalid_music_url"
    wrong["music_url"] = None
    core.context.liveness.record_beat(REACHABILITY)
    threading.Thread(target=_decide, args=(core, VIDEO, "refused", "HTTP 404")).start()
    assert core.refused(**wrong).code == "media_unreachable"


def _decide(core: CoreFixture, url: str, verdict: checks.Verdict, seen: str) -> None:
    """Decide the check of a URL as soon as there is one, as a worker does."""
    [check] = until(lambda: core.check_ids(url) or None, 10)
    with core.context.database.begin() as c:
        facts = GOOD_VIDEO if verdict == "good" else None
        checks.decide_check(c, check, verdict, facts=facts, seen=seen)


def test_an_account_of_another_workspace_does_not_exist(ready: CoreFixture, context: Context) -> None:
    stranger = ready.ledger.account(ready.ledger.workspace())
    refusal = ready.refused(account_ids=[ready.accounts["one"], stranger])
    assert refusal.code == "unknown_accounts"
    assert str(stranger) in refusal.message
    assert str(ready.accounts["one"]) not in refusal.message


def test_an_inactive_account_is_refused_but_one_that_waits_to_be_connected_is_not(ready: CoreFixture) -> None:
    ready.run("UPDATE accounts SET status = 'reconnect' WHERE id = :i", i=ready.accounts["one"])
    assert isinstance(ready.accept(), AcceptedPost)
    with ready.context.database.begin() as c:
        deactivate(c, ready.accounts["one"])
    assert ready.refused(caption="next").code == "unknown_accounts"


@pytest.mark.parametrize("section", ["tiktok", "music_url"])
def test_what_is_for_tiktok_alone_is_refused_when_another_account_is_there(
    ready: CoreFixture, section: str
) -> None:
    other = ready.account("two", Platform.INSTAGRAM)
    value: dict[str, Any] = {section: {"title": "t"} if section == "tiktok" else MUSIC}
    refusal = ready.refused(account_ids=list(ready.accounts.values()), **value)
    assert (refusal.status, refusal.code) == (400, "validation_failed")
    assert refusal.issues[0]["path"] == section
    assert str(other) in refusal.message


def test_a_platform_that_is_not_built_yet_is_refused_honestly(ready: CoreFixture) -> None:
    missing = Platform.PINTEREST
    others = {p: a for p, a in ready.context.adapters.items() if p is not missing}
    core = replace(ready, context=replace(ready.context, adapters=others))
    refusal = core.refused(account_ids=[ready.account("two", missing)])
    assert refusal.code == "validation_failed"
    assert missing in refusal.message


def test_limits_of_platforms_are_told_together_with_account_limit_and_value(ready: CoreFixture) -> None:
    url = "https://media.example/long.mp4"
    ready.decided(url, facts={**GOOD_VIDEO, "width": 100, "duration": 9999.0})
    ready.account("two")
    refusal = ready.refused(media={"type": "video", "url": url}, account_ids=list(ready.accounts.values()))
    for account in ready.accounts.values():
        assert refusal.message.count(str(account)) == 2
    for limit in ("360", "100"):
        assert limit in refusal.message


# --- waiting for checks ----------------------------------------------------------------------------------------------


def test_nobody_to_wait_for_no_waiting(core: CoreFixture, context: Context) -> None:
    core.account("one")
    context.liveness._client.delete(f"pulse:{REACHABILITY}")
    before = core.messages(REACHABILITY)
    accepted = core.accept(scheduled_at=core.now() + HOUR)
    assert accepted.status == "scheduled"
    assert [w.code for w in accepted.warnings] == [
        "REACHABILITY_PENDING",
        "VIDEO_DURATION_MISSING",
        "VIDEO_METADATA_MISSING",
    ]
    assert accepted.warnings[0].field == "media.url"
    [delivery] = core.deliveries(accepted.id)
    assert delivery.state == "accepted"
    assert core.messages(REACHABILITY) == before + 1, "the check is dispatched nevertheless"
    facts = {"duration_sec": 12, "bytes": 9, "width": 9, "height": 16}
    known = {"type": "video", "url": "https://media.example/known.mp4", **facts}
    accepted = core.accept(media=known, caption="known", scheduled_at=core.now() + 3 * HOUR)
    assert [w.code for w in accepted.warnings] == ["REACHABILITY_PENDING"]
    core.decided(IMAGES[0], "image")
    accepted = core.accept(media=SLIDESHOW, caption="slides", scheduled_at=core.now() + 5 * HOUR)
    assert [w.field for w in accepted.warnings] == ["media.urls[1]"]


def test_a_good_verdict_in_time_is_waited_for(core: CoreFixture) -> None:
    core.account("one")
    core.context.liveness.record_beat(REACHABILITY)
    worker = threading.Thread(target=_decide, args=(core, VIDEO, "good", "ok"))
    worker.start()
    accepted = core.accept()
    worker.join()
    assert accepted.warnings == []
    assert [d.state for d in core.deliveries(accepted.id)] == ["scheduled"]


@pytest.mark.parametrize("verdict", ["refused", "unanswered"])
def test_a_bad_verdict_in_time_is_an_answer_and_nothing_is_stored(
    core: CoreFixture, verdict: checks.Verdict
) -> None:
    core.account("one")
    core.context.liveness.record_beat(REACHABILITY)
    worker = threading.Thread(target=_decide, args=(core, IMAGES[1], verdict, "the server answered 404"))
    core.decided(IMAGES[0], "image")
    worker.start()
    refusal = core.refused(media=SLIDESHOW)
    worker.join()
    assert (refusal.status, refusal.code) == (400, "media_unreachable")
    for word in (IMAGES[1], "media URL 1", "the server answered 404"):
        assert word in refusal.message


def test_the_wait_ends_in_time(core: CoreFixture) -> None:
    short = core.with_settings(reachability={"wait": 0.2})
    short.account("one")
    short.context.liveness.record_beat(REACHABILITY)
    accepted = short.accept()
    assert "REACHABILITY_PENDING" in [w.code for w in accepted.warnings]


def test_facts_that_arrive_while_it_waits_are_judged(core: CoreFixture) -> None:
    core.account("one")
    core.context.liveness.record_beat(REACHABILITY)

    def decide() -> None:
        [check] = until(lambda: core.check_ids(VIDEO) or None, 10)
        with core.context.database.begin() as c:
            checks.decide_check(c, check, "good", facts={**GOOD_VIDEO, "duration": 9999.0}, seen="ok")

    worker = threading.Thread(target=decide)
    worker.start()
    refusal = core.refused()
    worker.join()
    assert refusal.code == "validation_failed"
    assert "600" in refusal.message


# --- music -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "key", "refused"),
    [(False, None, False), (False, True, True), (True, False, False), (True, None, True)],
)
def test_music_on_a_creators_account_is_an_error_only_where_it_is_required(
    ready: CoreFixture, *, server: bool, key: bool | None, refused: bool
) -> None:
    track = {"post_id": "1", "sound_id": "2", "title": "t", "artist": "a", "link": MUSIC}
    ready.decided(MUSIC, "music", facts=track)
    caller = replace(ready.caller, limits=KeyLimits(music_required=key))
    core = replace(ready.with_settings(ingest={"music_required": server}), caller=caller)
    if refused:
        assert core.refused(music_url=MUSIC).code == "validation_failed"
    else:
        assert [w.code for w in core.accept(music_url=MUSIC).warnings] == [
            "MUSIC_NOT_SUPPORTED_BY_CONNECTION"
        ]


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_bound_key_uses_only_files_it_uploaded(ready: CoreFixture) -> None:
    with ready.context.database.begin() as c:
        terms = Terms(accounts=[ready.accounts["one"]])
        bound = find_caller(c, create_key(c, ready.workspace, "bound", terms))
    assert bound is not None
    theirs, mine = (upload_file(ready, key) for key in (ready.caller.key_id, bound.key_id))
    core = replace(ready, caller=bound)
    for url in (theirs, mine):
        core.decided(url)
    refusal = core.refused(media={"type": "video", "url": theirs})
    assert (refusal.status, refusal.code) == (400, "media_unreachable")
    assert refusal.message == f"media URL 0 ({theirs}) cannot be used: HTTP 404."
    spelled = theirs.replace("http", "HTTP", 1)
    assert core.refused(media={"type": "video", "url": spelled}).code == "media_unreachable"
    core.accept(media={"type": "video", "url": mine})
    ready.accept(media={"type": "video", "url": theirs})  # a key that is not bound uses all


def upload_file(core: CoreFixture, key: UUID) -> str:
    """Store the row of a file that this key uploaded; return its URL."""
    name = core.context.files.addresses.create_name("video/mp4")
    url = core.context.files.addresses.public_url(name)
    with core.context.database.begin() as c:
        files.open_file(
            c, workspace=core.workspace, key=key, name=name, url=url, content_type="video/mp4", filename=None
        )
    return url


def test_a_music_resolver_that_does_not_answer_only_warns_but_no_such_post_is_refused(
    ready: CoreFixture,
) -> None:
    for verdict, code in (("unanswered", None), ("refused", "invalid_music_url")):
        ready.context.liveness.record_beat(REACHABILITY)
        link = MUSIC[:-1] + ("1" if code else "2")
        worker = threading.Thread(target=_decide, args=(ready, link, verdict, "no such post"))
        worker.start()
        if code is None:
            accepted = ready.accept(music_url=link)
            assert "MUSIC_NOT_SUPPORTED_BY_CONNECTION" in [w.code for w in accepted.warnings]
        else:
            assert ready.refused(music_url=link).code == code
        worker.join()


# --- warnings --------------------------------------------------------------------------------------------------------


def test_a_grant_that_ends_before_the_post_is_due_is_told(ready: CoreFixture) -> None:
    ready.run(
        "UPDATE accounts SET refresh_expires_at = now() + interval '1 hour' WHERE id = :i",
        i=ready.accounts["one"],
    )
    assert ready.accept().warnings == []
    [warning] = ready.accept(scheduled_at=ready.now() + 48 * HOUR).warnings
    assert (warning.code, warning.field) == ("TOKEN_EXPIRES_BEFORE_DUE", "accounts")


def test_a_broker_that_is_away_costs_no_post(ready: CoreFixture, module_environment: dict[str, str]) -> None:
    from config.settings import load
    from pipeline.wiring import build_context

    away = load(
        {**module_environment, "SLIPWAY_BROKER__URL": "redis+socket:///tmp/nobody-is-here?virtual_host=0"}
    )
    deaf = build_context(away)
    core = replace(
        ready,
        context=replace(
            ready.context, dispatcher=deaf.dispatcher, liveness=deaf.liveness, rate_buckets=deaf.rate_buckets
        ),
    )
    assert core.accept().status == "pending"
    pending = core.accept(media={"type": "video", "url": "https://media.example/new.mp4"})
    assert "REACHABILITY_PENDING" in [w.code for w in pending.warnings]
    deaf.database.close()


def test_two_requests_with_the_same_new_files_in_another_order_are_both_taken(
    core: CoreFixture, context: Context
) -> None:
    """Each opens its checks in one transaction: in the order of the request they would deadlock."""
    core.account("one")
    context.liveness._client.delete(f"pulse:{REACHABILITY}")
    for n in range(15):
        urls = [f"https://media.example/{n}/{k}.jpg" for k in range(12)]
        there, back = (core.request(media={"type": "slideshow", "urls": u}) for u in (urls, urls[::-1]))
        one, two = together(partial(core.accept, there), partial(core.accept, back))
        assert one.id != two.id
        assert [len(core.check_ids(u)) for u in urls] == [1] * 12
