"""What the samples of the reference need: a workspace with accounts and posts, and the order of the operations."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.contract import Platform
from pipeline.actions.steer_step import run_steering_step
from pipeline.api.openapi.sample_requests import read_recorded
from pipeline.broker.queues import DELAY
from pipeline.store.canaries import record_canary
from pipeline.store.posts.approvals import demand_of, read_approvals
from tests.pipeline.api.imports.importing import do_step, write_lines
from tests.pipeline.api.running_server import Server, Tenant, video
from tests.pipeline.media import samples

ORDER = (
    "healthz",
    "readyz",
    "metrics",
    "getSubscription",
    "getKey",
    "listAccounts",
    "getAccount",
    "changeTimes",
    "validatePost",
    "createPost",
    "getPost",
    "explainPost",
    "listPosts",
    "updatePost",
    "schedulePost",
    "getApproval",
    "createApprovalLink",
    "sendBackPost",
    "approvePost",
    "retryPosts",
    "cancelPosts",
    "deletePosts",
    "createPosts",
    "exportPosts",
    "steerPosts",
    "listSteeringJobs",
    "getSteeringJob",
    "stopSteeringJob",
    "listSteeringReceipts",
    "undoSteeringJob",
    "getImportTemplateCsv",
    "getImportTemplateXlsx",
    "createImport",
    "listImports",
    "listImportPresets",
    "getImport",
    "getImportForecast",
    "listImportRows",
    "applyImport",
    "pauseImport",
    "resumeImport",
    "cancelImport",
    "rollBackImport",
    "deleteImport",
    "createWebhook",
    "listWebhooks",
    "getWebhook",
    "updateWebhook",
    "rotateWebhookSecret",
    "testWebhook",
    "listWebhookEvents",
    "replayWebhookEvents",
    "deleteWebhook",
    "listEvents",
    "createFile",
    "putFile",
    "getFile",
    "listFiles",
    "connectAccount",
    "connectCallback",
    "connectChoice",
)
"""The operations, so that each finds what it needs."""
PUBLIC_URL = "https://posts.example.com"
SETTINGS = {
    "SLIPWAY_API__PUBLIC_URL": PUBLIC_URL,
    "SLIPWAY_TIKTOK__APP_ID": "an-app",
    "SLIPWAY_API__POSTS_PER_MINUTE": "60",
    "SLIPWAY_BROKER__REQUEST_TIMEOUT": "1",  # each post is counted, however busy the machine
    # no worker renews the epoch that a retry begins: explanations would say so once it is over
    "SLIPWAY_MARK__LEASE": "600",
}
PICTURE = samples.image("PNG")


@dataclass(kw_only=True)
class Scene:
    """A tenant of a running server whose ids take the place of the recorded ones."""

    server: Server
    tenant: Tenant
    names: dict[str, str]
    """By the names of ``sample_requests.py``."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables of the samples."""

    def fill(self, sample: str) -> str:
        """Return a sample with this scene's ids instead of the recorded ones."""
        for name, recorded in read_recorded().names.items():
            if name in self.names:
                sample = sample.replace(recorded, self.names[name])
        return sample

    def learn(self, operation: str, data: Mapping[str, Any]) -> None:
        """Note what later samples need of an answer's data."""
        if operation == "createPost":
            self.names["post"] = data["id"]
        if operation == "steerPosts":
            self.names["steering_job"] = data["job"]["id"]
            run_steering_step(self.server.context, UUID(data["job"]["id"]))
        if operation == "createImport":
            identity = UUID(data["id"])
            do_step(self.server.context, identity)
            with self.server.context.database.begin() as c:
                plan_hash = c.execute(text("SELECT plan_hash FROM imports WHERE id = :id"), {"id": identity})
                self.names |= {"import": data["id"], "plan": plan_hash.scalar_one().hex()}
        if operation == "rollBackImport":
            do_step(self.server.context, UUID(data["id"]))
        if operation == "createWebhook":
            self.names["webhook"] = data["id"]
        if operation == "createFile":
            self.variables["UPLOAD_URL"] = data["uploadUrl"].replace(PUBLIC_URL, self.server.url)
            self.variables["FILE_URL"] = data["url"].replace(PUBLIC_URL, self.server.url)


def arrange(server: Server) -> Scene:
    """Make a workspace with a failed post, one to delete and a draft."""
    tenant = server.tenant(platforms=(Platform.TIKTOK, Platform.INSTAGRAM))
    names = {
        "tiktok_account": tenant.accounts["tiktok"],
        "instagram_account": tenant.accounts["instagram"],
        "time": f"{datetime.now(UTC).year + 3}-02-01T15:00:00Z",
        "workspace": str(tenant.workspace),
    }
    for name in ("failed_post", "deleted_post", "draft_post", "unapproved_post"):
        time = {"draft": True} if name == "draft_post" else {"scheduled_at": names["time"]}
        body = video(tenant, caption=f"Our old mug ({name.split('_')[0]})", **time)
        names[name] = server.post(body, tenant.key).json()["data"]["id"]
    fail(server, names["failed_post"])
    wait_for_approval(server, names)
    variables = {"SLIPWAY_URL": server.url, "SLIPWAY_KEY": tenant.key}
    return Scene(server=server, tenant=tenant, names=names, variables=variables)


def wait_for_approval(server: Server, names: dict[str, str]) -> None:
    """Let a post wait for the approval of the key, which another one has written."""
    post = UUID(names["unapproved_post"])
    with server.context.database.begin() as c:
        c.execute(text("UPDATE keys SET may_approve = true"))
        demand_of(c, [post], "key 1")
        c.execute(text("UPDATE deliveries SET state = 'scheduled' WHERE post_id = :post"), {"post": post})
        c.execute(text("UPDATE approvals SET author = 'key 1', editor = 'key 1'"))
        names["hash"] = read_approvals(c, [post])[post].hash


def fail(server: Server, post: str) -> None:
    """Let the post's deliveries fail, as a worker would."""
    server.sql(
        "UPDATE deliveries SET state = 'failed', error = :error WHERE post_id = :post",
        post=post,
        error='{"code": "rejected", "class": "Rejected", "fault": "customer"}',
    )


def stop_consuming(server: Server) -> None:
    """Make it an hour ago that a worker took a message of the delay queue."""
    with server.context.database.begin() as c:
        record_canary(c, DELAY)
        c.execute(text("UPDATE canaries SET taken_at = now() - interval '1 hour'"))


_VOLATILE = (
    (r"\b[0-9a-f]{64}\b", "<hash>"),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", "<time>"),
    (r"(state|code_challenge|signature|expires)=[\w.~%-]+", r"\1=<value>"),
    (r'"(signature|expires)": (?:\d+|"\w+")', r'"\1": "<value>"'),
    (r"whsec_[\w+/=]+", "<secret>"),
    (r"slw_live_[0-9a-f]{16}", "<public id>"),
    (r'"(left|reset)": \d+', r'"\1": "<number>"'),
    (r"/approve/[\w-]{20,}", "/approve/<token>"),
    (r"/files/[\w-]{20,}", "/files/<name>"),
    (r"tiktok account \w+", "tiktok account <name>"),
    (r'"next_cursor": "[\w=-]+"', '"next_cursor": "<cursor>"'),
    (r"\b3[67]\d\d(?:\.\d+)?\b", "<an hour>"),  # the last: an id may hold such digits
)


def normalize(body: str) -> str:
    """Return an answer without what differs from run to run."""
    for pattern, replacement in _VOLATILE:
        body = re.sub(pattern, replacement, body)
    return body


def write_files(folder: Path, scene: Scene) -> None:
    """Write the files that samples upload."""
    for name, content in list_files(scene).items():
        (folder / name).write_bytes(content)


def list_files(scene: Scene) -> dict[str, bytes]:
    """Return the files that samples upload, by name."""
    account = [{"id": scene.names["tiktok_account"]}]
    posts = [
        video(
            scene.tenant,
            caption=f"Mug {n}",
            accounts=account,
            scheduled_at=scene.names["time"],
            external_id=f"mug-{n}",
        )
        for n in range(2)
    ]
    return {"mug.png": PICTURE, "march.ndjson": write_lines(*posts, {**posts[0], "caption": ""})}


def build_environment(scene: Scene) -> dict[str, str]:
    """Return the environment of a sample's process."""
    return {**os.environ, **scene.variables}
