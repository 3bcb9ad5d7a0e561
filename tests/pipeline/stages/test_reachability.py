"""The reachability stage: checks of real files on a real server, and the posts that wait for them."""

from __future__ import annotations

import logging
from functools import cache, partial
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform, Track
from adapters.errors import Rejected, Unavailable
from pipeline.domain.delivery import State
from pipeline.maintenance.rescue_expired_leases import redispatch_checks
from pipeline.runtime.context import Context
from pipeline.stages import reachability
from pipeline.stages.media_checks import find_unreachable
from pipeline.stages.post_request import AcceptedPost, Refusal
from pipeline.store.checks import checks
from pipeline.store.checks.checks import Check, Purpose
from pipeline.store.database import new_id, row
from tests.pipeline.core_fixture import MUSIC, CoreFixture
from tests.pipeline.media import samples
from tests.pipeline.media.servers import Answer, Site, drip, file, status
from tests.pipeline.scripted_adapter import Script, ScriptedAdapter, with_script
from tests.pipeline.single_check import claim_check, run_check
from tests.pipeline.store.ledger import HOUR, Post, together


@cache
def picture(width: int = 1080, height: int = 1080) -> bytes:
    return samples.image("JPEG", (width, height))


@cache
def movie() -> bytes:
    return samples.video(frames=100)


class Served:
    """A URL of this test, what answers there, and the post that waits for it."""

    def __init__(self, core: CoreFixture, site: Site) -> None:
        self.core = core
        self._site = site
        self.account = core.account("one")

    def url(self, answer: Answer, name: str = "f.jpg") -> str:
        path = f"/{new_id()}/{name}"
        self._site.routes[path] = answer
        return self._site.origin + path

    def changes(self, url: str, answer: Answer) -> None:
        self._site.routes[url.removeprefix(self._site.origin)] = answer

    def opened(self, url: str, purpose: Purpose = "image") -> UUID:
        with self.core.context.database.begin() as c:
            return checks.open_check(c, self.core.workspace, purpose, url).id

    def waits(self, *found: UUID, minutes: float = 0, accounts: list[UUID] | None = None) -> Post:
        """An accepted post for these checks, due this many minutes ago."""
        post = self.core.ledger.post(
            accounts or [self.account],
            State.ACCEPTED,
            due=-minutes * HOUR / 60,
            checks=dict(enumerate(found)),
        )
        urls = [self.check(k).url for k in found]
        import json

        with self.core.context.database.begin() as c:
            row(
                c,
                "UPDATE posts SET media = :m WHERE id = :id RETURNING id",
                m=json.dumps({"type": "slideshow", "urls": urls}),
                id=post.id,
            )
        return post

    def check(self, identity: UUID) -> Check:
        with self.core.context.database.begin() as c:
            return checks.read_checks(c, [identity])[identity]

    def error(self, post: Post) -> dict[str, Any]:
        error: dict[str, Any] = self.core.ledger.delivery(post.deliveries[0]).error
        return error


@pytest.fixture
def served(core: CoreFixture, site: Site) -> Served:
    return Served(core, site)


def test_a_good_picture_is_good_and_the_post_goes_on(served: Served, context: Context) -> None:
    check = served.opened(served.url(file(picture(), ETag='"v1"')))
    post = served.waits(check)
    before = served.core.messages("delay")
    assert run_check(context, check) == "good"
    found = served.check(check)
    assert (found.verdict, found.seen) == ("good", "ok")
    assert found.media_facts is not None
    assert (found.media_facts.width, found.media_facts.content_type, found.media_facts.etag) == (
        1080,
        "image/jpeg",
        '"v1"',
    )
    assert served.core.ledger.states(post) == [State.SCHEDULED]
    assert served.core.status(post.id) == "pending"
    assert served.core.messages("delay") == before + 1
    assert run_check(context, check) is None, "decided once"


def test_a_good_video_is_measured(served: Served, context: Context) -> None:
    check = served.opened(served.url(file(movie()), "f.mp4"), "video")
    assert run_check(context, check) == "good"
    facts = served.check(check).media_facts
    assert facts is not None
    assert (facts.content_type, facts.codec, facts.width, facts.height, facts.bytes) == (
        "video/mp4",
        "h264",
        320,
        180,
        len(movie()),
    )
    assert facts.duration == pytest.approx(100 / 30, abs=0.05)


def test_a_refusal_fails_what_waits_with_the_code_of_the_contract(served: Served, context: Context) -> None:
    url = served.url(status(403))
    check = served.opened(url)
    post = served.waits(check)
    assert run_check(context, check) == "refused"
    assert served.core.ledger.states(post) == [State.FAILED]
    assert served.core.status(post.id) == "failed"
    error = served.error(post)
    assert (error["code"], error["fault"]) == ("media_unreachable", "customer")
    assert url in error["message"]
    assert "403" in error["message"]


def test_something_else_than_it_says_is_refused(served: Served, context: Context) -> None:
    check = served.opened(served.url(file(b"<html>not a picture</html>" * 100, "image/jpeg")))
    assert run_check(context, check) == "refused"


def test_an_address_inside_is_refused_without_saying_more(served: Served, context: Context) -> None:
    for url in (
        "http://127.0.0.1:1/x.jpg",
        "https://127.0.0.1/x.jpg",
        "http://169.254.169.254/latest/",
        "ftp://x/y",
    ):
        check = served.opened(url)
        assert run_check(context, check) == "refused"
        assert "public https address" in (served.check(check).seen or "")


def test_no_answer_without_a_waiting_post_is_final(served: Served, context: Context) -> None:
    check = served.opened(served.url(status(503)))
    assert run_check(context, check) == "unanswered"
    assert "503" in (served.check(check).seen or "")


def test_no_answer_with_a_waiting_post_is_tried_again_later(served: Served, context: Context) -> None:
    url = served.url(status(503))
    check = served.opened(url)
    post = served.waits(check)
    assert run_check(context, check) == "postponed"
    found = served.check(check)
    assert found.verdict is None
    assert "503" in (found.seen or "")
    assert served.core.ledger.states(post) == [State.ACCEPTED]
    with context.database.begin() as c:
        again = row(c, "SELECT next_at - now() AS wait, lease_until FROM checks WHERE id = :id", id=check)
    assert again is not None
    assert 1 <= again.wait.total_seconds() <= 20
    assert again.lease_until is None
    served.changes(url, file(picture()))
    assert run_check(context, check) == "good", "the server is back"
    assert served.core.ledger.states(post) == [State.SCHEDULED]


def test_pauses_between_tries_grow(served: Served, context: Context) -> None:
    check = served.opened(served.url(status(503)))
    served.waits(check)
    waits = []
    for _ in range(8):
        run_check(context, check)
        with context.database.begin() as c:
            found = row(
                c, "SELECT extract(epoch FROM next_at - now()) AS wait FROM checks WHERE id = :id", id=check
            )
        assert found is not None
        waits.append(round(float(found.wait)))
    assert waits == sorted(waits)
    assert waits[0] <= 10
    assert waits[-1] == 300


def test_patience_ends_a_grace_after_the_posts_time_and_each_post_has_its_own(
    served: Served, context: Context
) -> None:
    check = served.opened(served.url(status(503)))
    old, new = served.waits(check, minutes=16), served.waits(check, minutes=14)
    assert run_check(context, check) == "postponed"
    assert served.core.ledger.states(old) == [State.FAILED]
    assert served.error(old)["code"] == "media_unreachable"
    assert served.core.ledger.states(new) == [State.ACCEPTED]
    with context.database.begin() as c:
        row(
            c,
            "UPDATE deliveries SET due_at = due_at - interval '5 minutes' WHERE post_id = :id RETURNING id",
            id=new.id,
        )
    assert run_check(context, check) == "unanswered"
    assert served.core.ledger.states(new) == [State.FAILED]


def test_a_url_that_needs_more_time_than_the_first_try_is_tried_on_a_slow_slot(
    served: Served, context: Context
) -> None:
    """It is not seen as unanswered before its longer time is over, and once it answers its post goes on."""
    core = served.core.with_settings(reachability={"first_slice": 0.2, "slice": 1.0})
    url = served.url(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"))
    check = served.opened(url)
    post = served.waits(check)
    before = served.core.messages("reachability")
    assert run_check(core.context, check) == "slow"
    found = served.check(check)
    assert (found.verdict, found.seen, found.slow) == (None, None, True)
    assert served.core.messages("reachability") == before + 1
    assert run_check(core.context, check) == "postponed"
    found = served.check(check)
    assert (found.verdict, found.slow) == (None, True)
    assert found.seen is not None
    assert served.core.ledger.states(post) == [State.ACCEPTED]
    served.changes(url, file(picture()))
    assert run_check(core.context, check) == "good"
    assert served.core.ledger.states(post) == [State.SCHEDULED]


def test_a_slow_url_that_no_post_waits_for_is_unanswered(served: Served, context: Context) -> None:
    core = served.core.with_settings(reachability={"first_slice": 0.2})
    check = served.opened(served.url(drip(b"HTTP/1.1 200 OK\r\n\r\n")))
    assert run_check(core.context, check) == "unanswered"


def test_one_message_runs_all_that_is_due_and_frees_each_slot(served: Served, context: Context) -> None:
    mine = {served.opened(served.url(file(picture()))) for _ in range(3)}
    assert reachability.run_due_checks(context) >= 3
    assert {served.check(k).verdict for k in mine} == {"good"}
    assert context.check_slots.count() == 0


def test_a_slot_whose_time_is_over_sends_a_message_for_the_rest(served: Served, context: Context) -> None:
    core = served.core.with_settings(reachability={"slice": 0.0})
    mine = {served.opened(served.url(file(picture()))) for _ in range(3)}
    before = served.core.messages("reachability")
    assert reachability.run_due_checks(core.context) == 1
    assert served.core.messages("reachability") == before + 1
    assert reachability.run_due_checks(context) >= 2
    # the first one had no time at all; the others are checked as usual
    verdicts = [served.check(k).verdict for k in mine]
    assert verdicts.count("good") >= 2


def test_a_bug_of_ours_is_told_to_no_customer_and_leaves_no_post_waiting_for_ever(
    served: Served, context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("token sk-123")

    monkeypatch.setattr(reachability, "probe", broken)
    check = served.opened(served.url(file(picture())))
    patient, impatient = served.waits(check), served.waits(check, minutes=30)
    caplog.set_level(logging.INFO, "slipway.reachability")
    assert run_check(context, check) == "postponed"
    assert served.core.ledger.states(patient) == [State.ACCEPTED]
    assert served.core.ledger.states(impatient) == [State.FAILED]
    [alarm] = [r.getMessage() for r in caplog.records if "ALARM" in r.getMessage()]
    for post in (patient, impatient):
        assert f"post={post.id} delivery={post.deliveries[0]} request_id=-" in alarm
    [refusal] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("refusal ")]
    assert f"code=media_unreachable delivery={impatient.deliveries[0]} post={impatient.id} " in refusal
    assert "http" not in refusal
    assert served.error(impatient)["code"] == "media_unreachable"
    assert served.error(impatient)["message"].endswith("cannot be used: it could not be checked in time.")
    found = served.check(check)
    assert (found.verdict, found.seen) == (None, None)
    assert f"ALARM check {check}" in caplog.text
    assert "in broken" in caplog.text, "the traceback"
    monkeypatch.undo()
    assert run_check(context, check) == "good"
    assert served.core.ledger.states(patient) == [State.SCHEDULED]


def test_a_bug_of_ours_refuses_no_request_that_waits_for_the_check(
    served: Served, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No post pins the check yet: it stays undecided, is counted, and ends with its grace when no post comes."""

    def broken(*_: object, **__: object) -> None:
        raise TypeError("open() got an unexpected keyword argument")

    monkeypatch.setattr(reachability, "probe", broken)
    check = served.opened(served.url(file(picture())))
    with context.database.begin() as c:
        before = checks.count_faults(c)
    assert run_check(context, check) == "postponed"
    assert list(find_unreachable({0: served.check(check)})) == []
    with context.database.begin() as c:
        assert checks.count_faults(c) == before + 1
        row(c, "UPDATE checks SET due_at = now() - interval '1 day' WHERE id = :id RETURNING id", id=check)
    assert run_check(context, check) == "unanswered"
    with context.database.begin() as c:
        assert checks.count_faults(c) == before


def test_what_does_not_fit_one_account_fails_there_and_goes_on_elsewhere(
    served: Served, context: Context
) -> None:
    """Too wide for Instagram; Facebook takes it."""
    core = served.core
    instagram, facebook = core.account("ig", Platform.INSTAGRAM), core.account("fb", Platform.FACEBOOK)
    check = served.opened(served.url(file(picture(1080, 400))))
    other = served.opened(served.url(file(picture(1080, 401))))
    post = served.waits(check, other, accounts=[instagram, facebook])
    with context.database.begin() as c:
        c.exec_driver_sql(
            """UPDATE deliveries d SET platform = a.platform FROM accounts a
               WHERE a.id = d.account_id AND d.post_id = %(p)s""",
            {"p": post.id},
        )
    assert run_check(context, check) == "good"
    assert core.ledger.states(post) == [State.ACCEPTED] * 2, "one is still open"
    assert run_check(context, other) == "good"
    states = dict(zip((instagram, facebook), core.ledger.states(post), strict=True))
    assert states == {instagram: State.FAILED, facebook: State.SCHEDULED}
    failed = core.ledger.delivery(post.deliveries[0]).error
    assert failed["code"] == "validation_failed"
    assert str(instagram) in failed["message"]
    assert core.status(post.id) == "pending"


def test_two_verdicts_of_one_post_at_the_same_moment_never_strand_it(
    served: Served, context: Context
) -> None:
    account = served.account
    facts = {"content_type": "image/jpeg", "bytes": 9, "width": 1080, "height": 1080}
    for n in range(200):
        pair = [served.opened(f"https://media.example/{new_id()}/{k}.jpg") for k in range(2)]
        post = served.waits(*pair, accounts=[account])
        taken = [served.check(k) for k in pair]
        verdict: checks.Verdict = "good" if n % 4 else "refused"
        together(
            partial(reachability._store_verdict, context, taken[0], "good", facts, "ok"),
            partial(
                reachability._store_verdict,
                context,
                taken[1],
                verdict,
                facts if verdict == "good" else None,
                "ok",
            ),
        )
        assert served.core.ledger.states(post) == [State.SCHEDULED if verdict == "good" else State.FAILED]


# --- music -----------------------------------------------------------------------------------------------------------

TRACK = Track(post_id="1", sound_id="2", title="t", artist="a", link=MUSIC)


class Resolving(ScriptedAdapter):
    """A platform that knows sounds."""

    answers: list[Any]

    def music_link(self, link: str) -> str | None:
        return link

    def resolve_music(self, link: str) -> Track:
        assert link.startswith(MUSIC)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Track)
        return found


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (TRACK, "good"),
        (Rejected("no such post", code="music_unresolvable"), "refused"),
        (Unavailable("down"), "unanswered"),
    ],
)
def test_a_music_link_is_resolved(served: Served, context: Context, answer: object, verdict: str) -> None:
    from dataclasses import replace

    adapter = type("Bound", (Resolving,), {"script": Script(), "answers": [answer]})
    check = served.opened(f"{MUSIC}?{new_id()}", "music")
    assert run_check(replace(context, adapters={Platform.TIKTOK: adapter}), check) == verdict
    assert served.check(check).track == (TRACK if verdict == "good" else None)


def test_a_platform_without_sounds_refuses_the_link(served: Served, context: Context) -> None:
    check = served.opened(f"{MUSIC}?{new_id()}", "music")
    post = served.waits(check)
    with context.database.begin() as c:
        row(c, "UPDATE post_checks SET position = -1 WHERE post_id = :id RETURNING post_id", id=post.id)
    assert run_check(with_script(context, Script()), check) == "refused"
    assert served.error(post)["code"] == "invalid_music_url"


# --- the net ---------------------------------------------------------------------------------------------------------


def test_the_upkeep_rings_what_was_lost_and_moves_what_a_crash_stranded(
    served: Served, context: Context
) -> None:
    url = served.url(file(picture()))
    lost, done = served.opened(url), served.opened(f"{url}?2")
    post = served.waits(done)
    facts = {"content_type": "image/jpeg", "bytes": 9, "width": 1080, "height": 1080}
    with context.database.begin() as c:
        # and the worker died here, as it never can
        checks.decide_check(c, done, "good", facts=facts, seen="ok")
        row(
            c,
            "UPDATE deliveries SET updated_at = now() - interval '1 hour' WHERE post_id = :id RETURNING id",
            id=post.id,
        )
    before = served.core.messages("reachability")
    assert redispatch_checks(context) >= 2
    assert served.core.messages("reachability") > before
    assert served.core.ledger.states(post) == [State.SCHEDULED]
    assert run_check(context, lost) == "good"


def test_a_verdict_that_lands_while_a_request_is_stored_never_strands_the_post(
    served: Served, context: Context
) -> None:
    core = served.core
    # nobody to wait for: the request is stored at once
    context.liveness._client.delete("pulse:reachability")
    facts = {"content_type": "image/jpeg", "bytes": 9, "width": 1080, "height": 1080}
    seen = set()
    for _ in range(60):
        url = f"https://media.example/{new_id()}.jpg"
        taken = served.check(served.opened(url))
        request = core.request(media={"type": "slideshow", "urls": [url]})
        accepted, _ = together(
            partial(core.accept, request),
            partial(reachability._store_verdict, context, taken, "good", facts, "ok"),
        )
        assert isinstance(accepted, AcceptedPost)
        for other in set(core.check_ids(url)) - {
            taken.id
        }:  # it came too late for this one, and opened another
            reachability._store_verdict(context, served.check(other), "good", facts, "ok")
        [delivery] = core.deliveries(accepted.id)
        assert delivery.state == "scheduled"
        seen.add(bool(accepted.warnings))
    assert seen


def test_no_answer_that_lands_while_a_request_is_stored_never_fails_a_post_before_its_time(
    served: Served, context: Context
) -> None:
    """Whichever comes first: the request is refused, or its post is waited for until its time plus a grace."""
    core = served.core
    context.liveness._client.delete("pulse:reachability")
    outcomes = []

    def ask(url: str) -> AcceptedPost | Refusal:
        try:
            return core.accept(media={"type": "slideshow", "urls": [url]})
        except Refusal as refusal:
            return refusal

    for _ in range(60):
        url = f"https://media.example/{new_id()}.jpg"
        check = served.opened(url)
        with context.database.begin() as c:
            taken = claim_check(c, check)
        assert taken is not None
        answer, said = together(
            partial(ask, url), partial(reachability._postpone_or_give_up, context, taken, "no answer")
        )
        if isinstance(answer, AcceptedPost):
            [delivery] = core.deliveries(answer.id)
            assert delivery.state == "accepted", (said, delivery.error)
        else:
            assert isinstance(answer, Refusal)
            assert answer.code == "media_unreachable"
        outcomes.append((type(answer).__name__, said))
    assert outcomes
