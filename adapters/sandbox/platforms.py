"""The table of platforms the sandbox stands in for. A new one is a line here and a file or folder of its own."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from aiohttp import web

from adapters.sandbox import facebook, instagram, linkedin, pinterest, tiktok, tiktok_business, youtube
from adapters.sandbox.context import SandboxContext

Register: TypeAlias = Callable[[web.Application, SandboxContext], None]
"""Adds the routes of one platform, its kind of account, and how its records are worked on."""

PLATFORMS: Final[Mapping[str, Register]] = {
    "tiktok": tiktok.register,
    "tiktok_business": tiktok_business.register,
    # Before Instagram: on their common host `me` is a Page's token first.
    "facebook": facebook.register,
    "instagram": instagram.register,
    "youtube": youtube.register,
    "pinterest": pinterest.register,
    "linkedin": linkedin.register,
}
