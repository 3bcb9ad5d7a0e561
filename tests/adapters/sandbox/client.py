"""Starts a real sandbox in a process of its own and speaks to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

CONTROL_TOKEN = "control-token-of-the-tests"
ROOT = Path(__file__).parents[3]
_WAIT_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ask: Callable[[], Any]) -> Any:
    """The first true answer of `ask`; fails when there is none in time."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{ask} gave no answer in {_WAIT_S} s")


def command(folder: Path, port: int, media_port: int, *more: str) -> list[str]:
    places = ["--port", str(port), "--media-port", str(media_port), "--folder", str(folder)]
    return [sys.executable, "-m", "adapters.sandbox", *places, *more]


@dataclass(kw_only=True)
class Account:
    platform: str
    remote_id: str
    access_token: str
    refresh_token: str | None
    answer: dict[str, Any]


@dataclass(kw_only=True)
class Sandbox:
    folder: Path
    port: int = field(default_factory=free_port)
    media_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def media(self, name: str) -> str:
        return f"http://127.0.0.1:{self.media_port}/media/{name}"

    def start(self) -> None:
        environment = os.environ | {"SLIPWAY_SANDBOX_CONTROL_TOKEN": CONTROL_TOKEN}
        line = command(self.folder, self.port, self.media_port, "--processing", "0.2", "--moderation", "0.1")
        self.process = subprocess.Popen(line, env=environment, cwd=ROOT)
        wait_until(self._is_up)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the sandbox ended by itself"
        try:
            answer = requests.get(f"{self.base}/control/health", timeout=5)
        except requests.ConnectionError:
            return False
        return bool(answer.json() == {"ok": True})

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
        return requests.request(method, f"{self.base}/control/{path}", json=body, headers=headers, timeout=30)

    def control_json(self, method: str, path: str, body: object = None) -> Any:
        answer = self.control(method, path, body)
        assert answer.ok, answer.text
        return answer.json()

    def account(self, platform: str, username: str = "ann", **more: Any) -> Account:
        answer = self.control_json("POST", "accounts", {"platform": platform, "username": username, **more})
        return Account(
            platform=platform,
            remote_id=answer["remote_id"],
            access_token=answer["access_token"],
            refresh_token=answer.get("refresh_token"),
            answer=answer,
        )

    def fault(self, platform: str, step: str, fault: str, times: int | None = 1, **more: Any) -> str:
        body = {"platform": platform, "step": step, "fault": fault, "times": times, **more}
        return str(self.control_json("POST", "faults", body)["id"])

    def pace(self, pace: str, *, quotas: bool) -> None:
        self.control_json("POST", "pace", {"pace": pace, "quotas": quotas})

    def ledger(self, platform: str | None = None) -> list[dict[str, Any]]:
        query = "" if platform is None else f"?platform={platform}"
        end = time.monotonic() + 5
        while True:  # a post may go live between the two looks
            entries: list[dict[str, Any]] = self.control_json("GET", f"ledger{query}")
            lines = [json.loads(line) for line in (self.folder / "ledger.jsonl").read_text().splitlines()]
            on_disk = [entry for entry in lines if platform in (None, entry["platform"])]
            if on_disk == entries or time.monotonic() > end:
                break
        assert on_disk == entries
        return entries


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
        told = {"title": "clip", "privacy_level": "PUBLIC_TO_EVERYONE", "brand_content_toggle": False, **info}
        return {"post_info": told, "source_info": source}

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
        told = {"caption": "c", "privacy_level": "PUBLIC_TO_EVERYONE", **info}
        body = {"business_id": self.account.remote_id, "photo_images": images, "post_info": told}
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


def graph_error(answer: requests.Response) -> tuple[int, int | None]:
    """Code and subcode of Meta's envelope."""
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


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
        """Started, with all its bytes."""
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
        """The video's fields once it is published."""
        found: dict[str, Any] = wait_until(
            lambda: seen if (seen := self.status(video))["published"] else None
        )
        return found

    def published(self) -> list[dict[str, Any]]:
        fields = "id,message,created_time,attachments"
        rows: list[dict[str, Any]] = self.call_page("GET", "published_posts", fields=fields).json()["data"]
        return rows


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


def google_error(answer: requests.Response) -> tuple[int, str]:
    """HTTP status and reason of Google's envelope."""
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return answer.status_code, error["errors"][0]["reason"]


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
        """A media_id that has succeeded, or failed."""
        made = self.register()
        assert self.send(made, data).status_code == 204
        wait_until(lambda: self.status(made["media_id"]) != "processing")
        return str(made["media_id"])

    def list_pins(self, **query: Any) -> dict[str, Any]:
        answer = self.call("GET", f"boards/{self.board}/pins", **query)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found


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
        body = {"initializeUploadRequest": {"owner": self.urn, **more}}
        answer = self.call("POST", "images", body, action="initializeUpload")
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

    def start_video(self, size: int) -> dict[str, Any]:
        given = {"owner": self.urn, "fileSizeBytes": size, "uploadCaptions": False, "uploadThumbnail": False}
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
        sort = "images" if ":image:" in urn else "videos"
        answer = self.call("GET", f"{sort}/{quote(urn, safe='')}")
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
