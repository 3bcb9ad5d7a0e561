"""Which platform resolves music links: the one whose adapter can, because only it can attach the sound."""

from __future__ import annotations

from typing import cast

from adapters.contract import Platform, ResolvesMusic
from pipeline.runtime.context import Context


def find_music_platform(context: Context) -> Platform | None:
    """Return the platform whose post links ``music_url`` accepts."""
    return next((p for p, adapter in context.adapters.items() if issubclass(adapter, ResolvesMusic)), None)


def build_music_resolver(context: Context) -> ResolvesMusic | None:
    """Return that platform's adapter for one piece of work, or None if no platform resolves music."""
    platform = find_music_platform(context)
    return None if platform is None else cast("ResolvesMusic", context.adapter(platform, context.client()))
