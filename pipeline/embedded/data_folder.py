"""The data folder: private (0700), locked by one supervisor at a time, with a folder for sockets.

The settings of `slipway up` there: generated secrets, the user's own settings, and defaults of the sandbox.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cryptography.fernet import Fernet

from config.settings import FILE_VARIABLE, PREFIX, SettingsError, read_settings_file
from pipeline.cli.runtime import find_user_name

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path, without the final NUL (unix(7))."""
PRIVATE = 0o700
LONGEST_SOCKET = "/pg/.s.PGSQL.5432"
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
"""A path that means the same in a URL, in PostgreSQL's list of socket folders (commas) and in Celery's broker option.

Kombu does not decode the path of a socket's URL: a space, quoted as it must be, names a folder that does not exist.
"""


class FolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


def ensure_private(folder: Path) -> Path:
    """Create `folder` if it does not exist, and restrict it to its owner (0700). Raises FolderError."""
    with explain_errors(folder):
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if stat.S_IMODE(folder.stat().st_mode) != PRIVATE:
            folder.chmod(PRIVATE)
    return folder


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read (0600), atomically."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    fresh.replace(file)


@contextmanager
def explain_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the file system as FolderError, with the file and what to do."""
    try:
        yield
    except OSError as error:
        if not error.filename or error.strerror is None:
            raise  # of a socket, or one that names no file
        raise FolderError(
            f"{os.fsdecode(error.filename)}: {error.strerror}. User {find_user_name(os.geteuid())} must be able to "
            f"write the data folder {folder.absolute()} and all in it. Give it to that user, or set SLIPWAY_FOLDER to "
            "another folder."
        ) from None


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which also ends with this process. Raises FolderError if another process holds it."""
    with _open_lock(ensure_private(folder)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise FolderError(
                f"Slipway already runs on {folder.resolve()} (process {holder or 'unknown'}). "
                "Stop that one first, or give this one another SLIPWAY_FOLDER."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def socket_folder(folder: Path) -> Path:
    """Return the folder for sockets: inside the data folder or, if its path is not suitable, a private one under /tmp.

    Suitable is a short path of plain characters.
    """
    inside = ensure_private(ensure_private(folder.resolve()) / "run")
    if is_suitable_for_sockets(inside):
        return inside
    note = inside / "sockets"
    if note.is_file() and _is_ours(known := Path(note.read_text())):
        return known
    made = Path(tempfile.mkdtemp(prefix="slipway-", dir=_find_short_base()))
    note.write_text(str(made))
    return made


def is_suitable_for_sockets(folder: Path) -> bool:
    """Return True if every client can name sockets in `folder`."""
    is_short = len(os.fsencode(folder)) + len(LONGEST_SOCKET) <= SOCKET_PATH_LIMIT
    return is_short and PLAIN_PATH.fullmatch(str(folder)) is not None


def _open_lock(folder: Path) -> IO[str]:
    with explain_errors(folder):
        return (folder / "lock").open("a+")


def _is_ours(folder: Path) -> bool:
    """Return True if it is still the private folder we created: under /tmp, another user may have taken its name."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == PRIVATE
    )


def _find_short_base() -> Path:
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - made 0700, random
    usable = [
        Path(c)
        for c in candidates
        if c and os.access(c, os.W_OK) and is_suitable_for_sockets(Path(c) / "slipway-12345678")
    ]
    if not usable:
        raise FolderError(
            "No folder with a path that suits sockets (short, of plain characters) can be written; set XDG_RUNTIME_DIR."
        )
    return usable[0]


GENERATED: dict[str, Callable[[], str]] = {
    "SLIPWAY_VAULT__KEYS": lambda: Fernet.generate_key().decode(),
    "SLIPWAY_FLOWER__PASSWORD": lambda: secrets.token_urlsafe(18),
    "SLIPWAY_SANDBOX__CONTROL_TOKEN": lambda: secrets.token_urlsafe(24),
}
ENGINE_SETTINGS = ("SLIPWAY_STORE__URL", "SLIPWAY_BROKER__URL")
SANDBOX = {
    "SLIPWAY_SANDBOX__URL": "http://127.0.0.1:8100",
    "SLIPWAY_SANDBOX__MEDIA_URL": "http://127.0.0.1:8101",
}
HEADER = """\
# Settings of `slipway up` in this folder. Add your own below; `slipway settings list` lists all of them.
# The vault key decrypts every stored credential, and without it none can be read. Keep this file, and keep it private.
"""


def build_settings(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return all settings but the engines'.

    Later ones win: defaults, the folder's file (with generated secrets added), SLIPWAY_SETTINGS_FILE, the environment.
    Raises SettingsError if they name engines: `slipway up` brings its own.
    """
    kept = _ensure_generated(folder / "settings.env")
    file = environment.get(FILE_VARIABLE)
    from_file = read_settings_file(Path(file)) if file else {}
    settings = (
        kept
        | from_file
        | {k: v for k, v in environment.items() if k.startswith(PREFIX) and k != FILE_VARIABLE}
    )
    if engines := [name for name in ENGINE_SETTINGS if settings.get(name)]:
        raise SettingsError(
            f"{' and '.join(engines)}: `slipway up` brings its own engines. Unset it, or start the services "
            "yourself: slipway migrate, api, worker, beat, flower."
        )
    is_off = settings.get("SLIPWAY_SANDBOX__URL") == ""
    defaults = {**({} if is_off else SANDBOX), "SLIPWAY_SANDBOX__FOLDER": str(folder / "sandbox")}
    return defaults | settings | {"SLIPWAY_FOLDER": str(folder)}


def find_place(folder: Path, environment: Mapping[str, str], name: str) -> str:
    """Return where a setting has its value from, or the folder's file, where it can be added."""
    file = environment.get(FILE_VARIABLE)
    if name in environment:
        return "the environment"
    return file if file and name in read_settings_file(Path(file)) else str(folder / "settings.env")


def write_settings_file(file: Path, values: Mapping[str, str], head: str = "") -> None:
    """Write a settings file that only its owner can read, atomically."""
    write_private(file, head + "".join(f"{name}={_quote(value)}\n" for name, value in values.items()))


def _ensure_generated(file: Path) -> dict[str, str]:
    ensure_private(file.parent)
    known = read_settings_file(file) if file.is_file() else {}
    missing = {name: make() for name, make in GENERATED.items() if not known.get(name)}
    if missing:
        head = file.read_text().rstrip("\n") + "\n" if file.is_file() else HEADER
        write_settings_file(file, missing, head)
    return known | missing


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
