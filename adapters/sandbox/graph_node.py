"""Whose node a request on Meta's graph speaks of."""

from aiohttp import web

from adapters.sandbox.graph_dialect import refuse


def get_node_id(request: web.Request) -> str:
    """The first part of the path behind the version."""
    parts = request.path.split("/")
    return parts[3] if len(parts) > 3 and parts[2].startswith("v") else parts[2]  # noqa: PLR2004


def unknown_node(node: str) -> Exception:
    """The refusal of a node that is not there, or not for this token."""
    return refuse(
        100,
        33,
        f"Unsupported request. Object with ID '{node}' does not exist, cannot be loaded due to missing permissions, "
        "or does not support this operation.",
    )
