"""OAuth of a channel: consent page, code exchange, refresh, discovery."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from adapters.contract import Credentials
from adapters.youtube.adapter import YouTube
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import TOKEN

Make = Callable[..., YouTube]
CHANNELS = "/youtube/youtube/v3/channels"


def test_the_channel_of_a_grant_is_found(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", CHANNELS, examples.channels())
    credentials = Credentials(access_token=SecretStr(TOKEN))
    (found,) = youtube().discover(credentials)
    assert (found.remote_id, found.username, found.display_name) == ("UC1", "casa", "Casa")
    assert (found.connection, found.credentials) == ("channel", credentials)
    assert found.settings == {"uploads": "UU1", "long_uploads": "eligible"}
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_an_account_without_a_channel_gives_none(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", CHANNELS, '{"kind":"youtube#channelListResponse"}')
    assert list(youtube().discover(Credentials(access_token=SecretStr(TOKEN)))) == []
