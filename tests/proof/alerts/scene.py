"""The system whose parts are frozen, killed and starved: how each is, and how it is mended."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import requests

from config.settings import load
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.queues import WORKER_GROUPS
from tests import broker_outages, database_outages
from tests.conftest import Engines
from tests.pipeline.media.servers import Site
from tests.proof.alerts.prometheus import Prometheus
from tests.stack import Stack, is_answering, until

GROUPS = tuple(WORKER_GROUPS)


@dataclass(kw_only=True)
class Scene:
    """A running system, its engines, and who watches it. ``receiver``: what Alertmanager sends to."""

    stack: Stack
    engines: Engines
    receiver: Site
    prometheus: Prometheus = field(init=False)

    def start(self, part: str) -> None:
        """Start a worker, beat, Flower or the API."""
        if part in GROUPS:
            self.stack.start_worker(part)
        elif part == "api":
            self.stack.start_api()
        elif part == "beat":
            self.stack.start_beat()
        else:
            self.stack.start("flower", "pipeline.cli", "flower")
            url = f"http://127.0.0.1:{self.stack.ports[3]}/healthcheck"
            until(lambda: is_answering(url), 60)

    def await_worker(self, name: str) -> None:
        """Wait until a worker takes messages."""
        control = create_celery_app(load(self.stack.environment)).control
        node = f"{name}@{socket.gethostname()}"
        until(lambda: bool(control.ping(destination=[node], timeout=1)), 60)

    def restart_ended(self) -> None:
        """Start what has ended by itself, as `restart: unless-stopped` does: some workers do in a broker's outage."""
        for part in (*GROUPS, "beat", "flower", "api"):
            if self.stack.get_exit_status(part) is not None:
                self.start(part)

    def publish_one(self) -> None:
        """Publish a post on each platform, so that its media are known and all parts are warm."""
        until(lambda: self.stack.context.liveness.is_alive("reachability"), 60)
        self.stack.await_status(self.stack.create_post("first", "tiktok", "facebook"), "posted", 90)

    def has_data(self) -> bool:
        """Return True if Prometheus has scraped what the rules read."""
        query = {"query": "slipway:queue_silence_seconds and on () slipway_beat_running == 1"}
        found = requests.get(f"{self.prometheus.url}/api/v1/query", params=query, timeout=60).json()
        return bool(found["data"]["result"])

    def list_received(self) -> list[tuple[str, str, str]]:
        """Return (status, alert, URL of its runbook) of all that Alertmanager has sent since the last call."""
        found: list[Any] = []
        while self.receiver.posts:
            _, _, body = self.receiver.posts.pop(0)
            found += json.loads(body)["alerts"]
        return [
            (
                a["status"],
                a["labels"]["alertname"].removeprefix("Slipway"),
                a["annotations"]["runbook_url"],
            )
            for a in found
        ]


Fault = Callable[[Scene], AbstractContextManager[None]]


@contextmanager
def _freeze(part: str, scene: Scene) -> Iterator[None]:
    scene.stack.kill(part, signal.SIGSTOP, wait=False)
    try:
        yield
    finally:
        scene.stack.kill(part, signal.SIGCONT, wait=False)


@contextmanager
def _kill(part: str, scene: Scene) -> Iterator[None]:
    scene.stack.kill(part)
    try:
        yield
    finally:
        scene.start(part)


@contextmanager
def _serve_only(group: str, queues: tuple[str, ...], scene: Scene) -> Iterator[None]:
    """Replace the worker by one that leaves queues of its group out; the new one runs before the old one is killed."""
    other = f"{group}-in-part"
    scene.stack.start_worker(group, other, queues=queues)
    scene.await_worker(other)
    scene.stack.kill(group)
    try:
        yield
    finally:
        scene.start(group)
        scene.await_worker(group)
        scene.stack.kill(other)


@contextmanager
def keep_moves_open(scene: Scene) -> Iterator[None]:
    """Hold a transaction open that may write moves: the export does not pass what it may still commit."""
    with scene.engines.postgres.connect("migrated") as connection, connection.transaction():
        connection.execute("LOCK TABLE moves IN ROW EXCLUSIVE MODE")
        yield


@contextmanager
def block_epoch_file(scene: Scene) -> Iterator[None]:
    """Put a file in the place of the folder of the epoch file, so that nothing can be written there."""
    folder = scene.stack.context.settings.mark_folder
    away = folder.with_name("mark.away")
    folder.rename(away)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)


@contextmanager
def refuse_facebook(scene: Scene) -> Iterator[None]:
    """Let the platform answer every request with an error of its own."""
    scene.stack.fault("facebook", "any", "5xx", times=None)
    try:
        yield
    finally:
        scene.stack.control("DELETE", "faults")


def freeze(part: str) -> Fault:
    """Stop a part with SIGSTOP until the block ends."""
    return partial(_freeze, part)


def kill(part: str) -> Fault:
    """Kill a part, and start it when the block ends."""
    return partial(_kill, part)


def leave_out(group: str, *queues: str) -> Fault:
    """Let a group's worker serve all its queues but these."""
    return partial(_serve_only, group, tuple(q for q in WORKER_GROUPS[group] if q not in queues))


def on_broker(outage: broker_outages.Outage) -> Fault:
    """Return the outage of the scene's broker."""
    return lambda scene: outage(scene.engines.valkey)


def on_database(outage: database_outages.Outage) -> Fault:
    """Return the outage of the scene's database."""
    return lambda scene: outage(scene.engines.postgres)
