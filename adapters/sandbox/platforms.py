"""The table of fake platforms. A new platform is a line here and a module or package of its own."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from aiohttp import web

from adapters.sandbox import facebook, instagram, linkedin, pinterest, tiktok, tiktok_business, youtube
from adapters.sandbox.context import SandboxContext

Register: TypeAlias = Callable[[web.Application, SandboxContext], None]
"""Adds the routes of one platform, its account kind and its processors."""

PLATFORMS: Final[Mapping[str, Register]] = {
    "tiktok": tiktok.register,
    "tiktok_business": tiktok_business.register,
    # Before Instagram: on their shared host, `me` is tried as a Page first.
    "facebook": facebook.register,
    "instagram": instagram.register,
    "youtube": youtube.register,
    "pinterest": pinterest.register,
    "linkedin": linkedin.register,
}
