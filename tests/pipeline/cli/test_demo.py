"""The demo on a temporary stack: real API, workers and sandbox. The sandbox processes instantly, to save time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.settings import PREFIX
from pipeline.cli.demo_stack import Stack, open_stack
from pipeline.embedded.control import Control


def demo(stack: Stack, out: Path) -> subprocess.Popen[str]:
    """`slipway demo` in another terminal of the running stack's folder."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with out.with_suffix(".out").open("w") as stdout, out.with_suffix(".err").open("w") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "demo", "--ahead", "0", "--json"],
            stdout=stdout,
            stderr=stderr,
            text=True,
            env={**plain, "SLIPWAY_FOLDER": stack.summary.folder},
        )


def listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), parts.port)) == 0


def test_of_two_demos_on_one_stack_the_one_whose_post_fails_ends_with_1_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_FOLDER", str(tmp_path))
    said: list[str] = []
    with open_stack(said.append, SLIPWAY_SANDBOX__LIFTED="true") as own:
        assert "starting a temporary one" in said[0]
        fault = {"platform": "tiktok", "step": "any", "fault": "fail-processing", "times": 1}
        control = Control(own.summary.sandbox, own.summary.sandbox_token)
        control.call("POST", "faults", json={**fault, "reason": "file_format_check_failed"})
        running = [demo(own, tmp_path / name) for name in "ab"]
        ended = {one.wait(90): tmp_path / name for one, name in zip(running, "ab", strict=True)}
    assert set(ended) == {0, 1}

    well = json.loads(ended[0].with_suffix(".out").read_text())
    assert (well["agrees"], well["differences"]) == (True, [])
    assert {(d["post"], d["platform"], d["our_state"], d["ledger_entries"]) for d in well["deliveries"]} == {
        (post, platform, "published", 1)
        for post in ("video", "slideshow")
        for platform in ("tiktok", "instagram")
    }
    assert all(d["our_url"] == d["ledger_url"] for d in well["deliveries"])
    told = ended[0].with_suffix(".err").read_text()
    assert "the demo publishes through it" in told
    assert "instagram sandbox_instagram" in told

    ill = json.loads(ended[1].with_suffix(".out").read_text())
    [difference] = ill["differences"]
    assert "on tiktok: live 0 times, not once; we say failed" in difference

    assert said[-1].startswith("Stopping")
    assert not Path(own.summary.folder).exists()
    assert not any(
        map(listens, (own.summary.api, own.summary.flower, own.summary.sandbox, own.summary.media))
    )
