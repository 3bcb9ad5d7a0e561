"""No repr and no error contains a token, a secret or an upload URL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.contract import Account, Draft
from adapters.errors import AdapterError
from adapters.linkedin import checkpoint as linkedin
from adapters.linkedin.wire import StartedVideo, StartedWhole
from adapters.oauth import TokenResponse
from adapters.pinterest import checkpoint as pinterest
from adapters.pinterest.wire import UploadTarget
from adapters.tiktok.adapter import TikTok
from adapters.tiktok.wire import UploadStarted
from adapters.transport import Request
from adapters.youtube import checkpoint as youtube
from adapters.youtube.client import Incomplete
from tests.adapters.instagram import drafts as ig
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pi
from tests.adapters.platforms import build_adapter
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.tiktok import drafts as tt
from tests.adapters.tiktok import examples as tiktok
from tests.adapters.youtube import drafts as yt
from tests.adapters.youtube import examples as google
from tests.adapters.youtube.upload_session import Session

URL = "https://uploads.example.com/video/?upload_token=Xza123&upload_id=" + google.UPLOAD_ID
GOOGLE_SECRETS = (yt.TOKEN, yt.REFRESH, yt.APP_SECRET, google.UPLOAD_ID)


def list_values_of_tiktok(adapter: Any) -> Iterator[object]:
    assert isinstance(adapter, TikTok)
    yield UploadStarted(publish_id="p", upload_url=URL)
    yield from (adapter._get_product(connection) for connection in ("creator", "business"))


def list_values_of_linkedin(adapter: Any) -> Iterator[object]:
    video = li.VIDEO_STARTED.replace("dms-uploads/1", li.UPLOAD_SECRET).replace(
        'n":""', f'n":"{li.APP_SECRET}"'
    )
    begun = StartedVideo.model_validate_json(video)
    parts = begun.value.uploadInstructions
    yield begun
    yield StartedWhole.model_validate_json(li.IMAGE_STARTED)
    upload = linkedin.FileUpload(url=li.UPLOAD_SECRET, token=li.UPLOAD_SECRET, parts=parts)
    yield linkedin.Checkpoint(media=(upload,))
    yield adapter._build_client(li.account())


def list_values_of_pinterest(adapter: Any) -> Iterator[object]:
    yield UploadTarget.model_validate_json(pi.REGISTERED)
    yield pinterest.Checkpoint(upload_url=pi.SIGNATURE, upload_parameters={"s": pi.SIGNATURE})
    yield adapter._build_client(pi.account()).__dict__


def list_values_of_youtube(adapter: Any) -> Iterator[object]:
    yield youtube.RedactedDict(session=URL)
    yield youtube.Checkpoint(session=URL)
    yield Incomplete(offset=1, session=URL)
    yield adapter._build_client(yt.account())


@pytest.mark.parametrize(
    ("account", "secrets", "list_values"),
    [
        (tt.account(), tt.SECRETS, list_values_of_tiktok),
        (li.account(), li.SECRETS, list_values_of_linkedin),
        (pi.account(), pi.SECRETS, list_values_of_pinterest),
        (yt.account(), GOOGLE_SECRETS, list_values_of_youtube),
    ],
)
def test_values_that_hold_secrets_do_not_show_them(
    server: ScriptedServer,
    account: Account,
    secrets: tuple[str, ...],
    list_values: Callable[[Any], Iterator[object]],
) -> None:
    adapter = build_adapter(account.platform, server.url)
    token, *others = secrets
    shared: list[object] = [
        adapter,
        account,
        TokenResponse(access_token=SecretStr(token), refresh_token=SecretStr(others[0])),
        Request(
            method="PUT", url=URL, headers={"Access-Token": token}, form={"s": others[0]}, json={"s": others}
        ),
    ]
    for value in [*shared, *list_values(adapter)]:
        assert [secret for secret in secrets if secret in f"{value!r} {value}"] == [], type(value)


def test_what_prepare_of_youtube_returns_does_not_show_its_session(
    server: ScriptedServer, session: Callable[[int], Session]
) -> None:
    session(yt.BIG)
    adapter = build_adapter(yt.account().platform, server.url)
    begun = adapter.prepare(yt.video(bytes=yt.BIG), yt.account(), {})
    assert google.UPLOAD_ID in begun.checkpoint["session"]
    assert google.UPLOAD_ID not in f"{begun!r} {begun.checkpoint}"


TIKTOK_ECHO = tiktok.error("access_token_invalid").replace("…", " ".join(tt.SECRETS))
GOOGLE_ECHO = google.error(403, "quotaExceeded", message=" ".join(GOOGLE_SECRETS))
ECHOES: list[tuple[Account, Draft, tuple[str, ...], list[Reply]]] = [
    (tt.account(), tt.photos(), tt.SECRETS, [Reply(TIKTOK_ECHO, status=401)]),
    (
        tt.account("business"),
        tt.photos(),
        tt.SECRETS,
        [Reply(tiktok.business_error(40002, " ".join(tt.SECRETS)))],
    ),
    (
        ig.account(),
        ig.photo_post(),
        (ig.TOKEN,),
        [Reply(build_error(190, message=f"Malformed access token {ig.TOKEN}"), status=400)],
    ),
    (
        yt.account(),
        yt.video(bytes=10),
        GOOGLE_SECRETS,
        [Reply(GOOGLE_ECHO, status=403), Reply(GOOGLE_ECHO, status=500), DROP, Reply(GOOGLE_ECHO)],
    ),
]


@pytest.mark.parametrize(("account", "draft", "secrets", "replies"), ECHOES)
def test_errors_do_not_repeat_what_the_platform_says(
    server: ScriptedServer, account: Account, draft: Draft, secrets: tuple[str, ...], replies: list[Reply]
) -> None:
    """At the first step; of the visible call ``conformance/test_platform_messages.py`` asks the same."""
    adapter = build_adapter(account.platform, server.url)
    for reply in replies:
        server.enqueue(reply)
        with pytest.raises(AdapterError) as caught:
            adapter.prepare(draft, account, {})
        shown = f"{caught.value!r} {caught.value} {caught.value.next_action} {caught.value.__cause__!r}"
        assert [secret for secret in secrets if secret in shown] == []
        assert secrets[0] not in str(vars(caught.value)), (
            "the platform's own sentence is kept without the token"
        )


UNREACHED: list[tuple[Account, Draft, tuple[str, ...], dict[str, Any]]] = [
    (
        tt.account(),
        tt.video(),
        tt.SECRETS,
        {
            "upload": {
                "publish_id": "p",
                "upload_url": "http://127.0.0.1:9/?t=Xza123",
                "url_expires_at": time.time() + 3600,
                "plan": {"size": 1000, "chunk_size": 1000, "chunks": 1},
                "offset": 0,
            },
        },
    ),
    (
        yt.account(),
        yt.video(bytes=10),
        GOOGLE_SECRETS,
        {
            "session": f"http://127.0.0.1:9{google.SESSION}",
            "size": 10,
            "content_type": "video/mp4",
            "said_at": time.time() + 3600,
        },
    ),
]


@pytest.mark.parametrize(("account", "draft", "secrets", "state"), UNREACHED)
def test_an_upload_that_is_not_reached_does_not_show_its_address(
    server: ScriptedServer, account: Account, draft: Draft, secrets: tuple[str, ...], state: dict[str, Any]
) -> None:
    with pytest.raises(AdapterError) as caught:
        build_adapter(account.platform, server.url).finalize(draft, account, state)
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.next_action}"
    assert [secret for secret in secrets if secret in shown] == []
