"""Build the draft of a delivery, which an adapter publishes: texts, options, and media with access to their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from adapters.contract import Adapter, Capabilities, Draft, Media, MediaFacts, Ready, SetsCover, Track
from pipeline.media.relay import relay
from pipeline.media.spool import SentRange
from pipeline.runtime.context import Context
from pipeline.stages.post_request import AcceptanceWarning
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.published import record_cover as store_cover


def build_draft(
    context: Context, claimed: ClaimedDelivery, while_waiting: Callable[[], None] | None = None
) -> Draft:
    """Build the draft of a claimed delivery, with the media facts that its post pinned.

    ``while_waiting`` is called every second or so while a medium's source is awaited.
    """
    build = partial(build_media, context, claimed.workspace_id, while_waiting=while_waiting)
    kind = claimed.media["type"]
    track = claimed.facts.get("-1")
    return Draft(
        delivery_id=str(claimed.id),
        caption=claimed.caption,
        kind="video" if kind == "video" else "slideshow",
        media=tuple(
            replace(build(url, kind, claimed.facts.get(str(n))), alt_text=get_alt_text(claimed.media, n))
            for n, url in enumerate(list_urls(claimed.media))
        ),
        cover=_build_cover(claimed, build),
        options=claimed.options,
        ai_generated=claimed.ai_generated,
        music_url=claimed.music_url,
        track=Track(**track) if track else None,
    )


def _find_sent_range(
    context: Context, claimed: ClaimedDelivery, draft: Draft, ready: Ready
) -> SentRange | None:
    """Return what the visible call sends of the draft's first medium, None if it sends no bytes of media."""
    if ready.sends is None:
        return None
    first, length = ready.sends
    name = f"{claimed.id}-{claimed.generation}-0"
    return SentRange(
        media=draft.media[0], first=first, length=length, folder=context.settings.spool_folder, name=name
    )


def copy_sent_range(context: Context, claimed: ClaimedDelivery, draft: Draft, ready: Ready) -> bool:
    """Copy what the visible call sends to disk, if it is large. Return False if there is nothing to copy."""
    sent = _find_sent_range(context, claimed, draft, ready)
    return sent is not None and sent.copy()


@contextmanager
def open_sent_range(
    context: Context, claimed: ClaimedDelivery, draft: Draft, ready: Ready
) -> Iterator[Draft]:
    """Yield the draft with what the visible call sends open or in memory: after this, nothing needs the source."""
    sent = _find_sent_range(context, claimed, draft, ready)
    if sent is None:
        yield draft
        return
    with sent.open() as media:
        yield replace(draft, media=(media, *draft.media[1:]))


def require_stored(context: Context, draft: Draft, can: Capabilities) -> None:
    """Read a byte of each uploaded file that the platform may fetch from us. Raises StorageFault and Rejected."""
    parse = context.files.addresses.parse_name
    for media in (*draft.media, draft.cover) if can.pulls_media else ():
        if isinstance(media, Media) and media.stream is not None and parse(media.url) is not None:
            b"".join(media.stream(0, 1))


def list_urls(media: Any) -> list[str]:
    """Return the media URLs of a request, in order."""
    return [media["url"]] if media["type"] == "video" else list(media["urls"])


def get_cover_url(media: Any) -> str | None:
    """Return the URL of the image that is a video's cover, if it has one."""
    cover = media.get("cover")
    return cover if isinstance(cover, str) else None


def _build_cover(claimed: ClaimedDelivery, build: Callable[[str, str, Any], Media]) -> float | Media | None:
    if (url := get_cover_url(claimed.media)) is None:
        return claimed.media.get("cover")
    return build(url, "image", claimed.facts.get("-2"))


def get_alt_text(media: Any, position: int) -> str | None:
    """Return the alternative text of the file at this position."""
    texts = media.get("alt_texts") or ()
    return texts[position] if position < len(texts) else None


def build_media(
    context: Context,
    workspace: UUID,
    url: str,
    kind: str,
    facts: Any,
    while_waiting: Callable[[], None] | None = None,
) -> Media:
    """Return a file of a workspace with the facts of its check, and access to exactly the bytes that were checked."""
    known = MediaFacts(**facts) if facts else None
    return Media(
        url=url,
        kind="video" if kind == "video" else "image",
        facts=known,
        stream=None
        if known is None
        else relay(
            context.files.open_workspace(workspace),
            url,
            known,
            partial(context.transfers.open, workspace, while_waiting),
        ),
    )


def record_cover(context: Context, claimed: ClaimedDelivery, adapter: Adapter, draft: Draft) -> None:
    """Record the draft's cover for the maintenance job; a delivery that is never published keeps it unused."""
    cover = draft.cover
    if isinstance(adapter, SetsCover) and isinstance(cover, Media) and cover.facts is not None:
        with context.database.once() as c:
            store_cover(c, claimed.id, cover.url, cover.facts)


def warn_of_cover_error(reason: str) -> AcceptanceWarning:
    """Return the warning of a live post whose cover is not set."""
    message = f"The post is live without its cover: {reason}"
    return AcceptanceWarning(field="media.cover", message=message, code="COVER_NOT_SET")
