"""An agent's client: the official SDK's, over HTTP to a running server, or over stdio to `slipway mcp`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

T = TypeVar("T")


@asynccontextmanager
async def connected(url: str, key: str) -> AsyncIterator[ClientSession]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        yield session


@asynccontextmanager
async def over_stdio(environment: Mapping[str, str], key: str) -> AsyncIterator[ClientSession]:
    given = {**os.environ, **environment, "SLIPWAY_MCP__KEY": key}
    command = StdioServerParameters(command=sys.executable, args=["-m", "pipeline.cli", "mcp"], env=given)
    async with (
        stdio_client(command) as (incoming, outgoing),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        yield session


class Agent:
    """Calls tools, each over a connection of its own: nothing is kept between calls."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def run(self, work: Callable[[ClientSession], Awaitable[T]]) -> T:
        async def main() -> T:
            async with connected(self.url, self.key) as session:
                return await work(session)

        return asyncio.run(main())

    def call(self, tool: str, **arguments: Any) -> Any:
        """Return what a tool returned. Fails on a refusal."""
        result = self.send(tool, arguments)
        assert not result.is_error, read_text(result)
        return result.structured_content

    def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return why a tool refused. Fails if it did not."""
        result = self.send(tool, arguments)
        assert result.is_error, result.structured_content
        return dict(json.loads(read_text(result)))

    def send(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        async def work(session: ClientSession) -> CallToolResult:
            found = await session.call_tool(tool, arguments)  # which checks what it returns by its schema
            assert isinstance(found, CallToolResult)
            return found

        return self.run(work)


def read_text(result: CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, TextContent)
    return part.text
