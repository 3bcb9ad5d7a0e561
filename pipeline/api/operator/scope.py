"""Authentication of the operator API: the operator token for all workspaces, a key for its own."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from pipeline.api.http.auth import require_plan, require_writing
from pipeline.api.state import get_app_state
from pipeline.domain.audit import OPERATOR_TOKEN, Actor
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.dead_letters import OPERATOR, Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The authenticated party. ``caller`` None: the operator."""

    scope: Scope
    actor: Actor
    caller: Caller | None = None

    @property
    def key_id(self) -> UUID | None:
        """The key; None: the operator."""
        return None if self.caller is None else self.caller.key_id

    async def charge(self, request: Request, letters: int) -> None:
        """Count *letters* against the key's limits. Raises Refusal 429; never the operator."""
        if self.caller is not None:
            await get_app_state(request).charge_rate_limit(request, self.caller, letters)

    def require_writer(self) -> None:
        """Raise Refusal 403 for a read-only key."""
        if self.caller is not None:
            require_writing(self.caller)

    def require_publisher(self) -> None:
        """Raise Refusal 402 or 403 for a key that may not publish."""
        if self.caller is not None:
            require_plan(self.caller)
            require_writing(self.caller)


async def authenticate(request: Request) -> Principal:
    """Return the party behind the request's token. Raises Refusal 401, and Unreachable."""
    app_state = get_app_state(request)
    if _is_operator(request, app_state.context.settings.api.operator_token.get_secret_value()):
        return Principal(scope=OPERATOR, actor=app_state.authenticator.locate(OPERATOR_TOKEN, request))
    caller = await app_state.authenticator.authenticate(request)
    scope = Scope(workspace=caller.workspace_id, accounts=caller.accounts)
    return Principal(
        scope=scope, actor=app_state.authenticator.locate(caller.require_actor(), request), caller=caller
    )


def _is_operator(request: Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    is_equal = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
    return bool(token) and is_equal and scheme.lower() == "bearer"
