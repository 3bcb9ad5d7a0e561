"""Measure `GET /posts` and `GET /posts/{id}` in a workspace with very many posts."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from pipeline.store.auth.keys import Terms, create_key
from pipeline.store.database import rows
from pipeline.store.posts.pages import CAP
from tests.bench.environment import READY, BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.post_factory import connect_accounts
from tests.stack import Stack, until

BASE = "/api/partner/v1"
AGAINST = "GET /subscription, which reads no post"
TARGET = "p99 under 10 ms"
FILTERED, FILTERED_TARGET = "GET /posts by filters", "p99 under 100 ms"
"""A list by filters looks through 5,000 candidates for a page, whatever it finds."""
ACCOUNTS = 21
WARM_UP = 20
"""Reads that are not counted: more than PostgreSQL needs to keep a generic plan."""

RARE = "zebra"
"""A word in one post of 30,000, the oldest one included."""
_PROSE = (
    "spring sale starts today with twenty percent off every jacket and pair of shoes in our store downtown come by "
    "between nine and six and bring a friend for free coffee while the weather is warm we are also open on sundays "
    "until the end of may so do not miss it new colours arrive each week and our team helps you find the right size "
    "follow us for more stories behind the scenes from the workshop where everything is made by hand"
)
"""Captions that are searched have 80 characters of it, from another place on."""
_POSTS = """
INSERT INTO posts (id, workspace_id, caption, media, due_at, status, created_at, updated_at)
SELECT uuidv7(at - now()), %(w)s, concat_ws(' ', 'generated', n, substr(%(prose)s, 1 + (hashtext(n::text) & 255), 80),
                                            CASE mod(n, 30000) WHEN 1 THEN %(rare)s END), %(media)s::jsonb,
       CASE WHEN status = 'scheduled' THEN now() + interval '90 days' * random() + interval '1 hour' ELSE at END,
       status, at, at
FROM generate_series(1, %(n)s) AS n,
     LATERAL (SELECT now() - (%(n)s - n) * interval '1 second' AS at,
                     CASE mod(n, 50) WHEN 0 THEN 'failed' WHEN 1 THEN 'scheduled' WHEN 2 THEN 'canceled'
                     ELSE 'posted' END AS status) x
"""
_DELIVERIES = """
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, published_at, armed_at,
                        created_at)
SELECT CASE part WHEN 1 THEN id ELSE gen_random_uuid() END, id, workspace_id, account, 'tiktok',
       CASE status WHEN 'posted' THEN 'published' WHEN 'canceled' THEN 'cancelled' ELSE status END, due_at, due_at,
       CASE status WHEN 'posted' THEN due_at END, CASE status WHEN 'posted' THEN due_at END, created_at
FROM (SELECT *, hashtext(id::text) & 65535 AS chance, hashtext(reverse(id::text)) & 65535 AS other FROM posts
      WHERE workspace_id = %(w)s) p,
     LATERAL (SELECT 1 AS part, CASE WHEN chance < 64 THEN (%(accounts)s::uuid[])[%(many)s]
                                ELSE (%(accounts)s::uuid[])[1 + mod(chance, %(many)s - 1)] END AS account
              UNION ALL SELECT 2, (%(accounts)s::uuid[])[1 + mod(other, %(many)s - 1)]
              WHERE chance > 60000 AND mod(other, %(many)s - 1) <> mod(chance, %(many)s - 1)) x
"""
"""One delivery each, two for every twelfth post; one post of a thousand is on the last account."""
_TEXTS = (
    "INSERT INTO post_texts SELECT id, workspace_id, lower(caption) FROM posts WHERE workspace_id = %(w)s"
)
_COUNTS = """
INSERT INTO post_counts SELECT workspace_id, status, count(*) FROM posts WHERE workspace_id = %(w)s GROUP BY 1, 2
"""
_SPANS = """
INSERT INTO post_spans (workspace_id, minutes, starts_at, status, n)
SELECT workspace_id, m, date_bin(make_interval(mins => m), created_at, timestamptz 'epoch'), status, count(*)
FROM posts, unnest(ARRAY[1, 60, 1440, 43200]) AS m WHERE workspace_id = %(w)s AND deleted_at IS NULL GROUP BY 1, 2, 3, 4
"""
_SECONDARY = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
WHERE i.indrelid = ANY(CAST(%(tables)s AS regclass[])) AND k.oid IS NULL
"""


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure pages, filters, single posts and restricted keys, with one client and one API process."""
    many = environment.scale.posts_to_read
    with environment.stack() as stack:
        began = time.monotonic()
        mine = generate_posts(stack, many)
        environment.log(f"  {many:,} posts generated in {time.monotonic() - began:.0f} s")
        served = ServedApi(stack, environment.scale.reads)
        for name, (reader, paths) in _list_requests(stack, served.client, mine, many).items():
            target = FILTERED_TARGET if name.startswith(FILTERED) else TARGET
            yield served.compare(f"{name}, {many:,} posts", reader, paths, target)


def _create_client(stack: Stack, accounts: Sequence[UUID]) -> Client:
    """Return a client with a key that is restricted to these accounts."""
    with stack.context.database.begin() as c:
        return Client(stack, create_key(c, stack.workspace, "bound", Terms(accounts=list(accounts))))


def _list_requests(
    stack: Stack, client: Client, mine: Sequence[UUID], many: int
) -> dict[str, tuple[Client, Sequence[str]]]:
    page = client.get(f"{BASE}/posts?limit=50")["data"]
    if page["summary"]["total"] != many:
        raise InvalidMeasurement(f"{many} posts were generated and {page['summary']['total']} are reported.")
    with stack.context.database.begin() as c:
        some = rows(c, "SELECT id FROM posts TABLESAMPLE SYSTEM (1) LIMIT 2000")
        ends = rows(c, "SELECT min(created_at) AS first, max(created_at) AS last FROM posts")[0]
    times = [ends.first + (ends.last - ends.first) * n / 41 for n in range(1, 41)]
    at = [one.isoformat().replace("+", "%2B") for one in times]
    bound = {
        "1 account of 21": mine[:1],
        "10 accounts of 21": mine[:10],
        "1 that has a post of a thousand": mine[-1:],
    }
    readers = {whose: _create_client(stack, theirs) for whose, theirs in bound.items()}
    _check_total(stack, client, times, at)
    for whose, reader in readers.items():
        _check_total(stack, reader, times, at, bound[whose])
    lists = ["", "?limit=100", f"?cursor={page['next_cursor']}"]
    words = ("failed", "scheduled", "pending", "partial")
    spans = [f"since={a}&until={b}" for a, b in zip(at, at[:0:-1], strict=False) if a < b]
    return {
        "GET /posts": (client, [f"{BASE}/posts{query}" for query in lists]),
        "GET /posts?status=": (client, [f"{BASE}/posts?status={word}" for word in words]),
        "GET /posts?since=": (client, [f"{BASE}/posts?since={one}" for one in at]),
        "GET /posts?until=": (client, [f"{BASE}/posts?until={one}" for one in at]),
        "GET /posts?since=&until=": (client, [f"{BASE}/posts?{span}" for span in spans]),
        FILTERED: (client, _list_filtered(mine)),
        f"{FILTERED}, key bound to 10 accounts of 21": (
            readers["10 accounts of 21"],
            _list_filtered(mine[:10]),
        ),
        "GET /posts/{id}": (client, [f"{BASE}/posts/{r.id}" for r in some]),
        **{
            f"{name}, key bound to {whose}": (reader, paths)
            for whose, reader in readers.items()
            for name, paths in {
                "GET /posts": [f"{BASE}/posts", f"{BASE}/posts?limit=100"],
                "GET /posts?status=": [f"{BASE}/posts?status={word}" for word in words],
                "GET /posts?since=&until=": [f"{BASE}/posts?{span}" for span in spans],
            }.items()
        },
    }


def _list_filtered(accounts: Sequence[UUID]) -> Sequence[str]:
    """Return lists whose filters find many posts, few and none."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    filters = (
        "platform=tiktok",
        f"account_id={accounts[0]}",
        "state=failed",
        "state=scheduled&sort=due",
        f"due_from={now}&sort=due",
        f"account_id={accounts[0]}&due_from={now}&sort=due",
        "held_for=rate",
        "error_class=Rejected",
        "external_id=absent",
        "text=absent",
    )
    return [f"{BASE}/posts?{one}" for one in filters]


def _check_total(
    stack: Stack, client: Client, times: Sequence[datetime], at: Sequence[str], accounts: Sequence[UUID] = ()
) -> None:
    """Raise InvalidMeasurement unless the reported total of a span is its row count. *accounts*: the key's."""
    reported = client.get(f"{BASE}/posts?since={at[0]}&until={at[-1]}")["data"]["summary"]["total"]
    with stack.context.database.begin() as c:
        there = rows(
            c,
            """SELECT count(*) AS n FROM posts WHERE created_at BETWEEN :a AND :b
               AND (CAST(:bound AS uuid[]) = '{}' OR NOT EXISTS (
                   SELECT FROM deliveries WHERE post_id = posts.id AND account_id <> ALL(CAST(:bound AS uuid[]))))""",
            a=times[0],
            b=times[-1],
            bound=list(accounts),
        )[0].n
    if reported != (min(there, CAP) if accounts else there):
        raise InvalidMeasurement(f"{there} posts were created in a span, and {reported} are reported.")


def generate_posts(stack: Stack, many: int, *, searched: bool = False) -> Sequence[UUID]:
    """Generate posts of every status with one or two deliveries; return the accounts. Indexes are built last.

    *searched*: with words in the captions, and the texts that searches read; their index takes longer than the rest.
    """
    mine = connect_accounts(stack, ACCOUNTS)
    url = stack.context.database.engine.url
    values: dict[str, Any] = {
        "w": stack.workspace,
        "n": many,
        "accounts": mine,
        "many": len(mine),
        "prose": _PROSE if searched else "",
        "rare": RARE,
        "media": '{"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg"]}',
    }
    with psycopg.connect(
        host=str(url.query["host"]), user=url.username, dbname=url.database, autocommit=True
    ) as c:
        c.execute(
            "SET session_replication_role = replica"
        )  # no triggers and no foreign key checks: the rows are consistent
        c.execute("SET maintenance_work_mem = '512MB'")
        with _without_indexes(c, ["posts", "deliveries", *(["post_texts"] if searched else [])]):
            for statement in (_POSTS, _DELIVERIES, _COUNTS, _SPANS, *([_TEXTS] if searched else [])):
                c.execute(statement, values)
        c.execute("VACUUM (ANALYZE) posts, deliveries, post_spans")
        c.execute("CHECKPOINT")  # reads must not wait for dirty pages of the inserts
    return mine


@contextmanager
def _without_indexes(c: psycopg.Connection[Any], tables: Sequence[str]) -> Iterator[None]:
    found = c.execute(_SECONDARY, {"tables": tables}).fetchall()
    for name, _ in found:
        c.execute(f"DROP INDEX {name}")
    yield
    for _, made in found:
        c.execute(made)


class Client:
    """One keep-alive connection."""

    def __init__(self, stack: Stack, key: str) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", stack.ports[2], timeout=30)
        self._headers = {"Authorization": f"Bearer {key}"}

    def answers(self) -> bool | None:
        """Return True if the API answers, else None."""
        try:
            self._line.request("GET", "/healthz")
            return self._line.getresponse().read() != b"" or None
        except OSError:
            self._line.close()
            return None

    def get(self, path: str) -> Any:
        """Return the answer's JSON. Raises InvalidMeasurement unless the status is 200."""
        self._line.request("GET", path, headers=self._headers)
        answer = self._line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise InvalidMeasurement(
                f"{path} answered {answer.status}: {body[:200].decode(errors='replace')}"
            )
        return json.loads(body)

    def times(self, paths: Sequence[str], number: int, warm: int = WARM_UP) -> list[float]:
        """Return the seconds of each of *number* reads over the paths in turn, after *warm* uncounted ones."""
        found = []
        self._line.close()  # it may have been idle for long; the first request opens it again
        for n in range(warm + number):
            since = time.perf_counter()
            self._line.request("GET", paths[n % len(paths)], headers=self._headers)
            answer = self._line.getresponse()
            answer.read()
            found.append(time.perf_counter() - since)
            if answer.status != 200:
                raise InvalidMeasurement(f"{paths[n % len(paths)]} answered {answer.status}.")
        return found[warm:]


class ServedApi:
    """The API of a stack, and how long a read of no post takes there. *reads*: of each request that is compared."""

    def __init__(self, stack: Stack, reads: int) -> None:
        stack.start("api", "pipeline.cli", "api")
        self.client, self._reads = Client(stack, stack.key), reads
        until(self.client.answers, READY, lambda: "the API does not answer")
        self._reference = self.client.times([f"{BASE}/subscription"], reads)

    def compare(self, name: str, reader: Client, paths: Sequence[str], target: str) -> Figure:
        """Read these paths in turn, and return the 99th percentile."""
        found = reader.times(paths, self._reads)
        return Figure(
            name=f"{name}, p99",
            value=percentile(found, 0.99) * 1000,
            unit="ms",
            reference=percentile(self._reference, 0.99) * 1000,
            against=AGAINST,
            target=target,
            detail=f"p50 {percentile(found, 0.5) * 1000:.1f} ms, slowest {max(found) * 1000:.1f} ms",
        )
