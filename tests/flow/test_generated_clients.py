"""Clients generated from the OpenAPI documents compile in strict mode, and publish, read, edit and upload."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.flow.ledger import caption
from tests.stack import Stack

CLIENTS = Path(__file__).parent / "clients"
DOCUMENTS = {"partner": "/openapi.json", "operator": "/api/operator/v1/openapi.json"}
PROGRAMS = {"partner": "publish", "operator": "operate"}
"""The program that uses the client of each document."""
BIN = Path(sys.executable).parent
NEEDS_NODE = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")),
    reason="SKIPPED: the generated TypeScript clients: node or npm is not here (apt install nodejs npm)",
)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that has to succeed, and return what it prints."""
    variables = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def python_clients(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both generated projects."""
    folder = tmp_path_factory.mktemp("python")
    for name, path in DOCUMENTS.items():
        options = ("--fail-on-warning", "--url", stack.api + path, "--output-path", folder / name)
        printed = run(BIN / "openapi-python-client", "generate", *options, cwd=folder)
        assert "warning" not in printed.lower(), printed
    return folder


@pytest.fixture(scope="module")
def typescript_clients(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs compiled against both generated modules."""
    source, folder = CLIENTS / "typescript", tmp_path_factory.mktemp("typescript")
    installed = source / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (source / "package-lock.json").stat().st_mtime:
        run("npm", "ci", cwd=source)
    for file in (*source.glob("*.ts"), source / "tsconfig.json", source / "package.json"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(source / "node_modules")
    commands = folder / "node_modules" / ".bin"
    for name, path in DOCUMENTS.items():
        run(commands / "openapi-typescript", stack.api + path, "-o", f"{name}.ts", cwd=folder)
    run(commands / "tsc", cwd=folder)
    return folder


@pytest.fixture
def video(stack: Stack, tmp_path: Path) -> Path:
    """A video to upload."""
    file = tmp_path / "sample.mp4"
    file.write_bytes(requests.get(stack.media("sample.mp4"), timeout=30).content)
    return file


def test_the_generated_python_clients_and_their_users_pass_mypy_in_strict_mode(python_clients: Path) -> None:
    for name, program in PROGRAMS.items():
        project = python_clients / name
        checked = (project / f"slipway_{name}_api_client", CLIENTS / f"{program}.py")
        run(BIN / "mypy", "--strict", "--config-file=", *checked, cwd=project, MYPYPATH=str(project))


def test_the_generated_python_client_publishes(stack: Stack, python_clients: Path, video: Path) -> None:
    text = caption()
    arguments = (stack.api, stack.key, video, str(stack.accounts["tiktok"]), text)
    project = python_clients / "partner"
    printed = run(sys.executable, CLIENTS / "publish.py", *arguments, cwd=project, PYTHONPATH=str(project))
    assert_live(stack, text, printed.strip())


def test_the_generated_python_client_of_operators_lists_dead_letters(
    stack: Stack, python_clients: Path
) -> None:
    project = python_clients / "operator"
    command = (sys.executable, CLIENTS / "operate.py", stack.api, stack.key)
    assert run(*command, cwd=project, PYTHONPATH=str(project)).strip()


@NEEDS_NODE
def test_the_generated_typescript_client_compiles_in_strict_mode_and_publishes(
    stack: Stack, typescript_clients: Path, video: Path
) -> None:
    text = caption()
    arguments = (stack.api, stack.key, video, str(stack.accounts["tiktok"]), text)
    printed = run("node", "compiled/publish.js", *arguments, cwd=typescript_clients)
    assert_live(stack, text, printed.strip())


@NEEDS_NODE
def test_the_generated_typescript_client_of_operators_lists_dead_letters(
    stack: Stack, typescript_clients: Path
) -> None:
    assert run("node", "compiled/operate.js", stack.api, stack.key, cwd=typescript_clients).strip()


def assert_live(stack: Stack, text: str, post: str) -> None:
    """Assert that the post is live once, in its edited version."""
    assert stack.read(post)["status"] == "posted"
    assert [line["caption"] for line in stack.live(text)] == [text]
