"""OAuth of both products: consent page, code exchange, refresh, discovery."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from adapters.contract import Credentials, RemoteAccount
from adapters.tiktok.adapter import TikTok
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import TOKEN

Make = Callable[..., TikTok]
ROOT = "/tiktok-business/open_api/v1.3"
GRANT = Credentials(access_token=SecretStr(TOKEN))


def test_creator_discover(server: ScriptedServer, tiktok: Make) -> None:
    user = f'{{"data":{{"user":{{"open_id":"723f24d7","display_name":"Me"}}}},{examples.OK}}}'
    server.on("GET", "/tiktok/v2/user/info/", user)
    server.on("POST", "/tiktok/v2/post/publish/creator_info/query/", examples.CREATOR_INFO)
    assert tiktok().discover(GRANT) == (
        RemoteAccount(
            remote_id="723f24d7",
            username="tiktok",
            display_name="Me",
            connection="creator",
            credentials=GRANT,
        ),
    )
    assert server.requests[0].query == {"fields": "open_id,display_name"}


@pytest.mark.parametrize(
    ("profile", "username"),
    [
        (Reply('{"code":0,"message":"OK","data":{"username":"casa","display_name":"Casa"}}'), "casa"),
        (Reply(examples.business_error(40001)), ""),
        (Reply(examples.business_error(40002)), ""),
    ],
)
def test_business_discover(server: ScriptedServer, tiktok: Make, profile: Reply, username: str) -> None:
    info = (
        '{"code":0,"message":"OK","data":{"app_id":"bapp","scope":"user.info.basic","creator_id":"-000eHWs"}}'
    )
    server.on("POST", f"{ROOT}/tt_user/token_info/get/", info)
    server.on("GET", f"{ROOT}/business/get/", profile)
    (found,) = tiktok(connection="business").discover(GRANT)
    assert (found.remote_id, found.username, found.connection) == ("-000eHWs", username, "business")
    assert server.requests[0].json() == {"app_id": "bapp", "access_token": TOKEN}
    assert server.requests[1].query == {"business_id": "-000eHWs", "fields": '["username","display_name"]'}
