"""`slipway live-check|live-post` against the sandbox: what would stop a post, and one clip that goes live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet

from adapters.contract import Platform
from adapters.live_check import ReadOnlyClient
from adapters.registry import ADAPTERS
from adapters.sandbox.server import PLATFORMS
from pipeline.store.accounts.accounts import add_account, store_credentials
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import rows
from tests.conftest import free_ports
from tests.fork_server_client import Result
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack, credentials, to_remote

KINDS = {
    "tiktok": {},
    "tiktok_business": {},
    "instagram": {},
    "facebook": {},
    "youtube": {},
    "pinterest": {"default_board": True},
    "linkedin": {"kind": "person"},
}
ORGANIZATION = ("linkedin", {"kind": "organization"})
EVERY = [*KINDS.items(), ORGANIZATION]


class ConnectedAccount:
    """One account, in the store and in the sandbox."""

    def __init__(
        self, sandbox: Stack, ledger: Ledger, kind: str, options: dict[str, Any], *scopes: str
    ) -> None:
        self.name = f"ann-{uuid4().hex[:8]}"
        self.platform = kind.partition("_")[0]
        self.kind = kind
        requested = {**options, **({"scopes": list(scopes)} if scopes else {})}
        body = {"platform": kind, "username": self.name, "options": requested}
        created = sandbox.control("POST", "accounts", body)
        self.renewable = bool(created.get("refresh_token"))
        self.remote_id, self.token = created["remote_id"], created["access_token"]
        with ledger.database.begin() as c:
            workspace = create_workspace(c, name=self.name)
            self.id = add_account(c, ledger.vault, workspace, Platform(self.platform), to_remote(created))

    def check(self, terminal: Terminal, status: int = 0) -> dict[tuple[str, str], str]:
        """Run the command and return its findings: (check, result) -> text."""
        ended = terminal.run("live-check", self.platform, "--account", str(self.id), "--json")
        assert ended.status == status, ended
        assert self.token not in ended.stdout + ended.stderr
        return {(row["check"], row["result"]): row["says"] for row in json.loads(ended.stdout)}


@pytest.mark.parametrize(("kind", "options"), EVERY, ids=str)
def test_nothing_stops_a_post_of_a_healthy_account_and_a_revoked_grant_does(
    sandbox: Stack, ledger: Ledger, terminal: Terminal, kind: str, options: dict[str, Any]
) -> None:
    account = ConnectedAccount(sandbox, ledger, kind, options)
    before = sandbox.ledger()
    found = account.check(terminal)
    assert {check for check, _ in found} >= {"token", "scopes", "account", "quota"}
    assert not [pair for pair in found if pair[1] == "fail"]
    assert {("account", "ok"), ("scopes", "ok")} <= found.keys()
    assert sandbox.ledger() == before

    body = {"platform": kind, "remote_id": account.remote_id, "state": "revoked"}
    sandbox.control("POST", "tokens", body)
    ended = terminal.run("live-check", account.platform, "--account", account.name, "--json")
    renewable = '"warn"' in ended.stdout and "renewed before the next post" in ended.stdout
    assert ended.status == (0 if renewable else 1), ended
    assert renewable == account.renewable


@pytest.mark.parametrize(("kind", "options"), EVERY, ids=str)
def test_a_missing_scope_is_found(
    sandbox: Stack, ledger: Ledger, terminal: Terminal, kind: str, options: dict[str, Any]
) -> None:
    account = ConnectedAccount(sandbox, ledger, kind, options, "something.else")
    assert "not granted" in account.check(terminal, 1)["scopes", "fail"]


@pytest.mark.parametrize(("kind", "step"), [("tiktok", "creator_info"), ("instagram", "quota")])
def test_a_spent_quota_is_found(
    sandbox: Stack, ledger: Ledger, terminal: Terminal, kind: str, step: str
) -> None:
    account = ConnectedAccount(sandbox, ledger, kind, {})
    sandbox.fault(kind, step, "quota-exhausted", None)
    assert ("quota", "fail") in account.check(terminal, 1)
    sandbox.control("DELETE", "faults")


def test_a_token_of_another_account_is_found(sandbox: Stack, ledger: Ledger, terminal: Terminal) -> None:
    theirs = sandbox.control("POST", "accounts", {"platform": "tiktok", "username": "another-account"})
    account = ConnectedAccount(sandbox, ledger, "tiktok", {})
    with ledger.database.begin() as c:
        assert store_credentials(c, ledger.vault, account.id, credentials(theirs))
    assert "another-account" in account.check(terminal, 1)["account", "fail"]


def test_a_person_gets_a_table_and_an_unknown_account_a_sentence(
    sandbox: Stack, ledger: Ledger, terminal: Terminal
) -> None:
    account = ConnectedAccount(sandbox, ledger, "pinterest", {"default_board": True})
    text = terminal.text("live-check pinterest --account", account.name)
    assert text.splitlines()[0].split() == ["platform", "account", "check", "result", "says"]
    assert "the default board is Slipway" in text
    assert "no account of youtube" in terminal.refusal("live-check youtube --account", account.name)


def test_without_a_platform_every_account_is_checked_and_what_only_a_live_post_can_tell_follows(
    sandbox: Stack, ledger: Ledger, terminal: Terminal
) -> None:
    ours = [ConnectedAccount(sandbox, ledger, *kind) for kind in (("youtube", {}), ORGANIZATION)]
    before = sandbox.ledger()
    rows = json.loads(terminal.run("live-check --json").stdout)
    assert {row["platform"] for row in rows} == set(Platform)
    for account in ours:
        mine = {(row["check"], row["result"]) for row in rows if row["account"] == account.name}
        assert {("account", "ok"), ("token", "ok"), ("scopes", "ok")} <= mine
        assert ("post", "unknown") not in mine
    for platform in Platform:
        said = [row["says"] for row in rows if (row["platform"], row["result"]) == (platform, "unknown")]
        assert len(said) >= 3
        assert len(set(said)) == len(said), "once for the platform, not for each account"
    assert sandbox.ledger() == before

    one = terminal.json("live-check --account", str(ours[1].id))
    assert {row["platform"] for row in one} == {"linkedin"}
    listed = [row for row in one if "a listing shows `content.media.id`" in row["says"]]
    assert [row["check"] for row in listed] == ["post"], "of an organization only"


def test_a_platform_without_an_account_is_named_with_the_next_step(
    terminal: Terminal, environment: dict[str, str]
) -> None:
    rows = terminal.json("live-check", **environment)
    says = {row["platform"]: row["says"] for row in rows if row["result"] == "warn"}
    assert set(says) == set(Platform)
    assert "slipway account connect tiktok" in says["tiktok"]
    assert {row["result"] for row in rows} == {"warn", "unknown"}


def test_an_account_sealed_by_another_key_and_a_platform_that_does_not_answer_are_findings(
    sandbox: Stack, ledger: Ledger, terminal: Terminal
) -> None:
    account = ConnectedAccount(sandbox, ledger, "youtube", {})
    words = ("live-check --json --account", str(account.id))
    ended = terminal.run(*words, SLIPWAY_VAULT__KEYS=Fernet.generate_key().decode())
    assert ended.status == 1, ended
    fails = [row["says"] for row in json.loads(ended.stdout) if row["result"] == "fail"]
    assert fails == ["it is sealed by a key that SLIPWAY_VAULT__KEYS does not have"]
    [dead] = free_ports(1)
    ended = terminal.run(*words, SLIPWAY_SANDBOX__URL=f"http://127.0.0.1:{dead}")
    assert (ended.status, "could not be reached" in ended.stdout) == (1, True)


def test_every_connection_that_can_be_made_can_be_checked() -> None:
    assert [platform for platform, adapter in ADAPTERS.items() if not adapter.live_checks] == []
    assert {kind for kind, _ in EVERY} == set(PLATFORMS)


def test_the_client_of_a_check_makes_nothing_but_reads() -> None:
    for method, path in (("POST", "/v2/post/publish/video/init/"), ("PUT", "/x"), ("DELETE", "/x")):
        with pytest.raises(RuntimeError):
            ReadOnlyClient().call(method, f"http://127.0.0.1:9{path}")
    with pytest.raises(RuntimeError):
        ReadOnlyClient().call("GET", "http://127.0.0.1:9/x", visible=True)


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
