"""Groups of settings: name, meaning, unit and default of each. Durations are in seconds, sizes in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


def split_list(value: str) -> list[str]:
    """Return the parts of a setting that are separated by commas."""
    return [part for part in map(str.strip, value.split(",")) if part]


class Group(BaseModel):
    """Base of a group of settings. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Store(Group):
    """The database: PostgreSQL."""

    url: SecretStr = Field(
        default=SecretStr("postgresql+psycopg://slipway@localhost/slipway"),
        description="SQLAlchemy URL of the PostgreSQL database. fsync and synchronous_commit must stay on.",
    )
    pool: int = Field(
        default=12,
        ge=1,
        le=200,
        description="Connections kept open per process for transactions, and as many for reads of the API.",
    )
    wait: float = Field(
        default=5, gt=0, description="Seconds to wait for a free connection before answering 503."
    )
    archive: str = Field(
        default="",
        description="Folder, on another disk, to which `slipway up` archives its database's write-ahead log, for "
        "`slipway archive restore`. Empty: none.",
    )


class Broker(Group):
    """The broker: Redis or Valkey. Losing its data loses no post."""

    url: SecretStr = Field(
        default=SecretStr("redis://localhost:6379/0"),
        description="Broker URL; a unix socket is redis+socket:///path?virtual_host=0, Sentinel sentinel://…",
    )
    visibility_timeout: float = Field(
        default=600, gt=0, description="Seconds after which an unacknowledged message is delivered again."
    )
    sentinel_master: str = Field(
        default="", description="Name of the Sentinel master, if the URL is sentinel://."
    )
    request_timeout: float = Field(
        default=0.02,
        gt=0,
        le=1,
        description="Seconds that an API request waits for the broker, to count a key's posts per minute; then it goes "
        "on uncounted, and for five seconds no request asks. More for a broker that is far away.",
    )


class Ingest(Group):
    """Creating posts from requests."""

    dedupe_window: float = Field(
        default=600,
        ge=0,
        description="Seconds in which an equal body without external_id counts as the same post; 0 = off.",
    )
    caption_limit: Literal["flat", "platform"] = Field(
        default="flat", description="'flat' = 500 characters for all; 'platform' = each platform's own limit."
    )
    music_required: bool = Field(
        default=False,
        description="Refuse a post whose music cannot be attached, instead of a warning; a key can have its own value.",
    )


class Reachability(Group):
    """Checks of media and music URLs before a post is scheduled."""

    wait: float = Field(
        default=5, ge=0, description="Seconds that POST waits for undecided checks before it answers 201."
    )
    fresh: float = Field(default=600, gt=0, description="Seconds in which a successful check is reused.")
    slice: float = Field(default=60, gt=0, description="Maximum time of one check, in seconds.")
    first_slice: float = Field(
        default=10,
        gt=0,
        description="Maximum time of a check's first try, in seconds, if the slice is not shorter; a slower check gets "
        "the whole slice on one of few slots.",
    )
    per_host: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Checks that read from one host at once, over all workers; a workspace has half of them at most.",
    )
    probe_memory: int = Field(
        default=1_600_000_000,
        ge=906_000_000,
        description="Bytes that the processes reading and converting media for one worker process may allocate "
        "together.",
    )
    lease: float = Field(
        default=180, gt=0, description="Seconds after which another worker may claim a claimed check."
    )
    grace: float = Field(
        default=900,
        ge=0,
        description="Seconds after the due time in which an unanswered check is retried.",
    )
    max_bytes: int = Field(default=4 * 1024**3, gt=0, description="Maximum size of a media file, in bytes.")


class Files(Group):
    """Uploaded files: storage, sizes, retention."""

    store: Literal["folder", "s3"] = Field(
        default="folder",
        description="'folder' = a folder that all processes share; 's3' = an S3-compatible bucket.",
    )
    folder: str = Field(default="", description="Folder of the files; empty = files/ under SLIPWAY_FOLDER.")
    bucket: str = Field(default="", description="Name of the bucket. It needs no public access.")
    endpoint: str = Field(
        default="", description="URL of an S3-compatible server; empty = Amazon S3 of the region."
    )
    region: str = Field(default="us-east-1", description="Region of the bucket.")
    access_key: str = Field(
        default="", description="Access key id; empty = from the AWS environment or the machine's role."
    )
    secret_key: SecretStr = Field(default=SecretStr(""), description="Secret access key.")
    path_style: bool = Field(
        default=True,
        description="Bucket name in the path (MinIO and most others) instead of in the host name.",
    )
    public_url: str = Field(
        default="",
        description="URL that files are served under, best on a host without cookies; empty = SLIPWAY_API__PUBLIC_URL.",
    )
    max_bytes: int = Field(
        default=4 * 1024**3, gt=0, description="Maximum size of an uploaded file, in bytes."
    )
    quota: int = Field(
        default=50 * 1024**3, ge=0, description="Bytes that a workspace may store; 0 = no limit."
    )
    keep_days: float = Field(
        default=30,
        ge=1,
        description="Days that a file is kept after its upload and last use; while a post is unsettled, longer.",
    )
    upload_time: float = Field(default=3600, gt=0, description="Maximum time of one upload, in seconds.")


class Imports(Group):
    """Files of many posts: their limits, and how long they are kept."""

    max_bytes: int = Field(
        default=2 * 1024**3, gt=0, description="Maximum size of a file, compressed and not, in bytes."
    )
    max_rows: int = Field(default=1_000_000, gt=0, description="Maximum number of rows of NDJSON and CSV.")
    max_sheet_rows: int = Field(default=200_000, gt=0, description="Maximum number of rows of a spreadsheet.")
    max_row_bytes: int = Field(default=64 * 1024, ge=1024, description="Maximum size of one row, in bytes.")
    max_ratio: int = Field(
        default=200, ge=2, description="How many times its size a compressed file may have when decompressed."
    )
    keep_days: float = Field(
        default=30, ge=1, description="Days that a file and the receipts of its rows are kept."
    )


class Delay(Group):
    """Releasing deliveries at their due time."""

    slot: float = Field(
        default=0.1, gt=0, le=1, description="Seconds of one time slot; one message is sent per slot."
    )
    look_slot: float = Field(
        default=0.5, gt=0, le=5, description="Seconds of one time slot for looks after the visible call."
    )
    horizon: float = Field(
        default=5, gt=0, description="Seconds ahead for which slot messages are sent to the broker."
    )
    sweep: float = Field(
        default=1, gt=0, description="Seconds between two sweeps; the maximum delay when a message is lost."
    )
    batch: int = Field(default=2000, ge=1, le=5000, description="Deliveries released in one transaction.")
    ahead: int = Field(
        default=2000,
        ge=1,
        description="Deliveries that may be in a platform's queue: fewer than its workers claim within queued_lease.",
    )
    backlog_age: float = Field(
        default=300,
        gt=0,
        description="Seconds after which an overdue delivery is backlog, released at backlog_rate.",
    )
    backlog_rate: float = Field(
        default=100,
        ge=0,
        description="Deliveries of the backlog released per second and platform; 0 = no limit.",
    )
    queued_lease: float = Field(
        default=300,
        ge=300,
        description="Seconds after which the message of a queued, unclaimed delivery is sent again.",
    )


class Publish(Group):
    """Publishing to a platform."""

    slice: float = Field(default=60, gt=0, description="Maximum time of one slice of work, in seconds.")
    lease: float = Field(
        default=180, gt=0, description="Seconds until a claim expires; at least twice the slice."
    )
    call: float = Field(default=20, gt=0, description="Maximum time of one call to a platform, in seconds.")
    tries: int = Field(default=5, ge=1, le=20, description="Attempts that may be spent on one delivery.")
    backoff: float = Field(
        default=5, gt=0, description="First pause after a spent attempt, in seconds (full jitter)."
    )
    backoff_cap: float = Field(default=900, gt=0, description="Maximum pause between attempts, in seconds.")
    patience: float = Field(
        default=21_600,
        gt=0,
        description="Seconds that a delivery is retried while its platform is unavailable, holds not counted; "
        "then it fails.",
    )
    media_patience: float = Field(
        default=21_600, gt=0, description="The same while the host of one of its media files is unavailable."
    )
    outage_cap: float = Field(
        default=300,
        ge=1,
        description="Maximum pause between two tries while a platform is unavailable, in seconds.",
    )
    probe: float = Field(
        default=60,
        gt=0,
        description="Seconds between two deliveries that probe a platform while its circuit breaker is open.",
    )
    crashes: int = Field(default=3, ge=1, description="Crashes after which a delivery waits for an operator.")
    replays: float = Field(
        default=60, gt=0, description="Dead letters replayed per minute and platform, over all replays."
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
    """The epoch file outside the database. It shows when the database was restored from a backup."""

    folder: str = Field(
        default="",
        description="Folder of the epoch file, shared by all processes that keep it, not backed up and never restored; "
        "empty = mark/ under SLIPWAY_FOLDER.",
    )
    keep: bool = Field(
        default=True,
        description="Whether processes here keep it; false where the folder is not shared. One publish worker must.",
    )
    lease: float = Field(
        default=30,
        ge=2,
        le=600,
        description="Seconds ahead of now until which posts may be sent; renewed every third of it.",
    )


class Worker(Group):
    """Celery workers."""

    slots: int = Field(default=32, ge=1, le=500, description="Threads of one worker process.")
    shutdown: float = Field(
        default=30,
        gt=0,
        description="Seconds that a stopping worker may use to finish its work; it releases the rest.",
    )
    canary: float = Field(
        default=5, gt=0, description="Seconds between two canary messages through every queue."
    )
    silent: float = Field(
        default=45,
        gt=0,
        description="Seconds without a message taken from a queue after which /readyz answers 503 for it, and "
        "`slipway attention` and `doctor` name it.",
    )
    deaf: float = Field(
        default=60,
        gt=0,
        description="Seconds after which a worker ends itself if it has a free slot and receives nothing although "
        "one of its queues holds messages.",
    )


class Vault(Group):
    """Encryption of secrets at rest."""

    keys: SecretStr = Field(
        default=SecretStr(""),
        description="Fernet keys, newest first, separated by commas. `slipway vault new-key`.",
    )


class Sandbox(Group):
    """The local servers that behave like the platforms. Empty url = off: requests go to the platforms' own hosts."""

    url: str = Field(
        default="", description="http://127.0.0.1:PORT of the sandbox; points all platforms at it."
    )
    media_url: str = Field(
        default="",
        description="Origin of its media host; the only origin from which media may come over plain http.",
    )
    folder: Path = Field(default=Path(".slipway/sandbox"), description="Folder of its ledger and state.")
    control_token: SecretStr = Field(default=SecretStr(""), description="Token of its control API.")
    lifted: bool = Field(default=False, description="Start without quotas and processing times (benchmarks).")


class Flower(Group):
    """The Celery monitor."""

    host: str = Field(default="127.0.0.1", description="Address Flower listens on.")
    port: int = Field(default=5555, ge=1, le=65535, description="Port of Flower.")
    user: str = Field(default="operator", description="User of Flower.")
    password: SecretStr = Field(
        default=SecretStr(""), description="Password of Flower, which does not start without one."
    )


class Log(Group):
    """Logging."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level that is logged."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="text = lines for people, json = JSON for programs."
    )
