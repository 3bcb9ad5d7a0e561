"""Every command says what it is for and shows an example."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import click
import pytest

NAMES = [
    "account",
    "broker",
    "dead-letter",
    "delivery",
    "demo",
    "key",
    "live-check",
    "pause",
    "post",
    "receipts",
    "restore",
    "vault-rotate",
    "workspace",
]


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from leaves(f"{name} {child.name}", child)
    else:
        yield name, command


COMMANDS = {
    words: command
    for name in NAMES
    for words, command in leaves(name, import_module(f"pipeline.cli.{name.replace('-', '_')}").command)
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_sentence_an_example_and_json(name: str) -> None:
    command = COMMANDS[name]
    text = click.Context(command, info_name=name).get_help()
    assert f"slipway {name}" in text.partition("Example")[2]
    assert "--json" in text
    assert command.help
    assert command.help.strip().endswith(".")
