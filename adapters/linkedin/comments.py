"""First comments of LinkedIn organizations: ``POST /rest/socialActions/{post}/comments``, and the list of that path.

A member's comments cannot be read back, so a member sends none. Never tried against live LinkedIn: README.md. Source:
learn.microsoft.com/linkedin/marketing/community-management/shares/comments-api, 2026-04-28, read 2026-11-29.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote, unquote

from adapters.comments import Comments, ListedComment, ReadPage, build_capabilities
from adapters.contract import Account, Capabilities
from adapters.error_table import Phase
from adapters.linkedin import limits, wire
from adapters.linkedin.adapter import LinkedIn
from adapters.linkedin.client import Client
from adapters.linkedin.errors import build_unclear_error, translate_comment_error
from adapters.linkedin.lookup import to_time

_NUMBER = re.compile(r"(\d+)\)?\Z")
"""A comment's id, bare or at the end of its URN, which names the post or an activity: lists show the bare one."""


class CommentClient(Client):
    """The requests about comments."""

    to_error = staticmethod(translate_comment_error)

    def create_comment(self, actor: str, post: str, text: str) -> str:
        """Comment on a post: the visible call. The header ``x-restli-id`` of a success holds the id."""
        body = {"actor": actor, "object": post, "message": {"text": text}}
        response = self._call("POST", _build_path(post), phase=Phase.FINALIZE, json=body)
        if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise translate_comment_error(response, Phase.FINALIZE)
        number = _NUMBER.search(unquote(response.headers.get("x-restli-id", "")).strip())
        if number is None:
            raise build_unclear_error(Phase.FINALIZE, platform_code="no_restli_id", status=response.status)
        return number[1]

    def list_comments(self, post: str, start: int) -> Sequence[wire.Comment]:
        """Read a page of the comments on a post, from place *start* on."""
        place = {"start": str(start), "count": str(limits.LISTED)}
        path = _build_path(post)
        return self._request("GET", path, wire.CommentList, phase=Phase.LOOK, params=place).elements


class LinkedInComments(Comments, LinkedIn):
    """Sends the first comment on an organization's post."""

    capabilities: ClassVar[Capabilities] = build_capabilities(limits.CAPABILITIES)
    clock_skew = limits.CLOCK_SKEW

    def _send(self, account: Account, post: str, text: str) -> str:
        return self._build_client(account).create_comment(account.remote_id, post, text)

    def _open_lists(self, account: Account, post: str, since: datetime) -> Sequence[ReadPage]:  # noqa: ARG002
        client = self._build_client(account)

        def read(start: int | None) -> tuple[Sequence[ListedComment], int | None]:
            page = client.list_comments(post, start or 0)
            following = (start or 0) + len(page) if len(page) == limits.LISTED else None
            return [_to_listed(comment) for comment in page], following

        return (read,)

    def _build_client(self, account: Account) -> CommentClient:
        return CommentClient(self._http, self._settings, account.credentials.access_token)


def _build_path(post: str) -> str:
    return f"socialActions/{quote(post, safe='')}/comments"


def _to_listed(comment: wire.Comment) -> ListedComment:
    return ListedComment(
        remote_id=comment.id,
        author=comment.actor,
        text=comment.text,
        created_at=to_time(comment.time),
    )
