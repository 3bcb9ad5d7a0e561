"""Runs libFuzzer over the readers, each run in a process that is forked from this one, and sorts what it finds.

A run ends with the first input that raises, hangs, dies or takes too much memory; the next one goes on with what the
runs before have learnt. The same seed makes the same inputs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import resource
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

from tests.fuzz.mutate import mutate
from tests.fuzz.readers import MAX_BYTES, MEMORY, READERS, SECONDS

AT_ONCE = 2
PROGRESS = 30.0
"""Seconds between two lines about one reader."""
MAX_FAULTS = 5
"""Faults of one reader that end its time."""
REPLAY_SECONDS = 120
"""For one input as a worker reads it, whose own bounds are lower."""
_STATUS = re.compile(rb"#(\d+)\s.*?cov: (\d+)")


@dataclass
class Work:
    """The fuzzing of one reader."""

    name: str
    folder: Path
    until: float
    pid: int = 0
    run: int = 0
    """The number of its run."""
    next_line: float = field(default_factory=lambda: time.monotonic() + PROGRESS)
    before: int = 0
    inputs: int = 0
    """Inputs, in earlier runs and in all."""
    branches: int = 0
    refused: int = 0
    """Inputs that ended the process of a run, and that a worker refuses."""
    faults: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def report(self, what: str) -> None:
        """Print a line of progress."""
        if found := _STATUS.findall(self.log.read_bytes()) if self.log.exists() else []:
            self.inputs, self.branches = (
                self.before + int(found[-1][0]),
                max(self.branches, int(found[-1][1])),
            )
        refused = f", {self.refused} refused after a crash or time-out" if self.refused else ""
        print(
            f"{self.name:<10} {self.inputs:>9,} inputs, {self.branches:>6,} branches{refused}: {what}",
            flush=True,
        )


class Storm:
    """One run of `make fuzz`: ``kept`` is the folder of the faults."""

    def __init__(self, kept: Path, seed: int) -> None:
        self._kept, self._seed = kept, seed

    def run(self, names: Sequence[str], seconds: float) -> int:
        """Fuzz each reader for its share of the time. Return the exit status."""
        share = max(5.0, seconds * AT_ONCE / len(names))
        print(
            f"seed {self._seed}: {len(names)} readers for {share:.0f} s each, {AT_ONCE} at a time", flush=True
        )
        waiting, busy, done = list(names), list[Work](), list[Work]()
        with TemporaryDirectory(prefix="slipway-fuzz-") as folder:
            while waiting or busy:
                while waiting and len(busy) < AT_ONCE:
                    busy.append(self._begin(waiting.pop(0), Path(folder), share))
                time.sleep(0.1)
                ended = [work for work in busy if self._is_over(work)]
                busy = [work for work in busy if work not in ended]
                done += ended
        faults = sum(len(work.faults) for work in done)
        print(f"{sum(work.inputs for work in done):,} inputs, {faults} faults", flush=True)
        if faults:
            print(f"Mend each; then its input, in {self._kept}, becomes a case of tests/fuzz/test_found.py.")
        return 1 if faults else 0

    def _begin(self, name: str, folder: Path, share: float) -> Work:
        work = Work(name, folder / name, time.monotonic() + share)
        work.folder.mkdir()
        self._start(work)
        return work

    def _start(self, work: Work) -> None:
        work.run += 1
        work.before = work.inputs
        work.pid = fork(lambda: _fuzz(work, self._seed + work.run - 1), work.log)

    def _is_over(self, work: Work) -> bool:
        """Return True if the time of a reader is over. Begin its next run if the last one has ended before."""
        now = time.monotonic()
        if not os.waitpid(work.pid, os.WNOHANG)[0]:
            if now > work.until + 3 * SECONDS:
                os.kill(work.pid, signal.SIGKILL)
            if now > work.next_line:
                work.next_line = now + PROGRESS
                work.report("…")
            return False
        work.report("done" if now >= work.until - 1 else "found something")
        if not self._sort_artifacts(work) and now < work.until - 1:
            self._add_fault(
                work, f"the fuzzer ended by itself:\n{work.log.read_text(errors='replace')[-2000:]}"
            )
            return True
        if now >= work.until - 1 or len(work.faults) >= MAX_FAULTS:
            return True
        self._start(work)
        return False

    def _sort_artifacts(self, work: Work) -> bool:
        """Read what was found as a worker does, and keep what is a fault. Return True if anything was found."""
        found = [
            path for path in work.folder.iterdir() if path.name.startswith(("crash-", "timeout-", "oom-"))
        ]
        for artifact in found:
            data = artifact.read_bytes()
            artifact.unlink()
            fault = describe_fault(work.name, data, work.folder / "replay")
            if fault is None:
                work.refused += 1
            elif fault not in work.faults:
                place = self._kept / work.name / hashlib.sha256(data).hexdigest()[:16]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
                self._add_fault(work, fault, str(place))
        return bool(found)

    def _add_fault(self, work: Work, fault: str, place: str = "") -> None:
        work.faults.append(fault)
        work.report(f"FAULT {place}\n{fault}")


def fork(run: Callable[[], object], log: Path) -> int:
    """Run a function in a forked process, whose output goes to a file. Return its process id."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.nice(10)
        run()
        status = 0
    except BaseException:  # noqa: BLE001  whatever it is, the process ends here
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def describe_fault(name: str, data: bytes, log: Path) -> str | None:
    """Return what is wrong with how a reader reads an input as a worker does; None: it reads or refuses it."""
    pid = fork(lambda: _replay(name, data), log)
    end = time.monotonic() + REPLAY_SECONDS
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    if ended[1] == 0:
        return None
    return f"wait status {ended[1]}: {log.read_text(errors='replace')[-3000:].strip()}"


def _fuzz(work: Work, seed: int) -> None:
    reader, seeds = READERS[work.name], READERS[work.name].seeds()
    corpus = work.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    if work.run == 1:
        for number, data in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(data)

    def change(data: bytes, most: int, number: int) -> bytes:
        return atheris.Mutate(data, most) if number % 4 == 0 else mutate(data, seeds, number, most)

    def read(data: bytes) -> None:
        try:
            reader.read(data)
        except BaseException:
            (work.folder / "crash-exception").write_bytes(data)
            raise

    logging.disable()
    options = {
        "max_total_time": max(1, round(work.until - time.monotonic())), "seed": seed, "max_len": MAX_BYTES,
        "timeout": SECONDS, "rss_limit_mb": 0, "artifact_prefix": f"{work.folder}/", "len_control": 0, "reload": 0,
    }  # fmt: skip
    arguments = ["fuzz", *(f"-{option}={value}" for option, value in options.items()), str(corpus)]
    atheris.Setup(arguments, read, custom_mutator=change)
    _limit(seeds, reader.read)
    atheris.Fuzz()


def _replay(name: str, data: bytes) -> None:
    reader = READERS[name]
    if reader.replay is None:
        _limit(reader.seeds(), reader.read)
        spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, spent + SECONDS + 1))
    reader.run(data)


def _limit(seeds: Sequence[bytes], read: Callable[[bytes], object]) -> None:
    """Bound the memory that reading may take. What is made once, such as models and tables, is made before."""
    for data in seeds:
        read(data)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
