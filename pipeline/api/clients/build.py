"""Build the packages of the clients: ``python -m pipeline.api.clients.build [--output FOLDER]`` (``make clients``).

Both are of the document's version. What they are built with comes from the lock files and the registries alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from pipeline.api.app import create_app

SOURCES = Path(__file__).parent
BIN = Path(sys.executable).parent
INIT = """from .slipway import Slipway, SlipwayError, data

__all__ = ["Slipway", "SlipwayError", "data"]
"""


def main() -> None:
    """Build both packages; the TypeScript one only where npm is."""
    parser = argparse.ArgumentParser(description="Build the Python and the TypeScript client of the API.")
    parser.add_argument("--output", type=Path, default=Path("clients"), help="default: clients")
    output: Path = parser.parse_args().output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    spec = drop_conditionals(create_app().openapi())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document = folder / "openapi.json"
        document.write_text(json.dumps(spec))
        click.echo(build_python(document, spec["info"]["version"], folder / "python", output))
        if shutil.which("npm"):
            click.echo(build_typescript(document, spec["info"]["version"], folder / "typescript", output))
        else:
            click.echo("SKIPPED: the TypeScript client: npm is not here (apt install nodejs npm).", err=True)


def drop_conditionals(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the document without If-None-Match and its 304, for which the answers of reads would have no type."""
    for operation in (one for item in spec["paths"].values() for one in item.values()):
        operation["responses"].pop("304", None)
        parameters = operation.get("parameters", [])
        operation["parameters"] = [one for one in parameters if one["name"] != "If-None-Match"]
    return spec


def build_python(document: Path, version: str, folder: Path, output: Path) -> Path:
    """Build the wheel in *output*, and return its path."""
    settings = document.with_name("python.json")
    naming = {"project_name_override": "slipway-client", "package_name_override": "slipway_client"}
    settings.write_text(json.dumps({**naming, "package_version_override": version}))
    options = ("--path", document, "--meta", "uv", "--config", settings, "--output-path", folder)
    _run(BIN / "openapi-python-client", "generate", "--fail-on-warning", *options, cwd=output)
    package = folder / "slipway_client"
    shutil.copy(SOURCES / "python" / "slipway.py", package)
    (package / "__init__.py").write_text(INIT)
    for group in (path for path in (package / "api").iterdir() if path.is_dir()):
        names = sorted(path.stem for path in group.glob("[a-z]*.py"))
        (group / "__init__.py").write_text(f"from . import {', '.join(names)}\n\n__all__ = {names}\n")
    _run(BIN / "uv", "build", "--wheel", "--quiet", "--out-dir", output, cwd=folder)
    return output / f"slipway_client-{version}-py3-none-any.whl"


def build_typescript(document: Path, version: str, folder: Path, output: Path) -> Path:
    """Build the npm package in *output*, and return its path."""
    shutil.copytree(SOURCES / "typescript", folder, ignore=shutil.ignore_patterns("node_modules"))
    manifest = folder / "package.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": version}, indent=2))
    _run("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    commands = folder / "node_modules" / ".bin"
    _run(commands / "openapi-typescript", document, "-o", "schema.ts", cwd=folder)
    _run(commands / "tsc", cwd=folder)
    _run("npm", "pack", "--silent", "--pack-destination", output, cwd=folder)
    return output / f"slipway-client-{version}.tgz"


def _run(*command: str | Path, cwd: Path) -> None:
    """Run a command. Exits with what it printed if it fails."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    words = [*map(str, command)]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
