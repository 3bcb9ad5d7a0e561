"""The MCP Inspector's command line: a client that is not the SDK's in Python, and stricter about schemas."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Platform
from tests.pipeline.api.http.test_key_restrictions import created
from tests.pipeline.api.running_server import Server, Tenant
from tests.pipeline.mcp.test_tools import TOOLS

FOLDER = Path(__file__).parent / "inspector"
PROGRAM = FOLDER / "node_modules" / ".bin" / "mcp-inspector"
pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")),
    reason="SKIPPED: the MCP Inspector: node or npm is not here (apt install nodejs npm)",
)
PATIENT = ("--connect-timeout", "120000")
"""Milliseconds: on a busy machine our process takes its time to start."""
Inspect = Callable[..., Any]


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str]) -> str:
    """Run a command that has to succeed, and return what it prints."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def inspect(tmp_path_factory: pytest.TempPathFactory) -> Inspect:
    """Run the Inspector with these words, and return what it prints as JSON."""
    home = tmp_path_factory.mktemp("inspector")
    environment = {**os.environ, "HOME": str(home)}  # it keeps a catalogue there
    if not PROGRAM.exists():
        run("npm", "ci", "--omit=optional", cwd=FOLDER, environment=environment)

    def ask(*words: str) -> Any:
        return json.loads(run(PROGRAM, "--cli", *words, *PATIENT, cwd=home, environment=environment))

    return ask


def test_it_finds_no_fault_in_the_schemas_over_http_and_stdio(
    inspect: Inspect, server: Server, tenant: Tenant, session_environment: dict[str, str]
) -> None:
    http = (f"{server.url}/mcp", "--header", f"Authorization: Bearer {tenant.key}")
    ours = {name: value for name, value in session_environment.items() if name.startswith("SLIPWAY_")}
    given = {**ours, "SLIPWAY_MCP__KEY": tenant.key, "PYTHONPATH": str(Path.cwd())}
    variables = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
    stdio = (*variables, sys.executable, "-m", "pipeline.cli", "mcp")
    for way in (http, stdio):
        listed = inspect(*way, "--method", "tools/list", "--strict")
        assert {tool["name"] for tool in listed["tools"]} == TOOLS


def test_it_reads_plans_and_commits(inspect: Inspect, server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, "tiktok")

    def call(tool: str, **arguments: Any) -> Any:
        given = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in arguments.items()
        ]
        words = ("--method", "tools/call", "--tool-name", tool, "--tool-arg", *given)
        answer = inspect(f"{server.url}/mcp", "--header", f"Authorization: Bearer {tenant.key}", *words)
        assert not answer.get("isError"), answer
        return answer["structuredContent"]

    assert call("explain_post", post_id=post)["accounts"]
    account = str(tenant.accounts[Platform.TIKTOK])
    media = {"type": "video", "url": "https://cdn.example.com/v.mp4"}
    plan = call("plan_post", caption="Inspected", media=media, accounts=[{"id": account}])
    committed = call("commit", token=plan["token"])["id"]
    assert server.get(f"/posts/{committed}", tenant.key).json()["data"]["caption"] == "Inspected"
