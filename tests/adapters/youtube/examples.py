"""Example responses from Google's own pages (read 2026-11-24); only values that the pages omit as "…" are filled in."""

from __future__ import annotations

import json
from typing import Any

VIDEO_ID = "dQw4w9WgXcQ"
UPLOAD_ID = "xa298sd_f"
SESSION = f"/youtube/upload/youtube/v3/videos?uploadType=resumable&upload_id={UPLOAD_ID}&part=snippet,status"
VIDEO = (
    '{"kind":"youtube#video","etag":"…","id":"dQw4w9WgXcQ","snippet":{},'
    '"status":{"uploadStatus":"uploaded","privacyStatus":"private"}}'
)
TOKEN = (
    '{"access_token":"ya29.new","expires_in":3599,"scope":"https://www.googleapis.com/auth/youtube.upload '
    'https://www.googleapis.com/auth/youtube.readonly","token_type":"Bearer"}'
)
CODE_TOKEN = TOKEN.replace('"expires_in"', '"refresh_token":"1//new","expires_in"')


def error(code: int, reason: str, message: str = "…", domain: str = "youtube.quota") -> str:
    """Return the Data API's error envelope."""
    inner = f'[{{"domain":"{domain}","reason":"{reason}","message":"{message}"}}]'
    return f'{{"error":{{"code":{code},"message":"{message}","errors":{inner}}}}}'


def videos(*items: dict[str, Any]) -> str:
    """Return a ``videos.list`` response."""
    return json.dumps({"kind": "youtube#videoListResponse", "items": list(items)})


def status(upload: str, video_id: str = VIDEO_ID, processing: str = "processing", **more: str) -> str:
    """Return a ``videos.list`` response with one video; *more* are the reasons of a failure or rejection."""
    details = {"processingStatus": processing}
    if "processingFailureReason" in more:
        details["processingFailureReason"] = more.pop("processingFailureReason")
    item = {
        "id": video_id,
        "status": {"uploadStatus": upload, "privacyStatus": "public", **more},
        "processingDetails": details,
    }
    return videos(item)


def channels(channel_id: str = "UC1", uploads: str | None = "UU1") -> str:
    """Return a ``channels.list`` response with one channel."""
    item = {
        "kind": "youtube#channel",
        "id": channel_id,
        "snippet": {"title": "Casa", "customUrl": "@casa"},
        "contentDetails": {"relatedPlaylists": {"likes": "LL", **({"uploads": uploads} if uploads else {})}},
        "status": {"longUploadsStatus": "eligible"},
    }
    return json.dumps({"kind": "youtube#channelListResponse", "items": [item]})


def playlist(*entries: tuple[str, str], following: str | None = None) -> str:
    """Return a ``playlistItems.list`` response; entries are (video id, time of addition)."""
    items = [
        {"snippet": {"publishedAt": when}, "contentDetails": {"videoId": video_id}}
        for video_id, when in entries
    ]
    more = {"nextPageToken": following} if following else {}
    return json.dumps({"kind": "youtube#playlistItemListResponse", "items": items, **more})


def listed(video_id: str, *, size: int | None, **changes: Any) -> dict[str, Any]:
    """Return one item of ``videos.list`` with the parts that ``find_upload`` reads."""
    known = {
        "name": "other.mp4",
        "title": "Me and me casa #cat",
        "at": "2026-11-24T12:00:05Z",
        "upload": "processed",
    }
    values = {**known, **changes}
    return {
        "id": video_id,
        "snippet": {"title": values["title"], "publishedAt": values["at"]},
        "status": {"uploadStatus": values["upload"], "privacyStatus": "public"},
        "fileDetails": {"fileName": values["name"], **({} if size is None else {"fileSize": str(size)})},
    }
