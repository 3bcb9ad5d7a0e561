"""OAuth through Instagram Login and Facebook Login, and token refresh."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from adapters.contract import Credentials
from adapters.http import HttpClient
from adapters.instagram.adapter import Instagram
from tests.adapters.instagram.drafts import IG, SECRET, TOKEN, build_settings
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def facebook_login(server: ScriptedServer, client: HttpClient) -> Instagram:
    return Instagram(client, build_settings(server.url, connection="facebook_login"))


@pytest.mark.parametrize(
    "result",
    [
        f'{{"data":[{{"user_id":"{IG}","username":"slipway","name":"Slip Way","id":"app-scoped"}}]}}',
        f'{{"user_id":"{IG}","username":"slipway","name":"Slip Way","id":"app-scoped"}}',
    ],
)
def test_the_account_behind_an_instagram_token(
    server: ScriptedServer, instagram: Instagram, result: str
) -> None:
    server.enqueue(result)
    (found,) = instagram.discover(Credentials(access_token=SecretStr(TOKEN)))
    assert (found.remote_id, found.username, found.connection) == (IG, "slipway", "instagram_login")
    assert found.granted_by == "app-scoped"
    assert server.calls == ["GET /graph/v25.0/me"]
    assert "id" in server.requests[0].query["fields"].split(",")
    assert TOKEN not in repr(found)


PAGE = (
    '{"id":"134895793791914","name":"Metricsaurus","access_token":"EAA-page",'
    f'"instagram_business_account":{{"id":"{IG}","username":"slipway"}}}}'
)
PAGE_ALONE = '{"id":"2","name":"No Instagram","access_token":"EAA-page2"}'


def test_the_accounts_behind_a_facebook_token(server: ScriptedServer, facebook_login: Instagram) -> None:
    server.enqueue(f'{{"data":[{PAGE},{PAGE_ALONE}]}}', '{"id":"10158"}')
    (found,) = facebook_login.discover(Credentials(access_token=SecretStr("EAA-user")))
    assert (found.remote_id, found.connection) == (IG, "facebook_login")
    assert found.credentials.access_token.get_secret_value() == "EAA-user"
    assert found.settings == {"page_id": "134895793791914"}
    assert found.granted_by == "10158"


def test_an_empty_list_is_read_through_the_tokens_own_scopes(
    server: ScriptedServer, facebook_login: Instagram
) -> None:
    scopes = (
        '{"data":{"granular_scopes":[{"scope":"pages_show_list","target_ids":["134895793791914"]},'
        '{"scope":"pages_read_engagement","target_ids":["134895793791914"]},'
        '{"scope":"instagram_basic","target_ids":["17841405822304914"]}]}}'
    )
    server.enqueue('{"data":[]}', scopes, PAGE, '{"id":"10158"}')
    (found,) = facebook_login.discover(Credentials(access_token=SecretStr("EAA-user")))
    assert found.remote_id == IG
    assert server.calls[1:] == [
        "GET /facebook_graph/v25.0/debug_token",
        "GET /facebook_graph/v25.0/134895793791914",
        "GET /facebook_graph/v25.0/me",
    ]
    assert server.requests[1].query == {
        "input_token": "EAA-user",
        "access_token": f"990602627938098|{SECRET}",
    }
