"""Whose node an Instagram request speaks of."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.graph_dialect import refuse
from adapters.sandbox.graph_node import get_node_id, unknown_node
from adapters.sandbox.store import Record

__all__ = ["get_node_id", "own_account", "unknown_node"]


def own_account(call: Call, *scopes: str) -> Record:
    """The account of the token, if the path names it (or says `me`)."""
    account = call.authenticate(*scopes)
    node = get_node_id(call.request)
    if node not in ("me", account["remote_id"]):
        raise unknown_node(node)
    if account["options"].get("restricted"):
        raise refuse(25, 2207050, "The Instagram account is restricted.")
    return account
