"""What /metrics shows: counters and gauges of the ledger, requests of all processes, and what is left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from pipeline.actions.diagnose import list_retirements
from pipeline.api.http import request_metrics
from pipeline.maintenance.read_moves import export_moves
from pipeline.store.moves import read_batch
from tests.pipeline.api.running_server import BASE, ROOT, Server, ask, serving, until, video

FORBIDDEN = {"workspace", "workspace_id", "account", "account_id", "host", "url"}
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(server: Server) -> Values:
    """Return every sample; a scrape within a few seconds of the last shows the same of the database."""
    families = text_string_to_metric_families(server.send("GET", "/metrics").text)
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def read(values: Values, name: str, **labels: str) -> float | None:
    return values.get((name, frozenset(labels.items())))


def test_counters_are_the_same_from_every_server_and_after_a_restart(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for round_ in range(2):
        with serving(environment, tmp_path) as server:
            if round_ == 0:
                tenant = server.tenant()
                server.post(video(tenant), tenant.key)
                until(
                    lambda: not export_moves(server.context) and _is_exported(server),
                    "the moves to be exported",
                )
            found = scrape(server)
        assert read(found, "slipway_posts_accepted_total", source="partner_api") == 1
        assert read(found, "slipway_deliveries", platform="tiktok", state="accepted", reason="") == 1
        assert read(found, "slipway_posts", status="scheduled") == 1
        assert read(found, "slipway_lease_expiries_total") == 0
        assert read(found, "slipway_up", part="database") == 1
        age = read(found, "slipway_count_age_seconds")
        assert age is not None and age < 300  # noqa: PT018


def _is_exported(server: Server) -> bool:
    with server.context.database.begin() as c:
        sql = "SELECT done >= (SELECT max(id) FROM moves) FROM move_progress WHERE reader = 'export'"
        return bool(c.execute(text(sql)).scalar())


def test_each_api_version_that_is_sent_has_its_retirement(server: Server) -> None:
    name, found = "slipway_api_version_retires_timestamp_seconds", scrape(server)
    versions = list_retirements(server.context)
    assert {platform for platform, _ in versions} == {"facebook", "instagram", "linkedin"}
    for (platform, version), day in versions.items():
        midnight = datetime.combine(day, time(), UTC).timestamp()
        assert read(found, name, platform=platform, version=version) == midnight


def test_no_metric_names_a_tenant_or_a_host(server: Server) -> None:
    labels = {name for _, labels in scrape(server) for name, _ in labels}
    assert labels
    assert not labels & FORBIDDEN


def test_rules_and_boards_ask_only_for_metrics_that_are_there(server: Server) -> None:
    there = {f.name for f in text_string_to_metric_families(server.send("GET", "/metrics").text)}
    files = [
        *(ROOT / "config" / "prometheus").glob("rules*.yml"),
        *(ROOT / "config" / "grafana").rglob("*.json"),
    ]
    asked = {name for file in files for name in re.findall(r"\bslipway_\w+", file.read_text())}
    assert {re.sub("_(total|bucket|count|sum)$", "", name) for name in asked} <= there


@pytest.mark.parametrize("path", ["/posts", "/posts/batch"])
def test_a_post_keeps_the_id_of_its_request(server: Server, path: str) -> None:
    tenant, wanted = server.tenant(), f"of-{path}"
    body = {"posts": [video(tenant)]} if path.endswith("batch") else video(tenant)
    until(lambda: not export_moves(server.context), "the moves of other tests to be exported")
    answer = ask(server, tenant.key, "POST", path, body, **{"X-Request-Id": wanted})
    assert (answer.ok, answer.headers["X-Request-Id"]) == (True, wanted)

    def find() -> bool:
        with server.context.database.begin() as c:
            batch = read_batch(c, 10_000)
        return batch is not None and wanted in {m.request_id for m in batch.moves}

    until(find, "the move to be proven")


def test_what_is_too_slow_is_left_out_and_says_so_and_the_database_is_up(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving(environment, tmp_path) as server, server.context.database.begin() as c:
        c.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        found = scrape(server)
    assert read(found, "slipway_metric_left_out", metric="slipway_grants_ending") == 1
    assert read(found, "slipway_grants_ending", platform="tiktok", within="1d") is None
    assert read(found, "slipway_metric_left_out", metric="slipway_paused") == 0
    assert read(found, "slipway_paused", scope="all") == 0
    assert read(found, "slipway_up", part="database") == 1


def test_requests_count_by_route_and_status_over_all_processes(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving({**environment, "SLIPWAY_API__PROCESSES": "2"}, tmp_path) as server:
        tenant = server.tenant()
        before = scrape(server)
        for n in range(10):
            server.http.close()  # a new connection: the kernel chooses a process
            server.post(b"{", tenant.key)
            server.get(f"/posts/{n}", tenant.key)
            server.send("GET", f"/no/such/{n}")
        after = scrape(server)
    name = "slipway_http_request_duration_seconds_count"
    wanted = {
        ("POST", f"{BASE}/posts", "400"): 10,
        ("GET", f"{BASE}/posts/{{post_id}}", "404"): 10,
        ("GET", request_metrics.NO_ROUTE, "404"): 10,
    }
    found = {
        key: (read(after, name, **labels) or 0) - (read(before, name, **labels) or 0)
        for key in wanted
        for labels in [dict(zip(("method", "route", "status"), key, strict=True))]
    }
    assert found == wanted
    routes = {dict(labels)["route"] for metric, labels in after if metric == name}
    assert not [route for route in routes if re.search(r"such|\d{3}|:", route)]
