"""Measure the search of the queue by words that are rare, frequent, not there, or too short for the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from pipeline.dashboard.queue import PAGE, PATH
from pipeline.store.deliveries.queue_posts import list_queued_posts
from pipeline.store.deliveries.selection import ListFilter
from tests.bench.dashboard import SHARE, log_in
from tests.bench.environment import BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement
from tests.bench.reading import RARE, ServedApi, generate_posts
from tests.stack import Stack

TARGET = "p99 under 300 ms"
SEARCHES: Mapping[str, Sequence[str]] = {
    "a rare word": (RARE,),
    "a frequent word": ("jacket", "weather", "workshop"),
    "a word that is not there": ("nowhere", "and the store", "a" * 200),
    "two letters": ("zq", "wz"),
}


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure searches of each kind, for a user of all workspaces and one of the largest."""
    many, reads = environment.scale.posts_to_read, environment.scale.reads // SHARE
    with environment.stack() as stack:
        generate_posts(stack, many, searched=True)
        _check(stack, many)
        served = ServedApi(stack, reads)
        for who, browser in log_in(stack).items():
            for kind, texts in SEARCHES.items():
                paths = [f"{PATH}?{urlencode({'text': text})}" for text in texts]
                yield served.compare(f"{PATH} by {kind}, {who}, {many:,} posts", browser, paths, TARGET)


def _check(stack: Stack, many: int) -> None:
    """Raise InvalidMeasurement unless the first page has all posts of the rare word, as many as fit."""
    with stack.context.database.begin() as c:
        page = list_queued_posts(c, ListFilter(text=RARE), None, limit=PAGE)
    found = set(page.posts)
    there = -(-many // 30_000)
    if page.is_cut or (page.after is None and len(found) != there):
        raise InvalidMeasurement(f"{RARE} is in {there} posts, and was found in {len(found)}.")
