"""Fixtures for the adapters' tests: a server with scripted responses, and an HTTP client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.http import HttpClient
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A running server; every response that a test enqueues has to be used."""
    with ScriptedServer().running() as running:
        yield running
        assert running.unused == 0, "the adapter sent fewer requests than the test scripted"


@pytest.fixture
def client() -> HttpClient:
    return HttpClient()
