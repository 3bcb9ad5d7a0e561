"""Diagnose an installation: what keeps posts from going out, or soon will, each with the command that mends it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from shlex import quote
from typing import Literal

from redis.exceptions import RedisError

from adapters import live_check
from adapters.contract import Platform
from config.safety import find_unsafe
from config.settings import Settings
from pipeline.actions.attention import GROUPS, AttentionItem, read_attention
from pipeline.actions.hosts import SHARED, list_agreeing
from pipeline.domain.attention import ENDING, Kind
from pipeline.domain.restore import EpochMatch
from pipeline.media.guarded_http import run_with_timeout
from pipeline.media.spool import find_existing, list_disk_faults
from pipeline.runtime.context import Context
from pipeline.store.accounts.grants import list_endangered
from pipeline.store.canaries import HOST_KEPT, Host, list_hosts
from pipeline.store.database import IDLE, TimedOut, Unreachable, has_pooler
from pipeline.store.health import CHECK_SECONDS, database_now, find_unlimited_idler
from pipeline.store.recovery import epoch, log_slot
from pipeline.store.schema_version import IncompatibleSchema, OutdatedTables, require_compatible
from pipeline.store.vault import SEALED_COLUMNS, count_unopened

MAX_SKEW = timedelta(seconds=2)
"""Difference between two clocks from which due times and signatures go wrong."""
CLOCK_RULE = f"more than {MAX_SKEW.total_seconds():.0f} s makes posts late or early. Synchronise both (NTP)"
MIN_FREE = 2 << 30
"""Bytes that should be free on the disk of a folder: the largest upload, twice."""
MAX_CHECK = 3 * CHECK_SECONDS
"""Seconds after which a check is left whose disk or engine hangs. Statements end sooner; a loaded machine is slow."""
MAX_GRANTS = 20
"""Maximum number of accounts that are named; accounts whose grant has ended come first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The finding about one part. ``fail``: posts do not go out, or soon will not.

    ``command`` removes it; where none does, ``says`` names what to change.
    """

    part: str
    result: Literal["ok", "warn", "fail"]
    says: str
    command: str | None = None


Check = Callable[[Context], Iterator[Finding]]


def diagnose(context: Context) -> Iterator[Finding]:
    """Yield a finding or more for each part, as they come. After a part that all others need, these are left out."""
    try:
        for part, check in _CHECKS.items():
            try:
                # a check that takes longer goes on in its thread, which no exit waits for
                yield from run_with_timeout(partial(_find_all, check, context), MAX_CHECK)
            except (TimeoutError, TimedOut) as error:
                says = f"This check took longer than {CHECK_SECONDS:.0f} s: a lock, a disk or an engine holds it up."
                yield Finding(part=part, result="fail", says=says)
                if part == "database" and isinstance(error, TimeoutError):
                    return
    except Unreachable as error:
        says = "The database does not answer: nothing is accepted, and nothing goes out"
        mend = f"({error}). Start it, or correct SLIPWAY_STORE__URL."
        yield Finding(part="database", result="fail", says=f"{says} {mend}")
    except IncompatibleSchema as error:
        command = "slipway migrate" if isinstance(error, OutdatedTables) else None
        yield Finding(part="tables", result="fail", says=str(error), command=command)


def _find_all(check: Check, context: Context) -> Sequence[Finding]:
    return list(check(context))


def _check_settings(context: Context) -> Iterator[Finding]:
    unsafe = find_unsafe(context.settings)
    for says in unsafe:
        yield Finding(part="settings", result="warn", says=f"{says}.")
    if not unsafe:
        yield Finding(part="settings", result="ok", says="No setting is unsafe.")


def _check_disk(context: Context) -> Iterator[Finding]:
    s = context.settings
    for fault in list_disk_faults(s):
        yield Finding(part="disk", result="fail", says=fault)
    for folder in (s.files_folder, s.spool_folder, s.mark_folder):
        free = shutil.disk_usage(find_existing(folder)).free
        says = f"{free / (1 << 30):.1f} GiB are free for {folder}"
        low = free < MIN_FREE
        needed = f": {MIN_FREE >> 30} GiB are needed. Free some, or move the folder to another disk"
        yield Finding(part="disk", result="fail" if low else "ok", says=f"{says}{needed if low else ''}.")


def _check_versions(context: Context) -> Iterator[Finding]:
    for platform, found in check_versions(context, datetime.now(UTC).date()).items():
        result: Literal["ok", "warn", "fail"] = "warn" if found.result == "unknown" else found.result
        where = "" if result == "ok" else f" (SLIPWAY_{platform.upper()}__VERSION)"
        yield Finding(part="api version", result=result, says=f"{platform}: {found.says}{where}")


def _check_broker(context: Context) -> Iterator[Finding]:
    try:
        now = context.liveness.probe_broker()
    except (RedisError, OSError) as error:
        says = f"The broker does not answer: posts are accepted, and go out when it is back ({error})."
        mend = "Start it, or correct SLIPWAY_BROKER__URL."
        yield Finding(part="broker", result="fail", says=f"{says} {mend}")
        return
    yield Finding(part="broker", result="ok", says="It takes messages.")
    yield _compare_clocks("the broker", now)


def _check_database(context: Context) -> Iterator[Finding]:
    with context.database.begin_read(CHECK_SECONDS) as c:
        now, pooled, user = database_now(c), has_pooler(c), find_unlimited_idler(c)
    yield Finding(part="database", result="ok", says=f"It answers{' through a pooler' if pooled else ''}.")
    yield _compare_clocks("the database", now)
    if user:
        says = "A host that is cut off in a transaction would keep its locks: a pooler keeps no setting of a session."
        mend = f"Run in PostgreSQL: ALTER ROLE {user} SET idle_in_transaction_session_timeout = '{IDLE:g}s'"
        yield Finding(
            part="database", result="fail", says=f"{says} {mend}; then have the pooler connect again."
        )


def _check_tables(context: Context) -> Iterator[Finding]:
    with context.database.begin_read(CHECK_SECONDS) as c:
        require_compatible(c)
    yield Finding(part="tables", result="ok", says="They fit this code.")


def _compare_clocks(what: str, now: datetime) -> Finding:
    skew = abs(datetime.now(UTC) - now)
    says = f"This machine's clock and that of {what} differ by {skew.total_seconds():.1f} s"
    if skew <= MAX_SKEW:
        return Finding(part="clocks", result="ok", says=f"{says}.")
    return Finding(part="clocks", result="fail", says=f"{says}: {CLOCK_RULE}.")


def _check_epoch(context: Context) -> Iterator[Finding]:
    with context.database.begin_read(CHECK_SECONDS) as c:
        state = epoch.read(c)
    if state.doubt is not None:
        says = "A restore is not accepted yet: nothing is sent. `slipway restore status` shows what may have been sent."
        command = None if state.doubt.why == EpochMatch.LOST else "slipway restore accept"
        yield Finding(part="epoch", result="fail", says=says, command=command)
    elif state.stored.id is None:
        says = "No worker has begun an epoch yet: nothing is sent."
        yield Finding(part="epoch", result="warn", says=says, command="slipway worker publish")
    elif not state.is_open:
        says = "The epoch file is not renewed: nothing is sent."
        yield Finding(part="epoch", result="fail", says=says, command="slipway worker publish")
    else:
        yield Finding(part="epoch", result="ok", says="Posts may be sent.")


_IF_LOST: Mapping[str, str] = {
    "credentials": "connect their accounts again; `slipway account list` names them",
    "second factors": "people log in with a recovery code, or after `slipway user reset LOGIN`",
    "webhook secrets": "`slipway webhook rotate WEBHOOK` makes a new one for each receiver",
}
"""Values that no key opens -> what to do if their key is lost."""


def _check_vault(context: Context) -> Iterator[Finding]:
    for column in (one for one in SEALED_COLUMNS if one.used):
        with context.database.begin_read(CHECK_SECONDS) as c:
            tried, closed = count_unopened(c, context.vault, column)
        if closed:
            says = (
                f"{closed} of {tried} {column.what} that were tried do not open with these keys: add the key"
            )
            mend = f"they were sealed with to SLIPWAY_VAULT__KEYS. If it is lost: {_IF_LOST[column.what]}."
            yield Finding(part="vault", result="fail", says=f"{says} {mend}")
        else:
            yield Finding(part="vault", result="ok", says=f"{tried} {column.what} were opened.")


def _check_queues(context: Context) -> Iterator[Finding]:
    items = _list_attention(context, Kind.SILENT_QUEUE)
    for item in items:
        since = f"{item.matter.oldest:%Y-%m-%d %H:%M:%S} UTC"
        says = f"No worker has taken a message from {item.matter.reason} since {since}."
        yield Finding(part="queues", result="fail", says=says, command=item.command)
    if not items:
        yield Finding(part="queues", result="ok", says="Each queue that ever had a worker has one.")


def _check_levels(context: Context) -> Iterator[Finding]:
    for item in _list_attention(context, Kind.NEWER_WORKER):
        says = f"{item.matter.count} posts of {item.matter.platform} wait for a worker of this version."
        yield Finding(part="workers", result="fail", says=says, command=item.command)


def _list_attention(context: Context, kind: Kind) -> Sequence[AttentionItem]:
    silent = timedelta(seconds=context.settings.worker.silent)
    with context.database.begin_read(CHECK_SECONDS) as c:
        items = [*read_attention(c, silent, kinds=[kind])]
    if any(item.matter.kind is Kind.UNREAD for item in items):
        raise TimedOut(kind)
    return items


def _check_hosts(context: Context) -> Iterator[Finding]:
    with context.database.begin_read(CHECK_SECONDS) as c:
        hosts = [host for host in list_hosts(c) if host.queue in GROUPS]
        stored = epoch.read(c).stored.id
    workers = {(host.name, GROUPS[host.queue]): host for host in sorted(hosts, key=lambda host: -host.age)}
    most = Counter(host.facts["files"] for host in hosts if host.facts["files"]).most_common(1)
    files = context.files.storage.identify() or (most[0][0] if most else None)
    expected = {"files": files, **({"epoch": str(stored)} if stored else {})}
    found = [
        *_list_host_faults(context.settings, workers, expected),
        *_list_unlike_workers(context.settings, workers),
    ]
    yield from found
    if not found:
        says = f"{len(workers)} workers report, and see the same files and epoch."
        yield Finding(part="hosts", result="ok", says=says)


def _list_host_faults(
    s: Settings, workers: Mapping[tuple[str, str], Host], expected: Mapping[str, str | None]
) -> Iterator[Finding]:
    """Yield a finding for each worker that stopped, or sees other uploaded files or another epoch than expected."""
    folders = {"files": s.files_folder, "epoch": s.mark_folder}
    for (name, group), host in workers.items():
        worker, command = f"The worker {group} on {name}", f"slipway worker {group}"
        if host.age > timedelta(seconds=s.worker.silent):
            says = f"{worker} has given no sign of life for {host.age.total_seconds():.0f} s. Start it there, or wait: "
            forgotten = (
                f"a host that is gone is forgotten after {HOST_KEPT.total_seconds() / 60:.0f} minutes."
            )
            yield Finding(part="hosts", result="warn", says=says + forgotten, command=command)
            continue
        for fact in (fact for fact in expected if host.facts.get(fact, expected[fact]) != expected[fact]):
            what, setting = SHARED[fact]
            says = f"{worker} sees another {what}, or none. Restart it there with the same {setting}."
            mend = f"{setting}={quote(str(folders[fact].absolute()))} {command}"
            yield Finding(part="hosts", result="fail", says=says, command=mend)


def _list_unlike_workers(s: Settings, workers: Mapping[tuple[str, str], Host]) -> Iterator[Finding]:
    """Yield a finding for each worker that runs and whose clock, version or settings differ. Older code tells none."""
    silent = timedelta(seconds=s.worker.silent)
    running = {
        key: host.facts for key, host in workers.items() if host.age <= silent and "clock" in host.facts
    }
    newest = max((facts["level"] for facts in running.values()), default=0)
    for (name, group), facts in running.items():
        skew = abs(datetime.fromisoformat(facts["clock"]) - datetime.fromisoformat(facts["at"]))
        if skew > MAX_SKEW:
            says = f"The clock of {name} and that of the database differ by {skew.total_seconds():.1f} s: {CLOCK_RULE}."
            yield Finding(part="hosts", result="fail", says=says)
        if facts["level"] < newest:
            says = f"The worker {group} on {name} runs version {facts['version']}, level {facts['level']} of {newest}."
            yield Finding(part="hosts", result="warn", says=f"{says} Replace it by the newer version.")
        others = [one["settings"] for (_, other), one in running.items() if other == group]
        yield from _list_other_settings(f"on {name}", group, facts["settings"], others)


def _list_other_settings(
    where: str, group: str, own: Mapping[str, float | str], others: Sequence[Mapping[str, float | str]]
) -> Iterator[Finding]:
    for setting, default in list_agreeing(Settings()).items():
        most = Counter(one.get(setting, default) for one in others).most_common(1)[0][0]
        if (value := own.get(setting, default)) != most:
            usual = quote(str(most))
            says = f"The worker {group} {where} has {setting}={quote(str(value))}, and others have {usual}."
            command = f"{setting}={usual} slipway worker {group}"
            yield Finding(part="hosts", result="fail", says=f"{says} Restart it with that.", command=command)


def _check_grants(context: Context) -> Iterator[Finding]:
    with context.database.begin_read(CHECK_SECONDS) as c:
        found, now = list_endangered(c, within=ENDING, limit=MAX_GRANTS), database_now(c)
    for one in found:
        account, has_ended = one.account, one.ends_at is None or one.ends_at <= now
        ends = "has ended" if has_ended else f"ends at {one.ends_at:%Y-%m-%d %H:%M} UTC"
        says = f"The grant of {account.platform} {account.username} {ends}; {one.posts} posts need it."
        command = (
            f"slipway account connect {account.platform} --workspace {account.workspace_id} "
            f"--reconnect {account.id}"
        )
        yield Finding(part="grants", result="fail" if has_ended else "warn", says=says, command=command)
    if not found:
        yield Finding(part="grants", result="ok", says="No account has to be connected again soon.")


def _check_archive(context: Context) -> Iterator[Finding]:
    if not context.settings.store.archive:
        return
    with context.database.begin_read(CHECK_SECONDS) as c:
        slot = log_slot.read_slot(c)
    if slot.is_active:
        says = f"The log is archived; {slot.behind:,} bytes are not there yet."
        yield Finding(part="archive", result="ok", says=says)
        return
    says = "Nothing archives the log: a restore ends where the archive does. Start `slipway up` again; its log says why"
    yield Finding(part="archive", result="fail", says=f"{says} (logs/archive.log).")


_CHECKS: Mapping[str, Check] = {
    "settings": _check_settings,
    "disk": _check_disk,
    "api version": _check_versions,
    "broker": _check_broker,
    "database": _check_database,
    "tables": _check_tables,
    "epoch": _check_epoch,
    "archive": _check_archive,
    "vault": _check_vault,
    "queues": _check_queues,
    "workers": _check_levels,
    "hosts": _check_hosts,
    "grants": _check_grants,
}


def check_versions(context: Context, today: date) -> Mapping[Platform, live_check.Finding]:
    """Return a finding for each platform whose API has versions: whether the one that is set soon retires."""
    return {
        platform: live_check.check_version(context.platform_settings[platform].version, retirements, today)
        for platform, adapter in context.adapters.items()
        if (retirements := adapter.capabilities.retirements)
    }


def list_retirements(context: Context) -> Mapping[tuple[Platform, str], date]:
    """Return when each version that is set retires; a version without a known date counts as retired on day one."""
    return {
        (platform, version): retirements.get(version, date(1970, 1, 1))
        for platform, adapter in context.adapters.items()
        if (retirements := adapter.capabilities.retirements)
        and (version := context.platform_settings[platform].version)
    }
