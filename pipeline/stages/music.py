"""Which platform resolves music links: the one whose adapter can, as only that one can attach the sound."""

from __future__ import annotations

from adapters.contract import Platform, ResolvesMusic
from pipeline.context import Context


def find_music_platform(context: Context) -> Platform | None:
    """Return the platform whose post links ``music_url`` takes."""
    return next((p for p, adapter in context.adapters.items() if issubclass(adapter, ResolvesMusic)), None)


def find_music_resolver(context: Context) -> ResolvesMusic | None:
    """Return that platform's adapter for a few calls."""
    platform = find_music_platform(context)
    adapter = None if platform is None else context.adapter(platform, context.client())
    return adapter if isinstance(adapter, ResolvesMusic) else None
