"""Fixtures: a Facebook adapter that sends to a scripted server."""

from __future__ import annotations

import pytest

from adapters.facebook import Facebook
from adapters.http import HttpClient
from tests.adapters.facebook.drafts import build_settings
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def facebook(server: ScriptedServer, client: HttpClient) -> Facebook:
    return Facebook(client, build_settings(server.url))


@pytest.fixture
def direct(server: ScriptedServer, client: HttpClient) -> Facebook:
    return Facebook(client, build_settings(server.url, feed_mode="direct"))
