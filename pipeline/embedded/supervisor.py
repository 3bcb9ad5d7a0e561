"""`slipway up`: starts engines, migrations, sandbox, sample workspace and services; supervises and stops them.

Whether the worker has consumed each group's queues since the start: a canary or, with a backlog before it, any other
message.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType

import redis

from config.settings import FILE_VARIABLE, PREFIX, Settings, load
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import Dispatcher
from pipeline.broker.queue_liveness import QueueLiveness
from pipeline.broker.queues import REACHABILITY, WORKER_GROUPS, list_ticks
from pipeline.embedded.archive import build_archive_service
from pipeline.embedded.data_folder import build_settings, explain_errors, find_place, write_settings_file
from pipeline.embedded.postgres import Postgres
from pipeline.embedded.process import EngineError, rotate, stop_leftovers, wait_until
from pipeline.embedded.services import (
    PrintLine,
    Service,
    SupervisedService,
    find_conflicts,
    list_addresses,
    list_services,
    sandbox_service,
    slipway_command,
)
from pipeline.embedded.summary import LOGIN_FILE, Summary, build_summary, ensure_login
from pipeline.embedded.valkey import Valkey
from pipeline.recovery.restore import IN_DOUBT
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import NEXT_STEP, SendGuard
from pipeline.store.canaries import read_silences
from pipeline.store.database import Database, Unreachable
from pipeline.store.recovery.log_slot import drop_slot


class WorkerReadiness:
    """Sends a canary to every queue, then answers which groups have consumed since.

    A worker with a backlog takes its canary late, but records in the same table what else it takes.
    """

    def __init__(self, s: Settings, broker: redis.Redis) -> None:
        self._started_at = time.monotonic()
        self._database = Database(s.store.url.get_secret_value(), pool=1)
        self._broker = broker
        app = create_celery_app(s, retry_broker=False)
        Dispatcher(app).send_ticks([tick for tick in list_ticks(s) if tick.task == "canary"])
        app.close()

    def is_served(self, group: str) -> bool:
        """Return True if a worker of the group has consumed since the start; False if the database is unreachable."""
        elapsed = time.monotonic() - self._started_at  # before the read: an older record must look older
        try:
            with self._database.once() as c:
                silences = read_silences(c)
        except Unreachable:
            return False
        ages = [silences[queue].total_seconds() for queue in WORKER_GROUPS[group] if queue in silences]
        is_served = any(age < elapsed for age in ages)
        if is_served and REACHABILITY in WORKER_GROUPS[group]:
            # requests may wait for checks at once: the tick that records this may wait behind a backlog
            with suppress(redis.RedisError):
                QueueLiveness(self._broker).record_beat(REACHABILITY)
        return is_served

    def close(self) -> None:
        """Close the connections."""
        self._database.close()
        self._broker.close()


POLL_SECONDS = 0.25
"""Seconds between two polls of the services."""
ENGINE_STOP_TIMEOUT = 20.0
LEFTOVERS_STOP_TIMEOUT = 5.0
"""Seconds for processes of a killed supervisor; short, since their engines are gone and they can finish nothing."""
START_TIMEOUT = 60.0
"""Seconds for which the start waits until services are ready."""
MAX_ENDS = 3
"""Ends of a service after which the start does not wait for it any longer."""


class StartError(Exception):
    """The stack could not be started; the message says what to do."""


class StopRequested(Exception):
    """A stop signal arrived during the start."""


class Supervisor:
    """One stack on one folder. The caller holds the folder's lock."""

    def __init__(self, folder: Path, print_line: PrintLine) -> None:
        self._folder, self._print_line = folder.resolve(), print_line
        self._stop, self._kill_now = threading.Event(), threading.Event()
        self._postgres, self._valkey = Postgres(self._folder), Valkey(self._folder)
        self._services: list[SupervisedService] = []
        self._unready: list[SupervisedService] = []
        self._readiness: WorkerReadiness | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle_signal)

    def start(self) -> Summary:
        """Start everything in order; return the summary.

        Raises SettingsError, FolderError, StartError, EngineError, and StopRequested after a stop signal. A worker that
        ends or does not consume yet is no error: it is restarted, and the summary names it.
        """
        with explain_errors(self._folder):
            return self._start()

    def _start(self) -> Summary:
        given = build_settings(self._folder, os.environ)
        if left := stop_leftovers(self._folder, LEFTOVERS_STOP_TIMEOUT):
            self._print_line("up", f"stopped what an earlier start had left running: {', '.join(left)}.")
        s = load(given)
        if taken := find_conflicts(list_addresses(s), partial(find_place, self._folder, os.environ)):
            raise StartError("\n".join(taken))
        self._postgres.start()
        self._valkey.start()
        if self._postgres.sockets.parent.parent != self._folder:
            self._print_line(
                "up",
                f"sockets cannot be in the data folder: they are in {self._postgres.sockets.parent}.",
            )
        s, environment = self._write_settings(given)
        self._run("migrate", [*slipway_command(), "migrate"], environment)
        if archive := self._build_archive_service(s):
            self._start_services([archive])
        if sandbox := sandbox_service(s, environment):
            self._start_services([sandbox])
            self._create_samples(environment)
        ensure_login(s, self._folder / LOGIN_FILE)
        self._readiness = WorkerReadiness(s, self._valkey.client())
        self._start_services(list_services(s, environment, self._readiness.is_served))
        self._warn_if_sending_stopped(s)
        return build_summary(
            s, self._folder, [f"{service.spec.name} is not ready yet." for service in self._unready]
        )

    def supervise(self) -> None:
        """Keep everything running until a stop signal."""
        while not self._stop.wait(POLL_SECONDS):
            self._poll()
            for service in self._take_ready(self._unready):
                self._print_line(service.spec.name, "is ready now.")

    def stop(self) -> None:
        """Stop everything in order, workers first, engines last. A second signal kills everything at once."""
        self._stop.set()
        if self._services:
            self._print_line("up", "stopping, workers first; a second Ctrl-C kills everything at once.")
        for stop_order in sorted({service.spec.stop_order for service in self._services}):
            self._stop_group([service for service in self._services if service.spec.stop_order == stop_order])
        self._services.clear()
        if self._readiness:
            self._readiness.close()
        for engine in (self._valkey, self._postgres):
            engine.stop(0 if self._kill_now.is_set() else ENGINE_STOP_TIMEOUT)
        with suppress(PermissionError):  # which the start has reported
            (self._folder / "run" / "settings.env").unlink(missing_ok=True)
        self._print_line("up", "stopped; nothing is left running.")

    def _stop_group(self, group: list[SupervisedService]) -> None:
        for service in group:
            service.request_stop()
        longest = max(service.spec.stop_timeout for service in group)
        wait_until(lambda: self._kill_now.is_set() or all(service.has_ended() for service in group), longest)
        for service in group:
            service.stop()

    def _handle_signal(self, _number: int, _frame: FrameType | None) -> None:
        (self._kill_now if self._stop.is_set() else self._stop).set()

    def _write_settings(self, given: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
        """Add the engines to the settings; write them for the services and for commands in other terminals."""
        file = self._folder / "run" / "settings.env"
        values = {**given, "SLIPWAY_STORE__URL": self._postgres.url, "SLIPWAY_BROKER__URL": self._valkey.url}
        write_settings_file(file, values)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment = {**plain, FILE_VARIABLE: str(file), "PYTHONUNBUFFERED": "1"}
        return load(values), environment

    def _build_archive_service(self, s: Settings) -> Service | None:
        """Build the service that archives the database's log, if the settings name a folder."""
        with closing(Database(s.store.url.get_secret_value(), pool=1)) as database, database.begin() as c:
            if not s.store.archive:
                drop_slot(c)
                return None
            try:
                return build_archive_service(self._postgres, c, Path(s.store.archive).absolute())
            except OSError as error:
                raise StartError(f"SLIPWAY_STORE__ARCHIVE, {s.store.archive}: {error}") from None

    def _create_samples(self, environment: Mapping[str, str]) -> None:
        file = self._folder / "seed.json"
        if not file.is_file():
            self._run(
                "seed", [sys.executable, "-m", "pipeline.embedded.sample_workspace", str(file)], environment
            )

    def _run(self, name: str, argv: list[str], environment: Mapping[str, str]) -> None:
        """Run a step that must succeed before the next."""
        self._raise_if_stopped()
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=dict(environment))
        (self._folder / "logs" / f"{name}.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise StartError(f"{name} failed: {last}\nIts whole output: {self._folder}/logs/{name}.log")

    def _start_services(self, group: list[Service]) -> None:
        """Start services together and wait until each is ready. Raises StartError if a required one is not."""
        self._raise_if_stopped()
        started = [SupervisedService(spec, self._folder, self._print_line) for spec in group]
        self._services += started
        waiting = list(started)

        def is_settled() -> bool:
            self._poll()
            self._take_ready(waiting)
            return self._stop.is_set() or all(service.ends >= MAX_ENDS for service in waiting)

        wait_until(is_settled, START_TIMEOUT)
        self._raise_if_stopped()
        for service in waiting:
            name, log = service.spec.name, f"{self._folder}/logs/{service.spec.name}.log"
            if service.spec.is_required:
                raise StartError(
                    f"{name} did not start. The end of its log, {log}:\n{service.read_log_tail()}"
                )
            self._print_line(name, f"is not ready yet; the rest of the stack runs. Its log: {log}")
        self._unready += waiting

    def _take_ready(self, waiting: list[SupervisedService]) -> list[SupervisedService]:
        """Remove the services that are ready from `waiting` and return them."""
        ready = [service for service in waiting if service.is_ready()]
        waiting[:] = [service for service in waiting if service not in ready]
        return ready

    def _poll(self) -> None:
        """Restart engines and services that have ended. Raises EngineError if an engine does not start again."""
        for engine in (self._postgres, self._valkey):
            if engine.child and (status := engine.child.exit_status()) is not None:
                self._print_line(engine.child.program.name, f"ended with status {status}; it is restarted.")
                engine.child.stop(0)
                engine.start()
            rotate(self._folder / "logs" / f"{engine.name}.log")
        for service in self._services:
            service.poll()

    def _warn_if_sending_stopped(self, s: Settings) -> None:
        """Print a note if nothing is sent because a restore of the database is not accepted."""
        with closing(Database(s.store.url.get_secret_value(), pool=1)) as database:
            guard = SendGuard(database, EpochFile(s.mark_folder), timedelta(seconds=s.mark.lease))
            if guard.find_doubt() is not None:
                self._print_line("up", f"{IN_DOUBT}: {NEXT_STEP}.")

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise StopRequested


def run(folder: Path, print_line: PrintLine, print_summary: Callable[[Summary], None]) -> int:
    """Start, print the summary, supervise, stop. Return the exit status."""
    supervisor = Supervisor(folder, print_line)
    try:
        found = supervisor.start()
        print_summary(found)
        supervisor.supervise()
    except StopRequested:
        pass
    except (StartError, EngineError) as error:
        print_line("up", str(error))
        return 1
    finally:
        supervisor.stop()
    return 0
