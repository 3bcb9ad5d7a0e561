"""The system under test of a chaos run: own engines and a stack that reaches them through fault-injecting proxies."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg
from cryptography.fernet import Fernet

from adapters.contract import Platform
from adapters.registry import ADAPTERS
from adapters.sandbox.server import PLATFORMS
from pipeline.embedded.postgres import Postgres
from pipeline.embedded.process import wait_until
from pipeline.embedded.valkey import Valkey
from pipeline.store.accounts.accounts import add_account
from pipeline.store.migrate import upgrade
from tests.chaos.disk import Disk
from tests.chaos.proxy import Proxy, ProxyServer
from tests.conftest import environment_of, free_ports
from tests.crash_table import arm_failpoints, hold_failpoints
from tests.stack import FAST, Stack, run_stack, to_remote

PUBLISHERS = ("publish-a", "publish-b", "publish-c")
SKEWED = "publish-c"
"""The worker whose clock is skewed."""
SETTINGS = FAST | {
    "SLIPWAY_REACHABILITY__SLICE": "4",
    "SLIPWAY_REACHABILITY__FIRST_SLICE": "4",
    "SLIPWAY_REACHABILITY__LEASE": "8",
    # Injected crashes are far more frequent than in production and must not exhaust a delivery's tries.
    "SLIPWAY_PUBLISH__CRASHES": "50",
    "SLIPWAY_PUBLISH__TRIES": "20",
    "SLIPWAY_PUBLISH__PREPARES_PER_DAY": "100",
    # Scaled to the outage of all platforms: hours and minutes in production.
    "SLIPWAY_PUBLISH__PATIENCE": "120",
    "SLIPWAY_PUBLISH__PROBE": "3",
    # Queued deliveries must be claimed within SLIPWAY_DELAY__QUEUED_LEASE or they are dispatched twice; two cores do at
    # most ten a second per platform here.
    "SLIPWAY_DELAY__AHEAD": "300",
    # The platforms' quotas and rates would stretch minutes into hours.
    "SLIPWAY_SANDBOX__LIFTED": "true",
    "SLIPWAY_LOG__LEVEL": "WARNING",
}
IMPATIENT = "&options=-c%20lock_timeout%3D3s"
"""URL suffix of the run's own connections: it must not wait for a row that a stopped worker has locked."""
LATENCY_MS = 600
"""Delay of every visible call in the sandbox, so that kills hit workers between arm and answer."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "pinterest": {"default_board": True},
    "linkedin": {"kind": "organization", "partner": True},
}
CREATE_HOLDERS = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.holders (delivery uuid PRIMARY KEY, fence bigint, holder text, at timestamptz);
CREATE FUNCTION chaos.read_claimed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos.holders VALUES (NEW.id, NEW.fence, session_user, clock_timestamp())
    ON CONFLICT (delivery) DO UPDATE SET fence = excluded.fence, holder = excluded.holder, at = excluded.at;
    RETURN NULL;
END $$;
CREATE TRIGGER held AFTER UPDATE ON deliveries FOR EACH ROW
    WHEN (NEW.state = 'publishing' AND OLD.state <> 'publishing') EXECUTE FUNCTION chaos.read_claimed();
"""
# Read to count kills only; the judge reads no table.
COUNT_HELD = """
SELECT CASE WHEN d.armed_at IS NULL THEN 'unarmed' ELSE 'armed' END, count(*)
FROM deliveries d JOIN chaos.holders h ON h.delivery = d.id AND h.fence = d.fence
WHERE d.state = 'publishing' AND (%(holder)s::text IS NULL OR h.holder = %(holder)s) AND h.at >= %(since)s GROUP BY 1
"""


LIST_DUE = """
SELECT id FROM deliveries WHERE platform = ANY(%(sites)s) AND state IN ('accepted', 'scheduled', 'queued', 'retrying')
  AND armed_at IS NULL AND next_at < now() + interval '10 seconds'
"""


FIND_POST = """
SELECT p.external_id, a.remote_id
FROM deliveries d JOIN posts p ON p.id = d.post_id JOIN accounts a ON a.id = d.account_id
WHERE d.id = %(delivery)s
"""


def list_sites() -> list[str]:
    """Return the sandbox's platforms that have an adapter."""
    return sorted(site for site in PLATFORMS if Platform(site.partition("_")[0]) in ADAPTERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """One connected account: our id and the sandbox's."""

    id: str
    remote_id: str
    username: str
    rotates: bool
    """It has a refresh token."""


@dataclass(kw_only=True)
class SystemUnderTest:
    """The system under test, and operations that break its parts."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    stack: Stack
    database: Proxy
    broker: Proxy
    skew: Mapping[str, str] | None
    """Environment of the process with a skewed clock; None: no libfaketime."""
    disk: Disk | None
    """File system of the database; None: it cannot be mounted here."""
    held: Path
    """Folder in which ``pipeline.runtime.failpoint`` looks for the points that its publish workers wait at."""
    owners: dict[str, list[Owner]] = field(default_factory=dict)

    def start(self, name: str, crash_point: str | None = None) -> Path | None:
        """Start one part. It kills itself once at *crash_point*; return the marker file that then exists."""
        once = None if crash_point is None else Path(tempfile.mktemp(prefix="gap-", dir=self.folder))  # noqa: S306
        more = {} if crash_point is None or once is None else arm_failpoints({crash_point: once})
        if name == SKEWED:
            more |= self.skew or {}
        if name in PUBLISHERS:
            more |= hold_failpoints(self.held)
        more["SLIPWAY_STORE__URL"] = self.stack.environment["SLIPWAY_STORE__URL"].replace(
            "slipway@", f"{name}@", 1
        )
        if name == "api":
            self.stack.start("api", "pipeline.cli", "api", **more)
        elif name == "beat":
            self.stack.start("beat", "pipeline.cli", "beat", **more)
        else:
            self.stack.start_worker("publish" if name in PUBLISHERS else name, name, slots=6, **more)
        return once

    def count_held(self, holder: str | None, since: datetime) -> Counter[str]:
        """Count the claimed deliveries of a part (None: of all parts), by armed and unarmed."""
        with self.postgres.connect("slipway") as c:
            found = c.execute(COUNT_HELD, {"holder": holder, "since": since}).fetchall()
        return Counter(dict(found))

    def list_due(self, sites: Sequence[str]) -> list[UUID]:
        """Return the deliveries on these platforms that a worker may claim soon."""
        with self.postgres.connect("slipway") as c:
            found = c.execute(LIST_DUE, {"sites": list(sites)}).fetchall()
        return [r[0] for r in found]

    def is_live(self, delivery: UUID) -> bool:
        """Return whether the account shows the delivery's post, as a person sees it who looks there."""
        with self.postgres.connect("slipway") as c:
            found = c.execute(FIND_POST, {"delivery": delivery}).fetchone()
        assert found is not None
        word, account = found
        lines = self.stack.control("GET", f"ledger?account={quote(account)}")
        return any(word in str(line["caption"]) for line in lines)

    def list_connected(self) -> frozenset[str]:
        """Return the parts that have a database session."""
        with self.postgres.connect("slipway") as c:
            return frozenset(
                r[0]
                for r in c.execute(
                    "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE usename <> 'slipway'"
                )
            )

    def terminate_backends(self) -> None:
        """Terminate every client session of the database server."""
        with self.postgres.connect("slipway") as c:
            c.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
            )

    def crash_postgres(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """Stop PostgreSQL in immediate mode, as a crash does, and start it again with recovery; SIGKILL: all of it."""
        _end(self.postgres, number)
        self.postgres.start()

    def fill_disk(self) -> None:
        """Fill the database's file system."""
        if self.disk is not None:
            self.disk.fill()

    def free_disk(self) -> None:
        """Free the file system; restart the server if it had stopped."""
        if self.disk is not None:
            self.disk.free()
            wait_until(self._is_up, 60)

    def _is_up(self) -> bool:
        child = self.postgres.child
        assert child is not None
        if child.exit_status() is not None:
            self.postgres.start()
        try:
            self.postgres.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def crash_valkey(self, *, forget: bool) -> None:
        """Kill and restart Valkey; *forget*: delete its files in between."""
        _end(self.valkey, signal.SIGKILL)
        if forget:
            shutil.rmtree(self.folder / "valkey")
        self.valkey.start()

    def flush(self) -> None:
        """Send FLUSHALL to the broker."""
        client = self.valkey.client()
        client.flushall()
        client.close()

    def connect(self, site: str, username: str) -> Owner:
        """Connect or reconnect an account."""
        order = {"platform": site, "username": username, "options": dict(OPTIONS.get(site, {}))}
        made = self.stack.control("POST", "accounts", order)
        stack, of = self.stack, Platform(site.partition("_")[0])
        with stack.context.database.begin() as c:
            identity = add_account(c, stack.context.vault, stack.workspace, of, to_remote(made))
        return Owner(
            id=str(identity),
            remote_id=made["remote_id"],
            username=username,
            rotates=bool(made.get("refresh_token")),
        )

    def reconnect(self) -> int:
        """Reconnect the accounts whose status asks for it; return their number."""
        with self.postgres.connect("slipway") as c:
            dead = {
                str(r[0]) for r in c.execute("SELECT id FROM accounts WHERE status = 'reconnect'").fetchall()
            }
        found = [(site, owner) for site, mine in self.owners.items() for owner in mine if owner.id in dead]
        for site, owner in found:
            self.connect(site, owner.username)
        return len(found)


@contextmanager
def build_system(seed: int, accounts: int, skew: Mapping[str, str] | None) -> Iterator[SystemUnderTest]:
    """Yield the running system without load; afterwards kill all processes and delete the folder."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-chaos-", dir="/tmp"))
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder)
        disk = _disk(folder, ends)
        postgres, valkey = ends.enter_context(Postgres(folder)), ends.enter_context(Valkey(folder))
        upgrade(postgres.url)
        names = (*PUBLISHERS, "reachability", "upkeep", "beat", "api")
        with postgres.connect("slipway") as c:
            c.execute(CREATE_HOLDERS)
            for name in names:
                c.execute(f'CREATE ROLE "{name}" LOGIN SUPERUSER')
        proxies = ends.enter_context(ProxyServer(seed))
        behind = postgres.sockets / ".s.PGSQL.5432"
        (folder / "proxy").mkdir(mode=0o700)
        (folder / "held").mkdir()
        database = proxies.add(folder / "proxy" / ".s.PGSQL.5432", behind)
        broker = proxies.add(folder / "proxy" / "valkey", valkey.socket)
        environment = (
            environment_of(postgres.url + IMPATIENT, valkey.url, Fernet.generate_key().decode(), folder)
            | SETTINGS
        )
        stack = ends.enter_context(run_stack(environment, folder, free_ports(3)))
        stack.environment |= {
            "SLIPWAY_STORE__URL": postgres.url.replace(
                _quote_path(postgres.sockets), _quote_path(folder / "proxy")
            ),
            "SLIPWAY_BROKER__URL": valkey.url.replace(
                _quote_path(valkey.socket), _quote_path(folder / "proxy" / "valkey")
            ),
        }
        system = SystemUnderTest(
            folder=folder,
            postgres=postgres,
            valkey=valkey,
            stack=stack,
            database=database,
            broker=broker,
            skew=skew,
            disk=disk,
            held=folder / "held",
        )
        _start_parts(system, accounts, list_sites())
        yield system


def _disk(folder: Path, ends: ExitStack) -> Disk | None:
    """Return a separate file system that holds the empty cluster, or None if it cannot be mounted."""
    disk = Disk(folder)
    if not disk.mount():
        return None
    ends.callback(disk.unmount)
    with Postgres(folder):
        pass
    disk.move_data(folder / "postgres")
    return disk


def _start_parts(system: SystemUnderTest, accounts: int, arguments: Sequence[str]) -> None:
    stack = system.stack
    stack.start_sandbox("--no-quotas")
    stack.seed()
    for site in arguments:
        system.owners[site] = [system.connect(site, f"{site}{n}") for n in range(accounts)]
        stack.fault(site, "finalize", "latency", times=None, delay_ms=LATENCY_MS)
    for name in ("beat", *PUBLISHERS, "reachability", "upkeep", "api"):
        system.start(name)


def _end(engine: Postgres | Valkey, number: signal.Signals) -> None:
    """Send a signal to an engine, SIGKILL to all of its processes, and wait until it has ended."""
    child = engine.child
    assert child is not None
    (os.killpg if number == signal.SIGKILL else os.kill)(child.pid, number)
    wait_until(lambda: child.exit_status() is not None, 10)


def _quote_path(path: Path) -> str:
    return quote(str(path), safe="/")


__all__ = ["Owner", "SystemUnderTest", "build_system", "list_sites"]
