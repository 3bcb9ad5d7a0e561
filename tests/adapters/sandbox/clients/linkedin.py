"""Client of the fake LinkedIn API."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from tests.adapters.sandbox.process import Account, Sandbox


@dataclass(kw_only=True)
class LinkedIn:
    sandbox: Sandbox
    account: Account
    version: str = "202609"

    @property
    def urn(self) -> str:
        return self.account.remote_id

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None, **query: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.account.access_token}"}
        headers |= {"LinkedIn-Version": self.version, "X-Restli-Protocol-Version": "2.0.0"}
        url = f"{self.sandbox.base}/linkedin/rest/{path}"
        return requests.request(method, url, params=query, json=body, headers=headers, timeout=30)

    def start_image(self, **more: Any) -> dict[str, Any]:
        return self.start_whole("images", **more)

    def start_whole(self, kind: str, **more: Any) -> dict[str, Any]:
        body = {"initializeUploadRequest": {"owner": self.urn, **more}}
        answer = self.call("POST", kind, body, action="initializeUpload")
        assert answer.ok, answer.text
        value: dict[str, Any] = answer.json()["value"]
        return value

    def put_image(self, value: dict[str, Any], data: bytes) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.account.access_token}"}
        return requests.put(value["uploadUrl"], data=data, headers=headers, timeout=30)

    def image(self, name: str = "sample-1.jpg") -> str:
        value = self.start_image()
        data = (self.sandbox.folder / "media" / name).read_bytes()
        assert self.put_image(value, data).status_code == 201
        return str(value["image"])

    def document(self, data: bytes | None = None) -> str:
        value = self.start_whole("documents")
        data = data or (self.sandbox.folder / "media" / "sample.pdf").read_bytes()
        assert self.put_image(value, data).status_code == 201
        return str(value["document"])

    def start_video(self, size: int, **more: Any) -> dict[str, Any]:
        given = {"owner": self.urn, "fileSizeBytes": size, "uploadCaptions": False, "uploadThumbnail": False}
        given |= more
        answer = self.call("POST", "videos", {"initializeUploadRequest": given}, action="initializeUpload")
        assert answer.ok, answer.text
        value: dict[str, Any] = answer.json()["value"]
        return value

    def put_part(self, part: dict[str, Any], data: bytes) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream"}
        body = data[part["firstByte"] : part["lastByte"] + 1]
        return requests.put(part["uploadUrl"], data=body, headers=headers, timeout=30)

    def finish_video(self, value: dict[str, Any], etags: list[str]) -> requests.Response:
        given = {"video": value["video"], "uploadToken": value["uploadToken"], "uploadedPartIds": etags}
        return self.call("POST", "videos", {"finalizeUploadRequest": given}, action="finalizeUpload")

    def video(self, data: bytes) -> str:
        value = self.start_video(len(data))
        etags = [self.put_part(part, data).headers["ETag"] for part in value["uploadInstructions"]]
        assert self.finish_video(value, etags).ok
        return str(value["video"])

    def state(self, urn: str) -> str:
        answer = self.call("GET", f"{urn.split(':')[2]}s/{quote(urn, safe='')}")
        assert answer.ok, answer.text
        return str(answer.json()["status"])

    def body(
        self, commentary: str = "hej", content: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        distribution: dict[str, Any] = {"feedDistribution": "MAIN_FEED", "targetEntities": []}
        distribution |= {"thirdPartyDistributionChannels": []}
        body: dict[str, Any] = {
            "author": self.urn,
            "commentary": commentary,
            "visibility": "PUBLIC",
            "distribution": distribution,
        }
        body |= {"lifecycleState": "PUBLISHED", "isReshareDisabledByAuthor": False, **more}
        return body if content is None else body | {"content": content}

    def post(
        self, commentary: str = "hej", content: dict[str, Any] | None = None, **more: Any
    ) -> requests.Response:
        return self.call("POST", "posts", self.body(commentary, content, **more))

    def list_posts(self, **query: Any) -> requests.Response:
        return self.call("GET", "posts", q="author", author=self.urn, sortBy="LAST_MODIFIED", **query)
