"""The preview of a post at one account: the words, the files and the notes, by the rules of its platform's adapter.

A page shows a stored post so: ``read(request, preview_post, context, view)`` returns a `Preview` for each account that
is still on it, and ``{% from "preview.html" import preview with context %}{{ preview(one) }}`` shows one. What is not
stored is shown by ``build_preview(context, platform, username, content, files)``, which is pure: ``content`` is that of
the account (``PostContent.for_account``), ``files`` what is known of its media by their positions (`read_files`).

The words are those that the adapter sends (``WritesWords``), and pictures are cropped or padded as their conversion
does it (``domain/media_fitting.py``), so that a preview differs from the live post in nothing that we decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Media, MediaFacts, Platform
from adapters.limit import cut_text
from adapters.words import LinkedWord, Words
from pipeline.actions.validate import find_post_kind
from pipeline.domain.media_fitting import Conversion, Size
from pipeline.domain.own_content import OwnContent
from pipeline.media.uploads import PATH
from pipeline.runtime.context import Context
from pipeline.stages.drafts import COVER
from pipeline.stages.media_checks import list_links, pick
from pipeline.stages.post_request import PostContent
from pipeline.stages.post_rules import predict_draft, predict_words
from pipeline.store.checks.checks import find_good
from pipeline.store.files.files import find_own
from pipeline.store.files.thumbnails import PATH as THUMBNAILS
from pipeline.store.files.thumbnails import find_names_of_checks, name_address
from pipeline.store.posts.views import PostView

WHENEVER = timedelta(days=36_500)
"""A preview shows a file as it was found last, however long ago."""
UNKNOWN: Mapping[str, Size] = {"video": (9, 16), "image": (1, 1), "document": (3, 4)}
"""Width and height of a file that was not checked yet."""
_WORD = re.compile(r"(?P<link>https?://\S+)|(?P<hashtag>(?<![\w&#/])#\w+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownFile:
    """What is known of a file: where the dashboard has a picture of it, and what its check found."""

    address: str | None = None
    facts: MediaFacts | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A file as the platform shows it. Sizes are pixels of the result."""

    kind: Literal["image", "video", "document"]
    address: str | None
    canvas: Size
    scaled: Size
    """What the picture covers of the canvas, from its middle; the rest is white."""
    crop: Size
    """What is shown of the picture, from its middle."""
    source: Size
    is_measured: bool = True
    """False: its size is not known yet."""
    alt_text: str | None = None
    duration: float | None = None

    @property
    def corner(self) -> Size:
        """Where the picture begins on the canvas."""
        return (self.canvas[0] - self.scaled[0]) // 2, (self.canvas[1] - self.scaled[1]) // 2

    @property
    def cut(self) -> Size:
        """Where that which is shown begins in the picture."""
        return (self.source[0] - self.crop[0]) // 2, (self.source[1] - self.crop[1]) // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a text; ``kind`` None: plain."""

    text: str
    kind: LinkedWord | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A post as one account shows it."""

    account: UUID | None
    platform: Platform
    username: str
    kind: str | None
    """In the platform's words: a reel, a pin; None: it takes no such post."""
    words: Words
    shown: Sequence[Piece]
    """The text as far as a feed shows it at once."""
    folded: Sequence[Piece]
    """The rest of it."""
    frames: Sequence[Frame]
    cover: str | None
    """An address of the picture that stands for a video."""
    first_comment: str | None
    notes: Sequence[str]


def build_preview(
    context: Context,
    platform: Platform,
    username: str,
    content: PostContent,
    files: Mapping[int, KnownFile],
    account: UUID | None = None,
) -> Preview:
    """Return how the platform shows what one account publishes. *files*: by their positions among the account's."""
    facts = {n: file.facts for n, file in files.items()}
    draft, _, plans = predict_draft(context, platform, content, facts)
    words = predict_words(context, platform, draft)
    shown = words.text if words.fold is None else cut_text(words.text, words.fold, len)
    frames = [_build_frame(n, media, files, plans.get(n)) for n, media in enumerate(draft.media)]
    cover = files.get(COVER) if isinstance(draft.cover, Media) else None
    return Preview(
        account=account,
        platform=platform,
        username=username,
        kind=find_post_kind(context, content, platform),
        words=words,
        shown=split_words(shown, words.linked),
        folded=split_words(words.text[len(shown) :], words.linked),
        frames=frames,
        cover=cover.address if cover else None,
        first_comment=content.first_comment,
        notes=[*_note(content, words, len(shown)), *_note_files(frames, draft.cover)],
    )


def _build_frame(n: int, media: Media, files: Mapping[int, KnownFile], plan: Conversion | None) -> Frame:
    known = files.get(n, KnownFile())
    facts = known.facts
    measured = (facts.width, facts.height) if facts and facts.width and facts.height else None
    size = measured or UNKNOWN[media.kind]
    canvas, scaled, crop = (plan.canvas, plan.scaled, plan.crop) if plan else (size, size, size)
    return Frame(
        kind=media.kind,
        address=known.address,
        canvas=canvas,
        scaled=scaled,
        crop=crop,
        source=plan.source if plan else size,
        is_measured=measured is not None,
        alt_text=media.alt_text,
        duration=facts.duration if facts else None,
    )


def split_words(text: str, linked: frozenset[LinkedWord]) -> list[Piece]:
    """Return the text in pieces, with what the platform makes links of apart."""
    kinds: dict[str | None, LinkedWord] = {"hashtag": "hashtag", "link": "link"}
    pieces, end = list[Piece](), 0
    for found in _WORD.finditer(text):
        kind = kinds[found.lastgroup]
        if kind in linked:
            pieces += [Piece(text=text[end : found.start()]), Piece(text=found[0], kind=kind)]
            end = found.end()
    return [piece for piece in (*pieces, Piece(text=text[end:])) if piece.text]


def _note(content: PostContent, words: Words, shown: int) -> Iterator[str]:
    if not words.text:
        yield "Shown without the words."
    elif shown < len(words.text):
        yield f"Cut after {shown} characters, then “more”."
    if words.tags:
        yield f"{len(words.tags)} tag{'s' if len(words.tags) > 1 else ''} beside the text."
    if content.music_url:
        yield "With the sound of the TikTok post that is named."


def _note_files(frames: Sequence[Frame], cover: float | Media | None) -> Iterator[str]:
    many = len(frames) > 1
    for n, frame in enumerate(frames, 1):
        which = f"Picture {n}" if many else "The picture"
        if frame.crop != frame.source:
            yield f"{which} loses its edges: {_write(frame.crop)} of {_write(frame.source)} stay."
        elif frame.canvas != frame.scaled:
            yield f"{which} gets white bars: {_write(frame.scaled)} on {_write(frame.canvas)}."
        elif frame.canvas != frame.source:
            yield f"{which} is scaled to {_write(frame.canvas)}."
    if isinstance(cover, Media):
        yield "The cover is a picture of its own."
    elif cover is not None:
        minutes, seconds = divmod(cover, 60)
        yield f"The cover is at {minutes:.0f}:{seconds:02.0f}."


def _write(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


# --- what is stored --------------------------------------------------------------------------------------------------


def preview_post(c: Connection, context: Context, view: PostView) -> list[Preview]:
    """Return how each account that is still on a stored post shows it."""
    kept = [one for one in view.deliveries if not one.removed]
    owns = {one.account_id: OwnContent.from_dict(one.own) for one in kept}
    content = PostContent(
        caption=view.caption,
        media=view.media,
        music_url=view.music_url,
        options={Platform(name): section for name, section in view.options.items()},
        ai_generated=view.ai_generated,
        first_comment=view.first_comment,
        own={account: own for account, own in owns.items() if own is not None},
    )
    files = read_files(c, context, view.workspace_id, content)
    return [
        build_preview(
            context,
            Platform(one.platform),
            one.username,
            content.for_account(one.account_id),
            pick(files, content.get_base(one.account_id)),
            one.account_id,
        )
        for one in kept
        if one.platform in context.adapters
    ]


def serve_from(base: str, shown: Preview) -> Preview:
    """Return the preview with its thumbnails at another place than the dashboard's own, for a page without a login."""

    def move(address: str | None) -> str | None:
        return address and re.sub(f"^{re.escape(THUMBNAILS)}", base, address)

    frames = [replace(one, address=move(one.address)) for one in shown.frames]
    return replace(shown, frames=frames, cover=move(shown.cover))


def read_files(
    c: Connection, context: Context, workspace: UUID, content: PostContent
) -> dict[int, KnownFile]:
    """Return what is known of all media of a post, those of single accounts too, by position."""
    links = list_links(content.media, None, content.own.values())
    addresses = context.files.addresses
    good = find_good(c, [(workspace, p, url) for _, p, url in links], WHENEVER, addresses.public_url(""))
    names = find_names_of_checks(c, [check.id for check, _ in good.values()])
    found = {}
    for position, purpose, url in links:
        check = good[workspace, purpose, url][0] if (workspace, purpose, url) in good else None
        name = addresses.parse_name(url)
        file = find_own(c, workspace, name) if name else None
        is_image = file is not None and file.content_type.startswith("image/")
        thumbnail = name_address(names.get(check.id)) if check else None
        found[position] = KnownFile(
            address=f"{PATH}{name}" if is_image else thumbnail, facts=check.media_facts if check else None
        )
    return found
