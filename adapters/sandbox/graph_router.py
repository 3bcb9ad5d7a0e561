"""Routing of Meta's Graph API paths, `/<version>/<node>/<edge>`, for platforms that share a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.sandbox.responses import json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiohttp import web

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.endpoint import Dialect, Endpoint, Route

_VERSION = re.compile(r"v\d+\.\d+\Z")
_SERVED = tuple(f"v{number}.0" for number in range(21, 28))
"""Versions of developers.facebook.com/docs/graph-api/changelog, read 2026-11-27, and v27.0 of 2026-11-04; no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    owns: Callable[[str, web.Request], bool]
    endpoint: Endpoint


def match_name(name: str) -> Callable[[str, web.Request], bool]:
    """Return the owner test of a path that is no node but a name, such as /debug_token."""
    return lambda node, _: node == name


class GraphRouter:
    """Dispatch a request to the platform that owns its node."""

    def __init__(self, context: SandboxContext) -> None:
        """Serve the endpoints of `context`."""
        self._context = context
        self._routes: dict[tuple[str, str, str], list[_Route]] = {}
        self._hosts: set[str] = set()

    def mount(self, app: web.Application, host: str) -> None:
        """Serve everything under `/<host>/`; a second call for a host does nothing."""
        if host in self._hosts:
            return
        self._hosts.add(host)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(host, request)

        app.router.add_route("*", f"/{host}/{{path:.*}}", answer)

    def add_route(
        self, host: str, method: str, edge: str, endpoint: Endpoint, owns: Callable[[str, web.Request], bool]
    ) -> None:
        """Serve `edge` ("" = the node itself) of the nodes for which `owns` returns True.

        `owns` takes the node ("me", an id, or the first segment of paths like /refresh_access_token) and the request.
        """
        self._routes.setdefault((host, method, edge), []).append(_Route(owns=owns, endpoint=endpoint))

    def add_routes(
        self,
        host: str,
        platform: str,
        dialect: Dialect,
        rows: Iterable[tuple[Callable[[str, web.Request], bool], Route]],
    ) -> None:
        """Serve a table: who owns the node, and the endpoint, whose path is the edge."""
        for owns, route in rows:
            for method in route.method.split():
                self.add_route(host, method, route.path, route.make_endpoint(platform, dialect), owns)

    async def _answer(self, host: str, request: web.Request) -> web.StreamResponse:
        parts = request.match_info["path"].strip("/").split("/")
        if _VERSION.match(parts[0]):
            if parts[0] not in _SERVED and "dialog" not in parts:
                return self._retired(parts[0], request)
            parts = parts[1:]
        node = parts[0] if parts else ""
        edge = "/".join(parts[1:])
        for route in self._routes.get((host, request.method, edge), ()):
            if route.owns(node, request):
                return await route.endpoint.serve(self._context, request)
        return self._unknown(request.method, node)

    @staticmethod
    def _retired(version: str, request: web.Request) -> web.Response:
        if float(version[1:]) < float(_SERVED[0][1:]):
            code = 2635
            message = f"(#2635) You are calling a deprecated version of the API. Use {_SERVED[-1]}."
        else:
            code, message = 2500, f"Unknown path components: {request.path}"
        error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AVersion"}
        return json_response({"error": error}, 400)

    @staticmethod
    def _unknown(method: str, node: str) -> web.Response:
        return json_response(
            {
                "error": {
                    "message": f"Unsupported {method.lower()} request. Object with ID '{node}' does not exist, cannot "
                    "be loaded due to missing permissions, or does not support this operation.",
                    "type": "GraphMethodException",
                    "code": 100,
                    "error_subcode": 33,
                    "fbtrace_id": "AUnknownObject",
                }
            },
            400,
        )
