"""The settings of `slipway up`: generated secrets, the user's own settings, and defaults of the sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet

from config.settings import FILE_VARIABLE, PREFIX, SettingsError, read_settings_file
from pipeline.embedded.data_folder import ensure_private, write_private

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
