"""Instagram's publishing endpoints, one method per request.

Source: developers.facebook.com/docs/instagram-platform/content-publishing, v25.0, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.contract import Account, Credentials, Draft, Media, PlatformSettings
from adapters.graph_api import GraphClient, GraphPage, GraphReply, open_graph, rebase_url
from adapters.graph_errors import GONE
from adapters.http import HttpClient
from adapters.instagram import limits, payload
from adapters.instagram.errors import SERVICE, TABLE
from adapters.instagram.wire import ContainerStatus, Created, MediaNode, Quotas
from adapters.transport import read_or_none

HOST_OF = {"instagram_login": "graph", "facebook_login": "facebook_graph"}
"""Connection -> the only Graph host that accepts its tokens."""


def build_graph_client(
    http: HttpClient, settings: PlatformSettings, connection: str, credentials: Credentials | None = None
) -> GraphClient:
    """Return a client for the Graph host of *connection*.

    Calls with tokens of Facebook Login carry the proof of the app secret; of Instagram Login's host none is documented.
    """
    graph = open_graph(http, settings, settings.hosts[HOST_OF[connection]], SERVICE, TABLE, credentials)
    return graph if connection == "facebook_login" else replace(graph, proof_secret=None)


Listed = tuple[Sequence[MediaNode], str | None]
"""The posts of a page, and the cursor of the next one."""


class Client:
    """Requests about one account: its containers and posts."""

    def __init__(self, http: HttpClient, settings: PlatformSettings, account: Account) -> None:
        self._settings = settings
        self._account = account
        self._graph = build_graph_client(http, settings, account.connection, account.credentials)

    def read_quota(self) -> GraphReply[Quotas]:
        """Read how many posts the account has published in the quota window."""
        path = f"{self._account.remote_id}/content_publishing_limit"
        return self._graph.read(Quotas, path, fields="quota_usage,config")

    def create_child(self, media: Media) -> Created:
        """Create the container of one carousel item."""
        return self._create(payload.build_child(media))

    def create_container(self, draft: Draft, children: Sequence[str]) -> Created:
        """Create the container to publish: an image, a reel, a story, or a carousel over its children."""
        byte_upload = payload.is_byte_upload(draft, self._account, self._settings)
        return self._create(payload.build_container(draft, children, byte_upload=byte_upload))

    def send_bytes(self, media: Media, upload_uri: str) -> None:
        """Send the whole video to the container's upload address."""
        self._graph.upload(rebase_url(upload_uri, self._settings.hosts["rupload"]), media, 0)

    def read_status(self, container: str) -> ContainerStatus | None:
        """Read a container's status; None when Instagram finds none, which never proves that none was published."""
        read = partial(self._graph.read, ContainerStatus, container, fields="status_code,status")
        return read_or_none(GONE, lambda: read().data)

    def publish(self, container: str) -> str:
        """Publish a container, the one visible call, and return the media id."""
        path = f"{self._account.remote_id}/media_publish"
        return self._graph.publish(Created, path, json_body={"creation_id": container}).data.id

    def read_media(self, media_id: str) -> MediaNode:
        """Read a published post."""
        fields = "id,permalink,timestamp,media_type,media_product_type,caption"
        return self._graph.read(MediaNode, media_id, fields=fields).data

    def list_media(self, after: str | None = None, **window: str) -> Listed:
        """Read a page of the account's posts, newest first; ``since`` and ``until`` are unix times in seconds."""
        fields = "id,caption,timestamp,permalink,media_type,media_product_type,children{media_type}"
        return self._list("media", fields, after, **window)

    def list_stories(self, after: str | None = None) -> Listed:
        """Read a page of the account's stories of the last 24 hours, newest first."""
        fields = "id,timestamp,permalink,media_type,media_product_type"
        return self._list("stories", fields, after)

    def _list(self, edge: str, fields: str, after: str | None, **window: str) -> Listed:
        path, params = f"{self._account.remote_id}/{edge}", {"fields": fields, "limit": limits.PAGE, **window}
        return self._graph.read_page(GraphPage[MediaNode], path, after, **params)

    def _create(self, body: dict[str, Any]) -> Created:
        path = f"{self._account.remote_id}/media"
        return self._graph.change(Created, path, json_body=body).data
