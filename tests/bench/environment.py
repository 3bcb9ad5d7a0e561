"""Environment of the measurements: the run's engines, and new stacks on them, whose durability is checked."""

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

from pipeline.broker.celery_app import create_celery_app
from pipeline.store.database import row
from tests.bench.figures import InvalidMeasurement
from tests.bench.scale import Scale
from tests.conftest import TEMPLATE, Engines, database, environment_of, free_ports, make_template
from tests.stack import Stack, run_stack

ROOT = Path(__file__).parents[2]
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
LIFTED = {"SLIPWAY_SANDBOX__LIFTED": "true"}
LOOK_EARLY = {"SLIPWAY_PUBLISH__LOOK_FIRST": "0.1"}
"""Look at a publish after 0.1 s, not after the platform's five or more: waiting is not work."""
READY = 40.0
"""Seconds a part may take to answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchEnvironment:
    """Engines and scale of a run; ``log`` reports progress."""

    engines: Engines
    scale: Scale
    log: Callable[[str], None]

    @contextmanager
    def stack(self, *, lifted: bool = True, look_early: bool = False) -> Iterator[Stack]:
        """Yield a stack with a new database, an empty broker, the instant sandbox without quotas, and a workspace."""
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
        """Return name -> process id of the stack's parts and engines."""
        engines = {"postgres": self.engines.postgres.child, "valkey": self.engines.valkey.child}
        return {name: part.pid for name, part in stack.parts.items() if part.poll() is None} | {
            name: child.pid for name, child in engines.items() if child is not None
        }


@contextmanager
def open_environment(scale: Scale, log: Callable[[str], None]) -> Iterator[BenchEnvironment]:
    """Start the engines of a run; stop them and delete their data afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-bench-", dir="/tmp"))
    try:
        with ExitStack() as started:
            engines = Engines(folder, started)
            make_template(engines.postgres)
            yield BenchEnvironment(engines=engines, scale=scale, log=log)
    finally:
        shutil.rmtree(folder)


def assert_durable(stack: Stack) -> None:
    """Raise InvalidMeasurement unless commits on the system's own connection wait for the disk."""
    with stack.context.database.begin() as c:
        found = {name: getattr(row(c, f"SHOW {name}"), name) for name in DURABLE}
    if off := [name for name, value in found.items() if value != "on"]:
        raise InvalidMeasurement(f"PostgreSQL runs with {', '.join(off)} off: its figures would be invalid.")


def start_workers(stack: Stack, number: int, group: str = "publish") -> list[str]:
    """Start workers by `slipway worker`; return their names once each answers a ping."""
    names = [f"{group}-{n}" for n in range(number)]
    for name in names:
        stack.start(name, "pipeline.cli", "worker", group, "--name", f"{name}@%h")
    await_workers(stack, names)
    return names


def read_command(stack: Stack, name: str) -> list[str]:
    """Return the command line of a running part, from its module's name on."""
    words = psutil.Process(stack.parts[name].pid).cmdline()
    if "-m" in words:
        return words[words.index("-m") + 1 :]
    title = " ".join(
        words
    )  # where setproctitle is installed, Celery writes its own: [celeryd: NAME] -active- (WORDS)
    return ["celery", *title[title.index("(") + 1 : title.rindex(")")].split()]


def replace_word(words: list[str], old: str, new: str) -> list[str]:
    """Return the command line with one word replaced, so that the two sides of a comparison differ in nothing else."""
    if old not in words:
        raise InvalidMeasurement(f"{old} is not in {words}: there is no reference to start.")
    return [new if word == old else word for word in words]


def await_workers(stack: Stack, names: list[str]) -> None:
    """Wait until each of these Celery workers answers. Raises InvalidMeasurement with the end of its log."""
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
    """Return the workers that do not answer within a second."""
    answers = {node.partition("@")[0] for answer in app.control.ping(timeout=1) or () for node in answer}
    return [name for name in names if name not in answers]
