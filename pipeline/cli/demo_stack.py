"""Where the demo plays: the stack that runs on this folder, or one of its own that is gone afterwards."""

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
from pipeline.embedded.process import Child, Program, until
from pipeline.embedded.services import slipway
from pipeline.embedded.summary import Summary, summary

START = 120.0
"""Seconds a stack gets to start; the first start makes a database and the samples."""
STOP = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A running stack with a sandbox: its settings, and what it told about itself."""

    settings: Settings
    summary: Summary


@contextmanager
def stage(say: Say, **settings: str) -> Iterator[Stage]:
    """The running stack, or one for the demo alone. Raises ClickException when there is none to be had.

    ``settings``: further ones for a stack of its own, by their names in the environment.
    """
    folder = Path(os.environ.get(f"{PREFIX}FOLDER", ".slipway")).resolve()
    if _is_held(folder):
        say(f"Slipway runs on {folder}: the demo publishes through it.")
        yield _running(folder)
        return
    with _own(say, settings) as own:
        yield own


def _is_held(folder: Path) -> bool:
    """Whether a supervisor holds the folder; its lock ends with it, however it ends."""
    try:
        with (folder / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _running(folder: Path) -> Stage:
    """It may still be on its way up."""
    file = folder / "run" / "settings.env"
    if not until(lambda: file.is_file() and (folder / "seed.json").is_file(), START):
        raise click.ClickException(f"The stack on {folder} has no sandbox accounts: look at {folder}/logs.")
    s = load({FILE_VARIABLE: str(file)})
    found = Stage(settings=s, summary=summary(s, folder))
    if not found.summary.sandbox:
        raise click.ClickException(
            f"The stack on {folder} speaks to real platforms, where a demo has no business: "
            f"give the demo another {PREFIX}FOLDER."
        )
    return found


@contextmanager
def _own(say: Say, settings: Mapping[str, str]) -> Iterator[Stage]:
    """A stack on a folder and ports of its own. It dies with this process, however that ends."""
    outer = Path(tempfile.mkdtemp(prefix="slipway-demo-"))
    folder = outer / "data"
    say(f"No Slipway runs here: starting one in {folder}, for the demo alone …")
    with ExitStack() as at_the_end:
        at_the_end.callback(shutil.rmtree, outer)
        program = Program(
            name="up",
            argv=[*slipway(), "up", "--json"],
            environment={**_environment(folder), **settings},
            stop=signal.SIGINT,
        )
        child = Child(program, outer)
        at_the_end.callback(child.end, STOP)
        at_the_end.callback(say, "Stopping the demo's stack …")
        if (
            not until(lambda: child.ended() is not None or bool(_told(child.log)), START)
            or child.ended() is not None
        ):
            raise click.ClickException(f"The demo's stack did not start. The end of its log:\n{child.tail()}")
        told = Summary(**json.loads(_told(child.log)))
        yield Stage(settings=load({FILE_VARIABLE: str(folder / "run" / "settings.env")}), summary=told)


def _told(log: Path) -> str:
    """The line of JSON that `up` prints once everything runs; empty before that."""
    lines = log.read_text(errors="replace").splitlines(keepends=True)
    return next((line for line in lines if line.startswith("{") and line.endswith("}\n")), "")


def _environment(folder: Path) -> dict[str, str]:
    """No setting of the owner's: the demo must not touch what those point at."""
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
    """Ports nobody listens on; all are held until the last is known, so that they differ."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
