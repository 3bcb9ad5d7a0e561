"""The adapter class of each platform. Only the wiring imports it: no stage names a platform."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.contract import Adapter, Platform
from adapters.facebook import Facebook
from adapters.instagram import Instagram
from adapters.linkedin import LinkedIn
from adapters.pinterest import Pinterest
from adapters.tiktok import TikTok
from adapters.youtube import YouTube

ADAPTERS: Mapping[Platform, type[Adapter]] = {
    Platform.TIKTOK: TikTok,
    Platform.INSTAGRAM: Instagram,
    Platform.YOUTUBE: YouTube,
    Platform.PINTEREST: Pinterest,
    Platform.LINKEDIN: LinkedIn,
    Platform.FACEBOOK: Facebook,
}
