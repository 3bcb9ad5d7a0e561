"""Fixtures: a Pinterest adapter that sends to a scripted server."""

from __future__ import annotations

import pytest

from adapters.http import HttpClient
from adapters.pinterest import Pinterest
from tests.adapters.pinterest.drafts import build_settings
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def pinterest(server: ScriptedServer, client: HttpClient) -> Pinterest:
    return Pinterest(client, build_settings(server.url))
