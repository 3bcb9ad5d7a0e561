"""Every command describes itself, shows an example and takes --json; what --help imports; suggested commands."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from pipeline.cli import COMMANDS, cli
from pipeline.domain.delivery import State
from pipeline.domain.explanation import explain
from pipeline.domain.hold import Hold
from tests.pipeline.domain.test_explanation import every_situation, pause, situation


def leaves(name: str, command: click.Command | None) -> Iterator[tuple[str, click.Command]]:
    """Yield the full name and the command of every command that is not a group."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            if not child.hidden:
                yield from leaves(f"{name} {child.name}", child)
    elif command is not None:
        yield name, command


LEAVES = {
    words: command
    for name in COMMANDS
    for words, command in leaves(name, cli.get_command(click.Context(cli), name))
}


@pytest.mark.parametrize("name", LEAVES)
def test_help_has_a_sentence_an_example_and_json(name: str) -> None:
    command = LEAVES[name]
    text = click.Context(command, info_name=name).get_help()
    assert f"slipway {name}" in text.partition("Example")[2]
    assert "--json" in text
    assert command.help
    assert command.help.strip().endswith(".")


def test_each_name_of_the_table_is_a_command() -> None:
    assert {name.partition(" ")[0] for name in LEAVES} == COMMANDS.keys()


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


SITUATIONS = [
    *every_situation(),
    *(
        situation(State.SCHEDULED, hold=Hold.PAUSED, derived=[pause(scope, target)])
        for scope, target in (("all", ""), ("platform", "tiktok"), ("account", "1"), ("delivery", "1"))
    ),
]
SUGGESTED = sorted(
    {
        action.command.partition(" <")[0]
        for one in SITUATIONS
        if (action := explain(one).action)
        and not (one.hold in (Hold.LOCKED, Hold.PAUSED) and not one.derived)
    }
)


def test_the_commands_of_explanations_parse() -> None:
    for line in SUGGESTED:
        program, *words = shlex.split(line)
        found: click.Command | None = cli
        context = click.Context(cli, info_name=program)
        while isinstance(found, click.Group):
            name, found, words = found.resolve_command(context, words)
            assert found is not None, line
            if not isinstance(found, click.Group):
                found.make_context(name, words, parent=context)
