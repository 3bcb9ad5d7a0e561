"""A test holds a failpoint of a running process through a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from tests.crash_table import hold_failpoints
from tests.waiting import until

PASS = """
import sys
from uuid import UUID
from pipeline.runtime.failpoint import failpoint
failpoint("publish.armed", *map(UUID, sys.argv[1:]))
"""


def test_a_thread_that_reaches_a_held_point_waits_until_it_is_let_go(tmp_path: Path) -> None:
    held, other = uuid4(), uuid4()
    (tmp_path / f"publish.armed[{held}]").touch()
    environment = {**os.environ, **hold_failpoints(tmp_path)}

    def start(*ids: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", PASS, *map(str, ids)], env=environment)

    assert start(other).wait(60) == 0, "another delivery passes"
    waiting = start(other, held)
    file = tmp_path / f"publish.armed[{held}]@{waiting.pid}"
    until(file.exists, 60)
    assert start(held).wait(60) == 0, "only the first one is held"
    assert waiting.poll() is None
    file.unlink()
    assert waiting.wait(60) == 0
