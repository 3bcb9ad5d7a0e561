"""Build the request bodies of LinkedIn's endpoints. Pure.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/{images-api,videos-api,posts-api,
multiimage-post-api}, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.contract import Draft
from adapters.linkedin.text import escape_little_text


def build_image_start(owner: str) -> dict[str, Any]:
    """Return the body that requests an upload address for an image."""
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
    title = draft.options.get("title")
    media = [_build_media(urn, file.alt_text) for urn, file in zip(urns, draft.media, strict=True)]
    content: dict[str, Any] = {"media": {**media[0], **({"title": str(title)} if title else {})}}
    if len(urns) > 1:
        content = {"multiImage": {"images": media}}
    return {
        "author": author,
        "commentary": escape_little_text(draft.caption),
        "visibility": str(draft.options.get("visibility") or "PUBLIC"),
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "content": content,
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


def _build_media(urn: str, alt_text: str | None) -> dict[str, str]:
    return {"id": urn, **({"altText": alt_text} if alt_text else {})}
