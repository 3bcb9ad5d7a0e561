"""Settings of each platform whose hosts are a scripted server, and an adapter that sends to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters.contract import Adapter, Platform
from adapters.http import HttpClient
from adapters.registry import ADAPTERS
from tests.adapters.facebook import drafts as fb
from tests.adapters.instagram import drafts as ig
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pi
from tests.adapters.tiktok import drafts as tt
from tests.adapters.youtube import drafts as yt

SETTINGS: Mapping[Platform, Callable[..., Any]] = {
    Platform.FACEBOOK: fb.build_settings,
    Platform.INSTAGRAM: ig.build_settings,
    Platform.LINKEDIN: li.build_settings,
    Platform.PINTEREST: pi.build_settings,
    Platform.TIKTOK: tt.build_settings,
    Platform.YOUTUBE: yt.build_settings,
}


def build_adapter(platform: Platform, base: str, **options: Any) -> Adapter:
    """Return a platform's adapter, with options of its settings, that sends to *base*."""
    return ADAPTERS[platform](HttpClient(), SETTINGS[platform](base, **options))
