"""Images of deliveries that do not fit their platform: made once, bound to what was checked, kept while needed."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from adapters.contract import Draft, Platform
from adapters.errors import Rejected, StorageFault, Unavailable
from pipeline.domain.delivery import State
from pipeline.maintenance.expire import expire_files
from pipeline.media.probe.probe import NoRoom
from pipeline.media.probe.probe_client import get_probe_memory
from pipeline.media.probe.probe_worker import CONVERSION_MEMORY
from pipeline.media.storage import FolderStorage
from pipeline.runtime.context import Context
from pipeline.stages.deadline import Deadline
from pipeline.stages.derived_images import TimeIsUp, derive_images
from pipeline.stages.drafts import build_draft
from pipeline.stages.publish import publish
from pipeline.store.checks import checks
from pipeline.store.database import jsonb, row, rows
from pipeline.store.deliveries.claim import ClaimedDelivery, claim
from pipeline.store.files import files as store
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.media import samples
from tests.pipeline.media.servers import Site, file
from tests.pipeline.single_check import run_check
from tests.pipeline.store.ledger import LEASE


def check_image(core: CoreFixture, url: str) -> UUID:
    """Return the id of the good check of a URL."""
    with core.context.database.begin() as c:
        made = checks.open_check(c, core.workspace, "image", url)
    assert run_check(core.context, made.id) == "good"
    return made.id


def queue_post(
    core: CoreFixture, url: str, check: UUID, platform: Platform = Platform.TIKTOK, **media: Any
) -> UUID:
    """Return a queued delivery of a post with this image."""
    post = core.ledger.post([core.account("one", platform)], State.QUEUED, checks={0: check})
    core.run(
        "UPDATE posts SET media = :media WHERE id = :id",
        media=jsonb({"type": "slideshow", "urls": [url], **media}),
        id=post.id,
    )
    return post.deliveries[0]


def claim_post(
    core: CoreFixture, url: str, check: UUID, platform: Platform = Platform.TIKTOK, **media: Any
) -> ClaimedDelivery:
    """Return a claimed delivery of a post with this image."""
    delivery = queue_post(core, url, check, platform, **media)
    with core.context.database.once() as c:
        held = claim(c, core.context.vault, delivery, 0, LEASE)
    assert held is not None
    return held


def derive(context: Context, held: ClaimedDelivery, seconds: float = 60) -> Draft:
    return derive_images(context, held, build_draft(context, held), Deadline(timedelta(seconds=seconds)))


def read(draft: Draft) -> bytes:
    """Return the bytes that an adapter uploads of the draft's image."""
    [media] = draft.media
    assert media.stream is not None
    assert media.facts is not None
    return b"".join(media.stream(0, media.facts.bytes))


def list_objects(context: Context, sha256: str) -> list[str | None]:
    """Return the objects of the files derived from a source."""
    with context.database.begin() as c:
        found = rows(
            c, "SELECT object FROM files WHERE source_sha256 = :sha ORDER BY name", sha=bytes.fromhex(sha256)
        )
    return [r.object for r in found]


def serve(site: Site, path: str, data: bytes) -> str:
    site.routes[path] = file(data, "image/png")
    return site.origin + path


def picture(shade: int, size: tuple[int, int] = (640, 320)) -> bytes:
    """Return a PNG of its own, of the same length for each shade, as it is not compressed."""
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 100, 200)).save(out, "PNG", compress_level=0)
    return out.getvalue()


def test_an_image_that_does_not_fit_is_made_once_and_given_as_bytes_and_as_a_url(
    core: CoreFixture, context: Context, site: Site
) -> None:
    data = picture(1)
    url = serve(site, "/one.png", data)
    check = check_image(core, url)
    first = derive(context, claim_post(core, url, check))
    [media] = first.media
    assert media.url.startswith(context.settings.files_url + "/files/")
    made = Image.open(io.BytesIO(read(first)))
    assert (made.format, made.size) == ("JPEG", (640, 320))
    before, requests = list_objects(context, hashlib.sha256(data).hexdigest()), len(site.requests)
    assert derive(context, claim_post(core, url, check)).media[0].url == media.url
    assert list_objects(context, hashlib.sha256(data).hexdigest()) == before
    assert len(before) == 1
    assert len(site.requests) == requests, "its source is not read again"


def test_each_rule_has_a_file_of_its_own_and_what_fits_is_left_alone(
    core: CoreFixture, context: Context, site: Site
) -> None:
    data = picture(2, (900, 1000))
    url = serve(site, "/two.png", data)
    check = check_image(core, url)
    urls = {
        derive(context, claim_post(core, url, check, platform)).media[0].url
        for platform in (Platform.TIKTOK, Platform.INSTAGRAM)
    }
    assert len(urls) == 2
    for platform in (Platform.PINTEREST, Platform.LINKEDIN, Platform.FACEBOOK):
        draft = derive(context, claim_post(core, url, check, platform))
        assert (draft.media[0].url, read(draft)) == (url, data)


def test_another_file_of_the_same_size_at_the_url_is_never_converted(
    core: CoreFixture, context: Context, site: Site
) -> None:
    url = serve(site, "/three.png", picture(3))
    check = check_image(core, url)
    assert len(picture(4)) == len(picture(3))
    serve(site, "/three.png", picture(4))  # without an ETag: only its bytes tell
    with pytest.raises(Rejected) as caught:
        derive(context, claim_post(core, url, check))
    assert caught.value.code == "media_changed"
    serve(site, "/three.png", picture(4)[:-1])
    with pytest.raises(Rejected) as caught:
        derive(context, claim_post(core, url, check))
    assert caught.value.code == "media_changed"
    assert list_objects(context, hashlib.sha256(picture(4)).hexdigest()) == []


def test_a_file_that_storage_has_lost_is_made_again_under_its_url(
    core: CoreFixture, context: Context, site: Site
) -> None:
    data = picture(5)
    url = serve(site, "/five.png", data)
    held = claim_post(core, url, check_image(core, url))
    first = derive(context, held)
    [lost] = list_objects(context, hashlib.sha256(data).hexdigest())
    assert lost is not None
    context.files.storage.remove(lost)
    with pytest.raises(Unavailable):
        read(first)
    again = derive(context, held)
    assert again.media[0].url == first.media[0].url
    assert read(again).startswith(b"\xff\xd8\xff")
    assert list_objects(context, hashlib.sha256(data).hexdigest()) != [lost]


def test_it_is_kept_while_a_post_needs_it_and_in_no_list_or_quota(
    core: CoreFixture, context: Context, site: Site
) -> None:
    data = picture(6)
    sha, url = hashlib.sha256(data).hexdigest(), serve(site, "/six.png", data)
    held = claim_post(core, url, check_image(core, url))
    derive(context, held)
    with context.database.begin() as c:
        assert store.sum_bytes(c, core.workspace) == 0
        row(
            c,
            "UPDATE files SET stored_at = now() - interval '90 days' WHERE source_sha256 = :s RETURNING id",
            s=bytes.fromhex(sha),
        )
    expire_files(context)
    assert len(list_objects(context, sha)) == 1
    with context.database.begin() as c:
        row(c, "UPDATE deliveries SET state = 'cancelled' WHERE id = :id RETURNING id", id=held.id)
    expire_files(context)
    assert list_objects(context, sha) == []
    other = claim_post(core, url, check_image(core, url))
    assert read(derive(context, other)).startswith(b"\xff\xd8\xff"), "made again for the next post"


def test_an_image_checked_without_a_hash_is_converted_too(
    core: CoreFixture, context: Context, site: Site
) -> None:
    url = serve(site, "/seven.png", picture(7))
    held = claim_post(core, url, check_image(core, url))
    unhashed = {"0": {name: value for name, value in held.facts["0"].items() if name != "sha256"}}
    assert derive(context, replace(held, facts=unhashed)).media[0].url == derive(context, held).media[0].url


def test_without_time_memory_or_storage_it_waits(core: CoreFixture, context: Context, site: Site) -> None:
    url = serve(site, "/eight.png", picture(8))
    held = claim_post(core, url, check_image(core, url))
    with pytest.raises(TimeIsUp):
        derive(context, held, seconds=1)
    memory = get_probe_memory(context.settings.reachability.probe_memory)
    with memory.reserve(CONVERSION_MEMORY, 5), pytest.raises(NoRoom):
        derive(context, held)
    closed = context.settings.files_folder / "a file"
    closed.parent.mkdir(parents=True, exist_ok=True)
    closed.write_bytes(b"")
    away = replace(context, files=replace(context.files, storage=FolderStorage(closed)))
    with pytest.raises(StorageFault):
        derive(away, held)


def test_a_delivery_that_finds_no_memory_is_put_back_unsent_and_says_why(
    core: CoreFixture, context: Context, site: Site
) -> None:
    url = serve(site, "/held.png", picture(10))
    delivery = queue_post(core, url, check_image(core, url))
    memory = get_probe_memory(context.settings.reachability.probe_memory)
    with memory.reserve(CONVERSION_MEMORY, 5):
        publish(context, delivery, 0)
    with context.database.begin() as c:
        found = row(c, "SELECT state, held_for, spent FROM deliveries WHERE id = :id", id=delivery)
    assert found is not None
    assert (found.state, found.held_for, found.spent) == ("scheduled", "converting", 0)


def test_uploaded_images_of_every_workspace_are_derived_apart(
    core: CoreFixture, context: Context, site: Site
) -> None:
    url = serve(site, "/nine.png", picture(9))
    urls = {
        derive(context, claim_post(one, url, check_image(one, url))).media[0].url
        for one in (core, make_core(context, core.ledger))
    }
    assert len(urls) == 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_only_images_that_some_platform_takes_converted_are_read_whole(
    core: CoreFixture, context: Context, site: Site, form: str
) -> None:
    url = serve(site, f"/ten.{form}", samples.image(form, (1000, 1000)))
    check = check_image(core, url)
    with context.database.begin() as c:
        found = row(c, "SELECT content_sha256, facts FROM checks WHERE id = :id", id=check)
    assert found is not None
    wanted = hashlib.sha256(samples.image(form, (1000, 1000))).digest()
    assert found.content_sha256 == (None if form == "JPEG" else wanted)
    assert "sha256" not in found.facts, "it has a column of its own"
