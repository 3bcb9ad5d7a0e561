"""Alert rules: each has a severity, a runbook and a case that fires it, and Prometheus' own tools accept all of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_compose import SERVICES

CONFIG = Path(__file__).parents[2] / "config"
RULES: dict[str, Any] = yaml.safe_load((CONFIG / "prometheus" / "rules.yml").read_text())
CASES: dict[str, Any] = yaml.safe_load((CONFIG / "prometheus" / "rules_test.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
CALLED_FOR = (
    "Overdue QueueSilent CanariesLost FailureShare OutcomeUnknown DeadLettersGrow LatenessFastBurn LatenessSlowBurn "
    "GrantsEnding SendGuardClosed Alarm BacklogStuck WebhooksPaused"
)


HEALTHY = {
    'up{job="api", instance="api:8000"}': "1x260",
    'up{job="flower", instance="flower:5555"}': "1x260",
    'slipway_up{part="database"}': "1x260",
    'slipway_up{part="broker"}': "1x260",
    "slipway_may_send": "1x260",
    "slipway_beat_running": "1x260",
    "slipway_check_faults": "0x260",
    "slipway_count_age_seconds": "2x260",
    "slipway_lease_expiries_total": "0x100 1x160",
    'slipway_metric_left_out{metric="slipway_posts"}': "0x260",
    'slipway_queue_silence_seconds{queue="delay"}': "4x260",
    'slipway_queue_silence_seconds{queue="publish.tiktok"}': "1x100 25x2 3x160",
    # a burst a worker needs 50 s for, and one delivery after another that leaves its limit or processing
    'slipway_oldest_overdue_seconds{platform="tiktok"}': "0x40 12+15x2 0x60 12x160",
    'slipway_oldest_overdue_seconds{platform="instagram"}': "15x260",
    'slipway_oldest_waiting_seconds{platform="youtube", state="unknown", reason=""}': "_x50 0+15x100 _x110",
    'slipway_deliveries_settled_total{platform="tiktok", outcome="published", class=""}': "_x40 400x100 800x120",
    'slipway_deliveries_settled_total{platform="tiktok", outcome="failed", class="Rejected"}': "_x41 4x218",
    'slipway_deliveries_settled_total{platform="youtube", outcome="published", class=""}': "20x260",
    'slipway_dead_letters_added_total{platform="tiktok", class="Rejected"}': "_x41 4x218",
    'slipway_delivery_lateness_seconds_bucket{platform="tiktok", le="10.0"}': "0x39 398x100 796x120",
    'slipway_delivery_lateness_seconds_count{platform="tiktok"}': "0x39 400x100 800x120",
    'slipway_delivery_lateness_seconds_bucket{platform="instagram", le="10.0"}': "0x260",
    'slipway_delivery_lateness_seconds_count{platform="instagram"}': "0x260",
}
"""What an hour of a healthy system shows, in which bursts come, quotas are used up and platforms process videos."""


def run_tool(name: str, *words: str) -> None:
    """Run one of Prometheus' tools; skip without it (Debian: packages prometheus and prometheus-alertmanager)."""
    tool = shutil.which(name)
    if tool is None:
        pytest.skip(f"{name} is not installed: THE ALERT RULES WERE NOT TESTED")
    done = subprocess.run([tool, *words], cwd=CONFIG, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_condition_that_wakes_somebody_has_its_alert() -> None:
    assert {f"Slipway{name}" for name in CALLED_FOR.split()} <= ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_severity_a_section_in_the_runbooks_and_a_case_that_fires_it(name: str) -> None:
    assert ALERTS[name]["labels"]["severity"] in {"page", "ticket"}
    annotations = ALERTS[name]["annotations"]
    assert annotations["summary"]
    assert annotations["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}#{name.lower()}"
    text = (CONFIG / "runbooks.md").read_text()
    [section] = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert [word for word in ("**Means:**", "```sh", "**Over") if word not in section] == []
    fired = [c for test in CASES["tests"] for c in test["alert_rule_test"] if c["alertname"] == name]
    assert any(case["exp_alerts"] for case in fired)


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^## (\w+)$", (CONFIG / "runbooks.md").read_text(), re.MULTILINE)
    assert sections == [*ALERTS]


def run_cases(folder: Path, tests: list[Any]) -> None:
    file = {**CASES, "rule_files": [str(CONFIG / "prometheus" / "rules.yml")], "tests": tests}
    (folder / "cases.yml").write_text(json.dumps(file))  # which is YAML too, and written much faster
    run_tool("promtool", "test", "rules", str(folder / "cases.yml"))


def expand(values: str) -> Iterator[str]:
    """Yield the single samples of promtool's notation for a series."""
    for word in values.split():
        found = re.fullmatch(r"(_|-?[\d.]+)([+-][\d.]+)?x(\d+)", word)
        assert found, word
        first, step, times = found.groups()
        if first == "_":
            yield from ["_"] * int(times)
        else:
            yield from (str(float(first) + n * float(step or 0)) for n in range(int(times) + 1))


def drop_each_second(series: Mapping[str, str]) -> Mapping[str, str]:
    """Let each second scrape fail, as Prometheus stores it; it stores `up` all the same."""
    if series["series"].startswith("up{"):
        return series
    values = [value if n % 2 == 0 else "stale" for n, value in enumerate(expand(series["values"]))]
    return {**series, "values": " ".join(values)}


def build_healthy_case() -> dict[str, Any]:
    """Return a case in which no alert fires in an hour: each goes on for two minutes, so that each look sees it."""
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in HEALTHY.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}
            for name in ALERTS
            for minute in range(2, 61, 2)
        ],
    }


@pytest.mark.parametrize("fails", [False, True], ids=["each scrape succeeds", "each second scrape fails"])
def test_the_cases_pass_and_a_healthy_system_with_bursts_quotas_and_processing_fires_nothing_in_an_hour(
    tmp_path: Path, fails: bool
) -> None:
    tests = [*CASES["tests"], build_healthy_case()]
    failing = [
        {**one, "input_series": [drop_each_second(series) for series in one["input_series"]]} for one in tests
    ]
    run_cases(tmp_path, failing if fails else tests)


def test_an_alert_outlasts_failed_scrapes_and_ends() -> None:
    assert [name for name, alert in ALERTS.items() if alert["keep_firing_for"] != "2m"] == []


def test_prometheus_takes_its_files() -> None:
    run_tool("promtool", "check", "config", "prometheus/prometheus.yml")


def test_prometheus_reads_the_login_of_flower_from_the_files_that_compose_writes() -> None:
    file = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text())
    [flower] = [job for job in file["scrape_configs"] if job["job_name"] == "flower"]
    service = SERVICES["prometheus"]
    for key, setting in (("username_file", "USER"), ("password_file", "PASSWORD")):
        [command] = service["command"]
        assert f'printf %s "$$SLIPWAY_FLOWER__{setting}" > {flower["basic_auth"][key]}' in command
        assert service["environment"][f"SLIPWAY_FLOWER__{setting}"]


def test_the_links_lead_to_a_page_of_the_api() -> None:
    """The test of the API's pages follows them to the section of their alert."""
    file = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text())
    assert file["global"]["external_labels"] == {"runbooks": "${SLIPWAY_API__PUBLIC_URL}/runbooks"}
    assert file["alerting"]["alert_relabel_configs"] == [{"action": "labeldrop", "regex": "runbooks"}]
    given = SERVICES["prometheus"]["environment"]
    assert given["SLIPWAY_API__PUBLIC_URL"] == "${SLIPWAY_API__PUBLIC_URL:?set it in .env}"


def test_alertmanager_takes_its_file() -> None:
    run_tool("amtool", "check-config", "alertmanager/alertmanager.yml")


def test_the_expressions_of_the_board_are_valid(tmp_path: Path) -> None:
    board = json.loads((CONFIG / "grafana" / "boards" / "slipway.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    assert not [e for e in expressions if "flower_" in e], "Flower is for looking at tasks; the ledger counts"
    rules = [{"record": f"board:panel{n}", "expr": expression} for n, expression in enumerate(expressions)]
    (tmp_path / "board.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    run_tool("promtool", "check", "rules", str(tmp_path / "board.yml"))
