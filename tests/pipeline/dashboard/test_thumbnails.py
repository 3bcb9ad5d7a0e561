"""Thumbnails over HTTP: who may see which, what browsers are told, and storage that is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.domain.account import Role
from pipeline.store.files.thumbnails import PATH
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.dashboard.thumbnails import add_thumbnail
from tests.pipeline.media import samples
from tests.pipeline.store.ledger import Ledger


@pytest.fixture
def name(site: Site) -> str:
    """A thumbnail of the site's workspace."""
    return add_thumbnail(site.server.context, site.tenant.workspace)


def test_it_is_sent_with_its_type_and_kept_for_a_year(http: Client, name: str) -> None:
    answer = http.get(PATH + name)
    assert (answer.status_code, answer.content) == (200, samples.webp((256, 100)))
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Content-Encoding" not in answer.headers
    head = http.head(PATH + name)
    assert (head.status_code, head.content) == (200, b"")
    for header in ("Content-Type", "Content-Length", "Cache-Control"):
        assert head.headers[header] == answer.headers[header]


def test_the_smallest_role_in_its_workspace_sees_it_and_the_greatest_elsewhere_does_not(
    site: Site, ledger: Ledger, name: str
) -> None:
    for workspace in (site.tenant.workspace, None):
        with site.log_in(site.add_user({workspace: Role.VIEWER})) as viewer:
            assert viewer.get(PATH + name).status_code == 200
    with site.log_in(site.add_user({ledger.workspace(): Role.ADMIN})) as stranger:
        for method in ("GET", "HEAD"):
            answer = stranger.request(method, PATH + name)
            assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize("name", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "x.webp", "%ff", "a" * 5000])
def test_a_name_is_only_ever_looked_up(http: Client, name: str) -> None:
    answer = http.get(PATH + name)
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_an_upload_and_one_that_is_removed_are_no_thumbnails_and_a_thumbnail_is_no_upload(
    http: Client, site: Site, name: str
) -> None:
    assert http.get(f"/files/{name}").status_code == 404
    with site.server.context.database.engine.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO files (id, workspace_id, name, url, content_type, object, size, sha256, stored_at)
               SELECT gen_random_uuid(), workspace_id, 'upload.webp', url, content_type, 'copy', size, sha256, now()
               FROM files WHERE name = %s""",
            (name,),
        )
        c.exec_driver_sql("UPDATE files SET removed_at = now() WHERE name = %s", (name,))
    assert http.get(f"{PATH}upload.webp").status_code == http.get(PATH + name).status_code == 404


def test_storage_that_is_away_is_said_and_not_kept(http: Client, site: Site, name: str) -> None:
    folder = site.server.context.settings.files_folder
    folder.rename(folder.with_name("away"))
    try:
        answer = http.get(PATH + name)
    finally:
        folder.with_name("away").rename(folder)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (503, "no-store")
    assert "The file storage cannot be used now" in answer.text
    assert http.get(PATH + name).status_code == 200


def test_a_page_of_fifty_gets_all_at_once(http: Client, site: Site) -> None:
    names = [add_thumbnail(site.server.context, site.tenant.workspace, width=n + 1) for n in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = [*pool.map(lambda one: http.get(PATH + one), names)]
    assert [one.content for one in answers] == [samples.webp((n + 1, 100)) for n in range(50)]
