"""Meta's own SDK, facebook-business, against the Facebook sandbox: photos, posts, reels, chunked videos, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facebook_business import video_uploader  # type: ignore[import-untyped]
from facebook_business.adobjects.page import Page  # type: ignore[import-untyped]
from facebook_business.adobjects.post import Post  # type: ignore[import-untyped]
from facebook_business.exceptions import FacebookRequestError  # type: ignore[import-untyped]

from adapters.contract import Account
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.meta_sdk import open_sdk
from tests.adapters.conformance.post_cases import PHOTOS, POST_CASES

FACEBOOK = next(s for s in POST_CASES if s.name == "facebook reel")


@pytest.fixture
def account(environment: Environment) -> Account:
    return environment.create_account(FACEBOOK)


@pytest.fixture
def api(environment: Environment, account: Account) -> Iterator[Any]:
    with open_sdk(environment, account) as made:
        yield made


def _upload_photo(environment: Environment, page: Any, name: str) -> str:
    url = f"http://127.0.0.1:{environment.media_port}/media/{name}"
    return str(page.create_photo(params={"url": url, "published": False})["id"])


def test_photos_and_a_feed_post_in_two_phases(environment: Environment, account: Account, api: Any) -> None:
    page = Page(account.remote_id, api=api)
    attached = [{"media_fbid": _upload_photo(environment, page, name)} for name in PHOTOS]
    made = page.create_feed(params={"message": "By the SDK", "attached_media": attached, "published": False})
    assert environment.list_live(account) == []
    post = Post(made["id"], api=api)
    assert post.api_get(fields=["is_published"])["is_published"] is False
    post.api_update(params={"is_published": True})
    [line] = environment.list_live(account)
    assert (line["caption"], len(line["media"])) == ("By the SDK", len(PHOTOS))
    assert Post(made["id"], api=api).api_get(fields=["is_published"])["is_published"] is True
    assert [found["id"] for found in page.get_published_posts(fields=["id", "message"])] == [made["id"]]


def test_a_feed_post_at_once(environment: Environment, account: Account, api: Any) -> None:
    made = Page(account.remote_id, api=api).create_feed(params={"message": "At once"})
    [line] = environment.list_live(account)
    assert (line["remote_id"], line["caption"]) == (made["id"], "At once")


def test_a_reel(environment: Environment, account: Account, api: Any) -> None:
    page = Page(account.remote_id, api=api)
    started = page.create_video_reel(params={"upload_phase": "start"})
    data = (environment.folder / "media" / FACEBOOK.files[0]).read_bytes()
    token = account.credentials.access_token.get_secret_value()
    api._session.requests.post(  # the SDK has no call for this host
        started["upload_url"],
        data=data,
        timeout=60,
        headers={"Authorization": f"OAuth {token}", "offset": "0", "file_size": str(len(data))},
    ).raise_for_status()
    finish = {
        "upload_phase": "finish",
        "video_id": started["video_id"],
        "video_state": "PUBLISHED",
        "description": "r",
    }
    page.create_video_reel(params=finish)
    [line] = environment.list_live(account)
    assert (line["kind"], line["caption"]) == ("reel", "r")


@pytest.mark.parametrize("repeats", [False, True])
def test_its_chunked_uploader(
    environment: Environment, account: Account, api: Any, monkeypatch: pytest.MonkeyPatch, *, repeats: bool
) -> None:
    """The uploader is made for ad accounts; a Page's edge only has a different name."""

    def send_to_page(self: Any, path: tuple[str, str]) -> Any:
        return self._api.call("POST", (path[0], "videos"), params=self._params, files=self._files)

    monkeypatch.setattr(video_uploader.VideoUploadRequest, "send", send_to_page)
    path = environment.folder / "media" / "sample-2mb.mp4"
    uploader = video_uploader.VideoUploadSession(_Video(account, api, str(path)))
    if repeats:
        _repeat_chunk(uploader, account, api, path)
    else:
        assert uploader.start()["id"]
    [line] = environment.list_live(account)
    assert line["media"][0]["bytes"] == path.stat().st_size


def _repeat_chunk(uploader: Any, account: Account, api: Any, path: Path) -> None:
    """Send a chunk twice: the repetition gets 1363037 with the offsets from which the SDK continues."""
    started = uploader._start_request_manager.send_request(uploader.getStartRequestContext()).json()
    uploader._start_offset, uploader._end_offset = int(started["start_offset"]), int(started["end_offset"])
    uploader._session_id = started["upload_session_id"]
    chunk = path.read_bytes()[: uploader._end_offset]
    about = {"upload_phase": "transfer", "upload_session_id": uploader._session_id, "start_offset": 0}
    there = {"video_file_chunk": (path.name, chunk, "multipart/form-data")}
    api.call("POST", (account.remote_id, "videos"), params=about, files=there)
    uploader._transfer_request_manager.send_request(uploader.getTransferRequestContext())
    uploader._finish_request_manager.send_request(uploader.getFinishRequestContext())


class _Video(dict[str, Any]):
    """The part of an AdVideo that the uploader uses."""

    class Field:
        """Names of the fields that hold the file."""

        filepath = "filepath"
        slideshow_spec = "slideshow_spec"

    def __init__(self, account: Account, api: Any, path: str) -> None:
        super().__init__({"filepath": path})
        self._page, self._api = account.remote_id, api

    def get_api_assured(self) -> Any:
        return self._api

    def get_parent_id_assured(self) -> str:
        return self._page


@pytest.mark.parametrize(("state", "code"), [("expired", 190), ("revoked", 190)])
def test_it_understands_our_refusals(
    environment: Environment, account: Account, api: Any, state: str, code: int
) -> None:
    environment.control(
        "POST", "tokens", {"platform": "facebook", "remote_id": account.remote_id, "state": state}
    )
    with pytest.raises(FacebookRequestError) as caught:
        Page(account.remote_id, api=api).create_feed(params={"message": "m"})
    assert caught.value.api_error_code() == code
    assert caught.value.http_status() == 400
