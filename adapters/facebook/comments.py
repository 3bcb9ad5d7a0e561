"""First comments on Facebook Pages: ``POST /{page-post-id}/comments``, and the list of a post's comments.

Comments of a video or reel go to its post: Video is missing from the objects whose comments the New Pages support (our
reading of pages-api/comments-mentions, 2026-04-16). Never tried against live Facebook: README.md. Sources:
developers.facebook.com/docs/pages-api/comments-mentions, and .../graph-api/reference/object/comments, read 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from adapters.base import BaseCheckpoint
from adapters.comments import build_capabilities, limit_to_comments, require_post
from adapters.contract import Account, Capabilities, CheckpointData, Draft, PrepareResult
from adapters.errors import Unavailable
from adapters.facebook import limits
from adapters.facebook.adapter import Facebook
from adapters.facebook.client import build_graph_client
from adapters.graph_api import GraphClient
from adapters.graph_comments import GraphComment, GraphComments
from adapters.graph_errors import GONE


class CommentCheckpoint(BaseCheckpoint):
    """The post of the video that is commented on, once it was read."""

    post: str | None = None


class FacebookComments(GraphComments, Facebook):
    """Sends the first comment on a post, or on the post that shows a video."""

    capabilities: ClassVar[Capabilities] = build_capabilities(limits.CAPABILITIES)
    clock_skew = limits.CLOCK_SKEW
    fields = "id,from,message,created_time"

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Read the post of a video; the id of any other post names its Page and needs nothing."""
        state, live = CommentCheckpoint.model_validate(checkpoint), require_post(draft)
        if state.post is not None or "_" in live:
            return state.to_ready()
        with limit_to_comments():
            post = self._build_client(account).read_video(live).data.post_id
        if not post:
            raise Unavailable("Facebook does not name the post of the video yet", code=GONE)
        return state.replace(post=post if "_" in post else f"{account.remote_id}_{post}").to_pending()

    def _get_post(self, draft: Draft, checkpoint: CheckpointData) -> str:
        return CommentCheckpoint.model_validate(checkpoint).post or require_post(draft)

    def _open_graph(self, account: Account) -> GraphClient:
        return build_graph_client(self._http, self._settings, account.credentials)

    def _build_window(self, since: datetime) -> Mapping[str, str]:
        order = {"filter": "stream", "order": "reverse_chronological"}
        return {**order, "since": str(int(since.timestamp()))}

    def _read_author(self, comment: GraphComment) -> str:
        return comment.author_id
