"""Comments by the Graph API, which Instagram and Facebook share: one call to send, and the lists of a post's comments.

Sources, read 2026-11-29: developers.facebook.com ig-media/comments (v25.0, 2026-09-11), pages-api/comments-mentions
(2026-04-16), object/comments (undated).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import AliasChoices, AliasPath, Field

from adapters.comments import Comments, ListedComment, ReadPage
from adapters.contract import Account
from adapters.graph_api import GraphClient, GraphPage
from adapters.transport import Wire

PAGE = "50"
"""Comments per page: what Instagram shows at most."""


class CreatedComment(Wire):
    """The response to a comment: ``{"id":"17870913679156914"}``."""

    id: str


class GraphComment(Wire):
    """A comment; Instagram has ``text``, ``timestamp`` and ``username``, Facebook ``message`` and ``created_time``.

    Instagram's ``author_id`` is scoped to the app.
    """

    id: str
    text: str = Field("", validation_alias=AliasChoices("text", "message"))
    created_at: datetime | None = Field(None, validation_alias=AliasChoices("timestamp", "created_time"))
    username: str = ""
    author_id: str = Field("", validation_alias=AliasPath("from", "id"))
    author_name: str = Field("", validation_alias=AliasPath("from", "username"))


class GraphComments(Comments):
    """Comments of Instagram or Facebook."""

    fields: ClassVar[str]

    @abstractmethod
    def _open_graph(self, account: Account) -> GraphClient: ...

    @abstractmethod
    def _read_author(self, comment: GraphComment) -> str: ...

    def _build_window(self, since: datetime) -> Mapping[str, str]:  # noqa: ARG002 Instagram knows no time filter
        return {}

    def _send(self, account: Account, post: str, text: str) -> str:
        graph = self._open_graph(account)
        return graph.publish(CreatedComment, f"{post}/comments", json_body={"message": text}).data.id

    def _open_lists(self, account: Account, post: str, since: datetime) -> Sequence[ReadPage]:
        graph, page = self._open_graph(account), GraphPage[GraphComment]
        params = {"fields": self.fields, "limit": PAGE, **self._build_window(since)}

        def read(after: str | None) -> tuple[Sequence[ListedComment], str | None]:
            found, after = graph.read_page(page, f"{post}/comments", after, **params)
            return [self._to_listed(comment) for comment in found], after

        return (read,)

    def _to_listed(self, comment: GraphComment) -> ListedComment:
        return ListedComment(
            remote_id=comment.id,
            author=self._read_author(comment),
            text=comment.text,
            created_at=comment.created_at,
        )
