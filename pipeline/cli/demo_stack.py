"""The stack that the demo runs on: start it, call its API and sandbox, compare its deliveries with the ledger."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import click

from config.settings import FILE_VARIABLE, PREFIX, Settings, load
from pipeline.cli import lazy_imports
from pipeline.cli.output import pick
from pipeline.embedded.process import Child, Program, wait_until
from pipeline.embedded.services import slipway_command
from pipeline.embedded.summary import Summary, build_summary

with lazy_imports():
    from pipeline.embedded import sandbox
    from pipeline.store import database as db
    from pipeline.store.accounts import accounts as account_store
    from pipeline.store.posts import views as post_views


if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy import Connection


START_TIMEOUT = 120.0
"""Seconds; the first start creates the database and the sample workspace."""
STOP_TIMEOUT = 60.0

PrintLine = Callable[[str], None]


def get_printer(console: Console) -> PrintLine:
    """Return a function that prints a sentence as it is."""
    return partial(console.print, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A running stack with a sandbox: its settings and its summary."""

    settings: Settings
    summary: Summary
    is_temporary: bool = False


@contextmanager
def open_stack(print_line: PrintLine, **settings: str) -> Iterator[Stack]:
    """The running stack, or a temporary one. Raises ClickException when it cannot be used or started.

    ``settings``: additional settings of the temporary stack, by the names of their environment variables.
    """
    folder = Path(os.environ.get(f"{PREFIX}FOLDER", ".slipway")).resolve()
    if _is_locked(folder):
        print_line(f"Slipway runs on {folder}: the demo publishes through it.")
        yield _attach(folder)
        return
    with _start_temporary(print_line, settings) as stack:
        yield stack


def open_running_stack() -> Stack:
    """Return the stack of `slipway up` in this folder. Raises ClickException when none runs."""
    folder = Path(os.environ.get(f"{PREFIX}FOLDER", ".slipway")).resolve()
    if not _is_locked(folder):
        raise click.ClickException(
            f"Slipway does not run on {folder}: start `slipway up` in another terminal first."
        )
    return _attach(folder)


def _is_locked(folder: Path) -> bool:
    """Return True if a supervisor holds the folder's lock, which the kernel releases when it ends."""
    try:
        with (folder / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except PermissionError:
        raise click.ClickException(
            f"The data folder {folder} cannot be read: Permission denied. Run this as the user it belongs to, "
            f"or set {PREFIX}FOLDER to a folder of your own."
        ) from None
    return False


def _attach(folder: Path) -> Stack:
    """Return the running stack, waiting while it starts. Raises ClickException."""
    file = folder / "run" / "settings.env"
    if not wait_until(lambda: file.is_file() and (folder / "seed.json").is_file(), START_TIMEOUT):
        raise click.ClickException(f"The stack on {folder} has no sandbox accounts: see {folder}/logs.")
    s = load({FILE_VARIABLE: str(file)})
    found = Stack(settings=s, summary=build_summary(s, folder))
    if not found.summary.sandbox:
        raise click.ClickException(
            f"The stack on {folder} publishes to real platforms; the demo needs a sandbox: "
            f"run it with another {PREFIX}FOLDER."
        )
    return found


@contextmanager
def _start_temporary(print_line: PrintLine, settings: Mapping[str, str]) -> Iterator[Stack]:
    """Start a stack on its own folder and ports. It is stopped when this process ends, even by SIGKILL."""
    outer = Path(tempfile.mkdtemp(prefix="slipway-demo-"))
    folder = outer / "data"
    print_line(f"Slipway does not run here: starting a temporary one in {folder} …")
    with ExitStack() as exits:
        exits.callback(shutil.rmtree, outer)
        program = Program(
            name="up",
            argv=[*slipway_command(), "up", "--json"],
            environment={**_build_environment(folder), **settings},
            stop=signal.SIGINT,
        )
        child = Child(program, outer)
        exits.callback(child.stop, STOP_TIMEOUT)
        exits.callback(print_line, "Stopping the temporary stack …")
        if (
            not wait_until(
                lambda: child.exit_status() is not None or bool(_read_summary(child.log)), START_TIMEOUT
            )
            or child.exit_status() is not None
        ):
            raise click.ClickException(
                f"The temporary stack did not start. The end of its log:\n{child.read_log_tail()}"
            )
        printed = Summary(**json.loads(_read_summary(child.log)))
        s = load({FILE_VARIABLE: str(folder / "run" / "settings.env")})
        yield Stack(settings=s, summary=printed, is_temporary=True)


def _read_summary(log: Path) -> str:
    """Return the line of JSON that `slipway up --json` prints once everything runs; empty before that."""
    lines = log.read_text(errors="replace").splitlines(keepends=True)
    return next((line for line in lines if line.startswith("{") and line.endswith("}\n")), "")


def _build_environment(folder: Path) -> dict[str, str]:
    """Return an environment without the user's settings: the demo must not touch what they point at."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    api, flower, sandbox, media = _free_ports(4)
    return plain | {
        "SLIPWAY_FOLDER": str(folder),
        "SLIPWAY_API__PORT": str(api),
        "SLIPWAY_FLOWER__PORT": str(flower),
        "SLIPWAY_SANDBOX__URL": f"http://127.0.0.1:{sandbox}",
        "SLIPWAY_SANDBOX__MEDIA_URL": f"http://127.0.0.1:{media}",
    }


def _free_ports(number: int) -> list[int]:
    """Return free ports. All are bound until the last is known, so that they differ."""
    with ExitStack() as exits:
        probes = [exits.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


INTERRUPTED = Event()
"""Set once the demo was asked to end.

A KeyboardInterrupt is lost if it is raised in a finalizer or in a callback of a library, so calls look here too.
"""


def interrupt(*_: object) -> NoReturn:
    """End as on Ctrl-C, so that the temporary stack is stopped and the pause lifted."""
    INTERRUPTED.set()
    raise KeyboardInterrupt


def call_api(stack: Stack, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """Send one request to the API, as any client does, and return its data. Raises ClickException."""
    import requests

    if INTERRUPTED.is_set():
        raise KeyboardInterrupt
    try:
        answer = requests.request(
            method,
            f"{stack.summary.api}/api/partner/v1/{path}",
            timeout=30,
            headers={"Authorization": f"Bearer {stack.summary.key}"},
            **sent,
        )
    except requests.RequestException as error:
        raise click.ClickException(
            f"The API at {stack.summary.api} does not answer ({type(error).__name__}): look at {stack.summary.logs}."
        ) from None
    if not answer.ok:
        raise click.ClickException(f"The API answered {answer.status_code} to {method} {path}: {answer.text}")
    data: dict[str, Any] = answer.json()["data"]
    return data


def control_sandbox(stack: Stack, method: str, path: str, **sent: Any) -> Any:
    """Send one request to the control API of the stack's sandbox. Raises ClickException."""
    try:
        return sandbox.Control(stack.summary.sandbox, stack.summary.sandbox_token).call(method, path, **sent)
    except sandbox.ControlError as error:
        raise click.ClickException(f"The sandbox: {error} Look at {stack.summary.logs}.") from None


def list_ours(stack: Stack, posts: Mapping[str, str]) -> list[OurDelivery]:
    """Return the deliveries from our tables, not from the API."""
    workspace = UUID(stack.summary.workspace)
    with open_tables(stack) as c:
        remote = list_remote_ids(c)
        views = {name: post_views.read_post(c, workspace, UUID(post)) for name, post in posts.items()}
    return [
        OurDelivery(
            **pick(d, "platform username state remote_id url"),
            post=name,
            caption=view.caption,
            account=remote[d.account_id],
            due_at=d.due_at,
            error=None if d.error is None else d.error["message"],
            hold=_describe_hold(d.held_for, d.next_at),
        )
        for name, view in views.items()
        if view
        for d in view.deliveries
    ]


def list_remote_ids(c: Connection) -> Mapping[UUID, str]:
    """Return the ids of the accounts at their platforms."""
    return {account.id: account.remote_id for account in account_store.list_accounts(c)}


def _describe_hold(hold: str | None, next_at: datetime | None) -> str | None:
    if hold is None:
        return None
    until = f" until {next_at.astimezone():%Y-%m-%d %H:%M:%S %Z}" if next_at else ""
    return f"held for {hold}{until}"


@contextmanager
def open_tables(stack: Stack) -> Iterator[Connection]:
    """One transaction on the stack's database."""
    url = stack.settings.store.url.get_secret_value()
    with closing(db.Database(url, pool=1)) as database, database.begin() as c:
        yield c


Entry = Mapping[str, Any]
"""One line of the sandbox's ledger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OurDelivery:
    """One delivery from our tables, with the caption it was published with."""

    post: str
    """The demo's name of the post."""
    caption: str
    platform: str
    username: str
    account: str
    """The account's id at the platform."""
    state: str
    due_at: datetime
    remote_id: str | None
    url: str | None
    error: str | None
    hold: str | None = None
    """Why it waits, and until when."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One delivery with its ledger entries."""

    ours: OurDelivery
    entries: Sequence[Entry]

    @property
    def difference(self) -> str:
        """How our tables differ from the ledger; empty if it is live exactly once, as they say."""
        ours, entries, why = self.ours, self.entries, self.ours.hold or self.ours.error
        reason = f" ({why})" if why else ""
        if len(entries) != 1:
            return f"live {len(entries)} times, not once; we say {ours.state}{reason}."
        if ours.state != "published":
            return f"it is live, and we say {ours.state}{reason}."
        if ours.remote_id not in {entries[0]["remote_id"], entries[0]["handle"]}:
            return f"we say it is {ours.remote_id}, the ledger says {entries[0]['remote_id']}."
        if ours.url and ours.url != entries[0]["url"]:
            return f"we say it is at {ours.url}, the ledger says {entries[0]['url']}."
        return ""

    @property
    def late(self) -> float | None:
        """Seconds from the due time until it went live on the platform; None if it is not live."""
        if not self.entries:
            return None
        return (datetime.fromisoformat(self.entries[0]["at"]) - self.ours.due_at).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for printing."""
        first = self.entries[0] if self.entries else {}
        return {
            "post": self.ours.post,
            "platform": self.ours.platform,
            "account": self.ours.username,
            "our_state": self.ours.state,
            "our_id": self.ours.remote_id,
            "our_url": self.ours.url,
            "ledger_entries": len(self.entries),
            "ledger_id": first.get("remote_id"),
            "ledger_url": first.get("url"),
            "live_at": first.get("at"),
            "late_seconds": None if self.late is None else round(self.late, 3),
            "differs": self.difference or None,
        }


def compare(
    ours: Sequence[OurDelivery], ledger: Sequence[Entry], marker: str
) -> tuple[list[Comparison], list[str]]:
    """Return each delivery with its entries, and a sentence for each difference, unexpected entries included.

    ``marker``: a word that only the captions of this run contain.
    """
    entries = [entry for entry in ledger if marker in entry["caption"]]
    compared = [Comparison(ours=o, entries=[e for e in entries if _belongs_to(e, o)]) for o in ours]
    differences = [f"{c.ours.post} on {c.ours.platform}: {c.difference}" for c in compared if c.difference]
    unexpected = [e for e in entries if not any(_belongs_to(e, o) for o in ours)]
    differences += [
        f"{e['platform']} has {e['remote_id']} live on {e['account']}, which belongs to no delivery."
        for e in unexpected
    ]
    return compared, differences


def _belongs_to(entry: Entry, ours: OurDelivery) -> bool:
    return (entry["platform"], entry["account"]) == (ours.platform, ours.account) and ours.caption in entry[
        "caption"
    ]
