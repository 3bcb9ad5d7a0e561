"""Uploaded files as media of posts: checked and relayed from storage as one workspace, never over HTTP.

Their public URLs lead to a closed port, so whatever is read did not come over the network.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from adapters.contract import Media
from adapters.errors import Rejected, Unavailable
from pipeline.domain.delivery import State
from pipeline.maintenance.prepare_ahead import recheck_media
from pipeline.media.storage import FolderStorage
from pipeline.media.uploads import UploadIntake
from pipeline.runtime.context import Context
from pipeline.stages.drafts import build_draft
from pipeline.store.checks import checks
from pipeline.store.database import new_id
from pipeline.store.deliveries.claim import claim
from pipeline.store.files import files as store
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.media import samples
from tests.pipeline.media.servers import Site, status
from tests.pipeline.single_check import run_check
from tests.pipeline.store.ledger import LEASE, Ledger

CONTEXT_SETTINGS = {"SLIPWAY_FILES__PUBLIC_URL": "http://127.0.0.1:9"}
"""Nothing listens there."""


def uploaded(core: CoreFixture, data: bytes, kind: str = "video/mp4") -> str:
    """Return the URL of a file that this core's workspace has uploaded."""
    files, name = core.context.files, core.context.files.addresses.create_name(kind)
    url, key = files.addresses.public_url(name), new_id().hex
    intake = UploadIntake(content_type=kind, most=len(data), sink=files.storage.begin(key))
    intake.write(data)
    digest = intake.finish()
    with core.context.database.begin() as c:
        identity = store.open_file(
            c, workspace=core.workspace, key=None, name=name, url=url, content_type=kind, filename=None
        )
        store.begin_put(c, identity, key)
        file = store.find_upload(c, identity)
        assert file is not None
        content = store.Content(object=key, size=len(data), sha256=digest)
        assert store.finish_put(c, file, content, 0) == "stored"
    return url


def checked(core: CoreFixture, url: str, purpose: checks.Purpose = "video") -> checks.Check:
    """The check of a URL after one look at it."""
    with core.context.database.begin() as c:
        made = checks.open_check(c, core.workspace, purpose, url)
    run_check(core.context, made.id)
    with core.context.database.begin() as c:
        return checks.read_checks(c, [made.id])[made.id]


def media_of(core: CoreFixture, context: Context, url: str) -> Media:
    """What an adapter would be given of a post with this video."""
    account = core.account("one")
    check = checked(core, url).id
    post = core.ledger.post([account], State.QUEUED, checks={0: check})
    with context.database.begin() as c:
        c.exec_driver_sql(
            "UPDATE posts SET media = jsonb_build_object('type', 'video', 'url', %(u)s::text) WHERE id = %(id)s",
            {"u": url, "id": post.id},
        )
    with context.database.once() as c:
        held = claim(c, context.vault, post.deliveries[0], 0, LEASE)
    assert held is not None
    return build_draft(context, held).media[0]


def test_a_check_and_an_adapter_read_the_file_out_of_storage(core: CoreFixture, context: Context) -> None:
    data = samples.video(movflags="faststart")
    url = uploaded(core, data)
    found = checked(core, url)
    assert (found.verdict, found.seen) == ("good", "ok")
    facts = found.media_facts
    assert facts is not None
    assert (facts.bytes, facts.width, facts.height, facts.codec) == (len(data), 320, 180, "h264")
    media = media_of(core, context, url)
    assert media.url == url
    assert media.stream is not None
    assert b"".join(media.stream(0, len(data))) == data
    assert b"".join(media.stream(1000, 2000)) == data[1000:3000]


def test_the_file_of_another_workspace_looks_exactly_like_one_that_is_not_there(
    core: CoreFixture, site: Site, context: Context, ledger: Ledger
) -> None:
    url = uploaded(core, samples.video())
    site.routes["/gone"] = status(404)
    stranger = make_core(context, ledger)
    seen = {
        (found.verdict, found.seen)
        for found in (
            checked(stranger, url),
            checked(stranger, f"{context.settings.files_url}/files/nothing.mp4"),
            checked(stranger, f"{site.origin}/gone"),
            checked(core, url + "?another=spelling"),
        )
    }
    assert seen == {("refused", "HTTP 404")}
    assert checked(core, url).verdict == "good"


def test_a_file_that_was_removed_meanwhile_is_refused_and_storage_away_is_tried_again(
    core: CoreFixture, context: Context
) -> None:
    url = uploaded(core, samples.video())
    away = replace(
        context,
        files=replace(context.files, storage=FolderStorage(context.settings.files_folder / "nowhere")),
    )
    media = media_of(core, away, url)
    assert media.stream is not None
    with pytest.raises(Unavailable):
        list(media.stream(0, 10))
    with context.database.begin() as c:
        c.exec_driver_sql("UPDATE files SET removed_at = now() WHERE url = %(u)s", {"u": url})
    gone = media_of(core, context, uploaded(core, samples.video()))
    with context.database.begin() as c:
        c.exec_driver_sql("UPDATE files SET removed_at = now() WHERE url = %(u)s", {"u": gone.url})
    assert gone.stream is not None
    with pytest.raises(Rejected) as caught:
        list(gone.stream(0, 10))
    assert caught.value.code == "media_unreachable"


def test_another_look_before_the_time_finds_the_file_too(core: CoreFixture, context: Context) -> None:
    url = uploaded(core, samples.video())
    check = checked(core, url).id
    post = core.ledger.post([core.account("one")], checks={0: check})
    with context.database.begin() as c:
        c.exec_driver_sql(
            """UPDATE posts SET due_at = now() + interval '10 minutes', created_at = now() - interval '1 hour'
               WHERE id = %(id)s""",
            {"id": post.id},
        )
    assert recheck_media(context) >= 1
    assert warnings(context, post.deliveries[0]) == []


def warnings(context: Context, delivery: UUID) -> list[str]:
    with context.database.begin() as c:
        found = c.exec_driver_sql(
            "SELECT why FROM moves WHERE delivery_id = %(id)s AND mover = 'recheck'", {"id": delivery}
        )
        return [r.why for r in found]
