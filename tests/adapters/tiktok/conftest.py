"""TikTok's stand-in server, and the adapter pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.contract import PlatformSettings
from adapters.http import HttpClient
from adapters.tiktok import TikTok
from tests.adapters.stand_in import StandIn, running


@pytest.fixture
def platform() -> Iterator[StandIn]:
    with running() as stand_in:
        yield stand_in


@pytest.fixture
def settings(platform: StandIn) -> Callable[..., PlatformSettings]:
    def made(**options: Any) -> PlatformSettings:
        return PlatformSettings(
            hosts={
                "api": f"{platform.url}/tiktok",
                "business": f"{platform.url}/tiktok-business/open_api/v1.3",
                "www": f"{platform.url}/tiktok-www",
            },
            app_id="app",
            app_secret=SecretStr("app-very-secret"),
            options={"business_app_id": "bapp", "business_app_secret": "business-very-secret", **options},
        )

    return made


@pytest.fixture
def tiktok(settings: Callable[..., PlatformSettings]) -> Callable[..., TikTok]:
    """A new adapter with a new client each time, as every slice of work has."""

    def made(client: HttpClient | None = None, **options: Any) -> TikTok:
        return TikTok(client or HttpClient(), settings(**options))

    return made
