"""Shared fixtures: one PostgreSQL and one Valkey per run, a fresh migrated database per test.

Engines are imported and started on first use, so that a run of pure tests takes a second or two.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

import hypothesis
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
"""Environment variable: folder of a running PostgreSQL that holds the template; `share_postgres` sets it."""
HERE = Path(__file__).parent
SEPARATE = (HERE / "proof", HERE / "readme")
"""Folders with a `make` target of their own."""
MEMORY, ROOM = "/dev/shm", 4 << 30
"""The in-memory file system, and the bytes that must be free in it."""
LONGEST_FIRST = ("flow", "pipeline/embedded", "model", "test_compose.py", "pipeline/cli", "bench", "chaos")
"""Folders of the longest tests. They run first, so that no pytest worker starts one when the others are done."""
FLOW_UNITS = 3
"""How many pytest workers run flow tests."""
LOG_LINES = 15
"""Lines of each process's log that are shown with a failed test."""
LAST_BROKER = 14
"""Of those that tests get in turn; the one after it belongs to what a whole run shares."""
_numbers = count(1)

# Both measure the machine, which may be busy.
hypothesis.settings.register_profile(
    "busy", hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
)
hypothesis.settings.load_profile("busy")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the proof and the README unless the command line names them; `make` runs them separately."""
    if collection_path not in SEPARATE:
        return None
    named = [Path(arg.partition("::")[0]).resolve() for arg in config.args]
    return None if any(path.is_relative_to(collection_path) for path in named) else True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give whole modules to the pytest workers, and the flow tests to few of them, as ``get_unit`` says."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # untyped
        def _split_scope(self, nodeid: str) -> str:
            return get_unit(nodeid.partition("::")[0])

    return ByUnit(config, log)


def get_unit(module: str) -> str:
    """Return the name of what one pytest worker runs in one go: a module, or a third of the flow tests.

    Flow tests wait much and compute little, and all of one worker share a system. Were they spread over all workers,
    nothing would use the processors meanwhile.
    """
    if not module.startswith("tests/flow/"):
        return module
    modules = sorted(path.name for path in (HERE / "flow").glob("test_*.py"))
    return f"tests/flow {modules.index(Path(module).name) % FLOW_UNITS}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what the collection creates out of garbage collection.

    Modules and items live until the end of the run. Traversing them again and again takes a quarter of the
    collection's CPU time, and 0.3 s at each full collection of the run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the longest folders first and the rest by file, so that tests named one by one share module fixtures."""
    items.sort(key=_turn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, with a failed test of a whole system, the last lines that each of its processes logged."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack is not None:
        for log in sorted(stack.folder.glob("*.log")):
            last = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            report.sections.append(
                (f"{log.name}, exit status {stack.get_exit_status(log.stem)}", "\n".join(last))
            )
    return report


def _turn(item: pytest.Item) -> tuple[int, str]:
    where = item.path.relative_to(HERE).as_posix()
    return next(
        (n for n, start in enumerate(LONGEST_FIRST) if where.startswith(start)), len(LONGEST_FIRST)
    ), where


class Engines:
    """The engines of one run, each started on first use. The folder's path must be short enough for sockets."""

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
    """Return the in-memory file system if a run fits, else /tmp. Benchmarks measure commits and use the disk."""
    has_room = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > ROOM  # noqa: PTH112
    return MEMORY if has_room else "/tmp"


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """PostgreSQL and Valkey for the whole run; stopped at its end, also after an error."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-", dir=fast_folder()))
    try:
        with ExitStack() as started:
            yield Engines(folder, started)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated(engines: Engines) -> str:
    """Name of the template database: current tables, no rows. An open connection to it would block copies."""
    if SHARED not in os.environ:
        make_template(engines.postgres)
    return TEMPLATE


def make_template(postgres: Postgres) -> None:
    """Create the template database and migrate it."""
    from pipeline.store.migrate import upgrade

    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE))


@contextmanager
def share_postgres(prefix: str) -> Iterator[None]:
    """Start one server with the template, for all pytest runs that are started meanwhile."""
    from pipeline.embedded.postgres import Postgres

    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=fast_folder()))
    try:
        with Postgres(folder) as postgres:
            make_template(postgres)
            os.environ[SHARED] = str(folder)
            yield
    finally:
        os.environ.pop(SHARED, None)
        shutil.rmtree(folder)


@contextmanager
def database(engines: Engines, template: str) -> Iterator[str]:
    """Yield the SQLAlchemy URL of a fresh copy of `template`; drop it afterwards, open connections included."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with engines.postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
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
    """One migrated database shared by the tests of a module."""
    with database(engines, migrated) as url:
        yield url


@pytest.fixture(scope="package")
def package_database_url(engines: Engines, migrated: str) -> Iterator[str]:
    """One migrated database shared by the tests of a folder."""
    with database(engines, migrated) as url:
        yield url


@pytest.fixture
def empty_database_url(engines: Engines) -> Iterator[str]:
    """A database without tables, for tests of migrations."""
    with database(engines, "template0") as url:
        yield url


@pytest.fixture
def broker_url(engines: Engines) -> str:
    """An empty broker for this test."""
    return _empty_broker(engines)


@pytest.fixture(scope="module")
def module_broker_url(engines: Engines) -> str:
    """An empty broker shared by the tests of a module."""
    return _empty_broker(engines)


@pytest.fixture(scope="session")
def vault_key() -> str:
    """A vault key shared by the run."""
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
    """The environment variables for processes that the tests of a module share."""
    folder = tmp_path_factory.mktemp("slipway")
    return environment_of(module_database_url, module_broker_url, vault_key, folder)


@pytest.fixture(scope="session")
def session_environment(
    engines: Engines, migrated: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment variables for a process that all modules of a run share."""
    with database(engines, migrated) as url:
        broker = _empty_broker(engines, LAST_BROKER + 1)
        yield environment_of(url, broker, vault_key, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """The fork server that starts this run's short processes."""
    with forked.fork_server() as process:
        yield process


@pytest.fixture
def crashes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crashes]:
    """The failpoints at which this test crashes a process; the test fails if one of them is not reached."""
    with track_crashes(request.node, tmp_path, lambda: request.getfixturevalue("fork_server")) as mine:
        yield mine


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings read from `environment`."""
    from config.settings import load

    return load(environment)


def free_ports(number: int) -> list[int]:
    """Return *number* different ports that nobody holds.

    They lie below the range from which Linux takes the ports of outgoing connections: one of that range may be
    taken by any connection before the server of the test binds it.
    """
    ports: list[int] = []
    with ExitStack() as probes:
        while len(ports) < number:
            port = SystemRandom().randrange(10_000, 32_000)
            probe = probes.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def environment_of(database_url: str, broker_url: str, vault_key: str, folder: Path) -> dict[str, str]:
    """Return this process's environment with Slipway's settings replaced by these."""
    from config.settings import PREFIX

    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return clean | {
        "SLIPWAY_FOLDER": str(folder),
        "SLIPWAY_STORE__URL": database_url,
        "SLIPWAY_BROKER__URL": broker_url,
        "SLIPWAY_VAULT__KEYS": vault_key,
    }


def _empty_broker(engines: Engines, number: int | None = None) -> str:
    number = number or next(_numbers) % LAST_BROKER + 1
    client = engines.valkey.client(number)
    client.flushdb()
    client.close()
    return engines.valkey.url_of(number)
