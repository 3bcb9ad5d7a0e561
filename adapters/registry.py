"""The adapter class of each platform. Only the wiring imports it: no stage names a platform."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.contract import Adapter, Platform
from adapters.facebook.adapter import Facebook
from adapters.facebook.comments import FacebookComments
from adapters.instagram.adapter import Instagram
from adapters.instagram.comments import InstagramComments
from adapters.linkedin.adapter import LinkedIn
from adapters.linkedin.comments import LinkedInComments
from adapters.pinterest.adapter import Pinterest
from adapters.tiktok.adapter import TikTok
from adapters.youtube.adapter import YouTube
from adapters.youtube.comments import YouTubeComments

ADAPTERS: Mapping[Platform, type[Adapter]] = {
    Platform.TIKTOK: TikTok,
    Platform.INSTAGRAM: Instagram,
    Platform.YOUTUBE: YouTube,
    Platform.PINTEREST: Pinterest,
    Platform.LINKEDIN: LinkedIn,
    Platform.FACEBOOK: Facebook,
}
COMMENTS: Mapping[Platform, type[Adapter]] = {
    Platform.INSTAGRAM: InstagramComments,
    Platform.YOUTUBE: YouTubeComments,
    Platform.LINKEDIN: LinkedInComments,
    Platform.FACEBOOK: FacebookComments,
}
"""The adapter of first comments of each platform that lets them be read back. Its draft is a text with `comment_on`."""
