"""GET /accounts and GET /subscription: the accounts and the plan of a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from adapters.contract import Platform
from pipeline.api.http.auth import find_plan_refusal
from pipeline.api.http.dependencies import Reader
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.http.response_models import ResponseModel
from pipeline.api.openapi.introduction import SCOPE
from pipeline.api.openapi.operation import KEY_ERRORS, Routes, error_responses
from pipeline.domain import account as domain
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import Caller


class KeyScope(ResponseModel):
    """The scope of the key: one workspace, or one person."""

    scope: domain.WorkspaceKind
    owner_user_id: UUID | None
    workspace_id: UUID | None


def _scope_of(caller: Caller) -> KeyScope:
    personal = caller.kind is domain.WorkspaceKind.PERSONAL
    return KeyScope(
        scope=caller.kind,
        owner_user_id=caller.owner_user_id if personal else None,
        workspace_id=None if personal else caller.workspace_id,
    )


class Account(ResponseModel):
    """An account to publish to. ``byo``: the customer's own; ``hosted`` ones do not exist here."""

    id: UUID
    platform: Platform
    type: Literal["byo", "hosted"]
    username: str
    display_name: str
    status: domain.AccountStatus
    workspace_id: UUID | None


class AccountList(KeyScope):
    """The active accounts of the key's scope."""

    accounts: list[Account]

    @classmethod
    def from_rows(cls, rows: Sequence[AccountRow], caller: Caller) -> Self:
        """Return the active ones among *rows*."""
        scope = _scope_of(caller)
        accounts = [
            Account(
                id=row.id,
                platform=row.platform,
                type="byo",
                username=row.username,
                display_name=row.display_name,
                status=row.status,
                workspace_id=scope.workspace_id,
            )
            for row in rows
            if row.status is domain.AccountStatus.ACTIVE
        ]
        return cls(**dict(scope), accounts=accounts)


class SubscriptionPlan(ResponseModel):
    """The plan and whether it is paid for."""

    tier: domain.Plan
    status: domain.Subscription


class KeySubscription(KeyScope):
    """The plan behind the key."""

    subscription: SubscriptionPlan

    @classmethod
    def from_caller(cls, caller: Caller) -> Self:
        """Return the plan of the key's workspace."""
        return cls(
            **dict(_scope_of(caller)),
            subscription=SubscriptionPlan(tier=caller.plan, status=caller.subscription),
        )


class AuthorizationLink(ResponseModel):
    """The address of the platform's consent page, to open in the person's browser."""

    url: str = Field(examples=["https://www.example.com/oauth?client_id=1&state=abc"])
    expires_in: int = Field(description="Seconds until the address expires.")


routes = Routes(tag=SCOPE, path="")


@routes.add("GET", "/accounts", "The accounts.")
async def list_accounts(call: Reader) -> SuccessResponse[AccountList]:
    """List the active accounts of the key's scope."""
    caller = call.caller
    rows = await call.read(find_accounts, caller.workspace_id, caller.accounts)
    return success("Accounts retrieved", AccountList.from_rows(rows, caller))


@routes.add(
    "GET", "/subscription", "The subscription.", errors=error_responses(*KEY_ERRORS, "internal_error")
)
async def get_subscription(call: Reader) -> SuccessResponse[KeySubscription]:
    """Return the plan. It needs no active plan, and the message says why a plan does not publish."""
    refusal = find_plan_refusal(call.caller)
    message = "Subscription retrieved" if refusal is None else refusal.message
    return success(message, KeySubscription.from_caller(call.caller))
