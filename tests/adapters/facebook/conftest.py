"""Fixtures: a Facebook adapter that sends to a scripted server."""

from __future__ import annotations

import pytest

from adapters.facebook import Facebook
from adapters.http import HttpClient
from tests.adapters.facebook.drafts import build_settings
from tests.adapters.vendor_server import VendorServer


@pytest.fixture
def facebook(server: VendorServer, client: HttpClient) -> Facebook:
    return Facebook(client, build_settings(server.base))


@pytest.fixture
def direct(server: VendorServer, client: HttpClient) -> Facebook:
    return Facebook(client, build_settings(server.base, feed_mode="direct"))
