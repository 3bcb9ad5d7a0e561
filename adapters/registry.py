"""The adapter class of each platform. Only the wiring imports it: no stage names a platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

_POSTS: Sequence[type[Adapter]] = (TikTok, Instagram, YouTube, Pinterest, LinkedIn, Facebook)
_COMMENTS: Sequence[type[Adapter]] = (InstagramComments, YouTubeComments, LinkedInComments, FacebookComments)
ADAPTERS: Mapping[Platform, type[Adapter]] = {one.platform: one for one in _POSTS}
COMMENTS: Mapping[Platform, type[Adapter]] = {one.platform: one for one in _COMMENTS}
"""The adapter of first comments of each platform that lets them be read back. Its draft is a text with `comment_on`."""
