"""Upload files over HTTP, and do the steps of a worker in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import requests

from pipeline.api.posts.schema import build_post_format
from pipeline.imports.step import run_step
from pipeline.runtime.context import Context
from pipeline.store.database import rows
from tests.pipeline.api.running_server import BASE, Server, Tenant, ask, video

LATER = "2031-05-04T10:00:00Z"


def write_lines(*bodies: Any) -> bytes:
    """Return an NDJSON file; texts are lines as they are."""
    return "".join((b if isinstance(b, str) else json.dumps(b)) + "\n" for b in bodies).encode()


def do_step(context: Context, identity: UUID) -> None:
    """Do one step of an import, as the worker does."""
    run_step(context, identity, build_post_format(context.settings))


@dataclass(kw_only=True)
class Importer:
    """A client with a key of one workspace, and the worker of its imports."""

    server: Server
    tenant: Tenant

    def body(self, n: int = 0, **more: Any) -> dict[str, Any]:
        """Return the body of a post for later."""
        return {**video(self.tenant, scheduled_at=LATER), "caption": f"Row {n}", **more}

    def send(self, data: bytes, query: str = "", **headers: str) -> requests.Response:
        given = {"Content-Type": "application/x-ndjson", **headers}
        return self.server.send("POST", f"{BASE}/imports{query}", self.tenant.key, data, **given)

    def upload(self, data: bytes, query: str = "", **headers: str) -> UUID:
        answer = self.send(data, query, **headers)
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["data"]["id"])

    def get(self, identity: UUID) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get(f"/imports/{identity}", self.tenant.key).json()["data"]
        return found

    def work(self, identity: UUID) -> dict[str, Any]:
        """Do steps until the import rests; return it."""
        while (found := self.get(identity))["state"] in ("uploaded", "reading", "applying", "rolling_back"):
            do_step(self.server.context, identity)
        return found

    def plan(self, *bodies: Any, query: str = "") -> dict[str, Any]:
        """Upload a file of these bodies and plan it."""
        return self.work(self.upload(write_lines(*bodies), query))

    def act(
        self, identity: UUID | str, verb: str, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        return ask(self.server, self.tenant.key, "POST", f"/imports/{identity}/{verb}", body or b"")

    def records(self, identity: UUID | str) -> list[Any]:
        """Return the stored rows in order."""
        with self.server.context.database.begin() as c:
            return rows(
                c, "SELECT * FROM import_rows WHERE import_id = :id ORDER BY number", id=UUID(str(identity))
            )

    def posts(self) -> list[Any]:
        """Return the posts of the workspace, oldest first."""
        with self.server.context.database.begin() as c:
            return rows(c, "SELECT * FROM posts WHERE workspace_id = :w ORDER BY id", w=self.tenant.workspace)
