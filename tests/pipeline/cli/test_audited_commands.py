"""Every command that changes something writes an audit row, and a new one cannot forget to."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import SendGuard
from pipeline.store.database import new_id, rows
from pipeline.store.posts.approvals import demand_of
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.cli.test_account_import import create, sign_in, to_json, write_csv
from tests.pipeline.cli.test_help import LEAVES
from tests.pipeline.store.ledger import Ledger, Post
from tests.stack import Stack
from tests.waiting import until

READS = (
    "account list, attention, audit export, audit list, dead-letter causes, dead-letter list, dead-letter "
    "show, delivery list, delivery show, doctor, explain, forecast, import forecast, import list, "
    "import presets, import rows, import show, import template, key list, notice list, pause list, post export, "
    "post approval, post list, post show, receipts export, receipts head, receipts verify, restore list, "
    "restore status, "
    "settings check, settings example, settings list, steer list, steer receipts, steer show, top, user list, "
    "webhook events, webhook list, webhook show, workspace list"
)
CHANGES_NOTHING = {
    **dict.fromkeys(READS.split(", "), "it reads"),
    "account connect": "waits for a browser: test_connect",
    "api": "a server",
    "archive base": "it reads",
    "archive list": "it reads",
    "archive restore": "of a stopped `slipway up`: test_archive",
    "backup": "it reads",
    "beat": "a server",
    "broker rebuild": "sends messages again; no row changes",
    "demo": "works through the API, or other commands",
    "flower": "a server",
    "live-check": "asks the platforms",
    "live-post": "publishes at a platform: test_live_check",
    "mcp": "a server",
    "migrate": "changes the form of the tables, and records it there",
    "post create": "a new post is its own record",
    "post validate": "stores no post",
    "restore apply": "into an empty database: test_backup",
    "sandbox fault": "no part of the ledger",
    "sandbox faults": "no part of the ledger",
    "sandbox ledger": "no part of the ledger",
    "sandbox pace": "no part of the ledger",
    "sandbox reset": "no part of the ledger",
    "sandbox serve": "a server",
    "up": "its first start: below",
    "vault new-key": "prints a key",
    "worker": "a server",
}
"""Commands that write no row, and why."""


Command = Sequence[str]
TOKENS = json.dumps({"access_token": "act.hush", "refresh_token": "rft.hush"})
HOOK = "https://hooks.example.com/hush?token=hush"
NEW = ("--connection", "creator", "--remote-id", "_000x", "--username", "xenia", "--unchecked")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the commands act on."""

    terminal: Terminal
    ledger: Ledger
    sandbox: Stack
    workspace: str
    month: str
    """A file of a post."""

    def account(self) -> str:
        return str(self.ledger.account(UUID(self.workspace)))

    def post(self, state: State = State.SCHEDULED) -> Post:
        post = self.ledger.post([UUID(self.account())], due=timedelta(hours=1))
        if state is not State.SCHEDULED:
            self.ledger.put(post, state, armed=state is State.UNKNOWN)
        return post

    def draft(self) -> str:
        media = ("--video", "https://cdn.example.com/v.mp4")
        account = self.account()
        made = self.terminal.json(
            "post create --draft --workspace",
            self.workspace,
            "--account",
            account,
            "--caption",
            account,
            *media,
        )
        identity: str = made["id"]
        return identity

    def unapproved(self) -> str:
        post = self.post()
        with self.ledger.database.begin() as c:
            demand_of(c, [post.id], "key 1")
        return str(post.id)

    def hash(self, post: str) -> Command:
        return (post, "--hash", self.terminal.json("post approval", post)["hash"])

    def delivery(self, state: State) -> str:
        return str(self.post(state).deliveries[0])

    def looked_at(self) -> str:
        post = self.post(State.UNKNOWN)
        self.ledger.change(post.deliveries[0], "next_at = now() + interval '1 hour'")
        return str(post.deliveries[0])

    def key(self) -> str:
        made: str = self.terminal.json("key create", self.workspace)["public_id"]
        return made

    def user(self) -> str:
        made: str = self.terminal.json("user create", f"u{new_id().hex[-8:]}")["login"]
        return made

    def webhook(self) -> str:
        made: str = self.terminal.json("webhook create", HOOK, "--workspace", self.workspace)["id"]
        return made

    def target(self) -> str:
        made: str = self.terminal.json("notice add", self.workspace, "--slack", HOOK)["id"]
        return made

    def locked(self) -> str:
        name: str = self.terminal.json("workspace create", new_id().hex)["id"]
        self.terminal.json("workspace lock", name, "--yes")
        return name

    def paused(self) -> str:
        account = self.account()
        self.terminal.text("pause add account", account, "--why", "checking")
        return account

    def inactive(self) -> str:
        account = self.account()
        self.terminal.text("account deactivate", account)
        return account

    def plan(self) -> Command:
        """Plan an import; return the words that apply the plan, beginning with the import's id."""
        made = self.terminal.json("import plan", self.month, "--workspace", self.workspace)
        return made["id"], "--plan", made["plan"]["hash"]

    def place(self, assignments: str) -> str:
        """Plan an import and put it elsewhere; return its id."""
        identity = self.plan()[0]
        with self.ledger.database.begin() as c:
            rows(c, f"UPDATE imports SET {assignments} WHERE id = :id RETURNING id", id=identity)  # noqa: S608
        return identity

    def apply(self) -> str:
        words = self.plan()
        self.terminal.text("import apply", *words)
        return words[0]

    def steer(self, verb: str, *more: str) -> Command:
        post = self.post(State.FAILED if verb == "retry" else State.SCHEDULED)
        account = str(self.ledger.delivery(post.deliveries[0]).account_id)
        return "--workspace", self.workspace, "--account", account, *more, "--yes"

    def steered(self) -> str:
        """Return a job that has not ended, and that a worker seems to have: the worker has done it before."""
        identity: str = self.terminal.json("steer cancel", *self.steer("cancel"))["job"]["id"]

        def revive() -> bool:
            with self.ledger.database.begin() as c:
                sql = """UPDATE steering_jobs SET state = 'working', lease_until = now() + interval '1 hour'
                         WHERE id = :id AND state = 'done' RETURNING id"""
                return bool(rows(c, sql, id=identity))

        until(revive, 60)
        return identity

    def canceled(self) -> str:
        """Return a job that has canceled a post."""
        identity: str = self.terminal.json("steer cancel", *self.steer("cancel"))["job"]["id"]
        until(lambda: self.terminal.json("steer show", identity)["state"] == "done", 60)
        return identity

    def accept(self) -> Command:
        self.terminal.text("restore declare --since 1m")
        return "--nothing-sent", "a test"

    def login(self) -> str:
        """Return the tokens of a login with one Page."""
        return to_json(sign_in(self.sandbox, Platform.FACEBOOK, [{"username": new_id().hex}]))


def to_row(scene: Scene) -> str:
    return write_csv([create(scene.sandbox, "tiktok")])


CHANGES: dict[str, Callable[[Scene], Command]] = {
    "account activate": lambda s: (s.inactive(),),
    "account add": lambda s: ("tiktok", "--workspace", s.workspace, *NEW),
    "account add-sandbox": lambda s: ("tiktok", "--workspace", s.workspace, "--username", new_id().hex[-8:]),
    "account deactivate": lambda s: (s.account(),),
    "account discover": lambda s: ("facebook", "--workspace", s.workspace, "--yes"),
    "account import": lambda s: ("-", "--workspace", s.workspace, "--yes"),
    "account reconnect": lambda s: (s.account(), "--unchecked"),
    "account times": lambda s: (s.account(), "daily 09:00"),
    "dead-letter discard": lambda s: (s.delivery(State.FAILED), "--why", "over"),
    "dead-letter replay": lambda s: (s.delivery(State.BLOCKED),),
    "delivery decide": lambda s: (s.delivery(State.UNKNOWN), "--live", "https://t.example/1"),
    "delivery look": lambda s: (s.looked_at(),),
    "delivery resume": lambda s: (s.delivery(State.BLOCKED),),
    "import apply": lambda s: s.plan(),
    "import cancel": lambda s: (s.plan()[0],),
    "import delete": lambda s: (s.plan()[0],),
    "import pause": lambda s: (s.place("state = 'applying', lease_until = now() + interval '1 hour'"),),
    "import plan": lambda s: (s.month, "--workspace", s.workspace),
    "import resume": lambda s: (s.place("state = 'paused', paused_from = 'applying'"),),
    "import rollback": lambda s: (s.apply(),),
    "key create": lambda s: (s.workspace, "--name", "of a test"),
    "key revoke": lambda s: (s.key(),),
    "key rotate": lambda s: (s.key(),),
    "key set": lambda s: (s.key(), "--posts-per-minute", "5"),
    "notice add": lambda s: (s.workspace, "--slack", HOOK),
    "notice remove": lambda s: (s.target(),),
    "notice test": lambda s: (s.target(),),
    "pause add": lambda s: ("account", s.account(), "--why", "checking"),
    "pause lift": lambda s: ("account", s.paused()),
    "post cancel": lambda s: (str(s.post().id),),
    "post delete": lambda s: (str(s.post().id),),
    "post approve": lambda s: s.hash(s.unapproved()),
    "post send-back": lambda s: (*s.hash(s.unapproved()), "--why", "The price is wrong."),
    "post approval-link": lambda s: (s.unapproved(),),
    "workspace set-approval": lambda s: (s.workspace, "by-key", "--by-author"),
    "post edit": lambda s: (str(s.post().id), "--at", "3h"),
    "post schedule": lambda s: (s.draft(),),
    "post retry": lambda s: (str(s.post(State.FAILED).id),),
    "restore accept": lambda s: s.accept(),
    "restore declare": lambda _: ("--since", "1m"),
    "steer cancel": lambda s: s.steer("cancel"),
    "steer pause": lambda s: s.steer("pause", "--why", "checking"),
    "steer reschedule": lambda s: s.steer("reschedule", "--later", "2h"),
    "steer approve": lambda s: s.steer("approve"),
    "steer resume": lambda s: s.steer("resume"),
    "steer retry": lambda s: s.steer("retry"),
    "steer stop": lambda s: (s.steered(),),
    "steer undo": lambda s: (s.canceled(),),
    "user create": lambda _: (f"u{new_id().hex[-8:]}", "--role", "viewer", "--workspace", "all"),
    "user disable": lambda s: (s.user(),),
    "user enable": lambda s: (s.user(),),
    "user grant": lambda s: (s.user(), "author", "--workspace", "all"),
    "user reset": lambda s: (s.user(),),
    "user sessions": lambda s: (s.user(), "--end"),
    "vault rotate": lambda _: (),
    "webhook create": lambda s: (HOOK, "--workspace", s.workspace),
    "webhook delete": lambda s: (s.webhook(),),
    "webhook replay": lambda s: (s.webhook(), "--since", "1h"),
    "webhook rotate": lambda s: (s.webhook(),),
    "webhook test": lambda s: (s.webhook(),),
    "webhook update": lambda s: (s.webhook(), "--pause"),
    "workspace create": lambda _: (new_id().hex,),
    "workspace delete": lambda s: (
        other := s.terminal.json("workspace create", new_id().hex)["name"],
        "--yes",
        other,
    ),
    "workspace lock": lambda s: (s.terminal.json("workspace create", new_id().hex)["id"], "--yes"),
    "workspace unlock": lambda s: (s.locked(), "--yes"),
    "workspace set-late": lambda s: (s.workspace, "hold", "--after", "2h"),
    "workspace set-plan": lambda s: (s.workspace, "professional"),
}
"""Commands that change something -> the words behind the command that do so."""
UNDELIVERED = {"notice test": 1, "webhook test": 1}
"""The exit status of commands that do something whose outcome is bad here."""
INPUT: dict[str, Callable[[Scene], str]] = {
    "account add": lambda _: TOKENS,
    "account discover": lambda s: s.login(),
    "account import": to_row,
    "account reconnect": lambda _: TOKENS,
}
"""What these read from standard input."""


@pytest.fixture(scope="module")
def scene(
    terminal: Terminal, ledger: Ledger, sandbox: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Scene:
    sandbox.start_worker("upkeep")
    workspace = terminal.json("workspace create Acme")["id"]
    terminal.json("account add-sandbox tiktok --workspace", workspace, "--username", "ann")
    file = tmp_path_factory.mktemp("files") / "month.csv"
    file.write_text(terminal.text("import template --workspace", workspace, "--accounts", "all"), "utf-8")
    return Scene(terminal=terminal, ledger=ledger, sandbox=sandbox, workspace=workspace, month=str(file))


@pytest.fixture
def sending(terminal: Terminal, ledger: Ledger) -> Iterator[None]:
    """The database and the epoch file are in step before, and again afterwards."""
    epoch_file = EpochFile(Path(terminal.environment["SLIPWAY_FOLDER"]) / "mark")
    SendGuard(ledger.database, epoch_file, timedelta(seconds=30)).may_send()
    yield
    terminal.run("restore accept --nothing-sent", "the end of a test")


def list_since(ledger: Ledger, last: int) -> list[Any]:
    with ledger.database.begin() as c:
        return rows(c, "SELECT * FROM audit WHERE id > :last ORDER BY id", last=last)


def test_every_command_is_known_to_change_something_or_nothing() -> None:
    assert CHANGES.keys() & CHANGES_NOTHING.keys() == set()
    assert CHANGES.keys() | CHANGES_NOTHING.keys() == LEAVES.keys(), "add the command to one of the tables"


@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize("name", CHANGES)
def test_a_command_that_changes_something_is_recorded(scene: Scene, name: str) -> None:
    words, stdin = CHANGES[name](scene), INPUT[name](scene) if name in INPUT else ""
    last = max((one.id for one in list_since(scene.ledger, 0)), default=0)
    ended = scene.terminal.run(name, *words, stdin=stdin)
    assert ended.status == UNDELIVERED.get(name, 0), ended
    found = list_since(scene.ledger, last)
    assert found, f"`slipway {name}` changes something: call record_change in its transaction"
    for one in found:
        assert (one.actor_kind, one.actor_id, one.request_id) == ("command line", None, None)
        assert one.actor_name
        assert one.address == f"{getpass.getuser()}@{socket.gethostname()}"
    assert "hush" not in str(found), "tokens are not recorded"


def test_a_command_that_is_refused_is_not_recorded(scene: Scene) -> None:
    last = max((one.id for one in list_since(scene.ledger, 0)), default=0)
    for words in (
        ("key", "revoke", "slw_live_0000000000000000"),
        ("pause", "lift", "platform", "tiktok"),
        ("post", "cancel", str(new_id())),
        ("delivery", "resume", scene.delivery(State.SCHEDULED)),
        ("workspace", "set-plan", "nobody", "business"),
    ):
        assert scene.terminal.run(*words).status == 1, words
    assert list_since(scene.ledger, last) == []


def test_names_of_columns_that_an_import_keeps_are_recorded(scene: Scene) -> None:
    last = max((one.id for one in list_since(scene.ledger, 0)), default=0)
    kept = ("--map", "Text=caption", "--save-as", "months")
    scene.terminal.text("import plan", scene.month, "--workspace", scene.workspace, *kept)
    [saved] = [one for one in list_since(scene.ledger, last) if one.kind == "import preset"]
    assert (saved.verb, saved.subject, saved.actor_kind) == ("save", "months", "command line")
    assert (saved.before, saved.after) == ({"columns": {}}, {"columns": {"Text": "caption"}})


def test_the_sample_workspace_of_a_first_start_is_recorded(scene: Scene, tmp_path: Path) -> None:
    last = max((one.id for one in list_since(scene.ledger, 0)), default=0)
    file = tmp_path / "sample.json"
    subprocess.run(
        [sys.executable, "-m", "pipeline.embedded.sample_workspace", str(file)],
        env=scene.terminal.environment,
        check=True,
    )
    found = list_since(scene.ledger, last)
    assert [(x.verb, x.kind) for x in found] == [
        ("create", "workspace"),
        *[("connect", "account")] * len(Platform),
        ("create", "key"),
    ]
    assert json.loads(file.read_text())["key"] not in str(found)
