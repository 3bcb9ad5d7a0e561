"""The smaller maintenance jobs on real engines, and the ticks of all of them."""

from __future__ import annotations

from adapters.contract import CannotTell, LookResult, Published
from adapters.errors import Unavailable
from pipeline.broker.queues import ALL_QUEUES, list_ticks
from pipeline.domain.delivery import Reason, State
from pipeline.maintenance import JOBS
from pipeline.maintenance.finish_published import fill_urls
from pipeline.maintenance.prepare_ahead import recheck_media
from pipeline.maintenance.rescue_expired_leases import resume_blocked
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.media.servers import Site, file, status
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.stages.test_reachability import picture
from tests.pipeline.store.ledger import HOUR, Post


def test_every_chore_has_its_tick_and_every_tick_its_chore(core: CoreFixture) -> None:
    ticks = {tick.name: tick for tick in list_ticks(core.context.settings)}
    assert {tick.queue for tick in ticks.values() if tick.task == "canary"} == set(ALL_QUEUES)
    assert {f"upkeep.{name}" for name in JOBS} == {name for name in ticks if name.startswith("upkeep.")}
    for name, tick in ticks.items():
        assert tick.task == name or (tick.task, f"canary.{tick.args[0]}") == ("canary", name)


def test_a_chore_with_nothing_to_do_does_nothing(core: CoreFixture) -> None:
    assert {name: chore(core.context) for name, chore in JOBS.items()} == dict.fromkeys(JOBS, 0)


# --- going on --------------------------------------------------------------------------------------------------------


def test_what_waited_for_its_account_goes_on_and_is_rung(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]])
    core.ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
    before = core.messages("delay")
    assert resume_blocked(core.context) == 1
    assert core.ledger.states(post) == [State.RETRYING]
    assert core.messages("delay") == before + 1
    assert resume_blocked(core.context) == 0


# --- addresses that were not known yet -------------------------------------------------------------------------------


def published(core: CoreFixture, **columns: str) -> Post:
    post = core.ledger.post([core.accounts["one"]], State.PUBLISHED)
    assignments = {"remote_id": "NULL", "next_at": "now()", **columns}
    core.ledger.change(post.deliveries[0], ", ".join(f"{k} = {v}" for k, v in assignments.items()))
    return post


def url(core: CoreFixture, post: Post) -> tuple[str | None, str | None]:
    found = core.ledger.delivery(post.deliveries[0])
    return found.remote_id, found.url


def test_a_missing_address_is_found_and_nothing_else_is_touched(core: CoreFixture) -> None:
    post = published(core)
    known = published(core, url="'https://t.example/known'")
    old = published(core, published_at="now() - interval '2 days'")
    draft = published(core, delivered_as="'inbox_draft'")
    script = Script(look=lambda _: Published(remote_id="r9", url="https://t.example/r9"))
    assert fill_urls(with_script(core.context, script)) == 1
    assert script.made("look") == 1
    assert url(core, post) == ("r9", "https://t.example/r9")
    assert {url(core, p)[1] for p in (old, draft)} == {None}
    assert url(core, known)[1] == "https://t.example/known"
    assert core.ledger.states(post) == [State.PUBLISHED]


def test_one_that_cannot_be_looked_at_does_not_stand_in_front_of_the_others(core: CoreFixture) -> None:
    broken, unanswered, fine = (published(core, next_at=f"now() - interval '{n} s'") for n in (30, 20, 10))
    answers: list[LookResult | Exception] = [
        ZeroDivisionError("bug"),
        Unavailable("down"),
        Published(remote_id="r9", url="https://t.example/r9"),
    ]

    def look(_: object) -> LookResult:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert fill_urls(with_script(core.context, Script(look=look))) == 1
    assert url(core, fine)[1] == "https://t.example/r9"
    for post in (broken, unanswered):
        found = core.ledger.delivery(post.deliveries[0])
        assert found.state == "published"
        assert found.next_at > found.now, "asked again later"


def test_the_address_of_anothers_post_is_not_taken(core: CoreFixture) -> None:
    mine = published(core)
    published(core, remote_id="'theirs'", url="'https://t.example/theirs'")
    known: list[bool] = []

    def look(taken: object) -> LookResult:
        known.append("theirs" in taken)  # type: ignore[operator]
        return Published(remote_id="theirs", url="https://t.example/theirs")

    assert fill_urls(with_script(core.context, Script(look=look))) == 0
    assert known == [True]
    assert url(core, mine) == (None, None)


def test_no_address_yet_is_asked_for_ever_more_seldom(core: CoreFixture) -> None:
    post = published(core, published_at="now() - interval '10 minutes'")
    context = with_script(core.context, Script(look=lambda _: CannotTell(reason="?")))
    assert fill_urls(context) == 0
    found = core.ledger.delivery(post.deliveries[0])
    assert 590 < (found.next_at - found.now).total_seconds() < 610
    assert fill_urls(context) == 0


# --- media of far-away posts -----------------------------------------------------------------------------------------


def scheduled(
    core: CoreFixture, url: str, due: str, created: str, data: bytes, etag: str | None = None
) -> Post:
    import json

    facts = {"content_type": "image/jpeg", "bytes": len(data), "width": 1080, "height": 1080, "etag": etag}
    check = core.decided(url, "image", facts=facts)
    post = core.ledger.post([core.accounts["one"]], due=24 * HOUR, checks={0: check})
    media = json.dumps({"type": "slideshow", "urls": [url]})
    core.run(
        """UPDATE posts SET media = :m, due_at = now() + CAST(:due AS interval),
                      created_at = now() - CAST(:created AS interval) WHERE id = :id""",
        m=media,
        due=due,
        created=created,
        id=post.id,
    )
    return post


def warnings(core: CoreFixture, post: Post) -> list[str]:
    with core.context.database.begin() as c:
        found = c.exec_driver_sql(
            "SELECT why FROM moves WHERE delivery_id = %(d)s AND mover = 'recheck' ORDER BY id",
            {"d": post.deliveries[0]},
        ).all()
    return [r.why for r in found]


def test_media_are_looked_at_a_day_and_a_quarter_of_an_hour_before(core: CoreFixture, site: Site) -> None:
    site.routes["/a.jpg"] = file(picture(), ETag='"1"')
    where = f"{site.origin}/a.jpg"
    post = scheduled(core, where, "23 hours", "3 days", picture(), '"1"')
    fresh = scheduled(core, f"{where}?2", "23 hours", "1 hour", picture(), '"1"')
    assert recheck_media(core.context) == 1
    assert recheck_media(core.context) == 0, "each time once"
    core.run(
        """UPDATE posts SET due_at = now() + interval '10 minutes', rechecked_at = now() - interval '1 day',
                      created_at = now() - interval '3 days' WHERE id = :id""",
        id=post.id,
    )
    assert recheck_media(core.context) == 1
    assert recheck_media(core.context) == 0
    assert warnings(core, post) == warnings(core, fresh) == []


def test_trouble_with_far_away_media_is_a_warning_and_never_a_failure(core: CoreFixture, site: Site) -> None:
    site.routes["/gone.jpg"] = status(404)
    site.routes["/other.jpg"] = file(picture(1000, 1000), ETag='"2"')
    site.routes["/etag.jpg"] = file(picture(), ETag='"2"')
    posts = [
        scheduled(core, f"{site.origin}/{name}.jpg", "23 hours", "3 days", picture(), '"1"')
        for name in ("gone", "other", "etag")
    ]
    assert recheck_media(core.context) == 3
    assert "404" in warnings(core, posts[0])[0]
    for post in posts[1:]:
        assert "not the file that was checked" in warnings(core, post)[0]
    for post in posts:
        assert core.ledger.states(post) == [State.SCHEDULED]
        assert core.status(post.id) == "scheduled"
