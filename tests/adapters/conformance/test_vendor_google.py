"""google-api-python-client against the YouTube sandbox: its resumable uploader, token refresh and reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any

import pytest
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp  # type: ignore[import-untyped]
from googleapiclient.discovery import build_from_document  # type: ignore[import-untyped]
from googleapiclient.errors import HttpError  # type: ignore[import-untyped]
from googleapiclient.http import MediaFileUpload, build_http  # type: ignore[import-untyped]

from adapters.contract import Account
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import POST_CASES

YOUTUBE = next(s for s in POST_CASES if s.name == "youtube video, chunks")
CHUNK = 4 * 1024 * 1024
BODY: Mapping[str, Any] = {
    "snippet": {"title": "By the vendor's client", "description": "d", "tags": ["a"], "categoryId": "22"},
    "status": {"privacyStatus": "public"},
}
MAX_STEPS = 30


@pytest.fixture
def account(environment: Environment) -> Account:
    return environment.create_account(YOUTUBE)


@pytest.fixture
def service(environment: Environment, account: Account) -> Iterator[Any]:
    """The vendor's client with its own discovery document, in which only the host is changed."""
    text = files("googleapiclient").joinpath("discovery_cache/documents/youtube.v3.json").read_text("utf-8")
    document = json.loads(text)
    document |= {"rootUrl": f"{environment.base}/youtube/", "baseUrl": f"{environment.base}/youtube/"}
    refresh = account.credentials.refresh_token
    assert refresh is not None
    granted = Credentials(  # type: ignore[no-untyped-call]
        token=account.credentials.access_token.get_secret_value(),
        refresh_token=refresh.get_secret_value(),
        token_uri=f"{environment.base}/google-oauth/token",
        client_id="slipway-sandbox",
        client_secret="sandbox-secret",
    )
    built = build_from_document(document, http=AuthorizedHttp(granted, http=build_http()))
    yield built
    built.close()


def _make_insert_request(environment: Environment, service: Any) -> Any:
    media = MediaFileUpload(
        str(environment.folder / "media" / YOUTUBE.files[0]),
        mimetype="video/mp4",
        chunksize=CHUNK,
        resumable=True,
    )
    return service.videos().insert(part="snippet,status", body=BODY, media_body=media)


def _upload(request: Any, *, retries: int = 0) -> tuple[Mapping[str, Any], int]:
    """Upload all chunks as the vendor's documentation shows, repeating failed calls; return video and failures."""
    cuts = 0
    for _ in range(MAX_STEPS):
        try:
            _, made = request.next_chunk(num_retries=retries)
        except (OSError, HttpError):
            cuts += 1
            assert cuts < 4
            continue
        if made is not None:
            return made, cuts
    raise AssertionError("the upload does not finish")


def _check_complete(environment: Environment, account: Account, made: Mapping[str, Any]) -> None:
    [line] = environment.list_live(account)
    data = (environment.folder / "media" / YOUTUBE.files[0]).read_bytes()
    assert line["remote_id"] == made["id"]
    assert line["media"][0]["bytes"] == len(data)
    assert line["media"][0]["sha256"] == sha256(data).hexdigest()


def test_its_uploader_uploads(environment: Environment, account: Account, service: Any) -> None:
    made, cuts = _upload(_make_insert_request(environment, service))
    assert cuts == 0
    assert made["snippet"]["title"] == BODY["snippet"]["title"]
    _check_complete(environment, account, made)
    seen = service.videos().list(part="status,processingDetails", id=made["id"]).execute()
    assert [item["id"] for item in seen["items"]] == [made["id"]]
    mine = service.channels().list(part="contentDetails", mine=True).execute()["items"][0]
    uploads = mine["contentDetails"]["relatedPlaylists"]["uploads"]
    listed = service.playlistItems().list(part="contentDetails", playlistId=uploads).execute()
    assert [item["contentDetails"]["videoId"] for item in listed["items"]] == [made["id"]]


def _get_image(environment: Environment, name: str = "sample-1.jpg") -> Any:
    return MediaFileUpload(str(environment.folder / "media" / name), mimetype="image/jpeg")


def test_its_thumbnail_is_set_and_another_replaces_it(
    environment: Environment, account: Account, service: Any
) -> None:
    made, _ = _upload(_make_insert_request(environment, service))
    for name in ("sample-1.jpg", "sample-2.jpg"):
        image = environment.folder / "media" / name
        upload = _get_image(environment, name)
        done = service.thumbnails().set(videoId=made["id"], media_body=upload).execute()
        assert done["kind"] == "youtube#thumbnailSetResponse"
        seen = service.videos().list(part="snippet", id=made["id"]).execute()["items"][0]
        url = seen["snippet"]["thumbnails"]["default"]["url"]
        assert url.endswith(f"/{sha256(image.read_bytes()).hexdigest()}.jpg")
    with pytest.raises(HttpError, match="cannot be found"):
        service.thumbnails().set(videoId="unknown", media_body=_get_image(environment)).execute()


@pytest.mark.parametrize("fault", ["drop", "effect-then-5xx", "short-store", "moved-session"])
@pytest.mark.parametrize("step", ["upload", "finalize"])
def test_its_uploader_probes_and_resumes(
    environment: Environment, account: Account, service: Any, step: str, fault: str
) -> None:
    environment.add_fault("youtube", step, fault)
    made, cuts = _upload(_make_insert_request(environment, service))
    assert cuts == (fault in ("drop", "effect-then-5xx"))
    _check_complete(environment, account, made)


def test_its_uploader_asks_again_by_itself_after_5xx(
    environment: Environment, account: Account, service: Any
) -> None:
    environment.add_fault("youtube", "prepare", "5xx")
    made, cuts = _upload(_make_insert_request(environment, service), retries=1)
    assert cuts == 0
    _check_complete(environment, account, made)


def test_its_credentials_are_refreshed_at_our_token_host(
    environment: Environment, account: Account, service: Any
) -> None:
    environment.control(
        "POST", "tokens", {"platform": "youtube", "remote_id": account.remote_id, "state": "expired"}
    )
    made, cuts = _upload(_make_insert_request(environment, service))
    assert cuts == 0
    _check_complete(environment, account, made)


def test_it_understands_our_refusals(environment: Environment, service: Any) -> None:
    environment.add_fault("youtube", "prepare", "quota-exhausted")
    with pytest.raises(HttpError) as caught:
        _make_insert_request(environment, service).next_chunk()
    assert caught.value.status_code == 403
    assert caught.value.error_details[0]["reason"] in {"quotaExceeded", "dailyLimitExceeded"}
