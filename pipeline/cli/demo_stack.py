"""The stack that the demo runs on: the one of this folder, or a temporary one that is deleted afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from config.settings import FILE_VARIABLE, PREFIX, Settings, load
from pipeline.embedded.process import Child, Program, wait_until
from pipeline.embedded.services import slipway_command
from pipeline.embedded.summary import Summary, build_summary

START_TIMEOUT = 120.0
"""Seconds; the first start creates the database and the sample workspace."""
STOP_TIMEOUT = 60.0

PrintLine = Callable[[str], None]


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
