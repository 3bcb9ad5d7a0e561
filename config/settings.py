"""Reads the settings: all groups, the environment and the settings file.

A setting is read from the environment as ``SLIPWAY_<GROUP>__<NAME>`` (``SLIPWAY_API__PORT=8000``), or from the file
that ``SLIPWAY_SETTINGS_FILE`` names (the same lines; the environment wins). An unknown name is refused with the most
similar known one, and inconsistent values with the rule they break (``consistency.py``).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, Field, ValidationError, model_validator

from config.consistency import find_inconsistencies
from config.groups import (
    Api,
    Broker,
    Delay,
    Files,
    Flower,
    Group,
    Ingest,
    Log,
    Mark,
    Publish,
    Reachability,
    Sandbox,
    Store,
    Vault,
    Worker,
)
from config.platforms import Facebook, Instagram, LinkedIn, Pinterest, TikTok, YouTube

PREFIX = "SLIPWAY_"
FILE_VARIABLE = "SLIPWAY_SETTINGS_FILE"


class SettingsError(Exception):
    """The settings cannot be used. The message names each wrong setting, its rule and value (except secrets)."""


class Settings(Group):
    """All settings."""

    folder: Path = Field(default=Path(".slipway"), description="Data folder of the embedded engines (0700).")
    store: Store = Store()
    broker: Broker = Broker()
    api: Api = Api()
    ingest: Ingest = Ingest()
    reachability: Reachability = Reachability()
    files: Files = Files()
    delay: Delay = Delay()
    publish: Publish = Publish()
    mark: Mark = Mark()
    worker: Worker = Worker()
    vault: Vault = Vault()
    sandbox: Sandbox = Sandbox()
    flower: Flower = Flower()
    log: Log = Log()
    tiktok: TikTok = TikTok()
    instagram: Instagram = Instagram()
    youtube: YouTube = YouTube()
    pinterest: Pinterest = Pinterest()
    linkedin: LinkedIn = LinkedIn()
    facebook: Facebook = Facebook()

    @model_validator(mode="after")
    def _require_consistency(self) -> Self:
        if found := find_inconsistencies(self):
            raise ValueError("; ".join(found))
        return self

    @property
    def media_origins(self) -> frozenset[str]:
        """Exact plain-http origins that media may come from: the sandbox's media host, if the sandbox is on."""
        parts = urlsplit(self.sandbox.media_url)
        return frozenset({f"{parts.scheme}://{parts.netloc}"} if self.sandbox.media_url else ())

    @property
    def own_url(self) -> str:
        """URL under which clients reach the API: the public URL, else the address it listens on."""
        host = "127.0.0.1" if self.api.host in {"0.0.0.0", "::"} else self.api.host  # noqa: S104  compared only
        host = f"[{host}]" if ":" in host else host
        return (self.api.public_url or f"http://{host}:{self.api.port}").rstrip("/")

    @property
    def files_url(self) -> str:
        """Start of the URL of every uploaded file, without a slash at the end."""
        return (self.files.public_url or self.own_url).rstrip("/")

    @property
    def files_origin(self) -> str:
        """Scheme, host and port of `files_url`."""
        parts = urlsplit(self.files_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def files_folder(self) -> Path:
        """Folder of uploaded files, if they are stored in a folder."""
        return Path(self.files.folder) if self.files.folder else self.folder / "files"

    @property
    def spool_folder(self) -> Path:
        """Folder of this machine for parts of media files that a visible call is about to send."""
        return self.folder / "spool"

    @property
    def mark_folder(self) -> Path:
        """Folder of the epoch file."""
        return Path(self.mark.folder) if self.mark.folder else self.folder / "mark"


def describe_settings() -> dict[str, str]:
    """Return environment variable -> meaning of every setting; also the list of known names."""
    found: dict[str, str] = {}
    for group, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, leaf in kind.model_fields.items():
                found[f"{PREFIX}{group}__{name}".upper()] = leaf.description or ""
        else:
            found[f"{PREFIX}{group}".upper()] = info.description or ""
    return found


def load(environment: dict[str, str] | None = None) -> Settings:
    """Read the settings of the environment over those of the settings file. Raises SettingsError with every error."""
    given = dict(os.environ if environment is None else environment)
    if path := given.get(FILE_VARIABLE):
        if not Path(path).is_file():
            raise SettingsError(f"{FILE_VARIABLE} names {path}, which is not a file.")
        given = {**{k: v or "" for k, v in dotenv_values(path, interpolate=False).items()}, **given}
    ours = {k: v for k, v in given.items() if k.startswith(PREFIX) and k != FILE_VARIABLE}
    _refuse_unknown(ours)
    nested: dict[str, Any] = {}
    for key, value in ours.items():
        group, _, name = key.removeprefix(PREFIX).lower().partition("__")
        if name:
            nested.setdefault(group, {})[name] = value
        else:
            nested[group] = value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_describe_error(e) for e in error.errors(include_input=False))
        ) from None


def _refuse_unknown(ours: dict[str, str]) -> None:
    known = describe_settings()
    wrong = []
    for key in sorted(set(ours) - set(known)):
        from difflib import get_close_matches  # noqa: PLC0415 - only for an error: every command starts faster

        near = get_close_matches(key, known, n=1)
        wrong.append(f"{key} is not a setting." + (f" Did you mean {near[0]}?" if near else ""))
    if wrong:
        raise SettingsError("\n".join(wrong))


def _describe_error(error: Any) -> str:
    where = "__".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{PREFIX}{where.upper()}: {message}" if where else message


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return this process's settings, read once."""
    return load()
