"""Alertmanager, started as docker-compose.yml starts it, sends an alert to the one receiver that .env names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.conftest import free_ports
from tests.pipeline.media.servers import serving, status
from tests.test_compose import ROOT, SERVICES
from tests.waiting import until

TOOL = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
needs_tool = pytest.mark.skipif(TOOL is None, reason="alertmanager is not installed: NO ALERT WAS SENT")


@contextmanager
def alertmanager(folder: Path, webhook: str, changes: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run the service's command with the paths and the port of this test, and *changes* of its file; yield its URL."""
    [port] = free_ports(1)
    config = (ROOT / "config" / "alertmanager" / "alertmanager.yml").read_text()
    for old, new in {"/tmp/": f"{folder}/", **(changes or {})}.items():
        assert old in config
        config = config.replace(old, new)
    (folder / "alertmanager.yml").write_text(config)
    [command] = SERVICES["alertmanager"]["command"]
    for old, new in {
        "$$": "$",
        "/tmp/": f"{folder}/",
        "exec alertmanager": f"exec {TOOL} --web.listen-address=127.0.0.1:{port}",
        "/etc/alertmanager/": f"{folder}/",
        "=/alertmanager": f"={folder}/data",
    }.items():
        command = command.replace(old, new)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*SERVICES["alertmanager"]["entrypoint"], command],
            env={**os.environ, "ALERT_WEBHOOK_URL": webhook},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_ready(url), 30, (folder / "log").read_text)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


@needs_tool
def test_an_alert_reaches_the_receiver(tmp_path: Path) -> None:
    labels = {"alertname": "SlipwayOverdue", "severity": "page", "platform": "tiktok"}
    alert = {"labels": labels, "annotations": {"summary": "late"}}
    with serving() as site, alertmanager(tmp_path, f"{site.origin}/alerts") as url:
        site.routes["/alerts"] = status(200)
        assert requests.post(f"{url}/api/v2/alerts", json=[alert], timeout=60).status_code == 200
        until(lambda: bool(site.posts), 60)
        sent = json.loads(site.posts[0][2])
    assert [one["labels"] for one in sent["alerts"]] == [labels]
    assert sent["status"] == "firing"
    assert (tmp_path / "webhook-url").stat().st_mode & 0o077 == 0, "it may hold a token"


HUNG_BROKER = {
    "SlipwayPartDown": {"part": "broker", "severity": "page"},
    "SlipwayCanariesLost": {"severity": "page"},
    "SlipwayQueueSilent": {"queue": "delay", "severity": "page"},
    "SlipwaySendGuardClosed": {"severity": "page"},
    "SlipwayOverdue": {"platform": "tiktok", "severity": "page"},
    "SlipwayBacklogStuck": {"platform": "tiktok", "severity": "page"},
    "SlipwayLatenessFastBurn": {"severity": "page"},
    "SlipwayLatenessSlowBurn": {"severity": "ticket"},
    "SlipwayCountsStale": {"severity": "ticket"},
    "SlipwayBeatStopped": {"severity": "ticket"},
    "SlipwayMonitorDown": {"job": "flower", "severity": "ticket"},
}
"""Everything that fires while the broker hangs -> its labels."""


@needs_tool
@pytest.mark.parametrize(
    ("cause", "follows"),
    [
        ("SlipwayPartDown", {*HUNG_BROKER} - {"SlipwayPartDown"}),
        (
            "SlipwayCanariesLost",
            {*HUNG_BROKER} - {"SlipwayPartDown", "SlipwayCanariesLost", "SlipwayMonitorDown"},
        ),
    ],
)
def test_a_hung_broker_and_lost_canaries_page_once(tmp_path: Path, cause: str, follows: set[str]) -> None:
    alerts = [{"labels": {"alertname": name, **HUNG_BROKER[name]}} for name in (cause, *sorted(follows))]
    with serving() as site, alertmanager(tmp_path, f"{site.origin}/alerts") as url:
        site.routes["/alerts"] = status(200)
        assert requests.post(f"{url}/api/v2/alerts", json=alerts, timeout=60).status_code == 200

        def list_by_state(state: str) -> set[str]:
            found = requests.get(f"{url}/api/v2/alerts", timeout=60).json()
            return {a["labels"]["alertname"] for a in found if a["status"]["state"] == state}

        until(lambda: list_by_state("suppressed") == follows, 30)
        assert list_by_state("active") == {cause}
