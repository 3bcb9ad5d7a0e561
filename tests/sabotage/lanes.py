"""Run a lane on a copy of the tree, and say whether it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET  # our own pytest writes it

from tests.chaos.scorecard import summarize
from tests.sabotage.variants import CHAOS, PATCHES, UNIT
from tests.waiting import until

ROOT = Path(__file__).parents[2]
COPIED = ("adapters", "config", "pipeline", "tests", "docker-compose.yml", "pyproject.toml", "README.md")
LIMIT = 300.0
"""Seconds, on an idle machine, after which a lane counts as one without a verdict."""


class NoVerdict(Exception):
    """The lane ended without saying whether the code is broken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a lane said."""

    failed: bool
    what: str
    """The tests that failed, or the chaos run's verdict."""
    seconds: float


@contextmanager
def copy_tree(patch: str | None) -> Iterator[Path]:
    """Yield a copy of the source tree with the patch of this name applied; None: as it is."""
    with TemporaryDirectory(prefix="slipway-sabotage-", dir="/tmp") as name:
        tree = Path(name)
        for path in COPIED:
            if (ROOT / path).is_dir():
                shutil.copytree(ROOT / path, tree / path, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / path, tree / path)
        if patch is not None:
            apply_patch(patch, tree)
        yield tree


def apply_patch(name: str, tree: Path) -> None:
    """Apply the patch of a variant. Raise ``CalledProcessError`` if it does not apply as a whole."""
    subprocess.run(
        ["git", "apply", "-p1", str(PATCHES / f"{name}.patch")],  # noqa: S607
        cwd=tree,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)},
        check=True,
        capture_output=True,
        text=True,
    )


def run_lane(lane: str, arguments: Sequence[str], tree: Path) -> Outcome:
    """Run a lane in *tree*. Raise ``NoVerdict`` after ``LIMIT`` seconds, or if it could not run."""
    run = _run_chaos if lane == CHAOS else _run_tests
    began = time.monotonic()
    failed, what = run(lane, arguments, tree)
    return Outcome(failed=failed, what=what, seconds=time.monotonic() - began)


def _run_tests(lane: str, tests: Sequence[str], tree: Path) -> tuple[bool, str]:
    report = tree / "report.xml"
    stop = ["-x"] if lane == UNIT else []
    command = [
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *stop,
        f"--junitxml={report}",
        "--timeout=0",
        *tests,
    ]
    status, output = run_module(command, tree)
    if status == 0:
        return False, f"all {_count(report)} tests pass"
    failed = _list_failed(report) if status == 1 else []
    if not failed:  # an error outside a test proves nothing
        raise NoVerdict(f"pytest ended with {status}:\n{output[-2000:]}")
    return True, f"{len(failed)} failed, e.g. {failed[0]}"


def _run_chaos(_: str, arguments: Sequence[str], tree: Path) -> tuple[bool, str]:
    scorecard = tree / "chaos.json"
    status, output = run_module(["tests.chaos", *arguments, "--until-broken", "--json", str(scorecard)], tree)
    found = json.loads(scorecard.read_text()) if scorecard.exists() else {"verdict": "none"}
    match status, found["verdict"]:
        case 0, "kept":
            return False, summarize(found)
        case 1, "broken":
            return True, summarize(found)
    raise NoVerdict(f"the chaos run ended with {status}, verdict {found['verdict']}:\n{output[-2000:]}")


def run_module(
    command: Sequence[str], tree: Path, limit: float = LIMIT, variables: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a module in *tree*, in a session of its own, and return its status and output.

    *variables*: of its environment. Raise ``NoVerdict`` after *limit* seconds.
    """
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "", **(variables or {})}
    log = tree / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tree,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def describe() -> str:
        return f"no verdict after {limit:.0f} s:\n{log.read_text(errors='replace')[-2000:]}"

    try:
        until(lambda: process.poll() is not None, limit, describe)
    except AssertionError as error:
        raise NoVerdict(str(error)) from None
    finally:
        _stop(process)
    return process.returncode, log.read_text(errors="replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a run that has not ended, so that it stops the processes it has started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)


def _count(report: Path) -> int:
    return sum(1 for _ in ET.parse(report).iter("testcase"))  # noqa: S314


def _list_failed(report: Path) -> list[str]:
    return [
        str(case.get("name"))
        for case in ET.parse(report).iter("testcase")  # noqa: S314
        if case.find("failure") is not None
    ]
