r"""Build the request bodies of LinkedIn's endpoints. Pure.

Captions are in the "little text" format: an unescaped reserved sign is no error, LinkedIn responds 201 and cuts the
text there. These are escaped: ``| { } @ [ ] ( ) < > # \ * _ ~``, except the ``#`` that begins a hashtag; ``@`` never
makes a mention. Sources: learn.microsoft.com/linkedin/marketing/community-management/shares/little-text-format and
learn.microsoft.com/linkedin/marketing/community-management/shares/{images-api,videos-api,posts-api,
multiimage-post-api}, read 2026-11-24, and documents-api, 2026-06-24.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from adapters.contract import Draft
from adapters.limit import count_utf16_units
from adapters.linkedin.limits import COMMENTARY
from adapters.words import Words

FOLD = 140
"""Third party, on a phone: posttruncate.com/en/platform-limits, read 2026-12-01."""

_RESERVED = re.compile(r"[|{}@\[\]()<>#\\*_~]")
_HASHTAG = re.compile(r"(?<![\w#&/])#(?=[^\W_])(?=\w*[^\W\d_])")
"""No word or address character stands before the ``#``; a letter or digit follows, and one of them is a letter."""


def escape_little_text(caption: str) -> str:
    """Return the caption as ``commentary`` carries it."""
    hashtags = {match.start() for match in _HASHTAG.finditer(caption)}
    return _RESERVED.sub(
        lambda sign: sign[0] if sign.start() in hashtags else f"\\{sign[0]}",
        caption,
    )


def write_words(draft: Draft) -> Words:
    """Return the text; the title is that of a document, a file or a link's card."""
    length, title = count_utf16_units(escape_little_text(draft.caption)), _find_title(draft)
    shown = title if len(draft.media) == 1 or draft.options.get("link") else None
    return Words(text=draft.caption, title=shown or "", length=length, most=COMMENTARY, fold=FOLD)


def build_whole_start(owner: str) -> dict[str, Any]:
    """Return the body that requests an upload address for an image or a document."""
    return {"initializeUploadRequest": {"owner": owner}}


def build_video_start(owner: str, size: int, *, has_cover: bool) -> dict[str, Any]:
    """Return the body that requests the upload addresses for a video of *size* bytes, and for its thumbnail."""
    request = {
        "owner": owner,
        "fileSizeBytes": size,
        "uploadCaptions": False,
        "uploadThumbnail": has_cover,
    }
    return {"initializeUploadRequest": request}


def build_video_close(video: str, token: str, part_ids: Sequence[str]) -> dict[str, Any]:
    """Return the body that completes a video's upload; *part_ids* in the order of the parts."""
    request = {"video": video, "uploadToken": token, "uploadedPartIds": list(part_ids)}
    return {"finalizeUploadRequest": request}


def build_post(draft: Draft, author: str, urns: Sequence[str]) -> dict[str, Any]:
    """Return the body of ``POST /rest/posts``: a post of *author* with the media *urns*, in order."""
    content = _build_content(draft, urns)
    return {
        "author": author,
        "commentary": escape_little_text(draft.caption),
        "visibility": str(draft.options.get("visibility") or "PUBLIC"),
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        **({"content": content} if content else {}),
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


def _build_content(draft: Draft, urns: Sequence[str]) -> dict[str, Any]:
    """Return what stands below the text: media, or the card of a link; empty for text alone."""
    title = _find_title(draft)
    named = {"title": title} if title else {}
    media = [_build_media(urn, file.alt_text) for urn, file in zip(urns, draft.media, strict=True)]
    if len(media) > 1:
        return {"multiImage": {"images": media}}
    if media:
        return {"media": {**media[0], **named}}
    link = draft.options.get("link")
    return {"article": {"source": link, **named}} if link else {}


def _find_title(draft: Draft) -> str | None:
    title = draft.title or draft.options.get("title")
    return str(title) if title else None


def _build_media(urn: str, alt_text: str | None) -> dict[str, str]:
    return {"id": urn, **({"altText": alt_text} if alt_text else {})}
