"""The settings of `slipway up`: what it makes up once and keeps, what the owner says, what its engines add."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet
from dotenv import dotenv_values

from config.settings import FILE_VARIABLE, PREFIX, SettingsError
from pipeline.embedded.data_folder import closed

MADE_UP: dict[str, Callable[[], str]] = {
    "SLIPWAY_VAULT__KEYS": lambda: Fernet.generate_key().decode(),
    "SLIPWAY_FLOWER__PASSWORD": lambda: secrets.token_urlsafe(18),
    "SLIPWAY_SANDBOX__CONTROL_TOKEN": lambda: secrets.token_urlsafe(24),
}
ENGINES = ("SLIPWAY_STORE__URL", "SLIPWAY_BROKER__URL")
SANDBOX = {
    "SLIPWAY_SANDBOX__URL": "http://127.0.0.1:8100",
    "SLIPWAY_SANDBOX__MEDIA_URL": "http://127.0.0.1:8101",
}
HEAD = """\
# Settings of `slipway up` in this folder; `slipway settings list` knows them all. Yours may be added below.
# Whoever has the vault key can read every stored credential; without it nobody can. Keep this file, and keep it closed.
"""


def owners_settings(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What holds before the engines run: the folder's file, made up where it lacks something, then the owner's word.

    Raises SettingsError when the owner names engines: those of `slipway up` are its own.
    """
    kept = _kept(folder / "settings.env")
    file = environment.get(FILE_VARIABLE)
    if file and not Path(file).is_file():
        raise SettingsError(f"{FILE_VARIABLE} names {file}, which is not a file.")
    theirs = _read(Path(file)) if file else {}
    said = (
        kept | theirs | {k: v for k, v in environment.items() if k.startswith(PREFIX) and k != FILE_VARIABLE}
    )
    if engines := [name for name in ENGINES if said.get(name)]:
        raise SettingsError(
            f"{' and '.join(engines)}: `slipway up` brings its own engines. Unset it, or start the parts by "
            "themselves: slipway migrate, api, worker, beat, flower."
        )
    defaults = {**SANDBOX, "SLIPWAY_SANDBOX__FOLDER": str(folder / "sandbox")}
    return defaults | said | {"SLIPWAY_FOLDER": str(folder)}


def write(file: Path, values: Mapping[str, str], head: str = "") -> None:
    """A settings file that only its owner can read, whole or not at all."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(head + "".join(f"{name}={_quoted(value)}\n" for name, value in values.items()))
    fresh.replace(file)


def _kept(file: Path) -> dict[str, str]:
    closed(file.parent)
    known = _read(file) if file.is_file() else {}
    missing = {name: make() for name, make in MADE_UP.items() if not known.get(name)}
    if missing:
        head = file.read_text().rstrip("\n") + "\n" if file.is_file() else HEAD
        write(file, missing, head)
    return known | missing


def _read(file: Path) -> dict[str, str]:
    return {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
