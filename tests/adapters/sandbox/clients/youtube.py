"""Client of the fake YouTube Data API."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.adapters.sandbox.process import Account, Sandbox


def google_error(answer: requests.Response) -> tuple[int, str]:
    """Return HTTP status and reason of Google's error envelope."""
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return answer.status_code, error["errors"][0]["reason"]


@dataclass(kw_only=True)
class YouTube:
    sandbox: Sandbox
    account: Account

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None, **query: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.account.access_token}"}
        url = f"{self.sandbox.base}/youtube/{path}"
        return requests.request(method, url, params=query, json=body, headers=headers, timeout=30)

    def open(
        self, size: int | None = None, *, status: dict[str, Any] | None = None, **snippet: Any
    ) -> requests.Response:
        headers = {
            "Authorization": f"Bearer {self.account.access_token}",
            "X-Upload-Content-Type": "video/mp4",
        }
        if size is not None:
            headers["X-Upload-Content-Length"] = str(size)
        body = {
            "snippet": {"title": "clip", **snippet},
            "status": {"privacyStatus": "public", **(status or {})},
        }
        url = f"{self.sandbox.base}/youtube/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status"
        return requests.post(url, json=body, headers=headers, timeout=30)

    def session(self, size: int, **more: Any) -> str:
        answer = self.open(size, **more)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
        return answer.headers["Location"]

    def put(self, session: str, data: bytes, first: int, total: int) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.account.access_token}", "Content-Type": "video/mp4"}
        headers["Content-Range"] = f"bytes {first}-{first + len(data) - 1}/{total}"
        return requests.put(session, data=data, headers=headers, timeout=30, allow_redirects=False)

    def probe(self, session: str, total: int) -> requests.Response:
        headers = {
            "Authorization": f"Bearer {self.account.access_token}",
            "Content-Range": f"bytes */{total}",
        }
        return requests.put(session, headers=headers, timeout=30, allow_redirects=False)

    def upload(self, data: bytes, **more: Any) -> str:
        answer = self.put(self.session(len(data), **more), data, 0, len(data))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def videos(self, *keys: str, part: str = "status,processingDetails") -> list[dict[str, Any]]:
        answer = self.call("GET", "youtube/v3/videos", part=part, id=",".join(keys))
        assert answer.ok, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def uploads(self, **query: Any) -> dict[str, Any]:
        playlist = "UU" + self.account.remote_id[2:]
        answer = self.call(
            "GET", "youtube/v3/playlistItems", part="snippet,contentDetails", playlistId=playlist, **query
        )
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found
