"""`slipway beat --check`, the health check of beat: it ticked lately on this host, or exit status 1."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.broker.queue_liveness import BEAT_TTL
from pipeline.embedded.process import wait_until
from tests.fork_server_client import ForkServer, run

Check = Callable[[dict[str, str]], tuple[int, str]]
BEAT = [sys.executable, "-m", "pipeline.cli", "beat"]
LONG_ENOUGH = 120.0


@pytest.fixture
def check(fork_server: ForkServer, tmp_path: Path) -> Check:
    """Runs the check with an environment; returns its exit status and what it prints. It is run often."""

    def checked(environment: dict[str, str]) -> tuple[int, str]:
        done = run(fork_server, tmp_path, environment, words=["beat", "--check"])
        return done.status, done.stdout + done.stderr

    return checked


def test_a_beat_is_healthy_while_it_ticks(check: Check, environment: dict[str, str], tmp_path: Path) -> None:
    status, said = check(environment)
    assert status == 1
    assert f"has sent ticks in the last {BEAT_TTL} s" in said
    with (
        (tmp_path / "beat.log").open("wb") as log,
        subprocess.Popen(BEAT, env=environment, stderr=log) as beat,
    ):
        try:
            assert wait_until(lambda: check(environment)[0] == 0, LONG_ENOUGH), (
                tmp_path / "beat.log"
            ).read_text()
            beat.send_signal(signal.SIGSTOP)
            assert wait_until(lambda: check(environment)[0] == 1, BEAT_TTL + LONG_ENOUGH)
            beat.send_signal(signal.SIGCONT)
            assert wait_until(lambda: check(environment)[0] == 0, LONG_ENOUGH)
        finally:
            beat.terminate()
    assert (tmp_path / "beat.log").read_text() == "", "what it sends is no news"


def test_a_beat_without_a_broker_is_not_healthy(check: Check, environment: dict[str, str]) -> None:
    status, said = check({**environment, "SLIPWAY_BROKER__URL": "redis://127.0.0.1:9/0"})
    assert (status, "Traceback" in said) == (1, False)
    assert "or the broker does not answer" in said
