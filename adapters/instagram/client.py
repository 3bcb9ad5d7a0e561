"""Instagram's publishing endpoints, one method a request; what to call when is ``adapter.py``'s business.

Source: developers.facebook.com/docs/instagram-platform/content-publishing, v25.0, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from adapters.contract import Account, Draft, Media, PlatformSettings
from adapters.errors import Unavailable
from adapters.graph_api import GONE, Graph, Reply, rebased, rupload
from adapters.http import Client
from adapters.instagram import limits
from adapters.instagram.checkpoint import is_carousel
from adapters.instagram.errors import TABLE
from adapters.instagram.wire import ContainerStatus, Created, MediaList, MediaNode, Quotas
from adapters.upload_source import opened, size_of

HOST_OF = {"instagram_login": "graph", "facebook_login": "facebook_graph"}
"""The Graph host for each kind of connection: its tokens work on no other."""


def graph_of(client: Client, settings: PlatformSettings, connection: str) -> Graph:
    """The Graph host that takes the tokens of ``connection``."""
    base = f"{settings.hosts[HOST_OF[connection]]}/{settings.version}"
    return Graph(client, service="Instagram", base=base, table=TABLE)


def sends_bytes(draft: Draft, account: Account, settings: PlatformSettings) -> bool:
    """Whether the reel's bytes go up through us: resumable upload needs Facebook Login, and bytes at hand."""
    media = draft.media[0]
    wanted = bool(settings.options.get("byte_upload")) and account.connection == "facebook_login"
    return wanted and media.stream is not None and media.facts is not None


class Containers:
    """One account's containers and posts."""

    def __init__(self, client: Client, settings: PlatformSettings, account: Account) -> None:
        self._client = client
        self._settings = settings
        self._account = account
        self._graph = graph_of(client, settings, account.connection)
        self._token = account.credentials.access_token.get_secret_value()

    def quota(self) -> Reply[Quotas]:
        """How many posts the window holds already."""
        path = f"{self._account.remote_id}/content_publishing_limit"
        return self._graph.read(Quotas, path, self._token, fields="quota_usage,config")

    def create_child(self, media: Media) -> Created:
        """One item of a carousel; it takes no caption."""
        return self._create({"is_carousel_item": True, **_source(media, video="VIDEO")})

    def create(self, draft: Draft, children: Sequence[str]) -> Created:
        """The container that will be published: an image, a reel, or a carousel over its children."""
        return self._create({**self._shape(draft, children), "caption": draft.caption})

    def send_bytes(self, media: Media, upload_uri: str) -> None:
        """The whole video to the container's upload address; see ``sends_bytes``."""
        size = size_of(media)
        rupload(
            self._client,
            "Instagram",
            rebased(upload_uri, self._settings.hosts["rupload"]),
            self._token,
            TABLE,
            headers={"offset": "0", "file_size": str(size)},
            chunks=opened(media, 0, size),
            length=size,
            limit=timedelta(seconds=30 + size / limits.UPLOAD_FLOOR),
        )

    def status(self, container: str) -> ContainerStatus | None:
        """Where a container stands; None when Instagram finds none (never proof that none was published)."""
        try:
            return self._graph.read(ContainerStatus, container, self._token, fields="status_code,status").data
        except Unavailable as error:
            if error.code == GONE:
                return None
            raise

    def publish(self, container: str) -> str:
        """The one visible call; answers the media id."""
        path = f"{self._account.remote_id}/media_publish"
        return self._graph.publish(Created, path, self._token, {"creation_id": container}).data.id

    def media(self, media_id: str) -> MediaNode:
        """A published post."""
        fields = "id,permalink,timestamp,media_type,media_product_type,caption"
        return self._graph.read(MediaNode, media_id, self._token, fields=fields).data

    def newest(self, **window: str) -> Sequence[MediaNode]:
        """The account's posts, newest first; ``since`` and ``until`` are unix times."""
        path = f"{self._account.remote_id}/media"
        fields = "id,caption,timestamp,permalink,media_type"
        return self._graph.read(MediaList, path, self._token, fields=fields, limit="100", **window).data.data

    def _create(self, fields: dict[str, Any]) -> Created:
        path = f"{self._account.remote_id}/media"
        return self._graph.change(Created, path, self._token, json_body=fields).data

    def _shape(self, draft: Draft, children: Sequence[str]) -> dict[str, Any]:
        if is_carousel(draft):
            return {"media_type": "CAROUSEL", "children": ",".join(children)}
        if draft.media[0].kind == "video" and sends_bytes(draft, self._account, self._settings):
            return {"media_type": "REELS", "upload_type": "resumable"}
        return _source(draft.media[0], video="REELS")


def _source(media: Media, *, video: str) -> dict[str, Any]:
    if media.kind == "image":
        return {"image_url": media.url}
    return {"media_type": video, "video_url": media.url}
