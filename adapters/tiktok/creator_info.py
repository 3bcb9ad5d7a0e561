"""What an account lets us do right now, kept in the checkpoint: asked for shortly before each post.

TikTok wants it read "immediately before" a post, as its owner can change it at any time
(developers.tiktok.com/doc/content-posting-api-reference-query-creator-info, read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from adapters.contract import CheckpointData, Draft
from adapters.errors import Rejected
from adapters.tiktok.wire import PostingSettings

FRESH = 600.0
"""Seconds after which it is asked for again before the visible call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """Privacy levels, what is switched off, and the longest video; ``asked_at`` in seconds since the epoch."""

    asked_at: float
    privacy: tuple[str, ...]
    comment_disabled: bool
    duet_disabled: bool
    stitch_disabled: bool
    longest: int | None
    username: str | None = None

    @classmethod
    def read(cls, checkpoint: CheckpointData) -> Allowed | None:
        """What an earlier step was told, if it was."""
        kept: Mapping[str, Any] | None = checkpoint.get("allowed")
        if kept is None:
            return None
        return cls(**{**kept, "privacy": tuple(kept["privacy"])})

    @classmethod
    def told(cls, settings: PostingSettings, now: float) -> Allowed:
        """What TikTok has just said."""
        return cls(
            asked_at=now,
            privacy=settings.privacy_level_options,
            comment_disabled=settings.comment_disabled,
            duet_disabled=settings.duet_disabled,
            stitch_disabled=settings.stitch_disabled,
            longest=settings.max_video_post_duration_sec,
            username=settings.creator_username,
        )

    def kept(self) -> dict[str, Any]:
        """The same as JSON-able facts for the checkpoint."""
        return {**asdict(self), "privacy": list(self.privacy)}

    def is_fresh(self, now: float) -> bool:
        """Whether it may still be gone by."""
        return now - self.asked_at < FRESH

    def check(self, draft: Draft, privacy: str) -> None:
        """Raise Rejected when the account does not allow the draft."""
        if self.privacy and privacy not in self.privacy:
            raise Rejected(
                f"This account may post as {', '.join(self.privacy)}; the post asks for {privacy}.",
                code="privacy_not_allowed",
                next_action="Choose a privacy_level the account allows.",
            )
        facts = draft.media[0].facts if draft.kind == "video" else None
        seconds = facts.duration if facts is not None else None
        if seconds is not None and self.longest and seconds > self.longest:
            raise Rejected(
                f"This account may post videos of at most {self.longest} s; this one has {seconds:g} s.",
                code="media_duration",
                next_action="Send a shorter video.",
            )
