"""The user that PostgreSQL runs as when Slipway runs as root, what it reaches, and folders that it can reach.

PostgreSQL refuses to run as root, so it runs as a user without rights. Root's folders are often closed to that user:
``/root`` has mode 0700 on Debian and in most containers. What the user must reach then goes to `BASE`, where only root
may write, so that no other user can exchange it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.embedded.data_folder import ensure_private

SAME_USER = "-"
"""The server's user when Slipway does not run as root."""
SPAWN_PROGRAM = Path(__file__).with_name("spawn.py")
BASE = Path("/var/lib/slipway")
"""Root's folder for what the server's user must reach."""
READABLE, ENTERABLE = 0o755, 0o711
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
ACCESS_PROGRAM = """\
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
sys.exit(not all(os.access(program, os.X_OK) for program in sys.argv[3:]))
"""


class EngineError(Exception):
    """An engine could not be started. The message says why, with the end of its log."""


def find_server_user() -> str:
    """Return the user that PostgreSQL runs as: SAME_USER, or an existing one without rights. Raises EngineError."""
    if os.geteuid() != 0:
        return SAME_USER
    for name in ("nobody", "daemon"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name  # initdb requires a user with a name
    raise EngineError(
        "PostgreSQL refuses to run as root, and this machine has neither user `nobody` nor `daemon`."
    )


def build_spawn_command(user: str, stop: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the start of a command line that runs a program as `user`. It gets `stop` when this process dies."""
    return [sys.executable, "-I", "-S", str(SPAWN_PROGRAM), str(os.getpid()), str(int(stop)), user]


def give_to(user: str, folder: Path) -> None:
    """Make `folder` belong to `user`."""
    if user != SAME_USER:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def can_execute(user: str, programs: Sequence[Path]) -> bool:
    """Return True if `user` reaches the programs by its own rights.

    ``initdb`` looks for programs with access(2), which ignores capabilities.
    """
    if user == SAME_USER:
        return True
    entry = pwd.getpwnam(user)
    argv = [sys.executable, "-I", "-S", "-c", ACCESS_PROGRAM, str(entry.pw_uid), str(entry.pw_gid)]
    return subprocess.run([*argv, *map(str, programs)], check=False, capture_output=True).returncode == 0


def can_write(user: str, folder: Path) -> bool:
    """Return True if the server could write in `folder`, which belongs to `user`: by rights or by its capability."""
    if user == SAME_USER:
        return True
    script = ["/bin/sh", "-c", ': > "$1/probe" && rm "$1/probe"', "sh", str(folder)]
    return (
        subprocess.run([*build_spawn_command(user), *script], check=False, capture_output=True).returncode
        == 0
    )


def create_place(user: str) -> Path:
    """Create a folder for one server's data and sockets, which `user` can enter. Raises EngineError."""
    with suppress(OSError):
        place = Path(tempfile.mkdtemp(prefix="data-", dir=ensure_base()))
        place.chmod(ENTERABLE)
        give_to(user, ensure_private(place / "pg"))
        if can_write(user, place / "pg"):
            return place
        shutil.rmtree(place)
    raise EngineError(
        f"PostgreSQL refuses to run as root, so it runs as {user}, who can write neither in the data folder nor in "
        f"{BASE}. Start Slipway as an ordinary user."
    )


def ensure_base() -> Path:
    """Return BASE, created if necessary. Raises OSError if it cannot be written or is not safe."""
    BASE.mkdir(parents=True, exist_ok=True)
    if not is_safe(BASE):
        raise PermissionError(f"{BASE} does not belong to root alone.")
    BASE.chmod(READABLE)
    return BASE


def is_safe(folder: Path) -> bool:
    """Return True if it is a folder of this process's user that no other user may write."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return is_own and not found.st_mode & WRITABLE_BY_OTHERS
