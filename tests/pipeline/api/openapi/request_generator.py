"""Schemathesis hooks (``SCHEMATHESIS_HOOKS``): put existing accounts and accepted media into valid requests.

Invalid requests and boundary values stay unchanged.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from schemathesis import GenerationMode

from adapters.contract import Platform
from pipeline.api.posts.batch import read_batch
from pipeline.stages.post_request import Refusal

ACCOUNTS = os.environ["SCENE_ACCOUNTS"].split()
_MEDIA = {
    "video": {"type": "video", "url": "https://cdn.example.com/v.mp4"},
    "slideshow": {"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg"]},
}
_PHASES = ("fuzzing", "stateful")


@schemathesis.hook
def before_call(
    _context: schemathesis.HookContext, case: schemathesis.Case[Any], _sent: dict[str, Any]
) -> None:
    """Make three of four valid posts acceptable to the server."""
    meta, body = case.meta, case.body
    if meta is None or not isinstance(body, dict) or meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if meta.phase.name.value in _PHASES and len(str(body)) % 4:
        case.body = _make_acceptable(body)


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leave out batches that only a post makes invalid: that post has its result, and the batch 200."""
    is_batch = case.operation.path.endswith("/posts/batch") and case.operation.method == "post"
    if not is_batch or case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        return True
    try:
        read_batch(case.body)
    except Refusal:
        return True
    return False


def _make_acceptable(body: dict[str, Any]) -> dict[str, Any]:
    changed = dict(body)
    if isinstance(body.get("posts"), list):
        changed["posts"] = [_make_acceptable(post) for post in body["posts"]]
    if isinstance(body.get("caption"), str):
        changed["caption"] = f"A post {len(str(body))}"
    if isinstance(body.get("accounts"), list):
        changed["accounts"] = [{"id": account} for account in ACCOUNTS[: len(body["accounts"]) or 1]]
    if isinstance(body.get("media"), dict) and body["media"].get("type") in _MEDIA:
        changed["media"] = _MEDIA[body["media"]["type"]]
    if isinstance(body.get("scheduled_at"), str):
        changed["scheduled_at"] = "2090-01-01T00:00:00Z"
    for name in (*Platform, "music_url", "expires_at"):
        changed.pop(name, None)
    return changed
