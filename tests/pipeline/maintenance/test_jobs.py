from __future__ import annotations

from dataclasses import replace

from adapters.contract import CannotTell, Platform, Published, Seen
from adapters.errors import Unavailable
from pipeline.celery_app import configured
from pipeline.domain.delivery import Reason, State
from pipeline.maintenance import CHORES
from pipeline.maintenance.fill_urls import fill_urls
from pipeline.maintenance.recheck_media import recheck_media
from pipeline.maintenance.resume_blocked import resume_blocked
from pipeline.queues import ALL
from pipeline.store.database import row
from tests.pipeline.core_fixture import House
from tests.pipeline.media.servers import Site, file, status
from tests.pipeline.scripted_adapter import Script, Scripted, playing
from tests.pipeline.stages.test_reachability import picture
from tests.pipeline.store.ledger import HOUR, Post


def test_every_chore_has_its_tick_and_every_tick_its_chore(house: House) -> None:
    ticks = configured(house.context.settings).conf.beat_schedule
    assert {t["options"]["queue"] for t in ticks.values() if t["task"] == "canary"} == set(ALL)
    assert {f"upkeep.{name}" for name in CHORES} == {t for t in ticks if t.startswith("upkeep.")}
    for name, tick in ticks.items():
        assert tick["task"] == name or (tick["task"], f"canary.{tick['args'][0]}") == ("canary", name)
        assert tick["options"]["expires"] >= 1


def test_a_chore_with_nothing_to_do_does_nothing(house: House) -> None:
    assert {name: chore(house.context) for name, chore in CHORES.items()} == dict.fromkeys(CHORES, 0)


# --- going on --------------------------------------------------------------------------------------------------------


def test_what_waited_for_its_account_goes_on_and_is_rung(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]])
    house.ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
    before = house.messages("delay")
    assert resume_blocked(house.context) == 1
    assert house.ledger.states(post) == [State.RETRYING]
    assert house.messages("delay") == before + 1
    assert resume_blocked(house.context) == 0


# --- addresses that were not known yet -------------------------------------------------------------------------------


def published(house: House, **columns: str) -> Post:
    post = house.ledger.post([house.accounts["one"]], State.PUBLISHED)
    assignments = {"remote_id": "NULL", "next_at": "now()", **columns}
    house.ledger.change(post.deliveries[0], ", ".join(f"{k} = {v}" for k, v in assignments.items()))
    return post


def url(house: House, post: Post) -> tuple[str | None, str | None]:
    found = house.ledger.delivery(post.deliveries[0])
    return found.remote_id, found.url


def test_a_missing_address_is_found_and_nothing_else_is_touched(house: House) -> None:
    post = published(house)
    known = published(house, url="'https://t.example/known'")
    old = published(house, published_at="now() - interval '2 days'")
    draft = published(house, delivered_as="'inbox_draft'")
    script = Script(look=lambda _: Published(remote_id="r9", url="https://t.example/r9"))
    assert fill_urls(playing(house.context, script)) == 1
    assert script.made("look") == 1
    assert url(house, post) == ("r9", "https://t.example/r9")
    assert {url(house, p)[1] for p in (old, draft)} == {None}
    assert url(house, known)[1] == "https://t.example/known"
    assert house.ledger.states(post) == [State.PUBLISHED]


def test_one_that_cannot_be_looked_at_does_not_stand_in_front_of_the_others(house: House) -> None:
    broken, unanswered, fine = (published(house, next_at=f"now() - interval '{n} s'") for n in (30, 20, 10))
    answers: list[Seen | Exception] = [
        ZeroDivisionError("bug"),
        Unavailable("down"),
        Published(remote_id="r9", url="https://t.example/r9"),
    ]

    def look(_: object) -> Seen:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert fill_urls(playing(house.context, Script(look=look))) == 1
    assert url(house, fine)[1] == "https://t.example/r9"
    for post in (broken, unanswered):
        found = house.ledger.delivery(post.deliveries[0])
        assert found.state == "published"
        assert found.next_at > found.now, "asked again later"


def test_the_address_of_anothers_post_is_not_taken(house: House) -> None:
    mine = published(house)
    published(house, remote_id="'theirs'", url="'https://t.example/theirs'")
    known: list[bool] = []

    def look(taken: object) -> Seen:
        known.append("theirs" in taken)  # type: ignore[operator]
        return Published(remote_id="theirs", url="https://t.example/theirs")

    assert fill_urls(playing(house.context, Script(look=look))) == 0
    assert known == [True]
    assert url(house, mine) == (None, None)


def test_no_address_yet_is_asked_for_ever_more_seldom(house: House) -> None:
    post = published(house, published_at="now() - interval '10 minutes'")
    context = playing(house.context, Script(look=lambda _: CannotTell(reason="?")))
    assert fill_urls(context) == 0
    found = house.ledger.delivery(post.deliveries[0])
    assert 590 < (found.next_at - found.now).total_seconds() < 610
    assert fill_urls(context) == 0


# --- media of far-away posts -----------------------------------------------------------------------------------------


def scheduled(house: House, url: str, due: str, created: str, data: bytes, etag: str | None = None) -> Post:
    import json

    facts = {"content_type": "image/jpeg", "bytes": len(data), "width": 1080, "height": 1080, "etag": etag}
    check = house.decided(url, "image", facts=facts)
    post = house.ledger.post([house.accounts["one"]], due=24 * HOUR, checks={0: check})
    media = json.dumps({"type": "slideshow", "urls": [url]})
    with house.context.database.begin() as c:
        row(
            c,
            """UPDATE posts SET media = :m, due_at = now() + CAST(:due AS interval),
                      created_at = now() - CAST(:created AS interval) WHERE id = :id RETURNING id""",
            m=media,
            due=due,
            created=created,
            id=post.id,
        )
    return post


def warnings(house: House, post: Post) -> list[str]:
    with house.context.database.begin() as c:
        found = c.exec_driver_sql(
            "SELECT why FROM moves WHERE delivery_id = %(d)s AND mover = 'recheck' ORDER BY id",
            {"d": post.deliveries[0]},
        ).all()
    return [r.why for r in found]


def test_media_are_looked_at_a_day_and_a_quarter_of_an_hour_before(house: House, site: Site) -> None:
    site.routes["/a.jpg"] = file(picture(), ETag='"1"')
    where = f"{site.origin}/a.jpg"
    post = scheduled(house, where, "23 hours", "3 days", picture(), '"1"')
    fresh = scheduled(house, f"{where}?2", "23 hours", "1 hour", picture(), '"1"')
    assert recheck_media(house.context) == 1
    assert recheck_media(house.context) == 0, "each time once"
    with house.context.database.begin() as c:
        row(
            c,
            """UPDATE posts SET due_at = now() + interval '10 minutes', rechecked_at = now() - interval '1 day',
                      created_at = now() - interval '3 days' WHERE id = :id RETURNING id""",
            id=post.id,
        )
    assert recheck_media(house.context) == 1
    assert recheck_media(house.context) == 0
    assert warnings(house, post) == warnings(house, fresh) == []


def test_trouble_with_far_away_media_is_a_warning_and_never_a_failure(house: House, site: Site) -> None:
    site.routes["/gone.jpg"] = status(404)
    site.routes["/other.jpg"] = file(picture(1000, 1000), ETag='"2"')
    site.routes["/etag.jpg"] = file(picture(), ETag='"2"')
    posts = [
        scheduled(house, f"{site.origin}/{name}.jpg", "23 hours", "3 days", picture(), '"1"')
        for name in ("gone", "other", "etag")
    ]
    assert recheck_media(house.context) == 3
    assert "404" in warnings(house, posts[0])[0]
    for post in posts[1:]:
        assert "not the file that was checked" in warnings(house, post)[0]
    for post in posts:
        assert house.ledger.states(post) == [State.SCHEDULED]
        assert house.status(post.id) == "scheduled"


def test_a_scripted_platform_stands_where_a_real_one_would(house: House) -> None:
    context = replace(house.context, adapters={Platform.TIKTOK: Scripted})
    assert context.adapters[Platform.TIKTOK].platform is Platform.TIKTOK
