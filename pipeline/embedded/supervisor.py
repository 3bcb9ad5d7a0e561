"""`slipway up`: engines, tables, sandbox, first workspace, parts; watched until told to stop; nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import FrameType

import redis

from config.settings import FILE_VARIABLE, PREFIX, Settings, load
from pipeline.embedded.engine import EngineError
from pipeline.embedded.generated_settings import owners_settings, write
from pipeline.embedded.log_files import make_room
from pipeline.embedded.ports import busy
from pipeline.embedded.postgres import Postgres
from pipeline.embedded.process import end_leftovers, until
from pipeline.embedded.restart import Say, Watch
from pipeline.embedded.services import Part, parts, sandbox_part, slipway, wanted
from pipeline.embedded.summary import Summary, summary
from pipeline.embedded.valkey import Valkey
from pipeline.queue_liveness import QueueLiveness
from pipeline.queues import REACHABILITY
from pipeline.recovery.epoch_file import Outside
from pipeline.recovery.restore import IN_DOUBT
from pipeline.recovery.send_guard import NEXT, SendGuard
from pipeline.store.database import Database

LOOK = 0.25
"""Seconds between two looks at the parts."""
ENGINE_PATIENCE = 20.0
LEFTOVERS = 5.0
"""Seconds that what a killed supervisor left gets to end; its engines are gone, so it can finish nothing."""
START = 60.0
"""Seconds the parts get until they answer."""


class StartError(Exception):
    """The stack could not be started; the message says what to do."""


class Stopped(Exception):
    """Told to stop while still starting."""


class Supervisor:
    """One stack on one folder, whose lock the caller holds."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder, self._say = folder.resolve(), say
        self._stop, self._hurry = threading.Event(), threading.Event()
        self._postgres, self._valkey = Postgres(self._folder), Valkey(self._folder)
        self._watches: list[Watch] = []
        for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(told, self._told)

    def start(self) -> Summary:
        """Everything, in order; returns what there is to tell.

        Raises SettingsError, StartError, EngineError, and Stopped when told to stop meanwhile.
        """
        said = owners_settings(self._folder, os.environ)
        if left := end_leftovers(self._folder, LEFTOVERS):
            self._say("up", f"ended what an earlier start had left running: {', '.join(left)}.")
        s = load(said)
        if taken := busy(wanted(s)):
            raise StartError("\n".join(taken))
        self._postgres.start()
        self._valkey.start()
        if self._postgres.sockets.parent.parent != self._folder:
            self._say(
                "up",
                f"The folder's path is too long for sockets: they are in {self._postgres.sockets.parent}.",
            )
        s, environment = self._settle(said)
        self._run("migrate", [*slipway(), "migrate"], environment)
        if sandbox := sandbox_part(s, environment):
            self._watch([sandbox])
            self._seed(environment)
        self._watch(parts(s, environment))
        self._until("the workers", self._workers_listen)
        self._tell_of_doubt(s)
        return summary(s, self._folder)

    def watch(self) -> None:
        """Keep everything running until told to stop."""
        while not self._stop.wait(LOOK):
            for engine in (self._postgres, self._valkey):
                if engine.child and (status := engine.child.ended()) is not None:
                    self._say(engine.child.program.name, f"ended with status {status}; it is started again.")
                    engine.child.end(0)
                    engine.start()
                make_room(self._folder / "logs" / f"{engine.name}.log")
            for watch in self._watches:
                watch.look()

    def stop(self) -> None:
        """End everything: who works first, who is worked with last. A second signal ends it at once."""
        self._stop.set()
        if self._watches:
            self._say("up", "stopping, workers first; a second Ctrl-C ends everything at once.")
        for turn in sorted({watch.part.turn for watch in self._watches}):
            self._end([watch for watch in self._watches if watch.part.turn == turn])
        self._watches.clear()
        for engine in (self._valkey, self._postgres):
            engine.stop(0 if self._hurry.is_set() else ENGINE_PATIENCE)
        (self._folder / "run" / "settings.env").unlink(missing_ok=True)
        self._say("up", "stopped; nothing is left running.")

    def _end(self, group: list[Watch]) -> None:
        for watch in group:
            watch.ask()
        longest = max(watch.part.patience for watch in group)
        until(lambda: self._hurry.is_set() or all(watch.ended() for watch in group), longest)
        for watch in group:
            watch.end()

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    def _settle(self, said: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
        """The settings with the engines in them, written down for the parts and for commands in other terminals."""
        file = self._folder / "run" / "settings.env"
        values = {**said, "SLIPWAY_STORE__URL": self._postgres.url, "SLIPWAY_BROKER__URL": self._valkey.url}
        write(file, values)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment = {**plain, FILE_VARIABLE: str(file), "PYTHONUNBUFFERED": "1"}
        return load(values), environment

    def _seed(self, environment: Mapping[str, str]) -> None:
        file = self._folder / "seed.json"
        if not file.is_file():
            self._run(
                "seed", [sys.executable, "-m", "pipeline.embedded.sample_workspace", str(file)], environment
            )

    def _run(self, name: str, argv: list[str], environment: Mapping[str, str]) -> None:
        """A step that has to succeed before the next."""
        self._check()
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=dict(environment))
        (self._folder / "logs" / f"{name}.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise StartError(f"{name} failed: {last}\nAll it said: {self._folder}/logs/{name}.log")

    def _watch(self, group: list[Part]) -> None:
        """Start parts together and see each answer."""
        self._check()
        begun = [Watch(part, self._folder, self._say) for part in group]
        self._watches += begun
        for watch in begun:
            self._until(watch.part.name, watch.answers, watch)

    def _until(self, what: str, holds: Callable[[], bool], watch: Watch | None = None) -> None:
        def done() -> bool:
            return self._stop.is_set() or bool(watch and watch.ended()) or holds()

        held = until(done, START)
        self._check()
        if not held or (watch and watch.ended()):
            tail = watch.child.tail() if watch and watch.child else ""
            raise StartError(f"{what} did not start. The end of its log in {self._folder}/logs:\n{tail}")

    def _workers_listen(self) -> bool:
        """Whether every worker waits for messages (each blocks on one read) and the API may wait for checks."""
        if ended := [watch for watch in self._watches if watch.ended()]:
            tails = "\n".join(watch.child.tail() for watch in ended if watch.child)
            raise StartError(f"{', '.join(w.part.name for w in ended)} did not start:\n{tails}")
        workers = sum(watch.part.name.startswith("worker-") for watch in self._watches)
        client = self._valkey.client()
        try:
            blocked = int(client.info("clients")["blocked_clients"])
            return blocked >= workers and QueueLiveness(client).alive(REACHABILITY)
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _tell_of_doubt(self, s: Settings) -> None:
        """That nothing is sent, because the ledger is older than what was."""
        database = Database(s.store.url.get_secret_value(), pool=1)
        try:
            if (
                SendGuard(database, Outside(s.mark_folder), timedelta(seconds=s.mark.lease)).doubt()
                is not None
            ):
                self._say("up", f"{IN_DOUBT}: {NEXT}.")
        finally:
            database.close()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def run(folder: Path, say: Say, tell: Callable[[Summary], None]) -> int:
    """Start, tell, watch, stop; the exit status."""
    supervisor = Supervisor(folder, say)
    try:
        found = supervisor.start()
        tell(found)
        supervisor.watch()
    except Stopped:
        pass
    except (StartError, EngineError) as error:
        say("up", str(error))
        return 1
    finally:
        supervisor.stop()
    return 0
