"""PATCH /posts/{id}, POST /posts/retry, /cancel, /delete and /validate: what is done to a post besides making it.

Stopping a post needs a key, not a live plan: who no longer pays may still take back what is scheduled. Whatever may
publish (edit, retry, validate) needs the plan that a new post needs, and counts against the key's rate.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import edit
from pipeline.actions.validate import validate
from pipeline.api.http.body import read_body, require_json
from pipeline.api.http.envelope import HttpRefusal, success
from pipeline.api.posts import action_schema as changes
from pipeline.api.posts import action_serialize as steered
from pipeline.api.posts.routes import identity_of, json_of
from pipeline.api.posts.schema import read_post
from pipeline.api.state import site_of


async def update(request: Request) -> Response:
    """Change a post. Nothing of the old version goes out once this is answered; 409 and nothing done if it may."""
    site = site_of(request)
    caller = await site.keyring.publisher(request)
    raw = await _raw(request)
    limits = await site.metered(caller)
    change = changes.read_change(_json(raw), site.rules)
    post = _post(request)
    work = partial(edit.edit, site.context, caller, post, change, request.headers.get("if-match"))
    done = await site.lane_of(caller).run(work, caller.key_id)
    return success("Post updated", steered.edited(done), headers={**limits, "ETag": f'"{done.version}"'})


async def retry(request: Request) -> Response:
    """Send failed posts again: only to accounts where it failed, never where it is posted or may be."""
    site = site_of(request)
    caller = await site.keyring.publisher(request)
    wanted = changes.read_retry(_json(await _raw(request)))
    limits = await site.metered(caller, len(wanted.post_ids))
    work = partial(steer.retry, site.context, caller, wanted.post_ids, wanted.account_ids)
    done = await (site.bulk if caller.bulk else site.steering).run(work, caller.key_id)
    return success("Posts queued for retry", steered.retried(done), headers=limits)


async def cancel(request: Request) -> Response:
    """Take posts back. Those being sent are left as they are and named in errors."""
    site = site_of(request)
    caller = await site.keyring.writer(request)
    wanted = changes.read_cancel(_json(await _raw(request)))
    work = partial(steer.cancel, site.context, caller, wanted.post_ids, wanted.account_ids)
    done = await site.steering.run(work, caller.key_id)
    return success("Posts canceled", steered.canceled(done))


async def delete(request: Request) -> Response:
    """Cancel posts and take them away. Posts that are out, canceled or being sent stay."""
    site = site_of(request)
    caller = await site.keyring.writer(request)
    wanted = changes.read_delete(_json(await _raw(request)))
    work = partial(steer.delete, site.context, caller, wanted.post_ids)
    done = await site.steering.run(work, caller.key_id)
    return success("Posts deleted", steered.deleted(done))


async def check(request: Request) -> Response:
    """Say what would become of a post, per account: everything that would be refused or warned. Stores nothing."""
    site = site_of(request)
    caller = await site.keyring.publisher(request)
    raw = await _raw(request)
    limits = await site.metered(caller)
    wanted = read_post(_json(raw), site.rules, request.headers.get("idempotency-key"))
    told = await site.lane_of(caller).run(partial(validate, site.context, caller, wanted), caller.key_id)
    return success("Post validated", steered.validated(told, wanted, caller), headers=limits)


async def _raw(request: Request) -> bytes:
    raw = await read_body(request, site_of(request).context.settings.api.max_body)
    require_json(request, raw)
    return raw


def _json(raw: bytes) -> Any:
    """No body at all is one without fields, so that it is refused for what it lacks."""
    return json_of(raw) if raw else {}


def _post(request: Request) -> UUID:
    found = identity_of(request.path_params["post_id"])
    if found is None:
        raise HttpRefusal(404, "not_found", "There is no such post.")
    return found
