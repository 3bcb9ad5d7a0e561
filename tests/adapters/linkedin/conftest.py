"""A LinkedIn adapter in front of a scripted server."""

from __future__ import annotations

import pytest

from adapters.http import HttpClient
from adapters.linkedin import LinkedIn
from tests.adapters.linkedin.material import settings_for
from tests.adapters.vendor_server import VendorServer


@pytest.fixture
def linkedin(server: VendorServer, client: HttpClient) -> LinkedIn:
    return LinkedIn(client, settings_for(server.base))
