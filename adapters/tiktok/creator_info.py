"""The current settings of an account that limit a post; read shortly before each post and stored in the checkpoint.

TikTok requires reading it "immediately before" a post, since the account's owner can change it at any time
(developers.tiktok.com/doc/content-posting-api-reference-query-creator-info, read 2026-11-24).
"""

from __future__ import annotations

from adapters.checkpoint import BaseCheckpoint
from adapters.contract import Draft
from adapters.errors import Rejected
from adapters.tiktok.errors import AUDIT
from adapters.tiktok.wire import PostingSettings

FRESH = 600.0
"""Seconds after which the settings are read again before the visible call."""


class AllowedSettings(BaseCheckpoint):
    """Allowed privacy levels, switched-off features, and the longest video in seconds. ``asked_at``: Unix time."""

    asked_at: float
    privacy: tuple[str, ...]
    comment_disabled: bool
    duet_disabled: bool
    stitch_disabled: bool
    longest: int | None
    username: str | None = None

    @classmethod
    def from_wire(cls, settings: PostingSettings, now: float) -> AllowedSettings:
        """Return the settings that TikTok reported at *now*."""
        return cls(
            asked_at=now,
            privacy=settings.privacy_level_options,
            comment_disabled=settings.comment_disabled,
            duet_disabled=settings.duet_disabled,
            stitch_disabled=settings.stitch_disabled,
            longest=settings.max_video_post_duration_sec,
            username=settings.creator_username,
        )

    def is_fresh(self, now: float) -> bool:
        """Return True if the settings need not be read again."""
        return now - self.asked_at < FRESH

    def check(self, draft: Draft, privacy: str, *, audited: bool = True) -> None:
        """Raise Rejected if the account does not allow the draft.

        An app that is not audited may post to private accounts only, which have no PUBLIC_TO_EVERYONE.
        """
        if not audited and "PUBLIC_TO_EVERYONE" in self.privacy:
            raise Rejected(
                "TikTok has not audited this server's app yet: it may post to private accounts only, and this "
                "account is public.",
                code="app_unaudited",
                next_action=f"Set the account to private in the TikTok app; or ask the operator: {AUDIT}",
            )
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
