"""A Facebook adapter in front of a scripted server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.facebook import Facebook
from adapters.http import Client
from tests.adapters.facebook.material import settings_for
from tests.adapters.instagram.graph_server import GraphServer


@pytest.fixture
def server() -> Iterator[GraphServer]:
    with GraphServer().running() as running:
        yield running
        assert running.unused == 0, "the adapter asked less than the test scripted"


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def facebook(server: GraphServer, client: Client) -> Facebook:
    return Facebook(client, settings_for(server.base))


@pytest.fixture
def direct(server: GraphServer, client: Client) -> Facebook:
    return Facebook(client, settings_for(server.base, feed_mode="direct"))
