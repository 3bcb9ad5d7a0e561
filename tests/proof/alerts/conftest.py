"""Start one system with engines of its own, and Prometheus and Alertmanager as docker-compose.yml has them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.config.test_alertmanager import TOOL, alertmanager
from tests.conftest import Engines, environment_of, free_ports, make_template
from tests.pipeline.media.servers import serving, status
from tests.proof.alerts.prometheus import run_prometheus
from tests.proof.alerts.scene import GROUPS, Scene
from tests.stack import FAST, run_stack, until

LOGIN = ("operator", "a password for the tests")
SETTINGS = FAST | {
    "SLIPWAY_WORKER__CANARY": "0.5",
    "SLIPWAY_FLOWER__PASSWORD": LOGIN[1],
    # a platform's outage lasts as long as the test wants
    "SLIPWAY_PUBLISH__TRIES": "20",
    "SLIPWAY_PUBLISH__PROBE": "2",
}


@pytest.fixture(scope="package")
def scene(vault_key: str) -> Iterator[Scene]:
    """The system, settled: a post is live, and no alert fires."""
    if shutil.which("prometheus") is None or TOOL is None:
        pytest.skip("prometheus and alertmanager are not installed: NO ALERT WAS SEEN TO FIRE")
    folder = Path(tempfile.mkdtemp(prefix="slipway-alerts-", dir="/tmp"))
    try:
        with ExitStack() as started:
            yield _start(folder, vault_key, started)
    finally:
        shutil.rmtree(folder)


def _start(folder: Path, vault_key: str, started: ExitStack) -> Scene:
    engines = Engines(folder, started)
    make_template(engines.postgres)
    url = engines.postgres.url_of("migrated")
    environment = environment_of(url, engines.valkey.url, vault_key, folder / "slipway") | SETTINGS
    stack = started.enter_context(run_stack(environment, folder, ports := free_ports(4)))
    stack.environment["SLIPWAY_FLOWER__PORT"] = str(ports[3])
    receiver = started.enter_context(serving())
    receiver.routes["/alerts"] = status(200)
    manager = started.enter_context(
        alertmanager(folder, f"{receiver.origin}/alerts", {"group_interval: 5m": "group_interval: 1s"})
    )
    stack.start_sandbox()
    stack.start_api()
    stack.seed("tiktok", "facebook")
    scene = Scene(stack=stack, engines=engines, receiver=receiver)
    for part in (*GROUPS, "beat", "flower"):
        scene.start(part)
    scene.publish_one()
    prometheus = run_prometheus(
        folder,
        stack.api,
        {
            "api:8000": f"127.0.0.1:{ports[2]}",
            "flower:5555": f"127.0.0.1:{ports[3]}",
            "alertmanager:9093": manager.removeprefix("http://"),
        },
        LOGIN,
    )
    scene.prometheus = started.enter_context(prometheus)
    until(scene.has_data, 60)
    return scene
