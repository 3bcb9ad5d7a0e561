"""The publishing endpoints of a Facebook Page, one method per request.

Sources: developers.facebook.com/docs/pages-api/posts and .../docs/video-api/guides/reels-publishing, both 2026-09-11,
.../docs/page-stories-api, 2026-05-06, .../docs/graph-api/reference/page/{photos,videos}. Creating a feed post with
``published=false`` and showing it with ``is_published=true`` is undocumented; a third party probed it on Graph v25.0
(2026-09-05).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from adapters.contract import Account, Credentials, Draft, Media, PlatformSettings
from adapters.errors import Unsupported
from adapters.facebook import limits, payload, wire
from adapters.facebook.checkpoint import Checkpoint, PostKind
from adapters.facebook.errors import SERVICE, TABLE, WRONG_OFFSET
from adapters.graph_api import GraphClient, GraphPage, GraphReply, open_graph, rebase_url
from adapters.graph_errors import Known, build_error, parse_error, parse_usage
from adapters.graph_oauth import Page
from adapters.http import HttpClient
from adapters.transport import compute_upload_limit, open_range

Listed = tuple[Sequence[Known], str | None]
"""The items of a page, and the cursor of the next one."""


def build_graph_client(
    http: HttpClient, settings: PlatformSettings, credentials: Credentials | None = None, host: str = "graph"
) -> GraphClient:
    """Return a client of *host*; with credentials, one for calls that carry their tokens."""
    return open_graph(http, settings, settings.hosts[host], SERVICE, TABLE, credentials)


class Client:
    """Requests about one Page: its photos, posts and videos."""

    def __init__(self, http: HttpClient, settings: PlatformSettings, account: Account) -> None:
        self._settings = settings
        self._id = account.remote_id
        self.www = settings.hosts["www"]
        self._graph = build_graph_client(http, settings, account.credentials)
        self._video_graph = build_graph_client(http, settings, account.credentials, "graph_video")

    # --- invisible ---------------------------------------------------------------------------------------------------

    def create_photo(self, media: Media) -> GraphReply[wire.Created]:
        """Create an unpublished photo; Facebook keeps it for about 24 hours."""
        return self._graph.change(wire.Created, f"{self._id}/photos", json_body=payload.build_photo(media))

    def create_unpublished_post(self, draft: Draft, photos: Sequence[str]) -> GraphReply[wire.Created]:
        """Create an unpublished post, over unpublished photos if it has any."""
        body = {**payload.build_post(draft, photos), "published": False}
        return self._graph.change(wire.Created, f"{self._id}/feed", json_body=body)

    def start_reel(self, kind: PostKind) -> GraphReply[wire.ReelStarted]:
        """Start a reel, or a story's video; the reply holds the video id and the upload address."""
        edge, body = "video_stories" if kind is PostKind.STORY else "video_reels", {"upload_phase": "start"}
        return self._graph.change(wire.ReelStarted, f"{self._id}/{edge}", json_body=body)

    def send_reel(self, media: Media, upload_url: str, offset: int) -> None:
        """Send a reel's bytes from *offset* on, or its URL for Facebook to pull from."""
        url = rebase_url(upload_url, self._settings.hosts["rupload"])
        is_sent = self._settings.options.get("byte_upload") and media.stream and media.facts
        self._graph.upload(url, media, offset if is_sent else None)

    def start_video(self, media: Media) -> GraphReply[wire.VideoStarted]:
        """Start a chunked upload. Raises Unsupported where the media's size or bytes are not available."""
        if media.facts is None or media.stream is None:
            raise Unsupported(
                "A Facebook video is sent as bytes, and its size or its bytes are not available"
            )
        body = {"upload_phase": "start", "file_size": media.facts.bytes}
        return self._video_graph.change(wire.VideoStarted, f"{self._id}/videos", json_body=body)

    def transfer(self, media: Media, state: Checkpoint) -> GraphReply[wire.Offsets]:
        """Send one chunk and return the offsets of the next one.

        A refusal of the offset counts as a reply too: it names the offsets that are expected, as happens when the
        response to an earlier chunk was lost.
        """
        length = state.end - state.start
        chunk = open_range(media, state.start, length)
        content_type, body = payload.build_chunk_form(state.session or "", state.start, chunk, length)
        response = self._video_graph.send(
            "POST",
            f"{self._id}/videos",
            visible=False,
            headers={"Content-Type": content_type},
            body=body,
            limit=compute_upload_limit(length),
        )
        error = parse_error(response)
        offsets = error.error_data if error and error.error_subcode == WRONG_OFFSET else response.body
        try:
            return GraphReply(data=_parse_offsets(offsets), usage=parse_usage(response.headers))
        except ValidationError:
            raise build_error(SERVICE, response, TABLE, visible=False) from None

    # --- visible -----------------------------------------------------------------------------------------------------

    def show_post(self, post: str) -> None:
        """Make an unpublished post visible; repeating the call shows no second post."""
        self._graph.publish(wire.Success, post, json_body={"is_published": True})

    def create_visible_post(self, draft: Draft, photos: Sequence[str]) -> str:
        """Create a post that is visible at once (``feed_mode: direct``) and return its id."""
        body = payload.build_post(draft, photos)
        return self._graph.publish(wire.Created, f"{self._id}/feed", json_body=body).data.id

    def finish_reel(self, draft: Draft, video_id: str) -> None:
        """Publish an uploaded reel; it appears when Facebook has processed it."""
        body = payload.build_reel_finish(draft, video_id)
        self._graph.publish(wire.Success, f"{self._id}/video_reels", json_body=body)

    def finish_video(self, draft: Draft, session: str) -> None:
        """Publish an uploaded video, with its cover if it is an image; it appears when Facebook has processed it."""
        fields = payload.build_video_finish(draft, session)
        call: dict[str, Any] = {"json_body": fields}
        if isinstance(draft.cover, Media):
            content_type, form = payload.build_cover_form(fields, draft.cover)
            call = {"body": form, "headers": {"Content-Type": content_type}}
        self._video_graph.publish(wire.Success, f"{self._id}/videos", **call)

    def show_photo_story(self, photo: str) -> str | None:
        """Publish an unpublished photo as a story and return the post's id."""
        return self._show_story("photo_stories", {"photo_id": photo})

    def finish_story(self, draft: Draft, video_id: str) -> str | None:
        """Publish an uploaded video as a story and return the post's id; it appears when it is processed."""
        return self._show_story("video_stories", payload.build_story_finish(draft, video_id))

    def _show_story(self, edge: str, body: dict[str, Any]) -> str | None:
        return self._graph.publish(wire.StoryShown, f"{self._id}/{edge}", json_body=body).data.post_id

    # --- reads -------------------------------------------------------------------------------------------------------

    def read_page(self) -> GraphReply[Page]:
        """Read the id and name of the Page that the token speaks for."""
        return self._graph.read(Page, self._id, fields="id,name")

    def read_post(self, post: str) -> GraphReply[wire.PostNode]:
        """Read whether a post is visible, and its link."""
        return self._graph.read(wire.PostNode, post, fields="id,is_published,permalink_url")

    def read_video(self, video_id: str) -> GraphReply[wire.VideoNode]:
        """Read a video's status and link."""
        fields = "status,published,post_id,permalink_url,created_time"
        return self._graph.read(wire.VideoNode, video_id, fields=fields)

    def list_posts(self, since: int, after: str | None = None) -> Listed[wire.PostNode]:
        """Read a page of the Page's visible posts since a unix time in seconds, newest first."""
        attachments = "media_type,target,subattachments.limit(100){media_type,target}"
        fields = f"id,message,created_time,permalink_url,attachments{{{attachments}}}"
        return self._list(GraphPage[wire.PostNode], "published_posts", fields, since, after)

    def list_videos(self, kind: PostKind, since: int, after: str | None = None) -> Listed[wire.ListedVideo]:
        """Read a page of the Page's reels or videos since a unix time in seconds, newest first."""
        edge = "video_reels" if kind is PostKind.REEL else "videos"
        fields = "id,description,created_time,permalink_url,length"
        return self._list(GraphPage[wire.ListedVideo], edge, fields, since, after)

    def list_stories(self, since: int, after: str | None = None) -> Listed[wire.ListedStory]:
        """Read a page of the Page's stories since a unix time in seconds; expired ones may be missing."""
        fields = "post_id,status,creation_time,media_id,url"
        return self._list(GraphPage[wire.ListedStory], "stories", fields, since, after)

    def _list(
        self, page: type[GraphPage[Known]], edge: str, fields: str, since: int, after: str | None
    ) -> Listed[Known]:
        params = {"fields": fields, "since": str(since), "limit": limits.PAGE}
        return self._graph.read_page(page, f"{self._id}/{edge}", after, **params)


def _parse_offsets(found: Any) -> wire.Offsets:
    if isinstance(found, bytes | str):  # error_data arrives as an object or as JSON in a string
        return wire.Offsets.model_validate_json(found)
    return wire.Offsets.model_validate(found)
