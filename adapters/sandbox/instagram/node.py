"""Whose node an Instagram request speaks of."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.graph_dialect import refuse
from adapters.sandbox.graph_node import missing, name
from adapters.sandbox.store import Record

__all__ = ["missing", "name", "own_account"]


def own_account(call: Call, *scopes: str) -> Record:
    """The account of the token, if the path names it (or says `me`)."""
    account = call.holder(*scopes)
    node = name(call.request)
    if node not in ("me", account["remote_id"]):
        raise missing(node)
    if account["options"].get("restricted"):
        raise refuse(25, 2207050, "The Instagram account is restricted.")
    return account
