"""Build the draft of a delivery, which an adapter publishes: texts, options, and media with access to their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from uuid import UUID

from adapters.contract import (
    Adapter,
    AddsToPlaylist,
    Capabilities,
    Draft,
    Media,
    MediaFacts,
    MediaKind,
    Ready,
    SetsCover,
    Track,
)
from pipeline.media.relay import relay
from pipeline.media.spool import SentRange
from pipeline.runtime.context import Context
from pipeline.stages.post_request import AcceptanceWarning, PostContent
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.published import FollowUpKind
from pipeline.store.deliveries.published import record_follow_ups as store_follow_ups

MUSIC, COVER = -1, -2
"""The positions of the music link, and of the image that is a video's cover, among a post's media and checks."""
_KINDS: Mapping[str, MediaKind] = {"video": "video", "slideshow": "image", "document": "document"}


def build_draft(
    context: Context, claimed: ClaimedDelivery, while_waiting: Callable[[], None] | None = None
) -> Draft:
    """Build the draft of a claimed delivery, with the media facts that its post pinned.

    ``while_waiting`` is called every second or so while a medium's source is awaited.
    """

    def build(position: int, url: str, kind: MediaKind, alt_text: str | None) -> Media:
        facts = claimed.facts.get(str(position))
        return build_media(context, claimed.workspace_id, url, kind, facts, while_waiting, alt_text=alt_text)

    track = claimed.facts.get(str(MUSIC))
    draft = assemble_draft(
        claimed,
        build,
        delivery_id=str(claimed.id),
        options=claimed.options,
        track=Track(**track) if track else None,
    )
    return replace(draft, comment_on=claimed.comment_on)


def assemble_draft(
    content: PostContent | ClaimedDelivery,
    build: Callable[[int, str, MediaKind, str | None], Media],
    *,
    options: Mapping[str, Any],
    track: Track | None,
    delivery_id: str = "",
) -> Draft:
    """Return the draft of a post's content. ``build`` makes a medium of position, URL, kind and alternative text."""
    media, files, cover = content.media, list_files(content.media), get_cover_url(content.media)
    texts = media.get("alt_texts") or ()
    return Draft(
        delivery_id=delivery_id,
        caption=content.caption,
        kind=media["type"],
        media=tuple(
            build(n, url, kind, texts[n] if n < len(texts) else None) for n, (kind, url) in enumerate(files)
        ),
        title=media.get("title"),
        cover=media.get("cover") if cover is None else build(COVER, cover, "image", None),
        options=options,
        ai_generated=content.ai_generated,
        music_url=content.music_url,
        track=track,
        first_comment=content.first_comment,
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


def list_files(media: Any) -> list[tuple[MediaKind, str]]:
    """Return the kind and URL of each file of a request's media, in order; none of a text."""
    urls = media.get("urls") or ([media["url"]] if "url" in media else [])
    return [(_KINDS[media["type"]], url) for url in urls]


def list_urls(media: Any) -> list[str]:
    """Return the media URLs of a request, in order."""
    return [url for _, url in list_files(media)]


def get_cover_url(media: Any) -> str | None:
    """Return the URL of the image that is a video's cover, if it has one."""
    cover = media.get("cover")
    return cover if isinstance(cover, str) else None


def build_media(
    context: Context,
    workspace: UUID,
    url: str,
    kind: MediaKind,
    facts: Any,
    while_waiting: Callable[[], None] | None = None,
    *,
    alt_text: str | None = None,
) -> Media:
    """Return a file of a workspace with the facts of its check, and access to exactly the bytes that were checked."""
    known = MediaFacts(**facts) if facts else None
    return Media(
        url=url,
        kind=kind,
        facts=known,
        alt_text=alt_text,
        stream=None
        if known is None
        else relay(
            context.files.open_workspace(workspace),
            url,
            known,
            partial(context.transfers.open, workspace, while_waiting),
        ),
    )


def record_follow_ups(context: Context, claimed: ClaimedDelivery, adapter: Adapter, draft: Draft) -> None:
    """Record what the maintenance job does once the post is live; a delivery that never is keeps it unused."""
    cover, wanted = draft.cover, dict[FollowUpKind, Mapping[str, Any]]()
    if isinstance(adapter, SetsCover) and isinstance(cover, Media) and cover.facts is not None:
        wanted["cover"] = {"url": cover.url, "facts": asdict(cover.facts)}
    if isinstance(adapter, AddsToPlaylist) and (playlist := adapter.get_playlist(draft)):
        wanted["playlist"] = {"id": playlist}
    if draft.first_comment is not None:
        wanted["comment"] = {"text": draft.first_comment}
    if wanted or claimed.generation:  # an edit may have taken off what an earlier arm recorded
        with context.database.once() as c:
            store_follow_ups(c, claimed.id, wanted)


def warn_of_follow_ups(
    platform: str, cover_error: str | None, playlist_error: str | None
) -> Iterator[AcceptanceWarning]:
    """Warn of what is not done of a live post, with the reasons."""
    if cover_error is not None:
        message = f"The post is live without its cover: {cover_error}"
        yield AcceptanceWarning(field="media.cover", message=message, code="COVER_NOT_SET")
    if playlist_error is not None:
        message = f"The post is live without its playlist: {playlist_error}"
        yield AcceptanceWarning(field=f"{platform}.playlist_id", message=message, code="PLAYLIST_NOT_SET")
