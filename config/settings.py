"""Every setting, once: its name, meaning, unit and default.

A setting is read from the environment as ``SLIPWAY_<GROUP>__<NAME>`` (``SLIPWAY_API__PORT=8000``), or from the one
file that ``SLIPWAY_SETTINGS_FILE`` names (the same lines; the environment wins). An unknown name is refused with the
nearest known one, and values that do not fit together are refused with the rule they break (``fit.py``).
Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from config.consistency import misfits
from config.platforms import Facebook, Instagram, LinkedIn, Pinterest, TikTok, YouTube

PREFIX = "SLIPWAY_"
FILE_VARIABLE = "SLIPWAY_SETTINGS_FILE"


class SettingsError(Exception):
    """The settings cannot be used; the message names each one, its rule and the value found (secrets left out)."""


class Group(BaseModel):
    """One concern."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Store(Group):
    """The ledger: PostgreSQL."""

    url: SecretStr = Field(
        default=SecretStr("postgresql+psycopg://slipway@localhost/slipway"),
        description="SQLAlchemy URL of the PostgreSQL database. fsync and synchronous_commit must stay on.",
    )
    pool: int = Field(default=12, ge=1, le=200, description="Connections kept open per process.")
    wait: float = Field(
        default=5, gt=0, description="Seconds to wait for a free connection before answering 503."
    )


class Broker(Group):
    """The doorbell: Redis or Valkey. Losing it loses nothing."""

    url: SecretStr = Field(
        default=SecretStr("redis://localhost:6379/0"),
        description="Broker URL; a unix socket is redis+socket:///path?virtual_host=0, Sentinel sentinel://…",
    )
    visibility_timeout: float = Field(
        default=600, gt=0, description="Seconds after which an unacknowledged message is delivered again."
    )
    sentinel_master: str = Field(
        default="", description="Name of the Sentinel master where the URL is sentinel://."
    )


class Api(Group):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    processes: int = Field(default=1, ge=1, le=64, description="Server processes.")
    shutdown: int = Field(
        default=15, ge=1, le=1800, description="Seconds a stopping server gives to requests under way."
    )
    public_url: str = Field(
        default="",
        description="How the outside world reaches this server (https://…); OAuth and uploads need it.",
    )
    operator_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token for the operator API over all workspaces, 32 characters or more; empty = none.",
    )
    max_body: int = Field(default=1_000_000, ge=10_000, description="Largest request body, in bytes.")
    posts_per_minute: int = Field(
        default=0, ge=0, description="Posts a key may send, edit, validate or retry per minute; 0 = no limit."
    )


class Ingest(Group):
    """How requests become posts."""

    dedupe_window: float = Field(
        default=600,
        ge=0,
        description="Seconds in which an equal body without external_id is the same post; 0 = off.",
    )
    caption_limit: Literal["flat", "platform"] = Field(
        default="flat", description="'flat' = 500 characters for all; 'platform' = each platform's own cap."
    )
    music_required: bool = Field(
        default=False, description="Refuse a post whose music cannot be attached, instead of warning."
    )


class Reachability(Group):
    """Checking media and music links before a post is taken."""

    wait: float = Field(
        default=5, ge=0, description="Seconds POST waits for open checks before it answers 201."
    )
    fresh: float = Field(default=600, gt=0, description="Seconds a good check is used again.")
    slice: float = Field(default=60, gt=0, description="Longest time of one check, in seconds.")
    lease: float = Field(default=180, gt=0, description="Seconds after which a claimed check is taken over.")
    grace: float = Field(
        default=900,
        ge=0,
        description="Seconds after the due time during which an unanswered check is still tried.",
    )
    max_bytes: int = Field(default=4 * 1024**3, gt=0, description="Largest media file, in bytes.")


class Files(Group):
    """Files that clients upload: where they lie, how large they may be, how long they stay."""

    store: Literal["folder", "s3"] = Field(
        default="folder",
        description="'folder' = a folder all processes share; 's3' = an S3-compatible bucket.",
    )
    folder: str = Field(default="", description="The folder; empty = files/ under SLIPWAY_FOLDER.")
    bucket: str = Field(default="", description="Name of the bucket. It needs no public access.")
    endpoint: str = Field(
        default="", description="URL of an S3-compatible server; empty = Amazon's of the region."
    )
    region: str = Field(default="us-east-1", description="Region of the bucket.")
    access_key: str = Field(
        default="", description="Access key id; empty = what the AWS environment or the machine's role says."
    )
    secret_key: SecretStr = Field(default=SecretStr(""), description="Secret of the access key.")
    path_style: bool = Field(
        default=True, description="Bucket in the path (MinIO and most others) instead of in the host name."
    )
    public_url: str = Field(
        default="",
        description="Origin that files are served from, best one without cookies; empty = SLIPWAY_API__PUBLIC_URL.",
    )
    max_bytes: int = Field(default=4 * 1024**3, gt=0, description="Largest uploaded file, in bytes.")
    quota: int = Field(
        default=50 * 1024**3, ge=0, description="Bytes that a workspace may keep; 0 = no limit."
    )
    keep_days: float = Field(
        default=30,
        ge=1,
        description="Days a file stays after its upload and its last use; unsettled posts keep theirs longer.",
    )
    upload_time: float = Field(default=3600, gt=0, description="Longest time of one upload, in seconds.")


class Delay(Group):
    """Turning due times into doorbells."""

    slot: float = Field(
        default=0.1, gt=0, le=1, description="Seconds of one slot of time; one doorbell per slot."
    )
    look_slot: float = Field(
        default=0.5, gt=0, le=5, description="Seconds of one slot of time for looks after the visible call."
    )
    horizon: float = Field(
        default=5, gt=0, description="Seconds ahead for which slots are rung at the broker."
    )
    sweep: float = Field(
        default=1, gt=0, description="Seconds between two sweeps; bounds lateness if a ring is lost."
    )
    batch: int = Field(default=2000, ge=1, le=5000, description="Deliveries released in one transaction.")
    ahead: int = Field(
        default=2000,
        ge=1,
        description="Deliveries per platform that may stand in its queue: fewer than are taken in queued_lease.",
    )
    backlog_age: float = Field(
        default=300,
        gt=0,
        description="Seconds after which what should have gone out is backlog: it goes out at backlog_rate.",
    )
    backlog_rate: float = Field(
        default=100,
        ge=0,
        description="Deliveries of the backlog released per second and platform; 0 = as fast as they can.",
    )
    queued_lease: float = Field(
        default=300, ge=300, description="Seconds after which a queued delivery nobody took is rung again."
    )


class Publish(Group):
    """Sending to a platform."""

    slice: float = Field(default=60, gt=0, description="Longest time of one slice of work, in seconds.")
    lease: float = Field(
        default=180, gt=0, description="Seconds a claim holds; must be over twice the slice."
    )
    call: float = Field(default=20, gt=0, description="Longest time of one call to a platform, in seconds.")
    tries: int = Field(default=5, ge=1, le=20, description="Attempts that may be spent on one delivery.")
    backoff: float = Field(
        default=5, gt=0, description="First pause after a spent attempt, in seconds (full jitter)."
    )
    backoff_cap: float = Field(default=900, gt=0, description="Longest pause between attempts, in seconds.")
    crashes: int = Field(default=3, ge=1, description="Crashes after which a delivery waits for a person.")
    replays: float = Field(
        default=60, gt=0, description="Dead letters sent again per minute and platform, over all replays."
    )
    prepares_per_day: int = Field(default=10, ge=1, description="Prepares from scratch per delivery and day.")
    settle_window: float = Field(
        default=0, ge=0, description="Seconds; if not 0, replaces every platform's settle window (tests)."
    )
    look_first: float = Field(
        default=0,
        ge=0,
        description="Seconds; if not 0, replaces every platform's first pause between looks (tests).",
    )


class Mark(Group):
    """The mark outside the database, by which one that was restored from a backup is recognised."""

    folder: str = Field(
        default="",
        description="Its folder, one for all that keep it, in no backup and never restored; empty = mark/ under "
        "SLIPWAY_FOLDER.",
    )
    keep: bool = Field(
        default=True,
        description="Whether processes here keep it; false where the folder cannot be shared. One publish worker must.",
    )
    lease: float = Field(
        default=30,
        ge=2,
        le=600,
        description="Seconds ahead of now up to which posts may be sent; moved on every third of that.",
    )


class Worker(Group):
    """Celery workers."""

    slots: int = Field(default=32, ge=1, le=500, description="Threads of one worker process.")
    shutdown: float = Field(
        default=30,
        gt=0,
        description="Seconds a stopping worker may use to finish what it has begun; the rest is handed back.",
    )
    canary: float = Field(
        default=5, gt=0, description="Seconds between two canaries that go through every queue."
    )
    silent: float = Field(
        default=120,
        gt=0,
        description="Seconds without a canary taken after which a queue makes /readyz answer 503.",
    )
    deaf: float = Field(
        default=60,
        gt=0,
        description="Seconds in which a worker with a free slot took nothing although a queue of its holds messages, "
        "after which it ends itself.",
    )


class Vault(Group):
    """Encryption of secrets at rest."""

    keys: SecretStr = Field(
        default=SecretStr(""),
        description="Fernet keys, newest first, separated by commas. `slipway vault new-key`.",
    )


class Sandbox(Group):
    """The local stand-ins of the platforms. Empty url = off: then the platforms' own hosts are spoken to."""

    url: str = Field(
        default="", description="http://127.0.0.1:PORT of the sandbox; points all platforms at it."
    )
    media_url: str = Field(
        default="", description="Origin of its media host; the only plain-http origin media may have."
    )
    folder: Path = Field(default=Path(".slipway/sandbox"), description="Where it keeps its ledger and state.")
    control_token: SecretStr = Field(default=SecretStr(""), description="Token of its control API.")
    lifted: bool = Field(default=False, description="Start without quotas and processing times (benchmarks).")


class Flower(Group):
    """The Celery monitor."""

    host: str = Field(default="127.0.0.1", description="Address Flower listens on.")
    port: int = Field(default=5555, ge=1, le=65535, description="Port of Flower.")
    user: str = Field(default="operator", description="User of Flower.")
    password: SecretStr = Field(
        default=SecretStr(""), description="Password of Flower; it does not start without."
    )


class Log(Group):
    """Logging."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is shown."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or JSON for machines."
    )


class Settings(Group):
    """All of them."""

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
    def _fits(self) -> Self:
        if found := misfits(self):
            raise ValueError("; ".join(found))
        return self

    @property
    def media_origins(self) -> frozenset[str]:
        """The exact origins outside https that media may come from: the sandbox's media host while it is on."""
        parts = urlsplit(self.sandbox.media_url)
        return frozenset({f"{parts.scheme}://{parts.netloc}"} if self.sandbox.media_url else ())

    @property
    def own_url(self) -> str:
        """How clients reach the API: the public URL, else where it listens."""
        host = "127.0.0.1" if self.api.host in {"0.0.0.0", "::"} else self.api.host  # noqa: S104  compared only
        host = f"[{host}]" if ":" in host else host
        return (self.api.public_url or f"http://{host}:{self.api.port}").rstrip("/")

    @property
    def files_url(self) -> str:
        """What the URL of every uploaded file begins with, without the slash after it."""
        return (self.files.public_url or self.own_url).rstrip("/")

    @property
    def files_origin(self) -> str:
        """Scheme, host and port of those URLs."""
        parts = urlsplit(self.files_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def files_folder(self) -> Path:
        """Where uploaded files lie when they lie in a folder."""
        return Path(self.files.folder) if self.files.folder else self.folder / "files"

    @property
    def mark_folder(self) -> Path:
        """Where the mark outside the database lies."""
        return Path(self.mark.folder) if self.mark.folder else self.folder / "mark"


def names() -> dict[str, str]:
    """Every setting as an environment variable -> what it means: the documentation, and the check of unknown names."""
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
    """The settings of the environment over those of the settings file; SettingsError says all that is wrong at once."""
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
        raise SettingsError("\n".join(_sentence(e) for e in error.errors(include_input=False))) from None


def _refuse_unknown(ours: dict[str, str]) -> None:
    known = names()
    wrong = []
    for key in sorted(set(ours) - set(known)):
        near = get_close_matches(key, known, n=1)
        wrong.append(f"{key} is not a setting." + (f" Did you mean {near[0]}?" if near else ""))
    if wrong:
        raise SettingsError("\n".join(wrong))


def _sentence(error: Any) -> str:
    where = "__".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{PREFIX}{where.upper()}: {message}" if where else message


@lru_cache(maxsize=1)
def settings() -> Settings:
    """This process's settings, read once."""
    return load()
