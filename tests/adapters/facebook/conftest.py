"""A Facebook adapter in front of a scripted server."""

from __future__ import annotations

import pytest

from adapters.facebook import Facebook
from adapters.http import HttpClient
from tests.adapters.facebook.material import settings_for
from tests.adapters.vendor_server import VendorServer


@pytest.fixture
def facebook(server: VendorServer, client: HttpClient) -> Facebook:
    return Facebook(client, settings_for(server.base))


@pytest.fixture
def direct(server: VendorServer, client: HttpClient) -> Facebook:
    return Facebook(client, settings_for(server.base, feed_mode="direct"))
