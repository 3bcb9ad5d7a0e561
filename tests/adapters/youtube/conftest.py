"""YouTube's stand-in server, and the adapter pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.contract import PlatformSettings
from adapters.http import HttpClient
from adapters.youtube import YouTube
from tests.adapters.stand_in import Reply, StandIn, running
from tests.adapters.youtube import vendor
from tests.adapters.youtube.drafts import APP_SECRET
from tests.adapters.youtube.upload_session import Session


@pytest.fixture
def platform() -> Iterator[StandIn]:
    with running() as stand_in:
        yield stand_in


@pytest.fixture
def youtube(platform: StandIn) -> Callable[..., YouTube]:
    """A new adapter with a new client each time, as every slice of work has."""

    def made(client: HttpClient | None = None, **options: Any) -> YouTube:
        hosts = {
            "api": f"{platform.url}/youtube",
            "oauth": f"{platform.url}/google-oauth",
            "accounts": f"{platform.url}/google-accounts",
        }
        settings = PlatformSettings(
            hosts=hosts, app_id="app", app_secret=SecretStr(APP_SECRET), options=options
        )
        return YouTube(client or HttpClient(), settings)

    return made


@pytest.fixture
def session(platform: StandIn) -> Callable[..., Session]:
    """An upload session at the stand-in, and the answer that starts it."""

    def made(size: int) -> Session:
        upload = Session(size, vendor.VIDEO)
        path = "/youtube/upload/youtube/v3/videos"
        platform.on("POST", path, Reply(headers={"Location": platform.url + vendor.SESSION}))
        platform.on("PUT", path, upload)
        return upload

    return made
