"""Fixtures: an Instagram adapter that sends to a scripted server."""

from __future__ import annotations

import pytest

from adapters.http import HttpClient
from adapters.instagram import Instagram
from tests.adapters.instagram.drafts import build_settings
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def instagram(server: ScriptedServer, client: HttpClient) -> Instagram:
    return Instagram(client, build_settings(server.url))
