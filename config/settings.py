"""Read the settings: all groups, the environment and the settings file.

A setting is read from the environment as ``SLIPWAY_<GROUP>__<NAME>`` (``SLIPWAY_API__PORT=8000``), or from the file
that ``SLIPWAY_SETTINGS_FILE`` names (the same lines; the environment wins). An unknown name is refused with the most
similar known one, and inconsistent values with the rule they break (``consistency.py``).

The groups of settings for the audit, for webhooks and for e-mail are here, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator

from config.api import Api, Dashboard, Mcp
from config.consistency import find_inconsistencies
from config.groups import (
    Broker,
    Delay,
    Files,
    Flower,
    Group,
    Imports,
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
from config.safety import find_placeholders, find_unsafe, find_unusable
from config.tracing import Tracing


class Webhooks(Group):
    """Events that are sent to customers' servers."""

    keep_days: float = Field(
        default=30,
        ge=4,
        description="Days that an event is kept, delivered or not. Tries to send it take three.",
    )
    trial_origin: str = Field(
        default="",
        description="Exact http://host:port of one receiver on this machine, for trials; only with the sandbox.",
    )

    @field_validator("trial_origin")
    @classmethod
    def _check_origin(cls, value: str) -> str:
        if value and not re.fullmatch(r"http://[^/@?#\s:]+:[0-9]+/?", value):
            raise ValueError("must be like http://127.0.0.1:9000")
        return value.rstrip("/")


EMAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*"
"""The address of one mailbox, as forms of the web take it (html.spec.whatwg.org, "valid e-mail address", 2026-12)."""


class Smtp(Group):
    """The mail server by which notices are sent."""

    host: str = Field(default="", description="Host name of the mail server; empty = no e-mail is sent.")
    port: int = Field(default=587, gt=0, lt=65536, description="Its port; 465 with security 'tls'.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="'starttls' or 'tls' = encrypted, certificate checked; 'none' = neither, and no password.",
    )
    username: str = Field(default="", description="Login name; empty = no login.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    sender: str = Field(default="", pattern=f"^({EMAIL})?$", description="Address that notices come from.")


class Audit(Group):
    """The record of who changed what."""

    keep_days: float = Field(
        default=0, ge=0, description="Days that audit rows are kept; 0 = for ever. Older ones are deleted."
    )


PREFIX = "SLIPWAY_"
FILE_VARIABLE = "SLIPWAY_SETTINGS_FILE"


class SettingsError(Exception):
    """The settings cannot be used. The message names each wrong setting, its rule and value (except secrets)."""


class Settings(Group):
    """All settings."""

    folder: Path = Field(default=Path(".slipway"), description="Data folder of the embedded engines (0700).")
    level: int = Field(
        default=0,
        ge=0,
        description="Lower the level of this process to that of older code, to rehearse an upgrade; 0 = not lowered.",
    )
    store: Store = Store()
    broker: Broker = Broker()
    api: Api = Api()
    dashboard: Dashboard = Dashboard()
    mcp: Mcp = Mcp()
    ingest: Ingest = Ingest()
    reachability: Reachability = Reachability()
    files: Files = Files()
    imports: Imports = Imports()
    webhooks: Webhooks = Webhooks()
    smtp: Smtp = Smtp()
    audit: Audit = Audit()
    delay: Delay = Delay()
    publish: Publish = Publish()
    mark: Mark = Mark()
    worker: Worker = Worker()
    vault: Vault = Vault()
    sandbox: Sandbox = Sandbox()
    flower: Flower = Flower()
    log: Log = Log()
    tracing: Tracing = Tracing()
    tiktok: TikTok = TikTok()
    instagram: Instagram = Instagram()
    youtube: YouTube = YouTube()
    pinterest: Pinterest = Pinterest()
    linkedin: LinkedIn = LinkedIn()
    facebook: Facebook = Facebook()

    @property
    def media_origins(self) -> frozenset[str]:
        """Exact plain-http origins that media may come from: the sandbox's media host, if the sandbox is on."""
        parts = urlsplit(self.sandbox.media_url)
        return frozenset({f"{parts.scheme}://{parts.netloc}"} if self.sandbox.media_url else ())

    @property
    def receiver_origins(self) -> frozenset[str]:
        """Exact origins that webhooks may have next to public https addresses: that of a trial, if there is one."""
        return frozenset({self.webhooks.trial_origin} if self.webhooks.trial_origin else ())

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
    def flower_folder(self) -> Path:
        """Folder in which Flower keeps its tasks across restarts."""
        return self.folder / "flower"

    @property
    def mark_folder(self) -> Path:
        """Folder of the epoch file."""
        return Path(self.mark.folder) if self.mark.folder else self.folder / "mark"


def describe_settings(group: type[BaseModel] = Settings, prefix: str = PREFIX) -> dict[str, str]:
    """Return environment variable -> meaning of every setting; also the list of known names."""
    found: dict[str, str] = {}
    for field, info in group.model_fields.items():
        kind, name = info.annotation, f"{prefix}{field}".upper()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= describe_settings(kind, f"{name}__")
        else:
            found[name] = info.description or ""
    return found


def list_values(settings: Settings) -> dict[str, Any]:
    """Return environment variable -> value of every setting."""
    paths = {name: name.removeprefix(PREFIX).lower().split("__") for name in describe_settings()}
    return {name: attrgetter(".".join(path))(settings) for name, path in paths.items()}


def load(environment: Mapping[str, str] | None = None, needed: tuple[str, ...] = ()) -> Settings:
    """Read the settings of the environment over those of the settings file.

    ``needed``: variables (of ``config.safety.NEEDED``) that must be usable. Raises SettingsError with every error.
    """
    found, errors = examine(os.environ if environment is None else environment, needed)
    if errors:
        raise SettingsError("\n".join(errors))
    return found


def examine(environment: Mapping[str, str], needed: tuple[str, ...] = ()) -> tuple[Settings, list[str]]:
    """Return the settings, with defaults for invalid ones, and a sentence for every error.

    Raises SettingsError if the settings file cannot be read.
    """
    ours = _read_variables(environment)
    known = {name: value for name, value in ours.items() if name in describe_settings()}
    found, errors = _validate(known)
    return found, [
        *_describe_unknown(sorted(ours.keys() - known.keys())),
        *errors,
        *find_placeholders(known),
        *find_unusable(known, needed),
    ]


def _read_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return our variables: those of the environment over those of the settings file."""
    given = dict(environment)
    if path := given.get(FILE_VARIABLE):
        given = {**read_settings_file(Path(path)), **given}
    return {k: v for k, v in given.items() if k.startswith(PREFIX) and k != FILE_VARIABLE}


def read_settings_file(file: Path) -> dict[str, str]:
    """Return the variables of a settings file. Raises SettingsError if it cannot be read."""
    try:
        if not file.is_file():
            raise SettingsError(f"{FILE_VARIABLE} names {file}, which is not a file.")
        return {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}
    except PermissionError:
        raise SettingsError(
            f"The settings file {file} cannot be read: Permission denied. Run this as the user it belongs to, or set "
            f"{FILE_VARIABLE} or SLIPWAY_FOLDER to a file or data folder of your own."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error}.") from None


def _validate(known: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings, and each broken rule: of one setting, then of several valid ones."""
    invalid: dict[str, str] = {}
    try:
        found = Settings.model_validate(_nest(known))
    except ValidationError as error:
        for one in error.errors(include_input=False):
            name = f"{PREFIX}{'__'.join(map(str, one['loc']))}".upper()
            invalid[name] = f"{name}: {one['msg'].removeprefix('Value error, ')}"
        found = Settings.model_validate(_nest({k: v for k, v in known.items() if k not in invalid}))
    broken = [*find_inconsistencies(found), *find_unsafe(found)]
    return found, [*invalid.values(), *(rule for rule in broken if not any(name in rule for name in invalid))]


def _nest(known: Mapping[str, str]) -> dict[str, Any]:
    """Convert ``SLIPWAY_GROUP__NAME`` -> value to group -> name -> value; a group may hold groups."""
    nested: dict[str, Any] = {}
    for key, value in known.items():
        *groups, name = key.removeprefix(PREFIX).lower().split("__")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return nested


def _describe_unknown(names: list[str]) -> list[str]:
    wrong = []
    for key in names:
        from difflib import get_close_matches  # noqa: PLC0415 - only for an error: every command starts faster

        near = get_close_matches(key, describe_settings(), n=1)
        wrong.append(f"{key} is not a setting." + (f" Did you mean {near[0]}?" if near else ""))
    return wrong


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return this process's settings, read once."""
    return load()
