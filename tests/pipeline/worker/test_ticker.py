"""The schedule on real processes: it goes on without beat, past frozen and killed holders, at one rate for all."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from config.settings import Settings
from pipeline.broker.queues import (
    ALL_QUEUES,
    DELAY,
    PUBLISH,
    STATUS,
    WORKER_GROUPS,
    list_group_ticks,
    list_ticks,
)
from pipeline.domain.delivery import State
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.store.canaries import read_silences
from pipeline.store.database import rows
from pipeline.store.deliveries.claim import Message
from pipeline.worker.ticker import create_ticker
from tests.crash_table import Crashes, get_points
from tests.forked_program import ForkedProgram
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Post
from tests.pipeline.worker.processes import Start, start_worker
from tests.pipeline.worker.tick_rows import hold_ticks
from tests.stack import until

ROOT = Path(__file__).parents[3]
SOON = timedelta(seconds=10)
"""Far more than the two and three seconds that are promised, and less than the 15 s of an ordinary transaction."""


def is_stopped(process: ForkedProgram) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def read_ticks(core: CoreFixture) -> Mapping[str, Any]:
    with core.context.database.once() as c:
        return {r.name: r for r in rows(c, "SELECT *, next_at > leased_until AS is_sent FROM ticks")}


def list_consumed(core: CoreFixture) -> set[str]:
    with core.context.database.once() as c:
        return set(read_silences(c))


def count_sweeps(core: CoreFixture) -> int:
    client = create_redis_client(core.context.settings.broker.url.get_secret_value())
    found: Any = client.lrange(DELAY, 0, -1)
    client.close()
    return sum(json.loads(raw)["headers"]["task"] == "delay.sweep" for raw in found)


# --- without beat ----------------------------------------------------------------------------------------------------


def test_without_beat_every_tick_is_sent_and_every_queue_consumed(core: CoreFixture, start: Start) -> None:
    start_worker(start, "all", *ALL_QUEUES)
    until(lambda: list_consumed(core) == set(ALL_QUEUES), 60)
    names = {tick.name for tick in list_ticks(core.context.settings)}
    until(lambda: {name for name, tick in read_ticks(core).items() if tick.is_sent} == names, 60)


def test_a_worker_sends_the_ticks_of_its_group_and_no_others(core: CoreFixture, start: Start) -> None:
    start_worker(start, "status", STATUS)
    names = {tick.name for tick in list_group_ticks(core.context.settings, WORKER_GROUPS["publish"])}
    assert "delay.sweep" in names
    assert "upkeep.rescue" not in names
    until(lambda: {name for name, tick in read_ticks(core).items() if tick.is_sent} == names, 60)
    assert read_ticks(core).keys() == names


# --- holders that die or freeze --------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", get_points("test_a_tick_whose_holder_is_killed_is_sent_by_another_process"))
def test_a_tick_whose_holder_is_killed_is_sent_by_another_process(
    core: CoreFixture, start: Start, crashes: Crashes, point: str
) -> None:
    killed = start_worker(start, "killed", DELAY, armed=crashes.arm(point))
    assert killed.wait(60) == -signal.SIGKILL
    leased = {
        name: tick.leased_until for name, tick in read_ticks(core).items() if tick.leased_until.year > 1
    }
    assert leased
    start_worker(start, "other", DELAY)
    until(lambda: all(read_ticks(core)[name].is_sent for name in leased), 60)
    until(lambda: DELAY in list_consumed(core), 60)


def test_a_tick_whose_holder_is_frozen_is_sent_by_another_process(
    core: CoreFixture, start: Start, crashes: Crashes
) -> None:
    start_worker(start, "other", DELAY)
    until(lambda: DELAY in list_consumed(core), 60)
    frozen = start_worker(start, "frozen", DELAY, armed=crashes.arm(does="stop"))
    until(lambda: is_stopped(frozen), 60)
    assert crashes.has_reached("ticks.claimed")
    left = max(tick.leased_until for tick in read_ticks(core).values())
    until(lambda: all(tick.is_sent for tick in read_ticks(core).values()), 60)
    assert core.now() - left < SOON
    assert is_stopped(frozen)
    before = read_ticks(core)["delay.sweep"].next_at
    frozen.send_signal(signal.SIGCONT)  # it sends what it had claimed, once more, and goes on
    until(lambda: read_ticks(core)["delay.sweep"].next_at > before, 60)
    assert frozen.poll() is None


def test_a_holder_whose_broker_hangs_gives_up_and_another_process_sends(core: CoreFixture) -> None:
    s, ticks = core.context.settings, list_ticks(core.context.settings)
    with socket.create_server(("127.0.0.1", 0)) as hung:  # accepts connections, and never answers
        cut_off = load_url(s, f"redis://127.0.0.1:{hung.getsockname()[1]}/0")
        holder = create_ticker(cut_off, core.context.database, ticks, lambda: None)
        other = create_ticker(s, core.context.database, ticks, lambda: None)
        holder.run_once()  # makes the rows
        thread = Thread(target=holder.run_once)
        thread.start()
        until(lambda: len(read_ticks(core)) and not any(t.is_sent for t in read_ticks(core).values()), 60)
        until(lambda: other.run_once() and all(t.is_sent for t in read_ticks(core).values()), 60)
        assert count_sweeps(core) >= 1
        thread.join(60)
        assert not thread.is_alive()


def load_url(s: Settings, url: str) -> Settings:
    return s.model_copy(update={"broker": s.broker.model_copy(update={"url": SecretStr(url)})})


# --- beats -----------------------------------------------------------------------------------------------------------


def test_three_beats_send_as_many_ticks_as_one_and_go_on_when_two_are_frozen(
    core: CoreFixture, start: Start
) -> None:
    began = core.now()
    beats = [start("beat") for _ in range(3)]
    until(lambda: count_sweeps(core) >= 6, 90)
    ended, sent = core.now(), count_sweeps(core)
    assert sent <= (ended - began) / timedelta(seconds=core.context.settings.delay.sweep) + 2
    for beat in beats[1:]:
        beat.send_signal(signal.SIGSTOP)
    until(lambda: count_sweeps(core) >= sent + 3, 60)


# --- sweepers --------------------------------------------------------------------------------------------------------


def test_rows_that_a_frozen_sweeper_has_locked_are_released_by_another(
    core: CoreFixture, start: Start, crashes: Crashes
) -> None:
    start_worker(start, "other", DELAY)
    frozen = start_worker(start, "frozen", DELAY, armed=crashes.arm(does="stop"))
    posts: list[Post] = []

    def freezes() -> bool:
        posts.append(core.ledger.post([core.accounts["one"]]))
        return crashes.has_reached("delay.locked")

    until(freezes, 60)
    until(lambda: is_stopped(frozen), 60)
    due = core.now()
    deliveries = [one.deliveries[0] for one in posts]
    until(lambda: all(core.ledger.delivery(d).state == State.QUEUED for d in deliveries), 60)
    assert _last_release(core) - due < SOON
    assert is_stopped(frozen)


def _last_release(core: CoreFixture) -> datetime:
    with core.context.database.once() as c:
        found: datetime = rows(c, "SELECT max(at) AS at FROM moves WHERE mover = 'delay'")[0].at
    return found


# --- silence ---------------------------------------------------------------------------------------------------------


def test_any_message_is_a_sign_of_life_not_only_a_canary(core: CoreFixture, start: Start) -> None:
    hold_ticks(core.context.database, core.context.settings)
    start_worker(start, "reachability", *WORKER_GROUPS["reachability"])
    [pulse] = [tick for tick in list_ticks(core.context.settings) if tick.name == "reachability.pulse"]
    core.context.dispatcher.send_ticks([pulse])
    until(lambda: list_consumed(core) == {pulse.queue}, 60)


def test_a_worker_that_works_off_a_backlog_is_never_silent(
    core: CoreFixture, start: Start, crashes: Crashes
) -> None:
    """Its one slot is busy, so that the canaries wait behind what waits for the slot."""
    queue = PUBLISH[next(p for p in PUBLISH if p == "tiktok")]
    start_worker(start, "busy", queue, STATUS, slots=1, armed=crashes.arm(does="hang"))
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    core.context.dispatcher.send_deliveries(
        [Message(delivery=post.deliveries[0], platform="tiktok", generation=0, fence=0)]
    )
    until(lambda: crashes.has_reached("publish.claimed"), 60)
    with core.context.database.begin() as c:
        rows(c, "DELETE FROM canaries RETURNING queue")
    until(lambda: list_consumed(core) == {queue, STATUS}, 60)
    until(lambda: core.messages(STATUS) > 1, 60)
    with core.context.database.begin() as c:
        rows(c, "DELETE FROM canaries RETURNING queue")
    until(lambda: list_consumed(core) == {queue, STATUS}, 60)
