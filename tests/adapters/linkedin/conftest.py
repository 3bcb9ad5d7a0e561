"""A LinkedIn adapter in front of a scripted server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.http import Client
from adapters.linkedin import LinkedIn
from tests.adapters.linkedin.material import settings_for
from tests.adapters.pinterest.vendor_server import VendorServer


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer().running() as running:
        yield running
        assert running.unused == 0, "the adapter asked less than the test scripted"


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def linkedin(server: VendorServer, client: Client) -> LinkedIn:
    return LinkedIn(client, settings_for(server.base))
