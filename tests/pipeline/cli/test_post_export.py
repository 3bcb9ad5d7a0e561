"""`slipway post export` as a user runs it: posts of a workspace in a file, filtered as the list is."""

from __future__ import annotations

import csv
import io
import json

import click

from pipeline.cli import cli
from pipeline.domain.delivery import State
from pipeline.imports.export import PAGE
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import HOUR, Ledger


def export(terminal: Terminal, *words: str) -> str:
    return terminal.text("post export", *words)


def ids(terminal: Terminal, *words: str) -> list[str]:
    return [json.loads(line)["post_id"] for line in export(terminal, *words).splitlines()]


def test_it_has_the_filters_of_the_list() -> None:
    group = cli.get_command(click.Context(cli), "post")
    assert isinstance(group, click.Group)
    of = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()
    }
    assert of["export"] == of["list"] - {"--limit", "--after"} | {"--format"}


def test_every_post_of_a_workspace_is_written_once_newest_first(terminal: Terminal, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    posts = ledger.posts(PAGE + 1, [account])
    ledger.fresh()
    found = ids(terminal, "--workspace", str(workspace))
    assert found == sorted((str(post.id) for post in posts), reverse=True)


def test_filters_choose_posts(terminal: Terminal, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    later, blocked = ledger.post([account], due=2 * HOUR), ledger.post([account])
    ledger.put(blocked, State.BLOCKED)
    within = ("--workspace", str(workspace))
    assert ids(terminal, *within, "--due", "1h..3h") == [str(later.id)]
    assert ids(terminal, *within, "--state", "blocked") == [str(blocked.id)]


def test_csv_is_for_spreadsheets(terminal: Terminal, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    post = ledger.post([ledger.account(workspace)])
    text = export(terminal, "--workspace", str(workspace), "--format", "csv")
    [row] = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""))
    assert (row["post_id"], row["accounts"].partition(":")[0]) == (str(post.id), "tiktok")


def test_a_workspace_and_one_format_are_demanded(terminal: Terminal) -> None:
    for words, said in (
        ((), "--workspace is missing: a file of posts is of one workspace."),
        (("--json", "--format", "csv"), "--json and --format csv exclude each other: give one of them."),
    ):
        done = terminal.run("post export", *words)
        assert done.status == 2
        assert said in done.stderr
