"""A post request after its shape was validated, and the values it is answered or refused with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.contract import Platform
from pipeline.domain.level import find_level
from pipeline.domain.own_content import OwnContent
from pipeline.domain.posting_times import AutoTime


@dataclass(frozen=True, kw_only=True, slots=True)
class PostContent:
    """The content of a post, without its accounts."""

    caption: str
    media: Mapping[str, Any]
    """As sent: ``type`` is ``video``, ``document`` (both with ``url``), ``slideshow`` (``urls``) or ``text``."""
    music_url: str | None = None
    options: Mapping[Platform, Mapping[str, Any]] = field(default_factory=dict)
    """The platforms' own sections of the request, as sent; one that was not sent is missing."""
    ai_generated: bool = False
    first_comment: str | None = None
    """What the account says below its post once it is live."""
    own: Mapping[UUID, OwnContent] = field(default_factory=dict)
    """What single accounts have of their own."""

    @property
    def level(self) -> int:
        """The lowest level that understands all of it."""
        post_wide = {"ai_generated": self.ai_generated, "first_comment": self.first_comment}
        level = find_level(self.media, self.options, post_wide=[n for n, value in post_wide.items() if value])
        own = [find_level(one.media or {}, one.options, entries=one.fields) for one in self.own.values()]
        return max([level, *own])

    def get_base(self, account: UUID) -> int:
        """Return the position of the first file that an account publishes among those of the post."""
        own = self.own.get(account)
        return 0 if own is None else own.base

    def for_account(self, account: UUID) -> PostContent:
        """Return what one account publishes."""
        own = self.own.get(account)
        if own is None:
            return self
        return PostContent(
            caption=own.caption or self.caption,
            media=own.media or self.media,
            music_url=self.music_url,
            options={**self.options, **own.options},
            ai_generated=self.ai_generated,
            first_comment=own.first_comment or self.first_comment,
        )

    def name_field(self, account: UUID, field: str) -> str:
        """Return where a request has a field that is of an account's content: in its entry, or in the post."""
        own = self.own.get(account)
        root = field.partition(".")[0]
        return f"accounts[{account}].{field}" if own is not None and root in own.fields else field


@dataclass(frozen=True, kw_only=True, slots=True)
class PostRequest(PostContent):
    """A post as a client sends it: shape and types are valid; rules about accounts, clock and media come later."""

    account_ids: Sequence[UUID]
    """In the order sent, duplicates removed."""
    scheduled_at: datetime | None = None
    auto: AutoTime | None = None
    """The times of accounts without one of their own are their next free posting times."""
    draft: bool = False
    """It is stored and checked, and sent on its way by a later request."""
    expires_at: datetime | None = None
    on_late: str = "publish"
    external_id: str | None = None
    fingerprint: bytes
    """The fingerprint of the canonical body; equal requests have the same."""
    request_id: str | None = None
    """The id of the HTTP request, which its response and the log have too."""

    @property
    def autos(self) -> Mapping[UUID, AutoTime]:
        """The accounts whose times are still to be found."""
        own = {i: one for i, one in self.own.items() if one.has_time}
        asked = {i: own[i].auto if i in own else self.auto for i in self.account_ids}
        return {i: auto for i, auto in asked.items() if auto is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptanceWarning:
    """Something the client should know about an accepted post; it does not block the post."""

    field: str
    message: str
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedPost:
    """A post that is stored and committed, or found for a repeated request and then as it is now."""

    id: UUID
    status: str
    scheduled_at: datetime
    warnings: Sequence[AcceptanceWarning] = ()
    duplicate: bool = False
    deleted: bool = False
    deliveries: Sequence[UUID] = field(default=(), compare=False)
    """The deliveries of a post that this request has stored, for the log."""


@dataclass
class Refusal(Exception):
    """Why a request is refused, with the contract's status and code; nothing was stored."""

    status: int
    code: str
    message: str
    issues: Sequence[Mapping[str, Any]] = field(default=())

    def __str__(self) -> str:
        return self.message
