"""Every command that an explanation names is one that the command line takes."""

from __future__ import annotations

import shlex

import click
import pytest

from pipeline.cli import cli
from pipeline.domain.delivery import State
from pipeline.domain.explanation import explain
from pipeline.domain.hold import Hold
from tests.pipeline.domain.test_explanation import every_situation, pause, situation

SITUATIONS = [
    *every_situation(),
    *(
        situation(State.SCHEDULED, hold=Hold.PAUSED, standing=[pause(scope, target)])
        for scope, target in (("all", ""), ("platform", "tiktok"), ("account", "1"), ("delivery", "1"))
    ),
]
COMMANDS = sorted(
    {
        action.command.partition(" <")[0]
        for one in SITUATIONS
        if (action := explain(one).action) and not (one.hold is Hold.PAUSED and not one.standing)
    }
)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_of_an_explanation_parses(line: str) -> None:
    program, *words = shlex.split(line)
    found: click.Command | None = cli
    context = click.Context(cli, info_name=program)
    while isinstance(found, click.Group):
        name, found, words = found.resolve_command(context, words)
        assert found is not None
        if not isinstance(found, click.Group):
            found.make_context(name, words, parent=context)
