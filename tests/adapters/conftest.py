"""A scripted server and a client, for the adapters that are tested against answers in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.http import HttpClient
from tests.adapters.vendor_server import VendorServer


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer().running() as running:
        yield running
        assert running.unused == 0, "the adapter asked less than the test scripted"


@pytest.fixture
def client() -> HttpClient:
    return HttpClient()
