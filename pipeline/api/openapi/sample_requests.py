"""A typical request for each operation. The reference shows them as samples, and the tests send them.

Answers of a real server, recorded by a test: the examples of the OpenAPI document and of the reference.

``tests/pipeline/api/reference/test_recorded_answers.py`` compares them with what the server answers now, and writes
``recorded.json`` again with ``SLIPWAY_RECORD=1``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("recorded.json")


class Recorded(BaseModel):
    """The answers that were recorded in one run, so that the ids in it belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Mapping[str, str]
    """Ids and times of the requests, by the names that ``sample_requests.py`` uses."""
    answers: Mapping[str, Mapping[str, Any]]
    """Bodies of successful responses, and of refusals that only one operation gives, by operation id and status."""
    errors: Mapping[str, Any]
    """Bodies of refusals, by status and error code: ``400 invalid_json``."""


@cache
def read_recorded() -> Recorded:
    """Return the recorded answers."""
    return Recorded.model_validate(json.loads(FILE.read_text()))


KEY, URL = "SLIPWAY_KEY", "SLIPWAY_URL"
"""Environment variables of the samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """One request without what the operation itself says (method, key)."""

    path: Mapping[str, str] = field(default_factory=dict)
    """Values of the parameters in the path."""
    query: str = ""
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    file: str = ""
    """File in the current folder that is the body, or that the answer is saved to."""
    content_type: str = ""
    """The type of *file*."""
    url_variable: str = ""
    """Environment variable with the whole URL, where an earlier answer gave it."""


def find_sample_request(operation_id: str, body: Mapping[str, Any] | None = None) -> SampleRequest:
    """Return the operation's sample request; *body* is used where the table has none for an operation."""
    found = _build_requests().get(operation_id, SampleRequest())
    is_bare = found.body is None and found.form is None and not found.file
    path = {**_list_usual_ids(), **found.path}
    return replace(found, path=path, body=body if is_bare else found.body)


def _list_usual_ids() -> Mapping[str, str]:
    """Return what parameters of paths name, where an operation's sample names nothing else."""
    names = read_recorded().names
    return {
        "post_id": names["post"],
        "job_id": names["steering_job"],
        "import_id": names["import"],
        "webhook_id": names["webhook"],
        "account_id": names["tiktok_account"],
        "platform": "tiktok",
    }


def _build_requests() -> Mapping[str, SampleRequest]:
    names = read_recorded().names
    post, failed, deleted = (names[name] for name in ("post", "failed_post", "deleted_post"))
    content = {
        "caption": "Our new mug, in three colours",
        "media": {"type": "video", "url": "https://cdn.example.com/mug.mp4"},
        "accounts": [{"id": names[name]} for name in ("tiktok_account", "instagram_account")],
        "scheduled_at": names["time"],
    }
    upload = {"contentType": "image/png", "filename": "mug.png"}
    return {
        "createPost": SampleRequest(body={**content, "external_id": "order-1042"}),
        "createPosts": SampleRequest(
            body={
                "posts": [
                    {**content, "external_id": "order-1043"},
                    {**content, "caption": "Our new mug, in blue", "external_id": "order-1044"},
                ]
            }
        ),
        "validatePost": SampleRequest(body=content),
        "listPosts": SampleRequest(query="status=scheduled&limit=1"),
        "exportPosts": SampleRequest(query="format=csv&status=scheduled", file="posts.csv"),
        "getImportTemplateCsv": SampleRequest(file="template.csv"),
        "getImportTemplateXlsx": SampleRequest(file="template.xlsx"),
        "explainPost": SampleRequest(path={"post_id": failed}),
        "updatePost": SampleRequest(body={"caption": "Our new mug, in four colours"}),
        "schedulePost": SampleRequest(
            path={"post_id": names["draft_post"]}, body={"scheduled_at": names["time"]}
        ),
        "getApproval": SampleRequest(path={"post_id": names["unapproved_post"]}),
        "createApprovalLink": SampleRequest(body={"post_ids": [names["unapproved_post"]], "hours": 72}),
        "sendBackPost": SampleRequest(
            path={"post_id": names["unapproved_post"]},
            body={"hash": names["hash"], "why": "The price is wrong."},
        ),
        "approvePost": SampleRequest(
            path={"post_id": names["unapproved_post"]}, body={"hash": names["hash"]}
        ),
        "retryPosts": SampleRequest(body={"post_ids": [failed]}),
        "cancelPosts": SampleRequest(body={"post_ids": [post]}),
        "deletePosts": SampleRequest(body={"postIds": [deleted]}),
        "steerPosts": SampleRequest(
            body={
                "verb": "reschedule",
                "filter": {"account_id": names["tiktok_account"], "state": "accepted"},
                "shift_seconds": 7200,
                "confirm": True,
            }
        ),
        "listSteeringJobs": SampleRequest(query="limit=10"),
        "changeTimes": SampleRequest(
            body={
                "times": {"monday": ["09:00", "18:00"], "thursday": ["12:00"]},
                "time_zone": "Europe/Berlin",
            },
        ),
        "listSteeringReceipts": SampleRequest(query="outcome=skipped"),
        "createImport": SampleRequest(
            query="name=march.ndjson", file="march.ndjson", content_type="application/x-ndjson"
        ),
        "listImports": SampleRequest(query="limit=10"),
        "listImportRows": SampleRequest(query="verdict=rejected"),
        "applyImport": SampleRequest(body={"plan": names["plan"]}),
        "createWebhook": SampleRequest(
            body={"url": "https://hooks.example.com/slipway", "events": ["post.posted", "post.failed"]}
        ),
        "updateWebhook": SampleRequest(body={"paused": False}),
        "listWebhookEvents": SampleRequest(query="state=pending&limit=10"),
        "listEvents": SampleRequest(query="limit=2"),
        "replayWebhookEvents": SampleRequest(body={"since": "2026-02-01T00:00:00Z", "state": "failed"}),
        "createFile": SampleRequest(body=upload),
        "putFile": SampleRequest(url_variable="UPLOAD_URL", file="mug.png", content_type="image/png"),
        "getFile": SampleRequest(url_variable="FILE_URL", file="copy.png"),
        "listFiles": SampleRequest(query="type=image&limit=10"),
        "connectAccount": SampleRequest(body={}),
        "connectCallback": SampleRequest(query="state=STATE&code=CODE"),
        "connectChoice": SampleRequest(form={"grant": "GRANT", "ticket": "TICKET", "account": "0"}),
    }
