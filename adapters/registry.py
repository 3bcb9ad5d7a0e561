"""Which adapter speaks for which platform. Imported by the wiring alone: no stage ever names a platform."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.contract import Adapter, Platform
from adapters.facebook import Facebook
from adapters.instagram import Instagram
from adapters.tiktok import TikTok

ADAPTERS: Mapping[Platform, type[Adapter]] = {
    Platform.TIKTOK: TikTok,
    Platform.INSTAGRAM: Instagram,
    Platform.FACEBOOK: Facebook,
}
