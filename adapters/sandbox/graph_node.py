"""Node ids in Meta's Graph API paths."""

from aiohttp import web

from adapters.sandbox.graph_dialect import refuse


def get_node_id(request: web.Request) -> str:
    """Return the first path segment after the version."""
    parts = request.path.split("/")
    return parts[3] if len(parts) > 3 and parts[2].startswith("v") else parts[2]  # noqa: PLR2004


def unknown_node(node: str) -> Exception:
    """Return the exception for a node that does not exist or that the token may not see."""
    return refuse(
        100,
        33,
        f"Unsupported request. Object with ID '{node}' does not exist, cannot be loaded due to missing permissions, "
        "or does not support this operation.",
    )
