"""Build the draft of a delivery, which an adapter publishes: texts, options, and media with access to their bytes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from adapters.contract import Draft, Media, MediaFacts, Track
from pipeline.context import Context
from pipeline.media.relay import relay
from pipeline.media.spool import add_spool
from pipeline.store.deliveries.claimed import ClaimedDelivery


def build_draft(context: Context, claimed: ClaimedDelivery) -> Draft:
    """Build the draft of a claimed delivery, with the media facts that its post pinned."""
    track = claimed.facts.get("-1")
    return Draft(
        delivery_id=str(claimed.id),
        caption=claimed.caption,
        kind="video" if claimed.media["type"] == "video" else "slideshow",
        media=tuple(
            replace(
                build_media(
                    context, claimed.workspace_id, url, claimed.media["type"], claimed.facts.get(str(n))
                ),
                alt_text=get_alt_text(claimed.media, n),
            )
            for n, url in enumerate(list_urls(claimed.media))
        ),
        cover=_build_cover(context, claimed),
        options=claimed.options,
        ai_generated=claimed.ai_generated,
        music_url=claimed.music_url,
        track=Track(**track) if track else None,
    )


def spool_draft(context: Context, claimed: ClaimedDelivery, draft: Draft) -> Draft:
    """Return the draft with media that can be copied to local disk, for as long as the post is not edited."""
    folder, name = context.settings.spool_folder, f"{claimed.id}-{claimed.generation}"
    media = (add_spool(media, folder, f"{name}-{n}") for n, media in enumerate(draft.media))
    return replace(draft, media=tuple(media))


def list_urls(media: Any) -> list[str]:
    """Return the media URLs of a request, in order."""
    return [media["url"]] if media["type"] == "video" else list(media["urls"])


def get_cover_url(media: Any) -> str | None:
    """Return the URL of the image that is a video's cover, if it has one."""
    cover = media.get("cover")
    return cover if isinstance(cover, str) else None


def _build_cover(context: Context, claimed: ClaimedDelivery) -> float | Media | None:
    if (url := get_cover_url(claimed.media)) is None:
        return claimed.media.get("cover")
    return build_media(context, claimed.workspace_id, url, "image", claimed.facts.get("-2"))


def get_alt_text(media: Any, position: int) -> str | None:
    """Return the alternative text of the file at this position."""
    texts = media.get("alt_texts") or ()
    return texts[position] if position < len(texts) else None


def build_media(context: Context, workspace: UUID, url: str, kind: str, facts: Any) -> Media:
    """Return a file of a workspace with the facts of its check, and access to exactly the bytes that were checked."""
    known = MediaFacts(**facts) if facts else None
    return Media(
        url=url,
        kind="video" if kind == "video" else "image",
        facts=known,
        stream=None
        if known is None
        else relay(
            context.files.open_workspace(workspace), url, known, partial(context.transfers.open, workspace)
        ),
    )
