"""A Pinterest adapter in front of a scripted server."""

from __future__ import annotations

import pytest

from adapters.http import HttpClient
from adapters.pinterest import Pinterest
from tests.adapters.pinterest.material import settings_for
from tests.adapters.vendor_server import VendorServer


@pytest.fixture
def pinterest(server: VendorServer, client: HttpClient) -> Pinterest:
    return Pinterest(client, settings_for(server.base))
