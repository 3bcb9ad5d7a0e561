"""Authentication of requests to an Instagram account's node."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.graph_dialect import refuse
from adapters.sandbox.graph_node import get_node_id, unknown_node
from adapters.sandbox.store import Record


def authenticate_account(call: Call, *scopes: str) -> Record:
    """Return the account of the token.

    Raises:
        Refused: the path names neither the account nor `me`, or the account is restricted.
    """
    account = call.authenticate(*scopes)
    node = get_node_id(call.request)
    if node not in ("me", account["remote_id"]):
        raise unknown_node(node)
    if account["options"].get("restricted"):
        raise refuse(25, 2207050, "The Instagram account is restricted.")
    return account
