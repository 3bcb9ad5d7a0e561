"""Every command says what it is for and shows an example."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from pipeline.cli import account, delivery, demo, key, pause, post, vault_rotate, workspace


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from leaves(f"{name} {child.name}", child)
    else:
        yield name, command


MODULES = (account, delivery, demo, key, pause, post, vault_rotate, workspace)
NAMES = [module.__name__.rpartition(".")[2].replace("_", "-") for module in MODULES]
COMMANDS = dict(pair for name, m in zip(NAMES, MODULES, strict=True) for pair in leaves(name, m.command))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_sentence_an_example_and_json(name: str) -> None:
    command = COMMANDS[name]
    text = click.Context(command, info_name=name).get_help()
    assert f"slipway {name}" in text.partition("Example")[2]
    assert "--json" in text
    assert command.help
    assert command.help.strip().endswith(".")
