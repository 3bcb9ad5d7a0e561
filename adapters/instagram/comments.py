"""First comments on Instagram: ``POST /{ig-media-id}/comments``, and the list of a post's comments, newest first.

Never tried against live Instagram: README.md. Source: developers.facebook.com/docs/instagram-platform/
instagram-graph-api/reference/ig-media/comments, v25.0 text of 2026-09-11, read 2026-11-29.
"""

from __future__ import annotations

from typing import ClassVar

from adapters.comments import build_capabilities
from adapters.contract import Account, Capabilities
from adapters.graph_api import GraphClient
from adapters.graph_comments import GraphComment, GraphComments
from adapters.instagram import limits
from adapters.instagram.adapter import Instagram
from adapters.instagram.client import build_graph_client


class InstagramComments(GraphComments, Instagram):
    """Sends the first comment on a post. The lists show its author by username: ids there are scoped to the app."""

    capabilities: ClassVar[Capabilities] = build_capabilities(limits.CAPABILITIES)
    clock_skew = limits.CLOCK_SKEW
    fields = "id,text,timestamp,username,from"

    def _open_graph(self, account: Account) -> GraphClient:
        return build_graph_client(self._http, self._settings, account.connection, account.credentials)

    def _get_author(self, account: Account) -> str:
        return account.username.casefold()

    def _read_author(self, comment: GraphComment) -> str:
        return (comment.username or comment.author_name).casefold()
