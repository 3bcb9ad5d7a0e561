"""Client of the fake Pinterest API."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.adapters.sandbox.process import Account, Sandbox, wait_until


@dataclass(kw_only=True)
class Pinterest:
    sandbox: Sandbox
    account: Account

    @property
    def board(self) -> str:
        return str(self.account.answer["settings"]["default_board"])

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None, **query: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.account.access_token}"}
        url = f"{self.sandbox.base}/pinterest/v5/{path}"
        return requests.request(method, url, params=query, json=body, headers=headers, timeout=30)

    def image(self, name: str = "sample-1.jpg") -> dict[str, Any]:
        return {"source_type": "image_url", "url": self.sandbox.media(name)}

    def pin(self, source: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        body = {"board_id": self.board, "title": "t", "description": "d", "link": "https://a.example/?x=1"}
        return self.call("POST", "pins", {**body, "media_source": source or self.image(), **more})

    def register(self) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "media", {"media_type": "video"}).json()
        return made

    def send(self, made: dict[str, Any], data: bytes) -> requests.Response:
        files = {"file": ("v.mp4", data, "video/mp4")}
        return requests.post(made["upload_url"], data=made["upload_parameters"], files=files, timeout=30)

    def status(self, media: str) -> str:
        return str(self.call("GET", f"media/{media}").json()["status"])

    def video(self, data: bytes) -> str:
        """Upload a video, wait until it is processed, and return its media_id."""
        made = self.register()
        assert self.send(made, data).status_code == 204
        wait_until(lambda: self.status(made["media_id"]) != "processing")
        return str(made["media_id"])

    def list_pins(self, **query: Any) -> dict[str, Any]:
        answer = self.call("GET", f"boards/{self.board}/pins", **query)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found
