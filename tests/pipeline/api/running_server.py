"""Start `slipway api` as a process on real engines, and talk to it over a socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from pydantic import SecretStr
from sqlalchemy import text

from adapters.contract import Credentials, Platform, RemoteAccount
from config.settings import load
from pipeline.broker.queues import REACHABILITY
from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.runtime.context import Context
from pipeline.store.accounts.accounts import add_account
from pipeline.store.auth.keys import Terms, create_key
from pipeline.store.auth.workspaces import create_workspace, set_plan
from pipeline.store.checks.checks import decide_check
from pipeline.store.database import row
from pipeline.wiring import build_context
from tests import waiting
from tests.forked_program import API, ForkedProgram, start_program

BASE = "/api/partner/v1"
ABSENT = "01a2106e-0000-7000-8000-000000000000"
"""An id that does not exist. It is the same in every process, because pytest names tests by it."""
ROOT = Path(__file__).parents[3]


_REMOTE_PREFIXES = {Platform.LINKEDIN: "urn:li:person:"}


@dataclass(kw_only=True)
class Tenant:
    """A workspace with a key and accounts."""

    workspace: UUID
    key: str
    accounts: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(kw_only=True)
class Server:
    """A running server, a client for it, and a context for arranging its data."""

    url: str
    log: Path
    context: Context
    http: requests.Session

    def post(self, body: Any, key: str | None, **headers: str) -> requests.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return ask(self, key, "POST", "/posts", content, **headers)

    def get(self, path: str, key: str | None) -> requests.Response:
        return self.send("GET", BASE + path, key)

    def send(
        self, method: str, path: str, key: str | None = None, body: bytes | None = None, **headers: str
    ) -> requests.Response:
        """Send a request and check what every response has: a request id, a body, and the JSON envelope."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        answer = self.http.request(method, self.url + path, data=body, headers=headers, timeout=30)
        assert answer.headers["X-Request-Id"]
        assert answer.content or method == "HEAD"
        is_file = path.startswith((f"{BASE}/posts/export", f"{BASE}/imports/template.")) and answer.ok
        if path not in {"/metrics", "/openapi.json"} and method != "HEAD" and not is_file:
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.json()["code"] == answer.status_code
            assert answer.json()["ok"] is (answer.status_code < 400)
            assert ("data" in answer.json()) is answer.json()["ok"]
            assert ("issues" in answer.json()) is (
                answer.status_code == 422 or bool(answer.json().get("issues"))
            )
        return answer

    def key(self, tenant: Tenant, *platforms: str, **terms: Any) -> str:
        """Make another key of the workspace, bound to its accounts on these platforms if some are named."""
        accounts = [UUID(tenant.accounts[p]) for p in platforms] or None
        with self.context.database.begin() as c:
            return create_key(c, tenant.workspace, "another", Terms(**{"accounts": accounts, **terms}))

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement, as a worker would or a person; return its rows."""
        with self.context.database.begin() as c:
            found = c.execute(text(statement), values)
            return list(found) if found.returns_rows else []

    def read_log(self) -> str:
        """Return the log, with the lines of every request that was answered before: they are written in batches."""
        last = os.urandom(16).hex()
        self.send("GET", f"{BASE}/posts", None, None, **{"X-Request-Id": last})
        until(lambda: last in self.log.read_text(), "the line of the last request")
        return self.log.read_text()

    def tenant(
        self,
        plan: Plan = Plan.BUSINESS,
        subscription: Subscription = Subscription.ACTIVE,
        kind: WorkspaceKind = WorkspaceKind.WORKSPACE,
        platforms: tuple[Platform, ...] = (Platform.TIKTOK, Platform.INSTAGRAM),
    ) -> Tenant:
        with self.context.database.begin() as c:
            workspace = create_workspace(c, name=os.urandom(4).hex(), kind=kind)
            set_plan(c, workspace, plan, subscription)
            tenant = Tenant(workspace=workspace, key=create_key(c, workspace, "tests"))
            for platform in platforms:
                remote = RemoteAccount(
                    connection="person" if platform is Platform.LINKEDIN else "creator",
                    remote_id=_REMOTE_PREFIXES.get(platform, "") + os.urandom(8).hex(),
                    username=f"{platform}_user",
                    display_name=f"{platform} user",
                    credentials=Credentials(access_token=SecretStr("dummy")),
                    settings={"default_board": "1"} if platform is Platform.PINTEREST else {},
                )
                identity = add_account(c, self.context.vault, workspace, platform, remote)
                tenant.accounts[platform] = str(identity)
        return tenant


def ask(
    server: Server, who: str | None, method: str, path: str, body: Any = None, **headers: str
) -> requests.Response:
    """Send JSON, or bytes as they are, to a path of the Partner API, or to a whole path."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    whole = path if path.startswith("/api/") else BASE + path
    return server.send(method, whole, who, content, **{"Content-Type": "application/json", **headers})


def code(answer: requests.Response) -> tuple[int, str]:
    """Return the status, and the error code of a refusal."""
    return answer.status_code, answer.json().get("error_code", "")


def read(server: Server, tenant: Tenant, post: str) -> dict[str, Any]:
    """Return a post as its workspace reads it."""
    found: dict[str, Any] = server.get(f"/posts/{post}", tenant.key).json()["data"]
    return found


@contextmanager
def serving(environment: Mapping[str, str], folder: Path) -> Iterator[Server]:
    """Run a server with these settings until the block ends."""
    if (given := environment.get("SLIPWAY_API__PORT")) is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    else:
        port = int(given)
    log = folder / "api.log"
    context = build_context(load(dict(environment)))
    with requests.Session() as http:
        process = start_program(*API, environment={**environment, "SLIPWAY_API__PORT": str(port)}, log=log)
        try:
            server = Server(url=f"http://127.0.0.1:{port}", log=log, context=context, http=http)
            until(lambda: _answers(server, process), "the server to answer")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)
            context.database.close()
            context.liveness._client.close()


def until(met: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Poll until *met* is true. Fails after *seconds*."""
    waiting.until(met, seconds, lambda: f"waited {seconds} s for {what}", poll=0.02)


def _answers(server: Server, process: ForkedProgram) -> bool:
    assert process.poll() is None, server.log.read_text()
    try:
        return server.http.get(server.url + "/healthz", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


def video(tenant: Tenant, platform: str = "tiktok", **more: Any) -> dict[str, Any]:
    """Build a valid body of a post. No two are equal: 32 random bits were, once in 2,000 runs of 2,000 posts."""
    return {
        "caption": f"A video {os.urandom(8).hex()}",
        "media": {"type": "video", "url": "https://cdn.example.com/v.mp4"},
        "accounts": [{"id": tenant.accounts[platform]}],
        **more,
    }


def post_refused_media(server: Server, tenant: Tenant) -> requests.Response:
    """Send a post whose media are refused while it waits: the caller is the worker."""
    server.context.liveness.record_beat(REACHABILITY)
    worker = threading.Thread(target=_refuse_check, args=(server, tenant))
    worker.start()
    answer = server.post(video(tenant), tenant.key)
    worker.join()
    return answer


def _refuse_check(server: Server, tenant: Tenant) -> None:
    def refused() -> bool:
        with server.context.database.begin() as c:
            found = row(
                c, "SELECT id FROM checks WHERE workspace_id = :w AND verdict IS NULL", w=tenant.workspace
            )
            return found is not None and decide_check(
                c, found.id, "refused", facts=None, seen="it answered 404"
            )

    until(refused, "an open check")
