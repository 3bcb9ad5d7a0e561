"""The kind of a post at a platform: the word by which an answer says how a request was understood."""

from __future__ import annotations

from adapters.contract import Capabilities, PostForm

INBOX_DRAFT = "inbox_draft"
"""The kind of a post that is left for the account's owner to publish."""


def find_kind(capabilities: Capabilities, form: PostForm, *, is_inbox_draft: bool) -> str | None:
    """Return the platform's kind of post, or None where it has none of this form."""
    return INBOX_DRAFT if is_inbox_draft else capabilities.post_kinds.get(form)


def find_form(media_type: str, count: int) -> PostForm:
    """Return the form of a request's media: a video, one image or several."""
    if media_type == "video":
        return PostForm.VIDEO
    return PostForm.IMAGE if count == 1 else PostForm.IMAGES
