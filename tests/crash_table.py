"""Crash table: the failpoints at which each test crashes a process. Every failpoint is in at least one row.

A test reads its row through the fixture ``crashes`` and fails if a process did not reach one of its failpoints.
``tests/model/test_points.py`` checks that the table and the source name the same failpoints. ``tests/proof/points.py``
is the table of crashes that are repeated on every platform.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fork_server_client import ForkServer, run
from tests.model import points as known

ROOT = Path(__file__).parents[1]

_FLOW, _PIPELINE = "tests/flow/test_failpoints", "tests/pipeline"
_FILES = (
    f"{_PIPELINE}/api/files/test_upload_crashes.py::"
    "test_whenever_the_server_dies_the_client_repeats_and_gets_its_file"
)
CRASHES: Mapping[str, tuple[str, ...]] = {
    # --- real workers, an API and commands of a running system, judged by the sandbox's ledger
    "tests/flow/test_killed_workers.py::test_a_worker_killed_before_arm_leaves_nothing_sent_and_nothing_lost": (
        "publish.claimed",
        "publish.prepared",
        "publish.checkpointed",
        "publish.beat",
    ),
    "tests/flow/test_killed_workers.py::test_a_worker_killed_after_arm_leaves_a_look_never_a_second_post": (
        "publish.armed",
        "publish.answered",
        "publish.raised",
        "publish.handle-stored",
        "publish.settling",
    ),
    f"{_FLOW}.py::test_a_worker_that_dies_around_each_look_leaves_one_post": (
        "publish.settled",
        "status.claimed",
        "status.looked",
        "status.settled",
    ),
    f"{_FLOW}.py::test_a_worker_that_dies_in_a_refresh_leaves_one_post": (
        "credentials.claimed",
        "credentials.answered",
    ),
    f"{_FLOW}.py::test_a_worker_that_dies_over_a_check_leaves_one_post": (
        "reachability.claimed",
        "reachability.decided",
    ),
    "tests/flow/test_converted_images.py::test_a_worker_that_dies_over_an_image_leaves_one_post_and_one_file": (
        "derived.stored",
        "derived.committed",
    ),
    f"{_FLOW}.py::test_an_api_that_dies_after_each_commit_keeps_its_word": (
        "ingest.committed",
        "edit.committed",
        "steer.retried",
        "steer.deleted",
        "connect.used",
        "connect.answered",
    ),
    f"{_FLOW}_outside_publish.py::test_a_worker_that_dies_while_time_becomes_work_leaves_one_post": (
        "delay.released",
        "delay.looks-rung",
        "delay.late",
    ),
    f"{_FLOW}_outside_publish.py::test_an_upkeep_that_dies_while_it_helps_leaves_one_post": (
        "rescue.moved",
        "rescue.found",
        "resume.committed",
    ),
    f"{_FLOW}_outside_publish.py::test_a_person_whose_command_dies_after_the_commit_is_heard": (
        "decide.again",
        "decide.resumed",
        "steering.worked",
    ),
    f"{_FLOW}_outside_publish.py::test_a_worker_that_dies_with_a_handful_leaves_one_post_of_each": (
        "publish.claimed-several",
    ),
    "tests/flow/test_graceful_stop.py::test_what_hangs_when_the_time_is_over_is_handed_back_and_live_once": (
        "publish.claimed",
        "publish.armed",
        "publish.handed-back",
        "status.claimed",
        "reachability.claimed",
    ),
    # --- one process, one piece of work
    f"{_FILES}[folder]": (
        "files.begun",
        "files.abandoned",
        "files.written",
        "files.finished",
        "files.committed",
        "files.removing",
        "files.removed",
    ),
    f"{_FILES}[s3]": (
        "files.finished",
        "files.removed",
    ),
    f"{_PIPELINE}/cli/test_backup.py::"
    "test_a_restore_that_dies_before_its_commit_leaves_an_empty_database_and_is_run_again": (
        "restore.loaded",
    ),
    f"{_PIPELINE}/recovery/test_restore.py::"
    "test_a_person_whose_command_dies_before_its_commit_accepts_it_again_and_the_span_is_the_same": (
        "restore.begun",
    ),
    f"{_PIPELINE}/runtime/test_send_guard.py::test_who_dies_between_the_two_halves_raises_no_alarm": (
        "mark.intended",
        "mark.advanced",
    ),
    f"{_PIPELINE}/maintenance/test_move_readers.py::"
    "test_a_reader_that_dies_anywhere_loses_no_move_and_reads_none_twice": (
        "receipts.added",
        "receipts.committed",
        "export.consumed",
        "export.positioned",
        "export.committed",
    ),
    f"{_PIPELINE}/maintenance/test_index_texts.py::test_a_job_that_dies_leaves_out_no_text": (
        "texts.saved",
        "texts.committed",
    ),
    f"{_PIPELINE}/cli/test_pause.py::test_a_pause_that_is_lifted_by_a_command_that_dies_is_lifted": (
        "pause.lifted",
    ),
    f"{_PIPELINE}/cli/test_account.py::test_what_waited_for_an_account_goes_on_though_the_command_died": (
        "account.usable-again",
    ),
    f"{_PIPELINE}/accounts/test_refresh_in_sandbox.py::test_a_crash_around_a_refresh_costs_nobody_the_account": (
        "credentials.answered",
        "credentials.refused",
        "credentials.ended",
    ),
    f"{_PIPELINE}/worker/test_hung_consumer.py::test_a_deaf_worker_ends_itself_and_a_busy_one_goes_on": (
        "worker.received",
        "publish.claimed",
    ),
    f"{_PIPELINE}/worker/test_ticker.py::test_a_tick_whose_holder_is_killed_is_sent_by_another_process": (
        "ticks.claimed",
        "ticks.sent",
    ),
    f"{_PIPELINE}/worker/test_ticker.py::test_a_tick_whose_holder_is_frozen_is_sent_by_another_process": (
        "ticks.claimed",
    ),
    f"{_PIPELINE}/worker/test_ticker.py::test_rows_that_a_frozen_sweeper_has_locked_are_released_by_another": (
        "delay.locked",
    ),
    f"{_PIPELINE}/worker/test_ticker.py::test_a_worker_that_works_off_a_backlog_is_never_silent": (
        "publish.claimed",
    ),
    f"{_PIPELINE}/test_deletion.py::test_a_deletion_whose_worker_dies_anywhere_goes_on_and_ends": (
        "deletion.closed",
        "deletion.claimed",
        "deletion.cancelled",
        "deletion.settled",
        "deletion.revoked",
        "deletion.erasing",
        "deletion.erased",
        "deletion.ended",
    ),
    f"{_PIPELINE}/test_lock.py::test_a_lock_that_dies_has_done_all_or_nothing": (
        "lock.keys-revoked",
        "lock.recorded",
        "lock.committed",
        "lock.lifted",
    ),
    f"{_PIPELINE}/test_crashes.py::test_a_refusal_outlives_the_worker_that_dies_in_the_refresh_after_it": (
        "publish.disarmed",
    ),
    f"{_PIPELINE}/test_crashes.py::test_what_a_late_worker_could_not_tell_is_found_and_never_sent_again": (
        "settling.lost",
    ),
    f"{_PIPELINE}/test_crashes.py::test_a_url_is_looked_at_again_whenever_a_look_at_it_died": (
        "reachability.seen",
        "reachability.unanswered",
    ),
    f"{_PIPELINE}/test_crashes.py::test_a_thumbnail_whose_worker_died_is_none_and_leaves_nothing": (
        "thumbnail.stored",
    ),
    f"{_PIPELINE}/test_crashes.py::test_a_request_that_died_while_its_media_were_looked_at_stored_nothing": (
        "links.opened",
    ),
    f"{_PIPELINE}/test_crashes.py::test_what_a_person_asked_of_many_is_asked_again_for_the_rest": (
        "steer.cancelled",
    ),
    f"{_PIPELINE}/test_crashes.py::test_a_no_that_was_not_noted_changed_nothing": ("connect.noting",),
    f"{_PIPELINE}/test_crashes.py::test_an_address_is_found_once_more": ("urls.looked", "urls.stored"),
    f"{_PIPELINE}/maintenance/test_follow_up.py::test_a_cover_whose_job_died_after_the_call_is_set_once_more": (
        "follow-up.sent",
    ),
    f"{_PIPELINE}/test_crashes.py::test_what_was_to_be_rung_is_rung_by_the_next": (
        "rebuild.found",
        "rescue.refilled",
        "rescue.looks-found",
    ),
    f"{_PIPELINE}/test_crashes.py::test_media_whose_second_look_died_keep_no_post_back": (
        "recheck.taken",
        "recheck.looked",
    ),
    f"{_PIPELINE}/test_crashes.py::test_stranded_posts_are_moved_by_the_next": ("checks.advanced",),
    f"{_PIPELINE}/test_crashes.py::test_secrets_that_were_not_sealed_anew_are_sealed_by_the_next": (
        "rotation.sealed",
    ),
    f"{_PIPELINE}/imports/test_import_crashes.py::test_an_import_whose_worker_dies_goes_on_and_makes_each_post_once": (
        "imports.claimed",
        "imports.read",
        "imports.rows-stored",
        "imports.planned",
        "imports.edited",
        "imports.posts-stored",
        "imports.applied",
        "imports.rolling-back",
        "imports.rolled-back",
    ),
    f"{_PIPELINE}/imports/test_import_crashes.py::test_an_upload_that_dies_is_removed_or_is_an_import": (
        "imports.begun",
        "imports.stored",
        "imports.visible",
    ),
    f"{_PIPELINE}/imports/test_import_crashes.py::test_what_a_person_asked_is_done_though_the_process_died": (
        "imports.moved",
    ),
    f"{_PIPELINE}/imports/test_import_crashes.py::test_an_import_expires_though_the_job_died": (
        "imports.file-removed",
        "imports.rows-removed",
    ),
    f"{_PIPELINE}/actions/test_steering.py::test_a_job_whose_worker_dies_goes_on_and_acts_once": (
        "steering.claimed",
        "steering.working",
        "steering.worked",
    ),
    f"{_PIPELINE}/actions/test_steering.py::test_the_order_holds_though_the_worker_dies": (
        "steering.working",
        "steering.worked",
    ),
    f"{_PIPELINE}/actions/test_steering.py::"
    "test_what_waited_goes_on_though_the_worker_died_before_it_dispatched_it": ("steering.ended",),
    f"{_PIPELINE}/actions/test_undo_jobs.py::test_an_undo_whose_worker_dies_goes_on_and_undoes_once": (
        "steering.working",
        "steering.worked",
    ),
    f"{_PIPELINE}/actions/test_undo_jobs.py::test_an_undo_is_done_though_the_process_died_that_stored_it": (
        "undo.stored",
    ),
    f"{_PIPELINE}/actions/test_dead_letters.py::test_a_worker_that_dies_at_a_letter_deals_with_each_once": (
        "steering.working",
        "steering.worked",
    ),
    f"{_PIPELINE}/webhooks/test_webhook_crashes.py::"
    "test_a_sender_that_dies_anywhere_loses_no_event_and_repeats_ids_only": (
        "webhooks.claimed",
        "webhooks.armed",
        "webhooks.sent",
        "webhooks.settling",
        "webhooks.settled",
    ),
    f"{_PIPELINE}/webhooks/test_webhook_crashes.py::test_an_export_that_dies_anywhere_loses_no_event": (
        "export.consumed",
        "export.positioned",
        "export.committed",
    ),
    f"{_PIPELINE}/webhooks/test_webhook_crashes.py::test_events_expire_though_the_job_died": (
        "webhooks.expired",
    ),
    f"{_PIPELINE}/webhooks/test_notices.py::test_a_looker_that_dies_tells_once": ("notices.made",),
    f"{_PIPELINE}/actions/test_steering.py::test_a_confirmed_job_is_done_though_the_process_died": (
        "steering.stored",
    ),
}
"""Test -> failpoints. A test parametrized by ``point`` crashes at one of them per case."""


def get_points(test: str) -> tuple[str, ...]:
    """Return the failpoints of the row whose name ends with *test*, to parametrize that test."""
    [row] = [points for name, points in CRASHES.items() if name.endswith(test)]
    return row


@dataclass(frozen=True, kw_only=True, slots=True)
class Crashes:
    """The failpoints of one test. ``folder`` gets one file per failpoint that a process reached."""

    points: tuple[str, ...]
    folder: Path
    fork_server: Callable[[], ForkServer]

    def arm(self, *points: str, does: str = "kill") -> dict[str, str]:
        """Return environment variables that crash a process once at each of these failpoints (default: all)."""
        return arm_failpoints({point: self.folder / point for point in points or self.points}, does)

    def has_reached(self, point: str) -> bool:
        """Return whether a process reached the failpoint."""
        return (self.folder / point).exists()

    def crash(self, environment: Mapping[str, str], point: str, call: str, *arguments: object) -> None:
        """Run a function of ``tests.crash_tasks`` in a process of its own, and assert that it is killed at *point*."""
        ended = run(
            self.fork_server(),
            self.folder.parent,
            {**environment, **self.arm(point)},
            call=call,
            arguments=arguments,
        )
        assert ended.status == -signal.SIGKILL, f"the process was not killed at {point}: {ended}"


def arm_failpoints(files: Mapping[str, Path], does: str = "kill") -> dict[str, str]:
    """Return the environment variable that ``runtime.failpoint`` reads. *files*: failpoint -> its marker file."""
    unknown = {point.partition("[")[0] for point in files} - known.failpoints().keys()
    assert not unknown, f"there is no failpoint {unknown}"
    return {"FAILPOINTS": ",".join(f"{point}={does}@{file}" for point, file in files.items())}


def hold_failpoints(folder: Path) -> dict[str, str]:
    """Return the environment variable by which a test holds failpoints of running processes, through *folder*."""
    return {"FAILPOINTS_FOLDER": str(folder)}


def merge_armed(*armed: Mapping[str, str]) -> dict[str, str]:
    """Combine several results of ``arm_failpoints`` into one environment."""
    return {"FAILPOINTS": ",".join(word for one in armed for word in one.values())}


@contextmanager
def track_crashes(
    test: pytest.Function, folder: Path, fork_server: Callable[[], ForkServer]
) -> Iterator[Crashes]:
    """Yield the failpoints of *test*; afterwards fail if one of them was not reached."""
    mine = Crashes(points=_row(test), folder=folder / "crashes", fork_server=fork_server)
    mine.folder.mkdir()
    yield mine
    missed = [point for point in mine.points if not mine.has_reached(point)]
    assert not missed, f"no process reached {missed}"


def _row(test: pytest.Function) -> tuple[str, ...]:
    name = f"{test.path.relative_to(ROOT)}::{test.originalname}"
    whole = name + test.name.removeprefix(test.originalname)
    row = CRASHES.get(whole) or CRASHES[name]
    params = test.callspec.params if hasattr(test, "callspec") else {}
    return (str(params["point"]),) if "point" in params else row
