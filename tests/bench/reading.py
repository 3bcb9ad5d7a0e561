"""`GET /posts` and `GET /posts/{id}` of a workspace that has very many posts."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg

from pipeline.store.database import rows
from pipeline.store.keys import Terms, create_key
from tests.bench.figures import Figure, Unsound, percentile
from tests.bench.filling import accounts
from tests.bench.ground import READY, Ground
from tests.bench.kinds import TIKTOK_PHOTO
from tests.stack import Stack, until

BASE = "/api/partner/v1"
AGAINST = "GET /subscription, which reads no post"
TARGET = "p99 under 10 ms"
WARM = 20
"""Reads that are not counted; more than it takes until PostgreSQL keeps a statement's plan."""

_POSTS = """
INSERT INTO posts (id, workspace_id, caption, media, due_at, status, created_at, updated_at)
SELECT uuidv7(at - now()), %(w)s, 'generated ' || n, %(media)s::jsonb,
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
SELECT id, id, workspace_id, (%(accounts)s::uuid[])[1 + mod(hashtext(id::text) & 1023, %(many)s)], 'tiktok',
       CASE status WHEN 'posted' THEN 'published' WHEN 'canceled' THEN 'cancelled' ELSE status END, due_at, due_at,
       CASE status WHEN 'posted' THEN due_at END, CASE status WHEN 'posted' THEN due_at END, created_at
FROM posts WHERE workspace_id = %(w)s
"""
_COUNTS = """
INSERT INTO post_counts SELECT workspace_id, status, count(*) FROM posts WHERE workspace_id = %(w)s GROUP BY 1, 2
"""
_SPANS = """
WITH minutely AS MATERIALIZED (
    SELECT date_bin('1 minute', created_at, timestamptz 'epoch') AS minute, status, count(*) AS n
    FROM posts WHERE workspace_id = %(w)s GROUP BY 1, 2)
INSERT INTO post_spans (workspace_id, minutes, starts_at, status, n)
SELECT %(w)s, m, date_bin(make_interval(mins => m), minute, timestamptz 'epoch'), status, sum(n)
FROM minutely, unnest(ARRAY[1, 60, 1440, 43200]) AS m GROUP BY 1, 2, 3, 4
"""
_SECONDARY = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
WHERE i.indrelid = ANY(ARRAY['posts'::regclass, 'deliveries'::regclass]) AND k.oid IS NULL
"""


def measure(ground: Ground) -> Iterator[Figure]:
    """The first page, a page far back, spans of time, single posts, a bound key; one client, one API process."""
    many = ground.scale.posts_to_read
    with ground.stack() as stack:
        began = time.monotonic()
        generate(stack, many)
        ground.say(f"  {many:,} posts generated in {time.monotonic() - began:.0f} s")
        stack.start("api", "pipeline.cli", "api")
        client, bound = Client(stack, stack.key), Client(stack, _bound_key(stack))
        until(client.answers, READY, lambda: "the API does not answer")
        reference = client.times([f"{BASE}/subscription"], ground.scale.reads)
        for name, (reader, paths) in _asked(stack, client, bound, many).items():
            # one that is slow is not asked as often, or it alone would take the time of all
            slow = 10 if reader is bound else 1
            found = reader.times(paths, ground.scale.reads // slow // slow, WARM // slow)
            yield Figure(
                name=f"{name}, {many:,} posts, p99", value=percentile(found, 0.99) * 1000, unit="ms",
                reference=percentile(reference, 0.99) * 1000, against=AGAINST, target=TARGET,
                detail=f"p50 {percentile(found, 0.5) * 1000:.1f} ms, slowest {max(found) * 1000:.1f} ms",
            )  # fmt: skip


def _bound_key(stack: Stack) -> str:
    """Of somebody who may use one of the accounts."""
    with stack.core.database.begin() as c:
        one = rows(
            c, "SELECT id FROM accounts WHERE workspace_id = :w ORDER BY id LIMIT 1", w=stack.workspace
        )
        return create_key(c, stack.workspace, "bound", Terms(accounts=[one[0].id]))


def _asked(stack: Stack, client: Client, bound: Client, many: int) -> dict[str, tuple[Client, Sequence[str]]]:
    page = client.get(f"{BASE}/posts?limit=50")["data"]
    if page["summary"]["total"] != many:
        raise Unsound(f"{many} posts were generated and {page['summary']['total']} are told of.")
    with stack.core.database.begin() as c:
        some = rows(c, "SELECT id FROM posts TABLESAMPLE SYSTEM (1) LIMIT 2000")
        ends = rows(c, "SELECT min(created_at) AS first, max(created_at) AS last FROM posts")[0]
    times = [ends.first + (ends.last - ends.first) * n / 41 for n in range(1, 41)]
    at = [one.isoformat().replace("+", "%2B") for one in times]
    _require_counted(stack, client, times, at)
    lists = ["", "?limit=100", f"?cursor={page['next_cursor']}"]
    words = ("failed", "scheduled", "pending", "partial")
    spans = [f"since={a}&until={b}" for a, b in zip(at, at[:0:-1], strict=False) if a < b]
    return {
        "GET /posts": (client, [f"{BASE}/posts{query}" for query in lists]),
        "GET /posts?status=": (client, [f"{BASE}/posts?status={word}" for word in words]),
        "GET /posts?since=": (client, [f"{BASE}/posts?since={one}" for one in at]),
        "GET /posts?until=": (client, [f"{BASE}/posts?until={one}" for one in at]),
        "GET /posts?since=&until=": (client, [f"{BASE}/posts?{span}" for span in spans]),
        "GET /posts/{id}": (client, [f"{BASE}/posts/{r.id}" for r in some]),
        "GET /posts, key bound to 1 of 20 accounts": (bound, [f"{BASE}/posts"]),
    }


def _require_counted(stack: Stack, client: Client, times: Sequence[datetime], at: Sequence[str]) -> None:
    """Raises Unsound unless what is told of a span is what counting its rows gives."""
    told = client.get(f"{BASE}/posts?since={at[0]}&until={at[-1]}")["data"]["summary"]["total"]
    with stack.core.database.begin() as c:
        there = rows(
            c,
            "SELECT count(*) AS n FROM posts WHERE created_at >= :a AND created_at <= :b",
            a=times[0],
            b=times[-1],
        )[0].n
    if told != there:
        raise Unsound(f"{there} posts were made in a span, and {told} are told of.")


def generate(stack: Stack, many: int) -> None:
    """Posts with one delivery each, of every status; secondary indexes are built when the rows are there."""
    mine = accounts(stack, TIKTOK_PHOTO, 20)
    url = stack.core.database.engine.url
    values: dict[str, Any] = {
        "w": stack.workspace, "n": many, "accounts": mine, "many": len(mine),
        "media": '{"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg"]}',
    }  # fmt: skip
    with psycopg.connect(
        host=str(url.query["host"]), user=url.username, dbname=url.database, autocommit=True
    ) as c:
        c.execute(
            "SET session_replication_role = replica"
        )  # no triggers, and no keys of other tables: the rows are ours
        c.execute("SET maintenance_work_mem = '512MB'")
        with _without_indexes(c):
            for statement in (_POSTS, _DELIVERIES, _COUNTS, _SPANS):
                c.execute(statement, values)
        c.execute("VACUUM (ANALYZE) posts, deliveries, post_spans")
        c.execute("CHECKPOINT")  # what making the rows left to write is not the reads' to wait for


@contextmanager
def _without_indexes(c: psycopg.Connection[Any]) -> Iterator[None]:
    found = c.execute(_SECONDARY).fetchall()
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
        """Whether anybody is there."""
        try:
            self._line.request("GET", "/healthz")
            return self._line.getresponse().read() != b"" or None
        except OSError:
            self._line.close()
            return None

    def get(self, path: str) -> Any:
        """The answer's JSON. Raises Unsound unless it is a 200."""
        self._line.request("GET", path, headers=self._headers)
        answer = self._line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Unsound(f"{path} answered {answer.status}: {body[:200].decode(errors='replace')}")
        return json.loads(body)

    def times(self, paths: Sequence[str], number: int, warm: int = WARM) -> list[float]:
        """Seconds of each of so many reads, over the paths in turn; a few before them are not counted."""
        found = []
        for n in range(warm + number):
            since = time.perf_counter()
            self._line.request("GET", paths[n % len(paths)], headers=self._headers)
            answer = self._line.getresponse()
            answer.read()
            found.append(time.perf_counter() - since)
            if answer.status != 200:
                raise Unsound(f"{paths[n % len(paths)]} answered {answer.status}.")
        return found[warm:]
