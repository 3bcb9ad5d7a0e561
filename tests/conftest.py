"""Start real engines for the tests that ask: one PostgreSQL and one Valkey a run, a fresh migrated database a test.

What a test does not use is neither imported nor started, so that a test of the domain takes a second or two.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import fork_server_client as forked
from tests.crash_table import Crashes, track_crashes
from tests.fork_server_client import ForkServer

if TYPE_CHECKING:
    from config.settings import Settings
    from pipeline.embedded.postgres import Postgres
    from pipeline.embedded.valkey import Valkey

TEMPLATE = "migrated"
SHARED = "SHARED_POSTGRES"
"""Environment variable: the folder of a running server with the template, for `make mutation`."""
HERE = Path(__file__).parent
PROOF = HERE / "proof"
MEMORY, ROOM = "/dev/shm", 4 << 30
"""The file system in memory, and the bytes that have to be free in it."""
LONGEST_FIRST = ("flow", "pipeline/embedded", "model", "test_compose.py", "pipeline/cli", "bench", "chaos")
"""The folders of the longest tests: these run first, so that no worker still has one when the others are done."""
_numbers = count(1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the proof, a lane of its own (`make proof`), unless the command line names it."""
    if collection_path != PROOF:
        return None
    named = [Path(arg.partition("::")[0]).resolve() for arg in config.args]
    return None if any(path.is_relative_to(PROOF) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest folders first, the rest by file, so that tests named one by one share their module's fixtures."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, str]:
    where = item.path.relative_to(HERE).as_posix()
    return next(
        (n for n, start in enumerate(LONGEST_FIRST) if where.startswith(start)), len(LONGEST_FIRST)
    ), where


class Engines:
    """The run's engines in one folder (its path is short enough for sockets), each started on its first use."""

    def __init__(self, folder: Path, started: ExitStack) -> None:
        self.folder, self._started = folder, started

    @cached_property
    def postgres(self) -> Postgres:
        from pipeline.embedded.postgres import Postgres

        shared = os.environ.get(SHARED)
        return Postgres(Path(shared)) if shared else self._started.enter_context(Postgres(self.folder))

    @cached_property
    def valkey(self) -> Valkey:
        from pipeline.embedded.valkey import Valkey

        return self._started.enter_context(Valkey(self.folder))


def fast_folder() -> str:
    """Return a folder in memory if a whole run fits there: tests make hundreds of databases, and none outlives them.

    Benchmarks do not use it: they measure what a commit to disk costs.
    """
    has_room = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > ROOM  # noqa: PTH112
    return MEMORY if has_room else "/tmp"


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """PostgreSQL and Valkey out of the wheels, for the whole run; they end with it, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-", dir=fast_folder()))
    try:
        with ExitStack() as started:
            yield Engines(folder, started)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated(engines: Engines) -> str:
    """Name of a database with today's tables and no rows; a template, never to be connected to."""
    if SHARED not in os.environ:
        make_template(engines.postgres)
    return TEMPLATE


def make_template(postgres: Postgres) -> None:
    """Create the database that ``migrated`` names."""
    from pipeline.store.migrate import upgrade

    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE))


@contextmanager
def database(engines: Engines, template: str) -> Iterator[str]:
    """Yield the SQLAlchemy URL of a fresh copy of `template`; drop it afterwards, open connections included."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with engines.postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield engines.postgres.url_of(name)
    finally:
        with engines.postgres.connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(engines: Engines, migrated: str) -> Iterator[str]:
    """A fresh migrated database for this test."""
    with database(engines, migrated) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(engines: Engines, migrated: str) -> Iterator[str]:
    """A fresh migrated database for this module's tests together."""
    with database(engines, migrated) as url:
        yield url


@pytest.fixture(scope="package")
def package_database_url(engines: Engines, migrated: str) -> Iterator[str]:
    """A fresh migrated database for this folder's tests together."""
    with database(engines, migrated) as url:
        yield url


@pytest.fixture
def empty_database_url(engines: Engines) -> Iterator[str]:
    """A database without tables: for tests of migrations."""
    with database(engines, "template0") as url:
        yield url


@pytest.fixture
def broker_url(engines: Engines) -> str:
    """An empty broker for this test."""
    return _empty_broker(engines)


@pytest.fixture(scope="module")
def module_broker_url(engines: Engines) -> str:
    """An empty broker for this module's tests together."""
    return _empty_broker(engines)


@pytest.fixture(scope="session")
def vault_key() -> str:
    """The run's vault key."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


@pytest.fixture
def environment(database_url: str, broker_url: str, vault_key: str, tmp_path: Path) -> dict[str, str]:
    """The environment variables for this test's processes."""
    return environment_of(database_url, broker_url, vault_key, tmp_path)


@pytest.fixture(scope="module")
def module_environment(
    module_database_url: str, module_broker_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment variables for the processes of this module's tests."""
    folder = tmp_path_factory.mktemp("slipway")
    return environment_of(module_database_url, module_broker_url, vault_key, folder)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """The fork server that starts this run's short processes."""
    with forked.fork_server() as process:
        yield process


@pytest.fixture
def crashes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crashes]:
    """The failpoints at which a process dies in this test; the test fails if one of them was not reached."""
    with track_crashes(request.node, tmp_path, lambda: request.getfixturevalue("fork_server")) as mine:
        yield mine


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings that `environment` spells."""
    from config.settings import load

    return load(environment)


def free_ports(number: int) -> list[int]:
    """Return ports without a listener, all different."""
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def environment_of(database_url: str, broker_url: str, vault_key: str, folder: Path) -> dict[str, str]:
    """Return this process's environment without settings of Slipway, plus these."""
    from config.settings import PREFIX

    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return clean | {
        "SLIPWAY_FOLDER": str(folder),
        "SLIPWAY_STORE__URL": database_url,
        "SLIPWAY_BROKER__URL": broker_url,
        "SLIPWAY_VAULT__KEYS": vault_key,
    }


def _empty_broker(engines: Engines) -> str:
    number = next(_numbers) % 15 + 1
    client = engines.valkey.client(number)
    client.flushdb()
    client.close()
    return engines.valkey.url_of(number)
