"""Measure what one workspace notices of another one whose media come a byte at a time.

The attack goes on during the measurement: first with URLs that drip when they are checked, then with URLs that drip
when they are published.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import requests

from pipeline.store.database import row
from tests.bench.environment import BenchEnvironment, start_workers
from tests.bench.figures import Figure, InvalidMeasurement, percentile
from tests.bench.scale import FULL
from tests.slow_media import serve_slow_media
from tests.stack import Stack, is_answering, until

ATTACKS = 320
SENDERS = 32
"""Requests of the attack under way at once."""
POSTS, FEW = 30, 10
"""Posts of the other workspace in each phase."""
APART = 0.5
"""Seconds between two of them."""
PLATFORM = "youtube"
"""Media are uploaded to it, not pulled by it."""
DUE_IN = timedelta(seconds=20)
TO_LIVE = 60.0
MOST_MS, MOST_LIVE = 1000, 10


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure POST and the time to live of the other workspace, while checks drip and while uploads drip."""
    number = POSTS if environment.scale is FULL else FEW
    with serve_slow_media() as slow, environment.stack(lifted=False) as stack:
        video = requests.get(stack.media("sample.mp4"), timeout=30).content
        media_host = {"SLIPWAY_SANDBOX__MEDIA_URL": slow.origin}
        stack.environment |= media_host
        for group in ("publish", "reachability", "upkeep"):
            start_workers(stack, 1, group)
        stack.start("beat", "pipeline.cli", "beat")
        stack.start("api", "pipeline.cli", "api")
        until(lambda: is_answering(f"{stack.api}/healthz") or None, 40)
        until(lambda: stack.context.liveness.is_alive("reachability") or None, 40)
        attacker, victim = _create_client(stack, "attacker"), _create_client(stack, "victim")
        victim.run(1, video)  # the first post loads what later ones reuse
        yield from _figures("nothing", *victim.run(number, video))
        with attacker.attack([slow.create_slow_url() for _ in range(ATTACKS)]):
            until(lambda: slow.requests > 0 or None, 30)
            yield from _figures("slow checks", *victim.run(number, video))
        environment.log(f"  the slow host got {slow.requests} requests; checks: {_read_checks(stack)}")
        slow.is_slow = False
        due = datetime.now(UTC) + DUE_IN
        other = _create_client(stack, "other attacker")
        with other.attack([slow.create_later_slow_url(video)] * ATTACKS, due):
            other.await_sent()
        slow.is_slow, before = True, slow.requests
        until(lambda: slow.requests > before or None, DUE_IN.total_seconds() + 30)
        yield from _figures("slow uploads", *victim.run(number, video))
        environment.log(f"  uploads read from the slow host meanwhile: {slow.requests - before}")


class Client:
    """A workspace with a key and an account, as a program that posts."""

    def __init__(self, stack: Stack, key: str, account: str) -> None:
        self._stack, self._account = stack, account
        self._key = {"Authorization": f"Bearer {key}"}
        self._sent: list[Future[requests.Response]] = []

    def run(self, number: int, video: bytes) -> tuple[list[float], list[float]]:
        """Post so many videos, each a new upload; return the seconds of each POST, and from it to the visible call."""
        word, latencies, began = f"neighbour-{uuid4().hex[:8]}", [], {}
        for n in range(number):
            url = self._upload(video + n.to_bytes(4, "big"))
            caption = f"{word}-{n}-end"
            start, began[caption] = time.monotonic(), datetime.now(UTC)
            answer = self.post(caption, url)
            latencies.append(time.monotonic() - start)
            if answer.status_code != 201:
                raise InvalidMeasurement(f"A post was refused: {answer.text}")
            time.sleep(max(0.0, APART - latencies[-1]))  # the rate of the posts, not a wait for something
        until(lambda: len(self._list_live(word)) == number or None, TO_LIVE)
        live = self._list_live(word)
        lives = [(live[caption] - at).total_seconds() for caption, at in began.items()]
        return latencies, lives

    @contextmanager
    def attack(self, urls: Sequence[str], due: datetime | None = None) -> Iterator[None]:
        """Send a post of each URL while the context lasts; a post that is not accepted is sent no second time."""
        with ThreadPoolExecutor(SENDERS) as pool:
            self._sent = [pool.submit(self.post, f"attack-{n}", url, due) for n, url in enumerate(urls)]
            yield
            for one in self._sent:
                one.cancel()

    def await_sent(self) -> None:
        """Wait until every post of the attack was answered."""
        wait(self._sent, TO_LIVE)

    def post(self, caption: str, url: str, due: datetime | None = None) -> requests.Response:
        """Send one post."""
        body: dict[str, Any] = {
            "caption": caption,
            "media": {"type": "video", "url": url},
            "accounts": [{"id": self._account}],
        }
        if due is not None:
            body["scheduled_at"] = due.isoformat()
        return requests.post(self._url("posts"), json=body, headers=self._key, timeout=60)

    def _upload(self, data: bytes) -> str:
        made = requests.post(
            self._url("files"), json={"contentType": "video/mp4"}, headers=self._key, timeout=30
        )
        if made.status_code != 201:
            raise InvalidMeasurement(f"No upload was opened: {made.text}")
        urls = made.json()["data"]
        requests.put(
            urls["uploadUrl"], data=data, headers={"Content-Type": "video/mp4"}, timeout=60
        ).raise_for_status()
        return str(urls["url"])

    def _list_live(self, word: str) -> dict[str, datetime]:
        lines = (line for line in self._stack.ledger() if word in str(line["caption"]))
        found = {str(line["caption"]): datetime.fromisoformat(line["at"]) for line in lines}
        return {caption[caption.index(word) : caption.index("-end") + 4]: at for caption, at in found.items()}

    def _url(self, path: str) -> str:
        return f"{self._stack.api}/api/partner/v1/{path}"


def _create_client(stack: Stack, name: str) -> Client:
    stack.seed()
    return Client(stack, stack.key, str(stack.connect(PLATFORM, name)))


def _read_checks(stack: Stack) -> str:
    with stack.context.database.once() as c:
        found = row(
            c,
            """SELECT count(*) FILTER (WHERE slow) AS slow, count(*) FILTER (WHERE verdict IS NULL) AS undecided,
                      count(*) AS all FROM checks""",
        )
    return "" if found is None else f"{found.all}, of these slow {found.slow}, undecided {found.undecided}"


def _figures(attack: str, latencies: Sequence[float], lives: Sequence[float]) -> Iterator[Figure]:
    yield Figure(
        name=f"another workspace's POST, attack: {attack}, p99",
        value=percentile(latencies, 0.99) * 1000,
        unit="ms",
        target=f"at most {MOST_MS} ms",
        detail=f"{len(latencies)} posts, p50 {percentile(latencies, 0.5) * 1000:.0f} ms",
    )
    yield Figure(
        name=f"its immediate posts, POST to the visible call, attack: {attack}, largest",
        value=max(lives),
        unit="s",
        target=f"at most {MOST_LIVE} s",
        detail=f"p50 {percentile(lives, 0.5):.2f} s",
    )
