"""Every command describes itself in a sentence, shows an example and takes --json."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from pipeline.cli import COMMANDS, cli


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
