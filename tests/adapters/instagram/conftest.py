"""An Instagram adapter in front of a scripted server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.http import Client
from adapters.instagram import Instagram
from tests.adapters.instagram.graph_server import GraphServer
from tests.adapters.instagram.material import settings_for


@pytest.fixture
def server() -> Iterator[GraphServer]:
    with GraphServer().running() as running:
        yield running
        assert running.unused == 0, "the adapter asked less than the test scripted"


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def instagram(server: GraphServer, client: Client) -> Instagram:
    return Instagram(client, settings_for(server.base))
