"""Fixtures: a TikTok adapter that sends to a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.contract import PlatformSettings
from adapters.http import HttpClient
from adapters.tiktok import TikTok
from tests.adapters.scripted_server import ScriptedServer


@pytest.fixture
def settings(server: ScriptedServer) -> Callable[..., PlatformSettings]:
    def made(**options: Any) -> PlatformSettings:
        return PlatformSettings(
            hosts={
                "api": f"{server.url}/tiktok",
                "business": f"{server.url}/tiktok-business/open_api/v1.3",
                "www": f"{server.url}/tiktok-www",
            },
            app_id="app",
            app_secret=SecretStr("app-very-secret"),
            options={"business_app_id": "bapp", "business_app_secret": "business-very-secret", **options},
        )

    return made


@pytest.fixture
def tiktok(settings: Callable[..., PlatformSettings]) -> Callable[..., TikTok]:
    """Build a new adapter with a new client, as every slice of work does."""

    def made(client: HttpClient | None = None, **options: Any) -> TikTok:
        return TikTok(client or HttpClient(), settings(**options))

    return made
