"""Schemathesis against a running server: no 5xx, and no status, header or schema that the document does not declare.

``SLIPWAY_SCHEMATHESIS=500`` sends so many requests per operation and phase, with a new seed every time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.contract import Platform
from pipeline.api.openapi.document import DOCUMENTS, Document
from tests.pipeline.api.running_server import ROOT, Server, serving

EXAMPLES = int(os.environ.get("SLIPWAY_SCHEMATHESIS", "0"))
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
)
CONNECTIONS = {Platform.TIKTOK: ("BUSINESS_",)}
"""Prefixes of the settings of connections that have an app of their own."""
FEW = ("--generation-deterministic", "--no-shrink")
MANY = ("--generation-database", "none")
SIZES = """
[generation]
max-examples = {each}
[phases.stateful]
max-steps = 8
[phases.stateful.checks]
negative_data_rejection.enabled = false  # it takes ?offset= for an object, but an empty value is the same as none
[phases.stateful.generation]
max-examples = {walks}
"""


@pytest.mark.timeout(3600 if EXAMPLES else 900)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.title)
def test_the_server_keeps_what_the_specification_promises(
    environment: dict[str, str], tmp_path: Path, document: Document
) -> None:
    settings = {
        **environment,
        "SLIPWAY_API__PUBLIC_URL": "https://posts.example.com",
        "SLIPWAY_WORKER__SILENT": "3600",  # no worker runs that renews the epoch, and /readyz would say so
        **{
            f"SLIPWAY_{p.name}__{kind}APP_ID": "an-app"
            for p in Platform
            for kind in ("", *CONNECTIONS.get(p, ()))
        },
    }
    with serving(settings, tmp_path) as server:
        _run(server, tmp_path, document.url)


def _run(server: Server, tmp_path: Path, url: str) -> None:
    tenant = server.tenant(platforms=tuple(Platform))
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        server.url + url,
        "--no-color",
        "--header",
        f"Authorization: Bearer {tenant.key}",
        "--checks",
        ",".join(CHECKS),
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--warnings",
        "off",
        "--request-timeout",
        "60",
        "--suppress-health-check",
        "all",
        "--continue-on-failure",
        *(MANY if EXAMPLES else FEW),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.pipeline.api.openapi.request_generator",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "SCENE_ACCOUNTS": " ".join(tenant.accounts.values()),
    }
    sizes = SIZES.format(each=EXAMPLES or 4, walks=EXAMPLES or 24)
    (tmp_path / "schemathesis.toml").write_text(sizes)  # found where the command is run
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert "Traceback" not in server.log.read_text()
