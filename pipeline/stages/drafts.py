"""From rows to what an adapter publishes: the draft of one delivery, with a way to its bytes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from adapters.contract import Draft, Media, MediaFacts, Track
from pipeline.context import Context
from pipeline.media.relay import relay
from pipeline.store.deliveries.claimed import ClaimedDelivery


def build_draft(context: Context, held: ClaimedDelivery) -> Draft:
    """The draft of a held delivery, with the facts its post pinned."""
    track = held.facts.get("-1")
    return Draft(
        delivery_id=str(held.id),
        caption=held.caption,
        kind="video" if held.media["type"] == "video" else "slideshow",
        media=tuple(
            _media(context, held.workspace_id, url, held.media["type"], held.facts.get(str(n)))
            for n, url in enumerate(list_urls(held.media))
        ),
        options=held.options,
        music_url=held.music_url,
        track=Track(**track) if track else None,
    )


def list_urls(media: Any) -> list[str]:
    """The media URLs of a request, in order."""
    return [media["url"]] if media["type"] == "video" else list(media["urls"])


def _media(context: Context, workspace: UUID, url: str, kind: str, facts: Any) -> Media:
    known = MediaFacts(**facts) if facts else None
    return Media(
        url=url,
        kind="video" if kind == "video" else "image",
        facts=known,
        stream=relay(context.files.opener(workspace), url, known) if known else None,
    )
