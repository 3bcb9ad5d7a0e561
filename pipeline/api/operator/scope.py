"""Who may use the operator API: the operator by a token of the settings, and every key for its own workspace."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from starlette.requests import Request

from pipeline.api.http.auth import require_plan, require_writing
from pipeline.api.state import site_of
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.dead_letters import OPERATOR, Scope

SHORTEST = 32
"""Characters an operator token needs to count as one: it opens every workspace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """Who asks: ``who`` is noted with what they do. No caller: the operator."""

    scope: Scope
    who: str
    caller: Caller | None = None

    def may_change(self) -> None:
        """Raises Refusal 403 for a key made for reading."""
        if self.caller is not None:
            require_writing(self.caller)

    def may_publish(self) -> None:
        """Raises Refusal 402 and 403 where the key may not publish."""
        if self.caller is not None:
            require_plan(self.caller)
            require_writing(self.caller)


async def asker_of(request: Request) -> Asker:
    """Whom the request speaks for. Raises Refusal 401, and Unreachable."""
    site = site_of(request)
    if _is_operator(request, site.context.settings.api.operator_token.get_secret_value()):
        return Asker(scope=OPERATOR, who="the operator")
    caller = await site.keyring.caller(request)
    scope = Scope(workspace=caller.workspace_id, accounts=caller.accounts)
    return Asker(scope=scope, who=f"key {caller.key_id}", caller=caller)


def _is_operator(request: Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    long_enough = len(token) >= SHORTEST
    same = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
    return long_enough and same and scheme.lower() == "bearer"
