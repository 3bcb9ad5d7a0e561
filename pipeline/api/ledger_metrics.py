"""The database in /metrics: a table of gauges, each read by a statement of its own, and the counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

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
Sample = tuple[Sequence[str], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A metric: its name, what it means, and the names of its labels."""

    name: str
    text: str
    labels: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Metrics that one function reads: for each of its families the samples."""

    families: Sequence[Family]
    read: Callable[[Connection], Sequence[Iterable[Sample]]]


def _read_posts(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((status,), n) for status, n in gauges.count_posts(c).items()]]


def _read_overdue(c: Connection) -> Sequence[Iterable[Sample]]:
    found = gauges.list_overdue(c)
    return [
        [((platform,), seconds) for platform, seconds in gauges.find_oldest_overdue(found).items()],
        [((one.platform, one.held_for), one.number) for one in found],
    ]


def _read_oldest(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((one.platform, one.state, one.reason), one.seconds) for one in gauges.list_oldest(c)]]


def _read_grants(c: Connection) -> Sequence[Iterable[Sample]]:
    return [gauges.count_grants_ending(c).items()]


def _read_paused(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((scope,), n) for scope, n in gauges.count_paused(c).items()]]


def _read_paused_webhooks(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((why,), n) for why, n in count_paused_webhooks(c).items()]]


def _read_age(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((), gauges.read_count_age(c))]]


def _read_may_send(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((), gauges.may_send(c))]]


def _read_letters(c: Connection) -> Sequence[Iterable[Sample]]:
    return [count_some(c, gauges.DEAD_LIMIT).items()]


def _read_faults(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((), count_faults(c))]]


def _read_silences(c: Connection) -> Sequence[Iterable[Sample]]:
    return [[((queue,), silence.total_seconds()) for queue, silence in read_silences(c).items()]]


_OVERDUE_TEXT = (
    f"Deliveries that were due {gauges.OVERDUE_AFTER.seconds} s ago and are not sent, by the hold that `slipway "
    f"explain` tells, `{gauges.RETRY}` after a failed try, or none while a worker has them. At most {3 * gauges.LIMIT} "
    "of each platform are counted."
)
GAUGES: Sequence[Reading] = (
    Reading(
        families=[
            Family(
                name="slipway_posts",
                text="Posts by stored status, deleted ones excluded.",
                labels=["status"],
            )
        ],
        read=_read_posts,
    ),
    Reading(
        families=[
            Family(
                name="slipway_oldest_overdue_seconds",
                text="Seconds since the oldest overdue delivery was due, or since a limit or the platform's processing "
                "ended after that; what is paused or held by a limit left out; 0: none is overdue.",
                labels=["platform"],
            ),
            Family(name="slipway_overdue_deliveries", text=_OVERDUE_TEXT, labels=["platform", "held_for"]),
        ],
        read=_read_overdue,
    ),
    Reading(
        families=[
            Family(
                name="slipway_oldest_waiting_seconds",
                text="Seconds for which the oldest delivery has been unknown, or blocked for a reason.",
                labels=["platform", "state", "reason"],
            )
        ],
        read=_read_oldest,
    ),
    Reading(
        families=[
            Family(
                name="slipway_grants_ending",
                text="Active accounts that have to be connected again within this time.",
                labels=["platform", "within"],
            )
        ],
        read=_read_grants,
    ),
    Reading(
        families=[Family(name="slipway_paused", text="Pauses in force, by scope.", labels=["scope"])],
        read=_read_paused,
    ),
    Reading(
        families=[
            Family(
                name="slipway_webhooks_paused",
                text="Webhooks that are paused, by a user or because their server does not take events.",
                labels=["why"],
            )
        ],
        read=_read_paused_webhooks,
    ),
    Reading(
        families=[
            Family(
                name="slipway_count_age_seconds",
                text="Age of the counters and of slipway_deliveries: seconds since which moves are not counted.",
            )
        ],
        read=_read_age,
    ),
    Reading(
        families=[
            Family(
                name="slipway_may_send",
                text="1 if the database's epoch is confirmed, so that posts may be sent, else 0.",
            )
        ],
        read=_read_may_send,
    ),
    Reading(
        families=[
            Family(
                name="slipway_dead_letters",
                text="Deliveries that failed or wait for an operator, and are not dealt with yet, among at most "
                f"{gauges.DEAD_LIMIT:,} that failed or are blocked.",
                labels=["platform", "class"],
            )
        ],
        read=_read_letters,
    ),
    Reading(
        families=[
            Family(
                name="slipway_check_faults",
                text="Checks of media that wait because a fault of this installation ended their last try, 1,000 at "
                "most. Each try is logged as ALARM with its traceback.",
            )
        ],
        read=_read_faults,
    ),
    Reading(
        families=[
            Family(
                name="slipway_queue_silence_seconds",
                text="Seconds since a worker took a message out of the queue.",
                labels=["queue"],
            )
        ],
        read=_read_silences,
    ),
)

DELIVERIES = Family(
    name="slipway_deliveries",
    text="Deliveries by platform, state, and why they are blocked or held.",
    labels=["platform", "state", "reason"],
)
COUNTERS: Sequence[Family] = (
    Family(name="slipway_posts_accepted_total", text="Posts accepted.", labels=["source"]),
    Family(
        name="slipway_deliveries_settled_total",
        text="Deliveries published, failed or cancelled; class is that of the error. Retried, one settles again.",
        labels=["platform", "outcome", "class"],
    ),
    Family(
        name="slipway_attempts_total", text="Attempts that ended, by outcome.", labels=["platform", "outcome"]
    ),
    Family(name="slipway_checks_total", text="Checks of media and music decided.", labels=["verdict"]),
    Family(
        name="slipway_dead_letters_added_total",
        text="Deliveries that became a dead letter: failed for good, or blocked until an operator decides.",
        labels=["platform", "class"],
    ),
    Family(
        name="slipway_webhook_attempts_total",
        text="Tries to send an event to a webhook that ended, by outcome.",
        labels=["outcome"],
    ),
    Family(name="slipway_lease_expiries_total", text="Deliveries taken back from workers that died or hang."),
    Family(
        name="slipway_alarms_total",
        text="Alarms: each is a line in the log that begins with ALARM.",
        labels=["kind"],
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
    """Yield the counters, the folded gauge, and the histogram; what a newer version counts is left out."""
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
