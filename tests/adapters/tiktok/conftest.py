"""Fixtures: a TikTok adapter that sends to a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.http import HttpClient
from adapters.tiktok import TikTok
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.tiktok.drafts import build_settings


@pytest.fixture
def tiktok(server: ScriptedServer) -> Callable[..., TikTok]:
    """Build a new adapter with a new client, as every slice of work does."""

    def made(client: HttpClient | None = None, **options: Any) -> TikTok:
        return TikTok(client or HttpClient(), build_settings(server.url, **options))

    return made
