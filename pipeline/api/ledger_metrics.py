"""The database in /metrics: a table of gauges, each read by a statement of its own, and the counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.histogram import LATENESS_BOUNDS
from pipeline.store.canaries import read_silences
from pipeline.store.checks.checks import count_faults
from pipeline.store.counters import gauges
from pipeline.store.counters.counters import LATENESS, Counter, read_counters
from pipeline.store.database import Database, Unreachable
from pipeline.store.deliveries.dead_letters import count_some
from pipeline.store.health import ping, read_within
from pipeline.store.webhooks.webhooks import count_paused_webhooks

LONGEST = timedelta(milliseconds=500)
"""A gauge that takes longer is left out, and says so; the others are shown."""
LEFT_OUT = "slipway_metric_left_out"
LabelT = TypeVar("LabelT", bound=str)
Sample = tuple[Sequence[str], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name, what it means, and the names of its labels."""

    name: str
    text: str
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """Metrics that one function reads: for each of its families the samples."""

    read: Callable[[Connection], Sequence[Iterable[Sample]]]
    families: Sequence[Family]


def _read_one(read: Callable[[Connection], Iterable[Sample]], family: Family) -> Reading:
    """Return the reading of one metric."""
    return Reading(lambda c: [read(c)], [family])


def _read_number(read: Callable[[Connection], float], name: str, text: str) -> Reading:
    """Return the reading of a metric without labels."""
    return _read_one(lambda c: [((), read(c))], Family(name, text))


def _read_counts(
    read: Callable[[Connection], Mapping[LabelT, float]], name: str, text: str, label: str
) -> Reading:
    """Return the reading of numbers by one label."""
    return _read_one(lambda c: [((key,), n) for key, n in read(c).items()], Family(name, text, [label]))


def _read_overdue(c: Connection) -> Sequence[Iterable[Sample]]:
    found = gauges.list_overdue(c)
    return [
        [((platform,), seconds) for platform, seconds in gauges.find_oldest_overdue(found).items()],
        [((one.platform, one.held_for), one.number) for one in found],
    ]


def _read_oldest(c: Connection) -> Iterable[Sample]:
    return [((one.platform, one.state, one.reason), one.seconds) for one in gauges.list_oldest(c)]


def _read_silences(c: Connection) -> Mapping[str, float]:
    return {queue: silence.total_seconds() for queue, silence in read_silences(c).items()}


_OVERDUE_TEXT = (
    f"Deliveries that were due {gauges.OVERDUE_AFTER.seconds} s ago and are not sent, by the hold that `slipway "
    f"explain` tells, `{gauges.RETRY}` after a failed try, or none while a worker has them. At most {3 * gauges.LIMIT} "
    "of each platform are counted."
)
GAUGES: Sequence[Reading] = (
    _read_counts(
        gauges.count_posts, "slipway_posts", "Posts by stored status, deleted ones excluded.", "status"
    ),
    Reading(
        _read_overdue,
        [
            Family(
                "slipway_oldest_overdue_seconds",
                "Seconds since the oldest overdue delivery was due, or since a limit or the platform's processing "
                "ended after that; what is paused or held by a limit left out; 0: none is overdue.",
                ["platform"],
            ),
            Family("slipway_overdue_deliveries", _OVERDUE_TEXT, ["platform", "held_for"]),
        ],
    ),
    _read_one(
        _read_oldest,
        Family(
            "slipway_oldest_waiting_seconds",
            "Seconds for which the oldest delivery has been unknown, or blocked for a reason.",
            ["platform", "state", "reason"],
        ),
    ),
    _read_one(
        lambda c: gauges.count_grants_ending(c).items(),
        Family(
            "slipway_grants_ending",
            "Active accounts that have to be connected again within this time.",
            ["platform", "within"],
        ),
    ),
    _read_counts(gauges.count_paused, "slipway_paused", "Pauses in force, by scope.", "scope"),
    _read_counts(
        count_paused_webhooks,
        "slipway_webhooks_paused",
        "Webhooks that are paused, by a user or because their server does not take events.",
        "why",
    ),
    _read_number(
        gauges.read_count_age,
        "slipway_count_age_seconds",
        "Age of the counters and of slipway_deliveries: seconds since which moves are not counted.",
    ),
    _read_number(
        gauges.may_send,
        "slipway_may_send",
        "1 if the database's epoch is confirmed, so that posts may be sent, else 0.",
    ),
    _read_one(
        lambda c: count_some(c, gauges.DEAD_LIMIT).items(),
        Family(
            "slipway_dead_letters",
            "Deliveries that failed or wait for an operator, and are not dealt with yet, among at most "
            f"{gauges.DEAD_LIMIT:,} that failed or are blocked.",
            ["platform", "class"],
        ),
    ),
    _read_number(
        count_faults,
        "slipway_check_faults",
        "Checks of media that wait because a fault of this installation ended their last try, 1,000 at "
        "most. Each try is logged as ALARM with its traceback.",
    ),
    _read_counts(
        _read_silences,
        "slipway_queue_silence_seconds",
        "Seconds since a worker took a message out of the queue.",
        "queue",
    ),
)

DELIVERIES = Family(
    "slipway_deliveries",
    "Deliveries by platform, state, and why they are blocked or held.",
    ["platform", "state", "reason"],
)
COUNTERS: Sequence[Family] = (
    Family("slipway_posts_accepted_total", "Posts accepted.", ["source"]),
    Family(
        "slipway_deliveries_settled_total",
        "Deliveries published, failed or cancelled; class is that of the error. Retried, one settles again.",
        ["platform", "outcome", "class"],
    ),
    Family("slipway_attempts_total", "Attempts that ended, by outcome.", ["platform", "outcome"]),
    Family("slipway_checks_total", "Checks of media and music decided.", ["verdict"]),
    Family("slipway_thumbnails_total", "Thumbnails of checked media: made, or failed.", ["outcome"]),
    Family(
        "slipway_dead_letters_added_total",
        "Deliveries that became a dead letter: failed for good, or blocked until an operator decides.",
        ["platform", "class"],
    ),
    Family(
        "slipway_webhook_attempts_total",
        "Tries to send an event to a webhook that ended, by outcome.",
        ["outcome"],
    ),
    Family("slipway_lease_expiries_total", "Deliveries taken back from workers that died or hang."),
    Family(
        "slipway_alarms_total",
        "Alarms: each is a line in the log that begins with ALARM.",
        ["kind"],
    ),
)
LATENESS_TEXT = (
    "Seconds from the due time to the first time at which a delivery was armed, less the platform's processing before "
    "that. Left out are delays that are intended: pauses, limits and quotas, edits, retries and resumptions after the "
    "due time."
)


def read_ledger(database: Database) -> list[Metric] | None:
    """Return the metrics of the database; None if it is unreachable."""
    try:
        with database.begin() as c:
            ping(c)
            return [*_read_all(c)]
    except Unreachable:
        return None


def _read_all(c: Connection) -> Iterator[Metric]:
    left_out = GaugeMetricFamily(
        LEFT_OUT,
        f"1 if the metric is missing because it took longer than {LONGEST.total_seconds():g} s to read, else 0.",
        labels=["metric"],
    )
    for reading in GAUGES:
        found = read_within(c, reading.read, LONGEST)
        for n, family in enumerate(reading.families):
            left_out.add_metric([family.name], float(found is None))
            if found is not None:
                yield build_gauge(family, found[n])
    counters = read_within(c, read_counters, LONGEST)
    left_out.add_metric(["counters"], float(counters is None))
    if counters is not None:
        yield from build_counters(counters)
    yield left_out


def build_gauge(family: Family, samples: Iterable[Sample]) -> Metric:
    """Return a gauge with these samples."""
    gauge = GaugeMetricFamily(family.name, family.text, labels=family.labels)
    for labels, value in samples:
        gauge.add_metric([*labels], float(value))
    return gauge


def build_counters(found: Iterable[Counter]) -> Iterator[Metric]:
    """Yield the counters, the folded gauge, and the histogram, without counters that only a newer version knows."""
    by_name: dict[str, list[Counter]] = defaultdict(list)
    for one in found:
        by_name[one.name].append(one)
    yield build_gauge(DELIVERIES, _to_samples(DELIVERIES, by_name[DELIVERIES.name]))
    for family in COUNTERS:
        counter = CounterMetricFamily(family.name, family.text, labels=family.labels)
        samples = [*_to_samples(family, by_name[family.name])]
        for labels, value in samples or ([] if family.labels else [((), 0.0)]):
            counter.add_metric([*labels], value)
        yield counter
    yield _build_lateness(by_name[f"{LATENESS}_bucket"], by_name[f"{LATENESS}_sum"])


def _to_samples(family: Family, found: Iterable[Counter]) -> Iterator[Sample]:
    for one in found:
        yield [one.labels.get(name, "") for name in family.labels], one.value


def _build_lateness(buckets: Iterable[Counter], sums: Iterable[Counter]) -> Metric:
    histogram = HistogramMetricFamily(LATENESS, LATENESS_TEXT, labels=["platform"])
    by_platform: dict[str, dict[str, float]] = defaultdict(dict)
    for one in buckets:
        by_platform[one.labels["platform"]][one.labels["le"]] = one.value
    # from 0 for every platform: the first ones counted are an increase too
    totals = dict.fromkeys(map(str, Platform), 0.0) | {one.labels["platform"]: one.value for one in sums}
    for platform, total in totals.items():
        histogram.add_metric([platform], [*_cumulate(by_platform[platform])], total)
    return histogram


def _cumulate(found: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield each bucket's bound, and how many are at most that."""
    total = 0.0
    for bound in (*map(str, LATENESS_BOUNDS), "+Inf"):
        total += found.get(bound, 0)
        yield bound, total
