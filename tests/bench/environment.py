"""What measurements stand on: engines of this run, and fresh stacks on them, durable or not measured at all."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from celery import Celery
from cryptography.fernet import Fernet

from pipeline.celery_app import create_celery_app
from pipeline.store.database import row
from tests.bench.figures import InvalidMeasurement
from tests.bench.scale import Scale
from tests.conftest import TEMPLATE, Engines, database, environment_of, free_ports, make_template
from tests.stack import Stack, run_stack

ROOT = Path(__file__).parents[2]
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
LIFTED = {"SLIPWAY_SANDBOX__LIFTED": "true"}
LOOK_EARLY = {"SLIPWAY_PUBLISH__LOOK_FIRST": "0.1"}
"""Asks how a publish went after a tenth of a second, not after the platform's five or more: waiting is no work."""
READY = 40.0
"""Seconds a part gets until it answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchEnvironment:
    """One run's engines, its size, and where progress is told."""

    engines: Engines
    scale: Scale
    log: Callable[[str], None]

    @contextmanager
    def stack(self, *, lifted: bool = True, look_early: bool = False) -> Iterator[Stack]:
        """A fresh database and broker, the instant sandbox without quotas, and a workspace with a key."""
        folder = Path(tempfile.mkdtemp(prefix="stack-", dir=self.engines.folder))
        client = self.engines.valkey.client()
        client.flushall()
        client.close()
        with database(self.engines, TEMPLATE) as url:
            variables = environment_of(url, self.engines.valkey.url, Fernet.generate_key().decode(), folder)
            more = (LIFTED if lifted else {}) | (LOOK_EARLY if look_early else {})
            with run_stack(variables | more, folder, free_ports(3)) as stack:
                stack.start_sandbox("--pace", "instant", "--no-quotas")
                stack.seed()
                assert_durable(stack)
                yield stack

    def processes(self, stack: Stack) -> dict[str, int]:
        """Process ids of the stack's parts and its engines, by name."""
        engines = {"postgres": self.engines.postgres.child, "valkey": self.engines.valkey.child}
        return {name: part.pid for name, part in stack.parts.items() if part.poll() is None} | {
            name: child.pid for name, child in engines.items() if child is not None
        }


@contextmanager
def open_environment(scale: Scale, log: Callable[[str], None]) -> Iterator[BenchEnvironment]:
    """Engines for a run; gone with all they stored when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-bench-", dir="/tmp"))
    try:
        with ExitStack() as started:
            engines = Engines(folder, started)
            make_template(engines.postgres)
            yield BenchEnvironment(engines=engines, scale=scale, log=log)
    finally:
        shutil.rmtree(folder)


def assert_durable(stack: Stack) -> None:
    """Raises Unsound unless a commit of the system under test waits for the disk, as seen on its own connection."""
    with stack.context.database.begin() as c:
        found = {name: getattr(row(c, f"SHOW {name}"), name) for name in DURABLE}
    if off := [name for name, value in found.items() if value != "on"]:
        raise InvalidMeasurement(
            f"PostgreSQL runs with {', '.join(off)} off: its figures would be worth nothing."
        )


def start_workers(stack: Stack, number: int, group: str = "publish") -> list[str]:
    """Workers as `slipway worker` starts them; returns their names once each answers a ping."""
    names = [f"{group}-{n}" for n in range(number)]
    for name in names:
        stack.start(name, "pipeline.cli", "worker", group, "--name", f"{name}@%h")
    await_workers(stack, names)
    return names


def read_command(stack: Stack, name: str) -> list[str]:
    """What a running part was started with, from its module's name on."""
    words = psutil.Process(stack.parts[name].pid).cmdline()
    if "-m" in words:
        return words[words.index("-m") + 1 :]
    title = " ".join(
        words
    )  # where setproctitle is installed, Celery writes its own: [celeryd: NAME] -active- (WORDS)
    return ["celery", *title[title.index("(") + 1 : title.rindex(")")].split()]


def replace_word(words: list[str], old: str, new: str) -> list[str]:
    """The same command line with one word of it replaced: what is compared differs in nothing else."""
    if old not in words:
        raise InvalidMeasurement(f"{old} is not in {words}: there is nothing to compare with.")
    return [new if word == old else word for word in words]


def await_workers(stack: Stack, names: list[str]) -> None:
    """Waits until each of these Celery workers answers. Raises Unsound with its last words when it does not."""
    app = create_celery_app(stack.context.settings)
    end = time.monotonic() + READY
    try:
        while silent := list_silent(app, names):
            if time.monotonic() > end or any(stack.parts[name].poll() is not None for name in names):
                said = (stack.folder / f"{silent[0]}.log").read_text(errors="replace")[-800:]
                raise InvalidMeasurement(
                    f"The worker {silent[0]} does not answer (status {stack.parts[silent[0]].poll()}): {said}"
                )
    finally:
        app.close()


def list_silent(app: Celery, names: list[str]) -> list[str]:
    """Those who do not answer within a second."""
    answers = {node.partition("@")[0] for answer in app.control.ping(timeout=1) or () for node in answer}
    return [name for name in names if name not in answers]
