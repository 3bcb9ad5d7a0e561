"""Tracing: off it imports nothing; on it needs a usable collector, and an exception leaves its class only."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest

from adapters.http import HttpClient, NotSent
from config.settings import SettingsError, load
from pipeline.runtime.open_telemetry import derive_trace_id
from pipeline.runtime.tracing import start_tracing, stop_tracing, trace_call
from tests.conftest import free_ports

LIST = """
import sys
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry", "pipeline.runtime.open_telemetry"))))
"""
SLIPWAY = """
import pipeline.api.app, pipeline.worker.tasks, pipeline.worker.lifecycle, pipeline.cli.delivery
from config.settings import settings
from pipeline.runtime.tracing import start_request, start_tracing, stop_tracing, trace_call
start_tracing(settings().tracing, "api")
start_request("a", "")("GET", "/", 200)
with trace_call("GET", "http://a/", False) as record_status:
    record_status(200)
stop_tracing()
"""


def list_imports(code: str, environment: dict[str, str]) -> set[str]:
    """Run code in a new process; return which modules of OpenTelemetry, and of ours about it, it has imported."""
    words = [sys.executable, "-c", code + LIST]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.replace("'", '"')))


def test_off_imports_nothing_of_opentelemetry_beyond_what_fastapi_and_redis_do_themselves(
    environment: dict[str, str],
) -> None:
    theirs = list_imports("import fastapi, fastapi.telemetry._runtime, redis", environment)
    assert list_imports(SLIPWAY, environment) <= theirs
    assert not any("exporter" in name for name in theirs)
    on = {"SLIPWAY_TRACING__ENDPOINT": f"http://127.0.0.1:{free_ports(1)[0]}", "SLIPWAY_TRACING__SHARE": "0"}
    assert {"pipeline.runtime.open_telemetry", "opentelemetry.sdk.trace"} <= list_imports(
        SLIPWAY, environment | on
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ENDPOINT", "collector:4318", "must be like http://127.0.0.1:4318"),
        ("ENDPOINT", "http://user:secret-1@collector", "must be like http://127.0.0.1:4318"),
        ("HEADERS", "no-value", "must be NAME=VALUE"),
        ("SHARE", "2", "less than or equal to 1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({f"SLIPWAY_TRACING__{name}": value})
    assert why in str(refused.value)
    assert f"SLIPWAY_TRACING__{name}" in str(refused.value)
    assert "secret-1" not in str(refused.value)


def test_without_the_extra_an_endpoint_is_refused_with_what_to_install() -> None:
    """An interpreter that finds only what a plain installation has."""
    hide = "import sys; sys.modules['opentelemetry'] = None\nfrom config.settings import load\n"
    found = subprocess.run(
        [sys.executable, "-c", hide + "load({'SLIPWAY_TRACING__ENDPOINT': 'http://127.0.0.1:4318'})"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "install slipway[otel]" in found.stderr


def test_a_request_id_that_is_a_trace_id_is_the_traces_and_others_are_hashed() -> None:
    assert derive_trace_id("4bf92f3577b34da6a3ce929d0e0e4736") == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert derive_trace_id("order-1") == derive_trace_id("order-1") != derive_trace_id("order-2")
    assert derive_trace_id("0" * 32) > 0


def test_a_call_says_the_same_with_tracing_on_and_a_collector_that_is_gone() -> None:
    port = free_ports(1)[0]
    client = HttpClient(limit=timedelta(seconds=5), trace=trace_call)
    start_tracing(load({"SLIPWAY_TRACING__ENDPOINT": f"http://127.0.0.1:{port}"}).tracing, "worker")
    try:
        for url in (f"http://127.0.0.1:{port}/", "http://[bad/"):
            with pytest.raises(NotSent):
                client.call("GET", url)
    finally:
        stop_tracing()
