"""Clients of the fake TikTok APIs: Content Posting and Business."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.adapters.sandbox.process import Account, Sandbox, wait_until


@dataclass(kw_only=True)
class TikTok:
    sandbox: Sandbox
    account: Account

    def post(self, path: str, body: object = None, token: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.account.access_token}"}
        return requests.post(f"{self.sandbox.base}/tiktok/v2/{path}", json=body, headers=headers, timeout=30)

    def photo_body(self, *names: str, **info: Any) -> dict[str, Any]:
        return {
            "media_type": "PHOTO",
            "post_mode": "DIRECT_POST",
            "post_info": {
                "title": "t",
                "description": "d",
                "privacy_level": "PUBLIC_TO_EVERYONE",
                "brand_content_toggle": False,
                "brand_organic_toggle": False,
                **info,
            },
            "source_info": {
                "source": "PULL_FROM_URL",
                "photo_images": [self.sandbox.media(name) for name in names or ("sample-1.jpg",)],
                "photo_cover_index": 0,
            },
        }

    def photos(self, *names: str, **info: Any) -> str:
        answer = self.post("post/publish/content/init/", self.photo_body(*names, **info))
        assert answer.json()["error"]["code"] == "ok", answer.text
        return str(answer.json()["data"]["publish_id"])

    def video_body(self, source: dict[str, Any], **info: Any) -> dict[str, Any]:
        fields = {
            "title": "clip",
            "privacy_level": "PUBLIC_TO_EVERYONE",
            "brand_content_toggle": False,
            **info,
        }
        return {"post_info": fields, "source_info": source}

    def upload_init(self, size: int, chunk: int, count: int, **info: Any) -> dict[str, Any]:
        source = {
            "source": "FILE_UPLOAD",
            "video_size": size,
            "chunk_size": chunk,
            "total_chunk_count": count,
        }
        answer = self.post("post/publish/video/init/", self.video_body(source, **info))
        assert answer.json()["error"]["code"] == "ok", answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def status(self, publish_id: str) -> dict[str, Any]:
        answer = self.post("post/publish/status/fetch/", {"publish_id": publish_id})
        assert answer.json()["error"]["code"] == "ok", answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def wait_until_ended(self, publish_id: str) -> dict[str, Any]:
        final = ("PUBLISH_COMPLETE", "FAILED", "SEND_TO_USER_INBOX")
        found: dict[str, Any] = wait_until(
            lambda: status if (status := self.status(publish_id))["status"] in final else None
        )
        return found


@dataclass(kw_only=True)
class Business:
    sandbox: Sandbox
    account: Account

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None, **query: str
    ) -> requests.Response:
        headers = {"Access-Token": self.account.access_token if token is None else token}
        url = f"{self.sandbox.base}/tiktok-business/open_api/v1.3/{path}"
        return requests.request(method, url, json=body, headers=headers, params=query, timeout=30)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("GET", path, business_id=self.account.remote_id, **query).json()
        return answer

    def video(self, name: str = "sample.mp4", **info: Any) -> dict[str, Any]:
        url = name if "://" in name else self.sandbox.media(name)
        body = {
            "business_id": self.account.remote_id,
            "video_url": url,
            "post_info": {"caption": "c", **info},
        }
        answer: dict[str, Any] = self.call("POST", "business/video/publish/", body).json()
        return answer

    def photo(self, *names: str, **info: Any) -> dict[str, Any]:
        images = [self.sandbox.media(name) for name in names or ("sample-1.jpg",)]
        fields = {"caption": "c", "privacy_level": "PUBLIC_TO_EVERYONE", **info}
        body = {"business_id": self.account.remote_id, "photo_images": images, "post_info": fields}
        answer: dict[str, Any] = self.call("POST", "business/photo/publish/", body).json()
        return answer

    def status(self, share_id: str) -> dict[str, Any]:
        answer = self.get("business/publish/status/", publish_id=share_id)
        assert answer["code"] == 0, answer
        data: dict[str, Any] = answer["data"]
        return data

    def wait_until_ended(self, share_id: str) -> dict[str, Any]:
        found: dict[str, Any] = wait_until(
            lambda: status if (status := self.status(share_id))["status"] != "PROCESSING_DOWNLOAD" else None
        )
        return found
