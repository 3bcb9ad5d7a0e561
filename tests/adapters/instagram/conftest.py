"""An Instagram adapter in front of a scripted server."""

from __future__ import annotations

import pytest

from adapters.http import HttpClient
from adapters.instagram import Instagram
from tests.adapters.instagram.material import settings_for
from tests.adapters.vendor_server import VendorServer


@pytest.fixture
def instagram(server: VendorServer, client: HttpClient) -> Instagram:
    return Instagram(client, settings_for(server.base))
