"""Fixtures: a LinkedIn adapter that sends to a scripted server."""

from __future__ import annotations

import pytest

from adapters.http import HttpClient
from adapters.linkedin import LinkedIn
from tests.adapters.linkedin.drafts import build_settings
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def linkedin(server: ScriptedServer, client: HttpClient) -> LinkedIn:
    return LinkedIn(client, build_settings(server.url))
