"""`slipway live-post` against the sandbox: one clip, a file of every request without secrets, and what it compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Platform
from adapters.registry import ADAPTERS
from pipeline.store.database import rows
from tests.fork_server_client import Result
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.cli.test_live_check import ConnectedAccount
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack


@pytest.fixture(scope="module", autouse=True)
def _worker(sandbox: Stack) -> None:
    sandbox.start_worker("reachability")


def publish(terminal: Terminal, account: ConnectedAccount, *more: str) -> tuple[Result, list[dict[str, Any]]]:
    """Run the command; return its end and its file, in which nothing secret may be."""
    words = ("--account", str(account.id), "--yes", "--json", "--record", f"{account.name}.jsonl", *more)
    ended = terminal.run("live-post", *words)
    written = (terminal.folder / f"{account.name}.jsonl").read_text("utf-8")
    assert account.token not in written + ended.stdout + ended.stderr
    return ended, [json.loads(line) for line in written.splitlines()]


def find_live(sandbox: Stack, account: ConnectedAccount) -> list[dict[str, Any]]:
    return [line for line in sandbox.live("Slipway live post") if line["account"] == account.remote_id]


@pytest.mark.parametrize(("platform", "private"), [("tiktok", "SELF_ONLY"), ("youtube", "private")])
def test_a_private_clip_goes_live_once_with_a_file_of_every_request(
    sandbox: Stack, ledger: Ledger, terminal: Terminal, platform: str, private: str
) -> None:
    account = ConnectedAccount(sandbox, ledger, platform, {})
    ended, lines = publish(terminal, account, "--private")
    assert ended.status == 0, ended
    assert {row["result"] for row in json.loads(ended.stdout)} == {"ok"}
    [live] = find_live(sandbox, account)
    assert private in json.dumps(live)
    order = [line["what"] for line in lines]
    assert order.index("arms") < order.index("sends the visible request") < order.index("finalize")
    made = [line for line in lines if line["what"] == "request"]
    assert sum(line["visible"] for line in made) == 1
    assert all(200 <= line["status"] < 400 and "?" not in line["url"] for line in made)
    with ledger.database.begin() as c:
        sql = "SELECT after FROM audit WHERE verb = 'live post' AND subject = :id"
        [change] = rows(c, sql, id=str(account.id))
    assert change.after["form"] == "private"


def test_a_lost_answer_is_looked_at_and_never_sent_again(
    sandbox: Stack, ledger: Ledger, terminal: Terminal
) -> None:
    account = ConnectedAccount(sandbox, ledger, "linkedin", {"kind": "organization"})
    sandbox.fault("linkedin", "finalize", "effect-then-drop")
    ended, lines = publish(terminal, account, "--public")
    assert ended.status == 1, ended
    results = {row["step"]: row["result"] for row in json.loads(ended.stdout)}
    assert results == {"requests": "other than expected", "visible": "ok", "publish": "ok", "address": "ok"}
    assert len(find_live(sandbox, account)) == 1
    assert "unknown" in [line["what"] for line in lines]


def test_a_refusal_by_the_platform_is_reported_with_its_code(
    sandbox: Stack, ledger: Ledger, terminal: Terminal
) -> None:
    account = ConnectedAccount(sandbox, ledger, "linkedin", {"kind": "organization"})
    sandbox.fault("linkedin", "finalize", "token-revoked")
    ended, lines = publish(terminal, account, "--public")
    assert ended.status == 1, ended
    assert lines[-1]["what"] == "ends"
    assert find_live(sandbox, account) == []


def test_nothing_is_published_without_a_form_a_private_one_yes_and_a_new_file(
    sandbox: Stack, ledger: Ledger, terminal: Terminal
) -> None:
    account = ConnectedAccount(sandbox, ledger, "instagram", {})
    words = ("live-post", "--account", account.name)
    assert "Say --private or --public" in terminal.refusal(*words, "--yes")
    assert "Instagram has no post that only its owner sees" in terminal.refusal(*words, "--private", "--yes")
    assert "Nothing was published: this would publish a clip" in terminal.refusal(*words, "--public")
    Path(terminal.folder, "there").write_text("mine")
    ended = terminal.run(*words, "--public", "--yes", "--record", "there")
    assert (ended.status, Path(terminal.folder, "there").read_text()) == (1, "mine")
    assert "there cannot be made (File exists): name another." in ended.stderr
    assert find_live(sandbox, account) == []


def test_which_platforms_have_a_private_form() -> None:
    private = {platform for platform, one in ADAPTERS.items() if one.capabilities.private_options is not None}
    assert private == {Platform.TIKTOK, Platform.YOUTUBE}
