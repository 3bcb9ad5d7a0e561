"""The MCP server over both transports: streamable HTTP at /mcp in the API's process, and stdio by `slipway mcp`.

Every request is answered by itself: no session is kept, so any process answers any call. A key is sent with each, as to
the HTTP API; over stdio it is that of the settings.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent
from pydantic_core import to_json
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from config.groups import split_list
from config.settings import Settings
from pipeline import wiring
from pipeline.api.http.dependencies import authenticate_reader, read_json_body
from pipeline.api.http.middleware import REQUEST_ID, note
from pipeline.api.http.refused_keys import record_refusal
from pipeline.api.state import AppState, build_app_state
from pipeline.mcp.tools import TOOLS
from pipeline.mcp.untrusted import NOTE, mark
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.mcp")
PATH = "/mcp"
INSTRUCTIONS = (
    "Slipway publishes posts to social networks. A write is two calls: a plan_… tool tells what would happen, and "
    f"commit with its token does it. Show the plan to your user before you commit. {NOTE}"
)


def build_server(local: Any = None) -> Server[Any]:
    """Return the server. *local*: stands for the request of each call, where none came over HTTP."""

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[entry.tool for entry in TOOLS.values()])

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        return await _run(context.request or local, params.name, params.arguments or {})

    server = Server[Any](
        "slipway", instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )
    server.middleware.clear()  # its spans would have arguments
    return server


async def _run(request: Request, name: str, arguments: dict[str, Any]) -> CallToolResult:
    """Return a tool's result, or its refusal as an error with the code and the issues of the HTTP API."""
    note(request.scope, tool=name if name in TOOLS else "unknown")
    try:
        if name not in TOOLS:
            raise Refusal(404, "not_found", f"There is no such tool: {', '.join(TOOLS)}.")
        call = await TOOLS[name].authenticate(request)
        found = mark((await TOOLS[name].run(call, arguments)).model_dump(mode="json", by_alias=True))
    except Exception as error:  # noqa: BLE001  answered without its details
        if isinstance(error, Refusal):
            await record_refusal(request, error)
        return _refuse(request, error)
    words, token = found.get("words"), found.get("token")
    text = to_json(found).decode() if words is None else f"{words}{f' Token: {token}' if token else ''}"
    return CallToolResult(content=[TextContent(text=text)], structured_content=found)


def _refuse(request: Request, error: Exception) -> CallToolResult:
    if isinstance(error, Unreachable):
        error = Refusal(503, "unavailable", "The database cannot be reached. Repeat it in a few seconds.")
    if not isinstance(error, Refusal):
        log.error("a tool failed", exc_info=error)
        error = Refusal(500, "internal_error", "Something went wrong.")
    note(request.scope, code=error.code)
    said = {"code": error.status, "error_code": error.code, "message": error.message, "issues": error.issues}
    return CallToolResult(content=[TextContent(text=to_json(mark(said)).decode())], is_error=True)


# --- HTTP ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve_http(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """Serve /mcp with the application until the block ends."""
    manager = StreamableHTTPSessionManager(
        build_server(), json_response=True, stateless=True, security_settings=_list_allowed(settings)
    )

    class Endpoint:
        """Authenticates, and reads the body within the limits of the HTTP API, before the SDK sees the request."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            caller = (await authenticate_reader(request)).caller
            body = await read_json_body(request, caller.key_id)
            messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

            async def replay() -> Message:
                return messages.pop() if messages else await receive()

            await manager.handle_request(scope, replay, send)

    route = Route(PATH, Endpoint(), methods=["POST"], include_in_schema=False)
    async with manager.run():
        app.router.routes.append(route)
        yield
        app.router.routes.remove(route)


def _list_allowed(settings: Settings) -> TransportSecuritySettings:
    """Return the Host and Origin headers of this server: its public address, and where it listens."""
    port, public = settings.api.port, urlsplit(settings.own_url)
    hosts = [public.netloc, *(f"{host}:{port}" for host in (settings.api.host, "127.0.0.1", "localhost"))]
    origins = [f"{public.scheme}://{public.netloc}", *split_list(settings.api.cors_origins)]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


# --- stdio -----------------------------------------------------------------------------------------------------------


async def serve_stdio(settings: Settings) -> None:
    """Serve standard input and output until it ends, with the key of the settings."""
    context = wiring.build_api_context(settings)
    app_state = build_app_state(context)
    try:
        async with stdio_server() as (incoming, outgoing):
            server = build_server(_stand_in(app_state, settings.mcp.key.get_secret_value()))
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        app_state.close()
        context.database.close()


def _stand_in(app_state: AppState, key: str) -> Request:
    """Return a request for calls that come by no HTTP."""
    app = SimpleNamespace(state=SimpleNamespace(slipway=app_state))
    scope = {"type": "http", "path": PATH, "headers": [(b"authorization", f"Bearer {key}".encode())]}
    return Request({**scope, "app": app, REQUEST_ID: os.urandom(16).hex()})
