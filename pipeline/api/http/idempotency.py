"""The header Idempotency-Key of operations that make something, and the answer to a replay."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python
from starlette.requests import Request

from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.http.request_headers import get_header
from pipeline.api.http.response_models import DataT
from pipeline.api.posts.schema import build_invalid_payload
from pipeline.domain.validation_issue import build_issue
from pipeline.store.auth.keys import Caller
from pipeline.store.idempotency_keys import IdempotencyKey

FoundT = TypeVar("FoundT")
HEADER = "Idempotency-Key"
MAX_LENGTH = 255
REPLAYED = {"Idempotency-Replayed": "true"}
"""Header of the answer to a replay."""
_PRINTABLE = re.compile(f"[ -~]{{1,{MAX_LENGTH}}}")


def read_idempotency_key(request: Request, caller: Caller, *asked: Any) -> IdempotencyKey | None:
    """Return the request's key. *asked*: what must be the same in a replay, besides the path. Raises Refusal 422."""
    value = get_header(request, HEADER.lower().encode())
    if value is None:
        return None
    if not _PRINTABLE.fullmatch(value):
        message = f"It is 1 to {MAX_LENGTH} printable ASCII characters; this one has {len(value)} characters."
        raise build_invalid_payload([build_issue((HEADER,), message, "value_error", value)])
    whole = json.dumps([request.path_params, *asked], sort_keys=True, default=to_jsonable_python)
    return IdempotencyKey(
        key_id=caller.key_id,
        operation=request.scope["route"].name,
        value=value,
        request_sha256=hashlib.sha256(whole.encode()).digest(),
    )


def replayed(message: str, found: DataT) -> SuccessResponse[DataT]:
    """Return the answer to a replay: what the first request made, without its secret."""
    return success(message, found, headers=REPLAYED)


def require_kept(found: FoundT | None) -> FoundT:
    """Return the resource of a replay. Raises Refusal 404 if it was removed since."""
    if found is None:
        message = (
            f"What the request with this {HEADER} made was removed since. Use a new key to make another."
        )
        raise HttpRefusal(404, "not_found", message)
    return found
