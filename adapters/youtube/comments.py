"""First comments on YouTube: ``commentThreads.insert``, and a video's comments by moderation status, newest first.

Both need the scope ``youtube.force-ssl``. Never tried against YouTube itself: README.md. Sources:
developers.google.com/youtube/v3/docs/commentThreads, read 2026-11-29, and the discovery document youtube.v3, revision
20261104.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar

from adapters.comments import Comments, ListedComment, ReadPage, build_capabilities
from adapters.contract import Account, Capabilities
from adapters.error_table import Phase
from adapters.youtube import limits, wire
from adapters.youtube.adapter import YouTube
from adapters.youtube.client import Client
from adapters.youtube.errors import translate_comment_error

STATUSES = ("published", "heldForReview", "likelySpam")
"""Where a comment of ours can be: each status has a list of its own."""
PAGE = 100


class CommentClient(Client):
    """The requests about comments, of which one costs 50 of the project's 10,000 units a day, a list 1."""

    to_error = staticmethod(translate_comment_error)

    def insert(self, channel: str, video: str, text: str) -> str:
        """Comment on a video of the channel: the visible call."""
        comment = {"snippet": {"textOriginal": text}}
        body = {"snippet": {"channelId": channel, "videoId": video, "topLevelComment": comment}}
        url, part = f"{self._api}/youtube/v3/commentThreads", {"part": "snippet"}
        response = self._send("POST", url, Phase.FINALIZE, params=part, json=body)
        return self._read(response, wire.CommentThread, Phase.FINALIZE).id

    def list_threads(self, video: str, status: str, page: str | None) -> wire.CommentThreadListResponse:
        """Read a page of a video's comments of one moderation status, newest first."""
        more = {} if page is None else {"pageToken": page}
        return self._get(
            "commentThreads",
            wire.CommentThreadListResponse,
            part="snippet",
            videoId=video,
            order="time",
            textFormat="plainText",
            moderationStatus=status,
            maxResults=str(PAGE),
            **more,
        )


class YouTubeComments(Comments, YouTube):
    """Sends the first comment on a video."""

    capabilities: ClassVar[Capabilities] = build_capabilities(limits.CAPABILITIES)
    clock_skew = limits.CLOCK_SKEW

    def _send(self, account: Account, post: str, text: str) -> str:
        return self._build_client(account).insert(account.remote_id, post, text)

    def _open_lists(self, account: Account, post: str, since: datetime) -> Sequence[ReadPage]:  # noqa: ARG002
        client = self._build_client(account)

        def read(status: str, page: str | None) -> tuple[Sequence[ListedComment], str | None]:
            listed = client.list_threads(post, status, page)
            return [_to_listed(thread) for thread in listed.items], listed.next_page_token

        return [partial(read, status) for status in STATUSES]

    def _build_client(self, account: Account) -> CommentClient:
        return CommentClient(self._http, self._settings, account.credentials.access_token)


def _to_listed(thread: wire.CommentThread) -> ListedComment:
    comment = thread.snippet.top_level_comment.snippet
    return ListedComment(
        remote_id=thread.id,
        author=comment.author_channel_id.value,
        text=comment.text_original or comment.text_display,
        created_at=comment.published_at,
    )
