"""Measure what open pages of the dashboard cost, and how soon one shows a post; among very many posts."""

from __future__ import annotations

import http.client
import json
import random
import selectors
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from urllib.parse import urlencode
from uuid import UUID

from pipeline.dashboard.live_feed import seal_position
from pipeline.domain.account import Role
from pipeline.store.auth.sessions import find_session, start_session
from pipeline.store.auth.users import StoredPassword, create_user, set_role
from tests.bench.environment import READY, BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.processes import CpuReading
from tests.bench.reading import WARM_UP, Client, generate_posts
from tests.stack import Stack, until

PAGES = 50
SESSIONS = 5
"""A session has at most 20 streams."""
POSTS_A_SECOND = 1
RELOADED = "/dashboard/queue"


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure open pages without and with posts, then the time from an answer to a page that shows its post."""
    scale = environment.scale
    with environment.stack() as stack:
        accounts = generate_posts(stack, scale.posts_to_read)
        stack.start("api", "pipeline.cli", "api")
        until(Client(stack, stack.key).answers, READY, lambda: "the API does not answer")
        visitors = [Visitor(stack) for _ in range(SESSIONS)]
        for one in visitors:
            one.times([RELOADED], WARM_UP)
        parts = environment.processes(stack)
        work = Posting(stack, accounts[0])
        yield _measure_cost("no post", None, visitors, parts, scale.idle)
        yield _measure_cost(f"{POSTS_A_SECOND} post a second", work, visitors, parts, scale.footprint)
        yield _measure_delay(visitors[0], work, scale.late_posts // 3)


class Visitor(Client):
    """One keep-alive connection with a session of the dashboard."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack, "")
        with stack.context.database.begin() as c:
            user = create_user(c, f"bench-{random.getrandbits(40):x}", "x")
            set_role(c, user, None, Role.ADMIN)
            token = start_session(c, StoredPassword(user_id=user, password_hash="x"), "127.0.0.1", "bench")
            session = find_session(c, token or "")
        if session is None:
            raise InvalidMeasurement("A new session is not there.")
        self._after_all = seal_position(stack.context.vault, session.id, 10**15)
        self.port = stack.ports[2]
        self._headers = {"Cookie": f"slipway={token}", "Host": f"127.0.0.1:{self.port}"}

    def reload(self) -> None:
        """Load the queue as htmx does."""
        self._line.close()
        self._line.request("GET", RELOADED, headers={**self._headers, "HX-Request": "true"})
        answer = self._line.getresponse()
        answer.read()
        if answer.status != 200:
            raise InvalidMeasurement(f"{RELOADED} answered {answer.status}.")

    def listen(self) -> http.client.HTTPResponse:
        """Open a stream of events, of a page that knows everything so far."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        query = urlencode({"topics": "posts", "after": self._after_all})
        line.request("GET", f"/dashboard/events?{query}", headers=self._headers)
        return line.getresponse()


class Posting:
    """Posts through the API, on a connection of its own."""

    def __init__(self, stack: Stack, account: UUID) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", stack.ports[2], timeout=30)
        self._headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}
        self._account = str(account)

    def post(self) -> float:
        """Make a post and return when its answer came."""
        body = {
            "caption": f"live {random.getrandbits(60):x}",
            "media": {"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg"]},
            "accounts": [{"id": self._account}],
            "scheduled_at": "2035-01-01T00:00:00Z",
        }
        self._line.close()  # it may have been idle for longer than the server keeps it
        self._line.request("POST", "/api/partner/v1/posts", json.dumps(body), self._headers)
        answer = self._line.getresponse()
        text = answer.read()
        if answer.status != 201:
            raise InvalidMeasurement(f"POST /posts answered {answer.status}: {text[:300]!r}")
        return time.monotonic()


def _measure_cost(
    name: str, work: Posting | None, visitors: Sequence[Visitor], parts: Mapping[str, int], seconds: float
) -> Figure:
    """Return what the open pages cost: the CPU of API and database, less that of the same work without them."""
    alone, _ = _run(work, [], visitors, parts, seconds)
    with ExitStack() as opened:
        streams = [visitors[n % SESSIONS].listen() for n in range(PAGES)]
        for one in streams:
            opened.enter_context(one)
        with_pages, reloads = _run(work, streams, visitors, parts, seconds)
    cost = {part: (with_pages[part] - alone[part]) * 100 for part in ("api", "postgres")}
    return Figure(
        name=f"{PAGES} open pages, {name}",
        value=cost["api"],
        unit="% of a core",
        reference=alone["api"] * 100,
        against="the API without open pages, the same posts",
        target="under 5 % of a core",
        detail=f"{reloads} reloads in {seconds:.0f} s; PostgreSQL {cost['postgres']:.1f} % more",
    )


def _run(
    work: Posting | None,
    streams: Sequence[http.client.HTTPResponse],
    visitors: Sequence[Visitor],
    parts: Mapping[str, int],
    seconds: float,
) -> tuple[Mapping[str, float], int]:
    """Post and reload for a while. Return the cores used by part, and the reloads."""
    reloads, due = 0, time.monotonic()
    with selectors.DefaultSelector() as selector:
        for one in streams:
            selector.register(one, selectors.EVENT_READ)
        first = CpuReading.of(parts)
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if work is not None and now >= due:
                work.post()
                due += 1 / POSTS_A_SECOND
            wait = min(end, due if work is not None else end) - time.monotonic()
            for key, _ in selector.select(max(0.0, wait)):
                if b"event: changed" in key.fileobj.read1(65_536):  # type: ignore[union-attr]
                    visitors[reloads % SESSIONS].reload()
                    reloads += 1
        return first.cores(CpuReading.of(parts)), reloads


def _measure_delay(visitor: Visitor, work: Posting, number: int) -> Figure:
    """Return the time from the answer to a post to the page's answer with it, of one open page."""
    found: list[float] = []
    with visitor.listen() as stream:
        for _ in range(number):
            time.sleep(random.uniform(1, 2))  # the next poll is anywhere
            answered = work.post()
            while b"event: changed" not in stream.readline():
                pass
            visitor.reload()
            found.append(time.monotonic() - answered)
    return Figure(
        name="from a post's answer to an open page that shows it, p99",
        value=percentile(found, 0.99) * 1000,
        unit="ms",
        target="under 1,000 ms",
        detail=f"p50 {percentile(found, 0.5) * 1000:.0f} ms, of {number} posts",
    )
