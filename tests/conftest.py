"""Real engines for every test that asks: one PostgreSQL and one Valkey a run, a fresh migrated database a test."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from config.settings import PREFIX, Settings, load
from pipeline.embedded.postgres import Postgres
from pipeline.embedded.valkey import Valkey
from tests import fork_server_client as forked
from tests.crash_table import Deaths, dying
from tests.fork_server_client import Zygote

TEMPLATE = "migrated"
SHARED = "SHARED_POSTGRES"
"""Environment variable: folder of a server that runs already and has the template, for who starts a thousand runs."""
HERE = Path(__file__).parent
PROOF = HERE / "proof"
MEMORY, ROOM = "/dev/shm", 4 << 30
"""The file system in memory, and the bytes that have to be free in it."""
LONGEST_FIRST = ("flow", "pipeline/embedded", "model", "test_compose.py", "pipeline/cli", "bench", "chaos")
"""Where tests take long: begun first, so that no worker has one of them left when the others are done."""
_numbers = count(1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The proof is a lane of its own (`make proof`): it is collected only where the command line names it."""
    if collection_path != PROOF:
        return None
    named = [Path(arg.partition("::")[0]).resolve() for arg in config.args]
    return None if any(path.is_relative_to(PROOF) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, the rest by file: what is asked for one by one shares its module's fixtures too."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, str]:
    where = item.path.relative_to(HERE).as_posix()
    return next(
        (n for n, start in enumerate(LONGEST_FIRST) if where.startswith(start)), len(LONGEST_FIRST)
    ), where


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """The run's engines and their folder (its path is short enough for sockets)."""

    folder: Path
    postgres: Postgres
    valkey: Valkey


def where_databases_are_quick() -> str:
    """In memory, where there is room for a whole run: tests make hundreds of databases, and none has to outlive them.

    Not for benchmarks: what a commit costs is what they measure.
    """
    has_room = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > ROOM  # noqa: PTH112
    return MEMORY if has_room else "/tmp"


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """PostgreSQL and Valkey out of the wheels, for the whole run; they die with it, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-", dir=where_databases_are_quick()))
    try:
        with _postgres(folder) as postgres, Valkey(folder) as valkey:
            yield Engines(folder=folder, postgres=postgres, valkey=valkey)
    finally:
        shutil.rmtree(folder)


def _postgres(folder: Path) -> AbstractContextManager[Postgres]:
    shared = os.environ.get(SHARED)
    return nullcontext(Postgres(Path(shared))) if shared else Postgres(folder)


@pytest.fixture(scope="session")
def migrated(engines: Engines) -> str:
    """Name of a database with today's tables and no rows; a template, never to be connected to."""
    if SHARED not in os.environ:
        make_template(engines.postgres)
    return TEMPLATE


def make_template(postgres: Postgres) -> None:
    """The database that ``migrated`` names."""
    from pipeline.store.migrate import upgrade

    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE))


@contextmanager
def database(engines: Engines, template: str) -> Iterator[str]:
    """SQLAlchemy URL of a fresh copy of `template`, gone afterwards with whoever is still connected."""
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
    return Fernet.generate_key().decode()


@pytest.fixture
def environment(database_url: str, broker_url: str, vault_key: str, tmp_path: Path) -> dict[str, str]:
    """What a process of ours is started with in this test."""
    return environment_of(database_url, broker_url, vault_key, tmp_path)


@pytest.fixture(scope="module")
def module_environment(
    module_database_url: str, module_broker_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the processes of this module's tests are started with."""
    folder = tmp_path_factory.mktemp("slipway")
    return environment_of(module_database_url, module_broker_url, vault_key, folder)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """What the short processes of a run are forked from."""
    with forked.zygote() as process:
        yield process


@pytest.fixture
def deaths(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deaths]:
    """The failpoints at which a process dies in this test: at each, or the test fails."""
    with dying(request.node, tmp_path, lambda: request.getfixturevalue("zygote")) as mine:
        yield mine


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings that `environment` spells."""
    return load(environment)


def free_ports(number: int) -> list[int]:
    """Ports nobody listens on at the moment, all different."""
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def environment_of(database_url: str, broker_url: str, vault_key: str, folder: Path) -> dict[str, str]:
    """This process's environment without any setting of ours, then these."""
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
