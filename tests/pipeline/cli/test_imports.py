"""What commands import: --help no library that takes time, commands that need only the database no broker or web."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from pipeline.cli import COMMANDS, cli

RUN_AND_LIST_MODULES = """
import json, sys
from pipeline.cli import cli
for words in json.loads(sys.argv[1]):
    cli(words, standalone_mode=False)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
BROKER_AND_WEB = {"av", "celery", "fastapi", "kombu", "PIL", "redis", "requests", "starlette", "uvicorn"}
HEAVY = BROKER_AND_WEB | {"cryptography", "psycopg", "pydantic", "rich", "sqlalchemy"}
DATABASE_COMMANDS = [
    ["account", "list"],
    ["key", "list"],
    ["workspace", "list"],
    ["delivery", "list"],
    ["dead-letter", "list"],
    ["dead-letter", "causes"],
    ["pause", "list"],
    ["attention"],
    ["top", "--once"],
    ["user", "list"],
    ["receipts", "head"],
    ["restore", "status"],
]


def modules_after(commands: list[list[str]], environment: dict[str, str]) -> set[str]:
    """Run commands in one new process and return the top-level packages that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST_MODULES, json.dumps(commands)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_of_every_command_imports_no_slow_library(environment: dict[str, str]) -> None:
    commands = [["--help"], *([name, "--help"] for name in COMMANDS)]
    assert modules_after(commands, environment) & HEAVY == set()


def test_commands_that_need_only_the_database_import_no_broker_and_no_web_framework(
    module_environment: dict[str, str],
) -> None:
    assert modules_after(DATABASE_COMMANDS, module_environment) & BROKER_AND_WEB == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_name_of_the_table_is_a_command(name: str) -> None:
    assert cli.get_command(click.Context(cli), name) is not None
