"""GET /api/operator/v1/attention: everything that needs an operator, in all workspaces; for the operator token only."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field
from starlette.requests import Request

from adapters.contract import Platform
from pipeline.actions import attention
from pipeline.actions.attention import AttentionItem as Listed
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.http.response_models import ResponseModel, Timestamp
from pipeline.api.openapi.error_responses import KEY_ERRORS, error_responses
from pipeline.api.openapi.introduction import ATTENTION
from pipeline.api.openapi.operation import OPERATOR_API, Operation
from pipeline.api.operator.scope import authenticate
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.attention import Kind
from pipeline.domain.delivery import State


class AttentionItem(ResponseModel):
    """Things of one kind and cause."""

    kind: Kind
    platform: Platform | None
    state: State | None = Field(description="Of deliveries that are late.")
    reason: str | None = Field(
        description="Why deliveries are blocked or held; the name of a queue; the scope of pauses; "
        "why webhooks are paused; the kind that could not be read in time."
    )
    error_class: str | None
    code: str | None
    count: int
    count_capped: bool = Field(description="10,000 rows were read, and there may be more.")
    oldest: Timestamp | None = Field(
        description="Since when the oldest is so; of deliveries that are late since when they are, which is their due "
        "time or the end of a limit; of grants their end."
    )
    command: str = Field(description="For the person who runs the server.")

    @classmethod
    def from_item(cls, item: Listed) -> Self:
        """Return the item."""
        values = {name: getattr(item.matter, name, None) for name in cls.model_fields}
        return cls.model_validate({**values, "count_capped": item.matter.is_capped, "command": item.command})


class AttentionList(ResponseModel):
    """What needs an operator, the most urgent kind first. Empty: nothing does."""

    items: list[AttentionItem]


async def list_attention(request: Request) -> SuccessResponse[AttentionList]:
    """List what needs an operator: how much of it, since when, and the command that deals with it."""
    app_state, principal = get_app_state(request), await authenticate(request)
    if principal.caller is not None:
        raise HttpRefusal(
            403, "insufficient_scope", "This list is about all workspaces: send the operator token."
        )
    items = await app_state.read_bulkhead.run(lambda: _read(app_state))
    return success("What needs an operator", AttentionList(items=items))


def _read(app_state: AppState) -> list[AttentionItem]:
    silent = timedelta(seconds=app_state.context.settings.worker.silent)
    with app_state.context.database.begin() as c:
        return [*map(AttentionItem.from_item, attention.list_attention(c, silent))]


OPERATIONS = (
    Operation(
        id="listAttention",
        api=OPERATOR_API,
        method="GET",
        path=f"{OPERATOR_API}/attention",
        handler=list_attention,
        tag=ATTENTION,
        returns="What needs an operator.",
        errors=error_responses(*KEY_ERRORS, "insufficient_scope", "internal_error"),
    ),
)
