"""No repr and no error contains a token, a secret or an upload URL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from adapters.errors import AdapterError
from adapters.oauth import TokenResponse
from adapters.tiktok.adapter import TikTok
from adapters.tiktok.oauth import BusinessOAuth
from adapters.tiktok.wire import UploadStarted
from adapters.transport import Request
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import SECRETS, account, photos, prepare_until_ready, video

Make = Callable[..., TikTok]
INFO = "/tiktok/v2/post/publish/creator_info/query/"


def clean(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def test_values_that_hold_secrets_do_not_show_them(tiktok: Make) -> None:
    url = "https://open-upload.tiktokapis.com/video/?upload_id=67890&upload_token=Xza123"
    adapter = tiktok()
    oauths = [adapter._get_product("creator"), adapter._get_product("business")]
    assert isinstance(oauths[1], BusinessOAuth)
    clean(
        repr(TokenResponse(access_token=SecretStr(SECRETS[0]), refresh_token=SecretStr(SECRETS[1]))),
        str(UploadStarted(publish_id="p", upload_url=url)),
        repr(Request(method="PUT", url=url, headers={"Access-Token": SECRETS[0]}, json={"s": SECRETS[3]})),
        repr(account()),
        *map(repr, oauths),
    )


def test_errors_do_not_repeat_what_the_platform_says(server: ScriptedServer, tiktok: Make) -> None:
    echo = examples.error("access_token_invalid").replace("…", " ".join(SECRETS))
    server.on("POST", INFO, Reply(echo, status=401))
    with pytest.raises(AdapterError) as one:
        tiktok().prepare(photos(), account(), {})
    settings = "/tiktok-business/open_api/v1.3/business/video/settings/"
    server.on("GET", settings, examples.business_error(40002, " ".join(SECRETS)))
    with pytest.raises(AdapterError) as two:
        tiktok().prepare(photos(), account("business"), {})
    server.on("POST", INFO, examples.CREATOR_INFO)
    body = f'{{"data":{{"publish_id":"p","upload_url":"http://127.0.0.1:9/?t=Xza123"}},{examples.OK}}}'
    server.on("POST", "/tiktok/v2/post/publish/video/init/", body)
    ready = prepare_until_ready(tiktok, video(), account())
    with pytest.raises(AdapterError) as three:
        tiktok().finalize(video(), account(), ready.checkpoint)
    for error in (one.value, two.value, three.value):
        clean(repr(error), str(error), repr(error.__cause__), str(error.next_action))
