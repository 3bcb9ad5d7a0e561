"""Thumbnails of checked media: made after the verdict, kept with the files, found by the pins of posts, and deleted."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.maintenance.expire import expire_files
from pipeline.media.probe.probe import ProbedMedia
from pipeline.media.probe.probe_client import get_probe_memory
from pipeline.media.probe.probe_worker import THUMBNAIL_MEMORY
from pipeline.media.storage import FolderStorage
from pipeline.runtime.context import Context, ShutdownSignal
from pipeline.stages.drafts import COVER
from pipeline.stages.drafts import MUSIC as MUSIC_POSITION
from pipeline.stages.thumbnails import COUNTER
from pipeline.store import database
from pipeline.store.checks.checks import read_checks
from pipeline.store.counters.counters import read_counters
from pipeline.store.database import new_id, rows
from pipeline.store.files import files as store
from pipeline.store.files import thumbnails
from pipeline.store.files.thumbnails import (
    Thumbnail,
    find_thumbnail,
    find_thumbnails,
    find_thumbnails_of_post,
)
from pipeline.store.posts.pins import pin_checks_for_retry
from tests.pipeline.core_fixture import MUSIC, CoreFixture
from tests.pipeline.maintenance.test_expire_files import back
from tests.pipeline.media import samples
from tests.pipeline.media.servers import Site, file
from tests.pipeline.scripted_adapter import Script
from tests.pipeline.single_check import run_check
from tests.pipeline.stages.test_files import uploaded
from tests.pipeline.stages.test_reachability import TRACK, Resolving, Served, movie, picture
from tests.pipeline.store.ledger import Post, together
from tests.pipeline.store.plans import count_rows_read

CONTEXT_SETTINGS = {"SLIPWAY_FILES__PUBLIC_URL": "http://127.0.0.1:9"}
"""Nothing listens there."""


@pytest.fixture
def served(core: CoreFixture, site: Site) -> Served:
    return Served(core, site)


def read(core: CoreFixture, check: UUID, workspace: UUID | None = None) -> bytes | None:
    """Return the stored thumbnail of a check, as a visitor of this workspace may read it."""
    with core.context.database.begin() as c:
        found = find_thumbnail(c, f"{check}.webp", [workspace or core.workspace])
    if found is None:
        return None
    part = core.context.files.storage.open(found.object, 0, found.size)
    data = part.read(found.size)
    part.close()
    return data


def count(core: CoreFixture) -> dict[str, float]:
    with core.context.database.begin() as c:
        return {one.labels["outcome"]: one.value for one in read_counters(c) if one.name == COUNTER}


def counted(core: CoreFixture, before: dict[str, float]) -> dict[str, float]:
    """Return what was counted since."""
    return {name: n for name, now in count(core).items() if (n := now - before.get(name, 0))}


def list_rows(core: CoreFixture, check: UUID) -> list[Any]:
    with core.context.database.begin() as c:
        return rows(c, "SELECT * FROM files WHERE check_id = :id", id=check)


def list_stored(context: Context) -> set[Path]:
    """Return every file in the folder."""
    return {
        path for path in context.settings.files_folder.rglob("*") if path.is_file() and path.name[0] != "."
    }


def is_webp(data: bytes | None) -> bool:
    return data is not None and (data[:4], data[8:12]) == (b"RIFF", b"WEBP")


# --- made after the verdict ------------------------------------------------------------------------------------------


def test_media_by_url_and_uploads_have_a_thumbnail_and_the_post_goes_on(
    served: Served, context: Context
) -> None:
    core = served.core
    image = served.opened(served.url(file(picture())))
    video = served.opened(served.url(file(movie()), "f.mp4"), "video")
    post, before = served.waits(image), count(core)
    assert [run_check(context, one) for one in (image, video)] == ["good", "good"]
    assert core.ledger.states(post) == [State.SCHEDULED]
    assert all(is_webp(read(core, one)) for one in (image, video))
    assert counted(core, before) == {"made": 2}
    for data, kind in ((samples.image("PNG", (900, 600)), "image/png"), (samples.video(), "video/mp4")):
        upload = served.opened(uploaded(core, data, kind), "video" if kind == "video/mp4" else "image")
        assert run_check(context, upload) == "good"
        assert is_webp(read(core, upload))
    [found] = list_rows(core, image)
    assert (found.workspace_id, found.url) == (core.workspace, served.check(image).url)


def test_the_verdict_is_committed_and_the_next_check_offered_before_it_is_made(
    served: Served, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = served.opened(served.url(file(picture())))
    post = served.waits(check)
    messages = served.core.messages("reachability")
    seen: list[object] = []

    def look(self: ProbedMedia) -> bytes | None:
        seen.append((served.check(check).verdict, served.core.ledger.states(post)))
        seen.append(served.core.messages("reachability") - messages)
        return make(self)

    make = ProbedMedia.make_thumbnail
    monkeypatch.setattr(ProbedMedia, "make_thumbnail", look)
    run_check(context, check)
    assert seen == [("good", [State.SCHEDULED]), 1]


def test_music_a_refused_file_and_one_without_decoder_have_none(served: Served, context: Context) -> None:
    core, before = served.core, count(served.core)
    heic = served.opened(served.url(file(samples.heic(400, 300))))
    refused = served.opened(served.url(file(samples.animation("GIF"))))
    music = served.opened(MUSIC, "music")
    adapter = type("Bound", (Resolving,), {"script": Script(), "answers": [TRACK]})
    assert run_check(replace(context, adapters={Platform.TIKTOK: adapter}), music) == "good"
    assert [run_check(context, one) for one in (heic, refused)] == ["good", "refused"]
    assert [list_rows(core, one) for one in (heic, refused, music)] == [[], [], []]
    assert counted(core, before) == {}


# --- a failure leaves none, and changes nothing else -----------------------------------------------------------------


def fails(
    served: Served, context: Context, caplog: pytest.LogCaptureFixture, data: bytes | None = None
) -> logging.LogRecord:
    """Check a file whose thumbnail fails; return the line about it, after asserting that all else goes on."""
    core, before = served.core, count(served.core)
    check = served.opened(served.url(file(data or picture())))
    post = served.waits(check)
    caplog.clear()
    assert run_check(context, check) == "good"
    assert core.ledger.states(post) == [State.SCHEDULED]
    assert read(core, check) is None
    assert counted(core, before) == {"failed": 1}
    [line] = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert line.getMessage().startswith(f"check {check} gets no thumbnail: ")
    return line


def test_a_file_damaged_behind_its_header_is_good_without_one(
    served: Served, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    line = fails(served, context, caplog, picture()[:1500])
    assert not line.exc_info


def test_storage_that_is_away_changes_no_verdict(
    served: Served, context: Context, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    closed = tmp_path / "a file, and no folder"
    closed.touch()
    away = replace(context, files=replace(context.files, storage=FolderStorage(closed / "files")))
    assert "uploaded files cannot be used" in fails(served, away, caplog).getMessage()


def test_a_bug_of_ours_changes_no_verdict_and_is_logged_with_its_traceback(
    served: Served, context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: ProbedMedia) -> None:
        raise TypeError("reformat() got an unexpected keyword argument")

    monkeypatch.setattr(ProbedMedia, "make_thumbnail", broken)
    assert fails(served, context, caplog).exc_info


def test_a_full_memory_is_not_waited_for_without_end(
    served: Served, context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.thumbnails.WAIT_SECONDS", 0.0)
    memory = get_probe_memory(context.settings.reachability.probe_memory)
    with memory.reserve(THUMBNAIL_MEMORY, 1):
        assert "too many files" in fails(served, context, caplog).getMessage()


def test_a_process_that_stops_makes_none(served: Served, context: Context) -> None:
    core, before, stopping = served.core, count(served.core), ShutdownSignal()
    stopping.begin(60)
    check = served.opened(served.url(file(picture())))
    assert run_check(replace(context, shutdown=stopping), check) == "good"
    assert (list_rows(core, check), counted(core, before)) == ([], {})


def test_of_sixteen_that_decided_one_makes_it(core: CoreFixture, context: Context) -> None:
    check = core.decided()

    def open_one() -> UUID | None:
        with context.database.begin() as c:
            return thumbnails.open_thumbnail(c, check)

    assert len([one for one in together(*[open_one] * 16) if one is not None]) == 1


def test_only_a_good_check_gets_one(core: CoreFixture, context: Context, served: Served) -> None:
    refused, undecided = core.decided(verdict="refused"), served.opened("https://media.example/open.jpg")
    with context.database.begin() as c:
        assert [thumbnails.open_thumbnail(c, one) for one in (refused, undecided, new_id())] == [None] * 3


# --- it is no upload -------------------------------------------------------------------------------------------------


def test_it_is_no_file_of_the_workspace(served: Served, context: Context) -> None:
    core, check = served.core, served.opened(served.url(file(picture())))
    run_check(context, check)
    name = f"{check}.webp"
    with context.database.begin() as c:
        assert store.find_public(c, name) is None, "its name, which is no secret, opens no public URL"
        assert store.find_own(c, core.workspace, name) is None
        assert store.list_files(c, core.caller, kind=None, limit=9, offset=0) == ([], 0)
        assert store.sum_bytes(c, core.workspace) == 0
        assert store.list_named(c, core.caller) == {}
        [found] = rows(c, "SELECT sha256 FROM files WHERE check_id = :id", id=check)
        assert store.find_stored(c, core.caller, bytes(found.sha256)) is None


# --- found by the pins of posts --------------------------------------------------------------------------------------


def pinned(core: CoreFixture, checks: dict[int, UUID]) -> Post:
    return core.ledger.post([core.accounts.get("one") or core.account("one")], checks=checks)


def find(core: CoreFixture, *posts: Post) -> list[tuple[Any, ...] | None]:
    with core.context.database.begin() as c:
        found = find_thumbnails(c, [post.id for post in posts])
    assert all(one.post_id == post for post, one in found.items())
    return [to_tuple(found[post.id]) if post.id in found else None for post in posts]


def to_tuple(one: Thumbnail) -> tuple[Any, ...]:
    return one.address, one.is_video, one.duration, one.media


def test_a_page_of_posts_finds_the_first_medium_of_each(served: Served, context: Context) -> None:
    core = served.core
    first, second = (served.opened(served.url(file(picture(900 + n, 900)))) for n in range(2))
    video = served.opened(served.url(file(movie()), "f.mp4"), "video")
    for one in (first, second, video):
        run_check(context, one)
    old, open_one = core.decided(), served.opened("https://media.example/open.jpg")
    posts = [
        pinned(core, {0: second, 1: first, 2: second}),
        pinned(core, {0: video, COVER: first, MUSIC_POSITION: core.decided(MUSIC, "music", facts={})}),
        pinned(core, {0: old}),
        pinned(core, {0: open_one, 1: first}),
        pinned(core, {}),
    ]
    address = "/dashboard/thumbnails/{}.webp".format
    duration = served.check(video).media_facts.duration  # type: ignore[union-attr]
    assert duration == pytest.approx(100 / 30, abs=0.05)
    assert find(core, *posts) == [
        (address(second), False, None, 3),
        (address(video), True, duration, 1),
        (None, True, 12.0, 1),
        (None, False, None, 2),
        None,
    ]
    assert find(core) == []
    with context.database.begin() as c:
        of_post = find_thumbnails_of_post(c, posts[0].id)
        assert [one.address for one in of_post] == [address(one) for one in (second, first, second)]
        assert [to_tuple(one) for one in find_thumbnails_of_post(c, posts[4].id)] == []


def test_a_retried_post_shows_the_check_that_it_pins_now(served: Served, context: Context) -> None:
    url = served.url(file(picture()))
    old = served.opened(url)
    run_check(context, old)
    post = pinned(served.core, {0: old})
    new = served.opened(url)
    run_check(context, new)
    with context.database.begin() as c:
        pin_checks_for_retry(c, post.id, {0: new})
    assert find(served.core, post) == [(f"/dashboard/thumbnails/{new}.webp", False, None, 1)]


def test_fifty_posts_are_found_by_index(core: CoreFixture) -> None:
    posts = core.ledger.posts(5000, [core.account("one")])
    core.run(
        """INSERT INTO checks (id, workspace_id, purpose, url, url_sha256, verdict, facts, decided_at)
           SELECT p.id, workspace_id, 'video', p.id::text, sha256(p.id::text::bytea), 'good', '{}', now()
           FROM posts p WHERE workspace_id = :w""",
        w=core.workspace,
    )
    core.run(
        """INSERT INTO post_checks SELECT p.id, n, p.id FROM posts p, generate_series(0, 1) n
           WHERE workspace_id = :w""",
        w=core.workspace,
    )
    core.run(
        """INSERT INTO files (id, workspace_id, name, url, content_type, check_id, object, size, sha256, stored_at)
           SELECT id, workspace_id, id || '.webp', url, 'image/webp', id, id::text, 1, url_sha256, now()
           FROM checks WHERE workspace_id = :w""",
        w=core.workspace,
    )
    core.run("ANALYZE")
    page = [post.id for post in posts[:50]]
    assert all(found and found[0] for found in find(core, *posts[:50]))
    assert count_rows_read(core.ledger, database, find_thumbnails, page) <= 50 * 2 * 3


# --- deleted with the files ------------------------------------------------------------------------------------------


def aged(core: CoreFixture, check: UUID, age: str = "31 days") -> None:
    """Set the times of a check and of its thumbnail back."""
    back(core, "files", "stored_at", age, "check_id", str(check))
    with core.context.database.engine.begin() as c:
        c.exec_driver_sql("ALTER TABLE checks DISABLE TRIGGER checks_are_final")
        c.exec_driver_sql(
            f"UPDATE checks SET decided_at = now() - '{age}'::interval WHERE id = %s",  # noqa: S608
            (check,),
        )
        c.exec_driver_sql("ALTER TABLE checks ENABLE TRIGGER checks_are_final")


def made(served: Served, context: Context, age: str = "31 days") -> UUID:
    """Check a picture by URL; return the check, which is that old."""
    check = served.opened(served.url(file(picture())))
    run_check(context, check)
    aged(served.core, check, age)
    return check


def test_an_old_one_goes_with_its_bytes_and_a_young_one_stays(served: Served, context: Context) -> None:
    before = list_stored(context)
    old, young = made(served, context), made(served, context, "29 days")
    assert len(list_stored(context) - before) == 2
    assert expire_files(context) == 1
    assert (list_rows(served.core, old), read(served.core, old)) == ([], None)
    assert is_webp(read(served.core, young))
    assert len(list_stored(context) - before) == 1
    assert find(served.core, pinned(served.core, {0: old})) == [(None, False, None, 1)]


@pytest.mark.parametrize("state", [State.SCHEDULED, State.UNKNOWN, State.PUBLISHED])
def test_an_unsettled_post_keeps_it(served: Served, context: Context, state: State) -> None:
    check = made(served, context)
    core = served.core
    core.ledger.post([core.account("one")], state, checks={0: check})
    expire_files(context)
    assert (read(core, check) is not None) is (state is not State.PUBLISHED)


def test_an_upload_and_its_thumbnail_go_together(core: CoreFixture, context: Context, served: Served) -> None:
    before = list_stored(context)
    url = uploaded(core, samples.image("PNG", (900, 600)), "image/png")
    check = served.opened(url)
    run_check(context, check)
    assert len(list_stored(context) - before) == 2
    assert expire_files(context) == 0
    back(core, "files", "stored_at", "31 days", "url", url)
    assert expire_files(context) == 0, "it was checked lately"
    aged(core, check)
    assert expire_files(context) == 2
    assert list_stored(context) == before
    with context.database.begin() as c:
        assert rows(c, "SELECT id FROM files WHERE url = :url", url=url) == []
        assert read_checks(c, [check])[check].verdict == "good", "checks are never deleted"


def test_storage_that_is_away_leaves_the_row_for_the_next_time(
    served: Served, context: Context, tmp_path: Path
) -> None:
    check = made(served, context)
    storage = FolderStorage(tmp_path / "nowhere")
    assert expire_files(replace(context, files=replace(context.files, storage=storage))) == 0
    assert len(list_rows(served.core, check)) == 1
    assert read(served.core, check) is None, "marked, so that nobody reads it"
    assert expire_files(context) == 1
    assert list_rows(served.core, check) == []


def test_a_check_cannot_be_deleted_and_leave_its_thumbnail_behind(served: Served, context: Context) -> None:
    check = made(served, context)
    with pytest.raises(Exception, match="files_check_id_fkey"), context.database.engine.begin() as c:
        c.exec_driver_sql("DELETE FROM checks WHERE id = %s", (check,))
