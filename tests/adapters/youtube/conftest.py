"""Fixtures: a YouTube adapter that sends to a scripted server, and an upload session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.http import HttpClient
from adapters.youtube import YouTube
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import build_settings
from tests.adapters.youtube.upload_session import Session


@pytest.fixture
def youtube(server: ScriptedServer) -> Callable[..., YouTube]:
    """Build a new adapter with a new client, as every slice of work does."""

    def made(client: HttpClient | None = None, **options: Any) -> YouTube:
        return YouTube(client or HttpClient(), build_settings(server.url, **options))

    return made


@pytest.fixture
def session(server: ScriptedServer) -> Callable[..., Session]:
    """Script an upload session at the server, and the response that starts it."""

    def made(size: int) -> Session:
        upload = Session(size, examples.VIDEO)
        path = "/youtube/upload/youtube/v3/videos"
        server.on("POST", path, Reply(headers={"Location": server.url + examples.SESSION}))
        server.on("PUT", path, upload)
        return upload

    return made
