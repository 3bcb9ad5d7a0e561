"""Clients of the fake Graph API: Instagram and Facebook."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.adapters.sandbox.process import Account, Sandbox, wait_until


def graph_error(answer: requests.Response) -> tuple[int, int | None]:
    """Return code and subcode of Meta's error envelope."""
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


@dataclass(kw_only=True)
class Instagram:
    sandbox: Sandbox
    account: Account
    host: str = "instagram"

    def call(self, method: str, path: str, token: str | None = None, **query: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.account.access_token}"}
        url = f"{self.sandbox.base}/{self.host}/v25.0/{path}"
        return requests.request(method, url, params=query, headers=headers, timeout=30)

    def create(self, **query: Any) -> requests.Response:
        return self.call("POST", f"{self.account.remote_id}/media", **query)

    def create_id(self, **query: Any) -> str:
        answer = self.create(**query)
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def image(self, name: str = "sample-1.jpg", **query: Any) -> str:
        return self.create_id(image_url=self.sandbox.media(name), **query)

    def code(self, container: str) -> str:
        answer = self.call("GET", container, fields="status_code,status")
        assert answer.ok, answer.text
        return str(answer.json()["status_code"])

    def wait_until_ended(self, container: str) -> str:
        return str(wait_until(lambda: code if (code := self.code(container)) != "IN_PROGRESS" else None))

    def publish(self, container: str) -> requests.Response:
        return self.call("POST", f"{self.account.remote_id}/media_publish", creation_id=container)


@dataclass(kw_only=True)
class Facebook:
    sandbox: Sandbox
    account: Account

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None, **query: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.account.access_token}"}
        url = f"{self.sandbox.base}/facebook/v25.0/{path}"
        return requests.request(method, url, params=query, json=body, headers=headers, timeout=30)

    def call_page(self, method: str, edge: str, body: object = None, **query: Any) -> requests.Response:
        return self.call(method, f"{self.account.remote_id}/{edge}", body, **query)

    def photo(self, name: str = "sample-1.jpg", **more: Any) -> str:
        answer = self.call_page(
            "POST", "photos", {"url": self.sandbox.media(name), "published": False, **more}
        )
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def feed(self, message: str = "hej", photos: tuple[str, ...] = (), **more: Any) -> requests.Response:
        attached = [{"media_fbid": key} for key in photos]
        return self.call_page("POST", "feed", {"message": message, "attached_media": attached, **more})

    def create_unpublished(self, message: str = "hej", *photos: str) -> str:
        answer = self.feed(message, photos, published=False)
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def publish(self, post: str) -> requests.Response:
        return self.call("POST", post, {"is_published": True})

    def reel(self, data: bytes) -> str:
        """Start a reel, upload all its bytes, and return its id."""
        made = self.call_page("POST", "video_reels", {"upload_phase": "start"}).json()
        assert self.send(made["upload_url"], data, 0, len(data)).json() == {"success": True}
        return str(made["video_id"])

    def send(self, url: str, data: bytes, offset: int, size: int) -> requests.Response:
        headers = {"Authorization": f"OAuth {self.account.access_token}", "offset": str(offset)}
        return requests.post(url, data=data, headers=headers | {"file_size": str(size)}, timeout=30)

    def finish(self, video: str, state: str = "PUBLISHED", **more: Any) -> requests.Response:
        body = {"upload_phase": "finish", "video_id": video, "video_state": state, **more}
        return self.call_page("POST", "video_reels", body)

    def status(self, video: str) -> dict[str, Any]:
        answer = self.call("GET", video, fields="status,published,post_id,permalink_url,created_time")
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait_until_live(self, video: str) -> dict[str, Any]:
        """Wait until the video is published and return its fields."""
        found: dict[str, Any] = wait_until(
            lambda: seen if (seen := self.status(video))["published"] else None
        )
        return found

    def published(self) -> list[dict[str, Any]]:
        fields = "id,message,created_time,attachments"
        rows: list[dict[str, Any]] = self.call_page("GET", "published_posts", fields=fields).json()["data"]
        return rows
