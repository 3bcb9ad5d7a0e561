"""GET /accounts and GET /subscription: the accounts and the plan of a key."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request

from pipeline.api.accounts.response_models import AccountList, KeySubscription
from pipeline.api.http.auth import find_plan_refusal
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.openapi.introduction import SCOPE
from pipeline.api.openapi.operation import KEY_ERRORS, PARTNER_API, Operation, error_responses
from pipeline.api.state import AppState, get_app_state
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.auth.keys import Caller


async def list_accounts(request: Request) -> SuccessResponse[AccountList]:
    """List the active accounts of the key's scope."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    accounts = await app_state.read_bulkhead.run(partial(_read, app_state, caller), caller.key_id)
    return success("Accounts retrieved", accounts)


async def get_subscription(request: Request) -> SuccessResponse[KeySubscription]:
    """Return the plan. It needs no active plan, and the message says why a plan does not publish."""
    caller = await get_app_state(request).authenticator.authenticate(request)
    refusal = find_plan_refusal(caller)
    message = "Subscription retrieved" if refusal is None else refusal.message
    return success(message, KeySubscription.from_caller(caller))


def _read(app_state: AppState, caller: Caller) -> AccountList:
    with app_state.context.database.begin() as c:
        rows = find_accounts(c, caller.workspace_id, caller.accounts)
    return AccountList.from_rows(rows, caller)


OPERATIONS = (
    Operation(
        id="listAccounts",
        method="GET",
        path=f"{PARTNER_API}/accounts",
        handler=list_accounts,
        tag=SCOPE,
        returns="The accounts.",
        errors=error_responses(*KEY_ERRORS, "rate_limited", "internal_error"),
    ),
    Operation(
        id="getSubscription",
        method="GET",
        path=f"{PARTNER_API}/subscription",
        handler=get_subscription,
        tag=SCOPE,
        returns="The subscription.",
        errors=error_responses(*KEY_ERRORS, "internal_error"),
    ),
)
