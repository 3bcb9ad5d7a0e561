"""Fixtures for the adapters' tests: a server with scripted responses, and adapters that send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.facebook.adapter import Facebook
from adapters.http import HttpClient
from adapters.instagram.adapter import Instagram
from adapters.linkedin.adapter import LinkedIn
from adapters.pinterest.adapter import Pinterest
from adapters.tiktok.adapter import TikTok
from adapters.youtube.adapter import YouTube
from tests.adapters.facebook import drafts as fb
from tests.adapters.instagram import drafts as ig
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pi
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.tiktok import drafts as tt
from tests.adapters.youtube import drafts as yt
from tests.adapters.youtube import examples
from tests.adapters.youtube.upload_session import Session


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A running server; every response that a test enqueues has to be used."""
    with ScriptedServer().running() as running:
        yield running
        assert running.unused == 0, "the adapter sent fewer requests than the test scripted"


@pytest.fixture
def client() -> HttpClient:
    return HttpClient()


@pytest.fixture
def facebook(server: ScriptedServer, client: HttpClient) -> Facebook:
    return Facebook(client, fb.build_settings(server.url))


@pytest.fixture
def direct(server: ScriptedServer, client: HttpClient) -> Facebook:
    return Facebook(client, fb.build_settings(server.url, feed_mode="direct"))


@pytest.fixture
def instagram(server: ScriptedServer, client: HttpClient) -> Instagram:
    return Instagram(client, ig.build_settings(server.url))


@pytest.fixture
def linkedin(server: ScriptedServer, client: HttpClient) -> LinkedIn:
    return LinkedIn(client, li.build_settings(server.url))


@pytest.fixture
def pinterest(server: ScriptedServer, client: HttpClient) -> Pinterest:
    return Pinterest(client, pi.build_settings(server.url))


@pytest.fixture
def tiktok(server: ScriptedServer) -> Callable[..., TikTok]:
    """Build a new adapter with a new client, as every slice of work does."""

    def made(client: HttpClient | None = None, **options: Any) -> TikTok:
        return TikTok(client or HttpClient(), tt.build_settings(server.url, **options))

    return made


@pytest.fixture
def youtube(server: ScriptedServer) -> Callable[..., YouTube]:
    """Build a new adapter with a new client, as every slice of work does."""

    def made(client: HttpClient | None = None, **options: Any) -> YouTube:
        return YouTube(client or HttpClient(), yt.build_settings(server.url, **options))

    return made


@pytest.fixture
def session(server: ScriptedServer) -> Callable[..., Session]:
    """Script an upload session of YouTube at the server, and the response that starts it."""

    def made(size: int) -> Session:
        upload = Session(size, examples.VIDEO)
        path = "/youtube/upload/youtube/v3/videos"
        server.on("POST", path, Reply(headers={"Location": server.url + examples.SESSION}))
        server.on("PUT", path, upload)
        return upload

    return made
