"""The archive of `slipway up`'s PostgreSQL: its write-ahead log as it is written, and base backups to begin from.

ARCHIVE/RUN/wal is what `pg_receivewal` writes, ARCHIVE/RUN/base-TIME what `pg_basebackup` copies. A run is a log
without a gap: a server that was restored, or whose log was lost before it was archived, begins another one. A restore
copies a base and its log beside the data folder, has PostgreSQL replay it, holds all sending, and only then renames it.

PostgreSQL 18, "Continuous Archiving and Point-in-Time Recovery" (2026-12-02).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from pipeline.embedded.data_folder import ensure_private
from pipeline.embedded.postgres import Postgres, find_binary
from pipeline.embedded.process import Program, give_to
from pipeline.embedded.services import Service
from pipeline.recovery.backup import Work
from pipeline.store.database import Database
from pipeline.store.recovery import log_slot
from pipeline.store.recovery.dumps import (
    BackupError,
    Programs,
    build_conninfo,
    read_server_major,
    run_program,
)

NAME_OF_TIME = "%Y%m%dT%H%M%S.%fZ"
BASE, WAL = "base-", "wal"
PARTIAL = ".partial"
"""Ends the name of the segment that `pg_receivewal` is writing."""
START = re.compile(r"START WAL LOCATION: .*\(file ([0-9A-F]{24})\)")
REPLAY_SECONDS = 7 * 86_400
"""Seconds after which a replay is given up: never, but for one that hangs."""


class NotArchived(BackupError):
    """Nothing archives the log; the message names the setting."""


def build_archive_service(server: Postgres, c: Connection, archive: Path) -> Service:
    """Build the service that archives the log of a running server. Raises OSError.

    Its slot keeps what is not archived yet; beyond ``max_slot_wal_keep_size`` it is lost, and a new run begins.
    """
    wal = _open_run(c, archive) / WAL
    program = Program(
        name="archive",
        argv=[
            str(find_binary("pg_receivewal")),
            *("--slot", log_slot.SLOT, "--synchronous", "--no-password", "--directory", str(wal)),
            *("--dbname", build_conninfo(server.url)[0]),
        ],
        environment={"LC_ALL": "C", "PATH": os.defpath},
    )
    return Service(program=program, stop_order=4)


def _open_run(c: Connection, archive: Path) -> Path:
    """Return the folder of the run that goes on, or of a new one. Raises OSError."""
    slot = log_slot.read_slot(c)
    runs = _list_runs(archive, slot)
    if runs and slot.keeps_log:
        return runs[-1]
    log_slot.create_slot(c)
    run = ensure_private(archive / f"{datetime.now(UTC):{NAME_OF_TIME}}-{slot.system}")
    ensure_private(run / WAL)
    return run


def _list_runs(archive: Path, slot: log_slot.Slot) -> list[Path]:
    """Return the runs of this server, the oldest first."""
    return sorted(archive.glob(f"*-{slot.system}"))


def require_run(c: Connection, archive: str) -> tuple[Path, int]:
    """Return the run that is archived to, and how many bytes of log it lacks. Raises NotArchived."""
    slot = log_slot.read_slot(c)
    runs = _list_runs(Path(archive), slot) if archive else []
    if not runs or not slot.is_active:
        raise NotArchived(
            f"Nothing archives the log of this database{f' to {archive}' if archive else ''}: set "
            "SLIPWAY_STORE__ARCHIVE to a folder on another disk, and start `slipway up` again. A server of your own "
            "has its own tools: pgBackRest, Barman, WAL-G."
        )
    return runs[-1], slot.behind


def make_base(database: Database, url: str, programs: Programs, run: Path, work: Work) -> Path:
    """Copy the running server into a new base; return its folder. Raises BackupError, Unreachable, OSError."""
    with database.once() as c:
        program = programs("pg_basebackup", read_server_major(c))
    work.begin("copy the database")
    unfinished = run / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    with run_program(
        program, url, f"--pgdata={unfinished}", "--wal-method=fetch", "--checkpoint=fast"
    ) as copying:
        while copying.poll() is None:
            work.reach(sum(one.stat().st_size for one in unfinished.glob("base/*/*")))
            try:
                copying.wait(1)
            except subprocess.TimeoutExpired:
                continue
    return unfinished.rename(run / f"{BASE}{datetime.now(UTC):{NAME_OF_TIME}}")


def prune(run: Path, keep: int) -> list[Path]:
    """Remove all bases but the newest *keep* of a run, and the log before them; return the removed bases."""
    bases = sorted(run.glob(f"{BASE}*"))
    removed = bases[:-keep]
    first = _read_start(bases[len(removed)])
    for base in removed:
        shutil.rmtree(base)
    for segment in (run / WAL).iterdir():
        if removed and segment.name[:24] < first:
            segment.unlink()
    return removed


def list_bases(archive: Path) -> list[tuple[datetime, Path]]:
    """Return the bases of all runs, the oldest first, each with the first moment that it can be restored to."""
    found = [(_read_time(base.name.removeprefix(BASE)), base) for base in archive.glob(f"*/{BASE}*")]
    return sorted(found)


def _read_time(name: str) -> datetime:
    return datetime.strptime(name, NAME_OF_TIME).replace(tzinfo=UTC)


def find_base(archive: Path, at: datetime | None) -> tuple[datetime, Path]:
    """Return the newest base that a moment can be reached from, and its own moment. Raises BackupError."""
    bases = list_bases(archive)
    fitting = [one for one in bases if at is None or one[0] <= at]
    if not fitting:
        oldest = f": the oldest is of {bases[0][0]:%Y-%m-%d %H:%M:%S.%f} UTC" if bases else ""
        raise BackupError(f"{archive} has no base backup of that time or before{oldest}.")
    return fitting[-1]


def _read_start(base: Path) -> str:
    """Return the name of the first segment of the log that a base needs. Raises BackupError."""
    found = START.search((base / "backup_label").read_text())
    if found is None:
        raise BackupError(f"{base / 'backup_label'} names no segment of the log: use another base.")
    return found[1]


class RestoredServer(Postgres):
    """A server on a copy of a base, which replays the log when it starts: up to a moment, or to its end.

    It is no installation's server before ``take_place``; one that is interrupted is begun again.
    """

    def __init__(self, folder: Path, base: Path, at: datetime | None) -> None:
        self._base, self._at = base, at
        super().__init__(folder)

    def _use_place(self) -> None:
        super()._use_place()
        self._final, self._data = self._data, self._data.with_name("postgres.restored")
        # a worker that a killed `slipway up` has left finds no server here that is not held yet
        self.sockets = self.sockets.with_name("restored")

    def prepare(self, work: Work) -> None:
        """Check the base, and copy it and its log; ``start`` replays it. Raises BackupError, EngineError, OSError."""
        if self._final.exists():
            raise BackupError(
                f"There is a database in {self._final}. Move it away, do not delete it: "
                f"mv '{self._final}' '{self._final}.old'"
            )
        work.begin("check the base")
        with run_program(find_binary("pg_verifybackup"), None, "--exit-on-error", "--quiet", str(self._base)):
            pass
        work.begin("copy the base and the log")
        self._ensure_place()
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.copytree(self._base, self._data)
        for segment in _list_needed(self._base):
            shutil.copyfile(segment, self._data / "pg_wal" / segment.name.removesuffix(PARTIAL))
        (self._data / "recovery.signal").touch()
        for path in (self._data, *self._data.rglob("*")):
            give_to(self._user, path)

    def _program(self) -> Program:
        program = super()._program()
        settings = {
            "hot_standby": "off",  # it answers once the log is replayed
            "restore_command": "false",  # all there is lies in pg_wal
            "recovery_target_timeline": "current",
        }
        if self._at:
            settings |= {"recovery_target_time": self._at.isoformat(), "recovery_target_action": "promote"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return replace(program, argv=[*program.argv, *options])

    def take_place(self) -> None:
        """Stop it, and make its folder that of the installation."""
        self.stop()
        shutil.rmtree(self.sockets)
        self._data.rename(self._final)


def _list_needed(base: Path) -> Iterator[Path]:
    first = _read_start(base)
    return (one for one in (base.parent / WAL).iterdir() if one.name[:24] >= first)
