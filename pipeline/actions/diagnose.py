"""Diagnose an installation: what keeps posts from going out, or soon will, each with the command that mends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from redis.exceptions import RedisError

from config.safety import find_unsafe
from pipeline.actions.attention import list_attention
from pipeline.api_versions import check_versions
from pipeline.context import Context
from pipeline.domain.attention import Kind
from pipeline.store.accounts.accounts import list_sealed_samples
from pipeline.store.database import Unreachable
from pipeline.store.health import database_now, ping
from pipeline.store.recovery import epoch
from pipeline.store.schema_version import IncompatibleSchema, OtherSchema, require_compatible
from pipeline.store.vault import VaultError

MAX_SKEW = timedelta(seconds=2)
"""Difference between two clocks from which due times and signatures go wrong."""
MIN_FREE = 2 << 30
"""Bytes that should be free on the disk of a folder: the largest upload, twice."""
_INSTALLATION = (Kind.SILENT_QUEUE, Kind.NEWER_WORKER, Kind.RECONNECT, Kind.GRANT_ENDING)
"""What of the attention list is about the installation; the rest is about posts."""
_STOPS = (Kind.SILENT_QUEUE, Kind.NEWER_WORKER)
"""What of it keeps posts from going out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found about one part. ``fail``: posts do not go out, or soon will not. ``command`` mends it."""

    part: str
    result: Literal["ok", "warn", "fail"]
    says: str
    command: str | None = None


def diagnose(context: Context) -> Iterator[Finding]:
    """Yield a finding or more for each part. After a part that all others need, these are left out."""
    yield from _check_settings(context)
    yield from _check_disk(context)
    yield from _check_versions(context)
    yield from _check_broker(context)
    database = list(_check_database(context))
    yield from database
    if any(finding.result == "fail" for finding in database):
        return
    for check in _ON_DATABASE:
        yield from check(context)


def _check_settings(context: Context) -> Iterator[Finding]:
    unsafe = find_unsafe(context.settings)
    for says in unsafe:
        yield Finding(
            part="settings", result="warn", says=says, command="slipway settings check --production"
        )
    if not unsafe:
        yield Finding(part="settings", result="ok", says="No setting is unsafe.")


def _check_disk(context: Context) -> Iterator[Finding]:
    s = context.settings
    for folder in (s.files_folder, s.spool_folder, s.mark_folder):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        says = f"{free / (1 << 30):.1f} GiB are free for {folder}"
        low = free < MIN_FREE
        yield Finding(
            part="disk",
            result="fail" if low else "ok",
            says=f"{says}: {MIN_FREE >> 30} GiB are needed." if low else f"{says}.",
            command=f"df -h {_quote(folder)}" if low else None,
        )


def _quote(folder: Path) -> str:
    return f"'{folder}'"


def _check_versions(context: Context) -> Iterator[Finding]:
    for platform, found in check_versions(context, datetime.now(UTC).date()).items():
        result: Literal["ok", "warn", "fail"] = "warn" if found.result == "unknown" else found.result
        setting = f"SLIPWAY_{platform.upper()}__VERSION"
        command = None if result == "ok" else f"slipway settings list | grep {setting}"
        yield Finding(part="api version", result=result, says=f"{platform}: {found.says}", command=command)


def _check_broker(context: Context) -> Iterator[Finding]:
    try:
        now = context.liveness.probe_broker()
    except (RedisError, OSError) as error:
        says = f"The broker does not answer: posts are accepted, and go out when it is back ({error})."
        yield Finding(part="broker", result="fail", says=says, command="slipway settings list | grep BROKER")
        return
    yield Finding(part="broker", result="ok", says="It takes messages.")
    yield _compare_clocks("the broker", now)


def _check_database(context: Context) -> Iterator[Finding]:
    try:
        with context.database.once() as c:
            ping(c)
            require_compatible(c)
            now = database_now(c)
    except Unreachable as error:
        says = f"The database does not answer: nothing is accepted, and nothing goes out ({error})."
        yield Finding(part="database", result="fail", says=says, command="slipway settings list | grep STORE")
        return
    except IncompatibleSchema as error:
        command = "slipway post export" if isinstance(error, OtherSchema) else "slipway migrate"
        yield Finding(part="tables", result="fail", says=str(error), command=command)
        return
    yield Finding(part="database", result="ok", says="It answers, and its tables fit this code.")
    yield _compare_clocks("the database", now)


def _compare_clocks(what: str, now: datetime) -> Finding:
    skew = abs(datetime.now(UTC) - now)
    says = f"This machine's clock and that of {what} differ by {skew.total_seconds():.1f} s"
    if skew <= MAX_SKEW:
        return Finding(part="clocks", result="ok", says=f"{says}.")
    limit = f"{says}: more than {MAX_SKEW.total_seconds():.0f} s makes posts late or early."
    return Finding(part="clocks", result="fail", says=limit, command="timedatectl status")


def _check_epoch(context: Context) -> Iterator[Finding]:
    with context.database.once() as c:
        state = epoch.read(c)
    if state.doubt is not None:
        says = "A restore is not accepted yet: nothing is sent."
        yield Finding(part="epoch", result="fail", says=says, command="slipway restore status")
    elif state.stored.id is None:
        says = "No worker has begun an epoch yet: nothing is sent."
        yield Finding(part="epoch", result="warn", says=says, command="slipway worker publish")
    elif not state.is_open:
        says = "The epoch file is not renewed: nothing is sent."
        yield Finding(part="epoch", result="fail", says=says, command="slipway worker publish")
    else:
        yield Finding(part="epoch", result="ok", says="Posts may be sent.")


def _check_vault(context: Context) -> Iterator[Finding]:
    with context.database.once() as c:
        samples = list_sealed_samples(c)
    closed = 0
    for account, sealed in samples:
        try:
            context.vault.open(sealed, account)
        except VaultError:
            closed += 1
    if closed:
        says = f"The credentials of {closed} of {len(samples)} accounts that were tried do not open with these keys."
        yield Finding(part="vault", result="fail", says=says, command="slipway settings list | grep VAULT")
    else:
        yield Finding(part="vault", result="ok", says=f"{len(samples)} accounts' credentials were opened.")


def _check_attention(context: Context) -> Iterator[Finding]:
    with context.database.once() as c:
        items = list_attention(c, timedelta(seconds=context.settings.worker.silent))
    for item in items:
        one = item.matter
        if one.kind in _INSTALLATION:
            about = " ".join(filter(None, (one.platform, one.reason)))
            says = f"{one.kind.replace('_', ' ')}: {one.count} {about}{_WHAT.get(one.kind, '')}".rstrip()
            result: Literal["warn", "fail"] = "fail" if one.kind in _STOPS else "warn"
            yield Finding(part=_PARTS[one.kind], result=result, says=says, command=item.command)
    found = {item.matter.kind for item in items}
    if Kind.SILENT_QUEUE not in found:
        yield Finding(part="queues", result="ok", says="Each queue that ever had a worker has one.")
    if not found & {Kind.RECONNECT, Kind.GRANT_ENDING}:
        yield Finding(part="grants", result="ok", says="No account has to be connected again soon.")


_WHAT = {Kind.NEWER_WORKER: " posts wait for a worker of this version: upgrade or start one."}
_PARTS = {
    Kind.SILENT_QUEUE: "queues",
    Kind.NEWER_WORKER: "workers",
    Kind.RECONNECT: "grants",
    Kind.GRANT_ENDING: "grants",
}
_ON_DATABASE: Sequence[Callable[[Context], Iterator[Finding]]] = (
    _check_epoch,
    _check_vault,
    _check_attention,
)
