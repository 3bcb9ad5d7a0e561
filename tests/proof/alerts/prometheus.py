"""Run Prometheus, and Alertmanager behind it, on the files of config/, with every duration shortened."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from tests.conftest import free_ports
from tests.stack import is_answering, until

CONFIG = Path(__file__).parents[3] / "config" / "prometheus"
FACTOR = 12
"""All times of the rules are divided by this."""
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
EVERY = "1s"
"""Time between two scrapes, and between two evaluations."""
Alert = tuple[str, str]
"""Its name, and the values of its labels that say which part it is about, joined by commas."""
SUBJECT = ("job", "part", "queue", "platform", "metric")


def shorten(text: str) -> str:
    """Divide the durations in a rule's expression or waits, and the seconds that it compares with."""
    text = re.sub(
        r"(?<!\")\b(\d+)([smhd])\b", lambda m: f"{max(1, int(m[1]) * SECONDS[m[2]] // FACTOR)}s", text
    )
    return re.sub(r"(?<=> )(\d{2,})\b", lambda m: str(int(m[1]) / FACTOR), text)


def write_files(folder: Path, addresses: Mapping[str, str], login: tuple[str, str]) -> None:
    """Write Prometheus' files for a test. *addresses*: target in the file of production -> address here."""
    for name, value in zip(("flower-user", "flower-password"), login, strict=True):
        (folder / name).write_text(value)
    rules = yaml.safe_load((CONFIG / "rules.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule |= {key: shorten(rule[key]) for key in ("expr", "for", "keep_firing_for") if key in rule}
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    text = (CONFIG / "prometheus.yml").read_text().replace("_interval: 15s", f"_interval: {EVERY}")
    for target, address in {**addresses, "/tmp/flower-": f"{folder}/flower-"}.items():
        assert target in text
        text = text.replace(target, address)
    (folder / "prometheus.yml").write_text(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def list_firing(self) -> set[Alert]:
        """Return the alerts that fire now."""
        found = requests.get(f"{self.url}/api/v1/alerts", timeout=60).json()["data"]["alerts"]
        return {
            (
                labels["alertname"].removeprefix("Slipway"),
                ",".join(labels[name] for name in SUBJECT if name in labels),
            )
            for one in found
            if one["state"] == "firing" and (labels := one["labels"])
        }


@contextmanager
def run_prometheus(
    folder: Path, public_url: str, addresses: Mapping[str, str], login: tuple[str, str]
) -> Iterator[Prometheus]:
    """Run it on a port of its own; its files and data are in *folder*. *login*: user and password of Flower."""
    [port] = free_ports(1)
    write_files(folder, {**addresses, "127.0.0.1:9090": f"127.0.0.1:{port}"}, login)
    program = shutil.which("prometheus")
    assert program
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=expand-external-labels",  # since version 3 it is always on
            ],
            env={**os.environ, "SLIPWAY_API__PUBLIC_URL": public_url},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_answering(f"{url}/-/ready"), 60, (folder / "prometheus.log").read_text)
        yield Prometheus(url=url)
    finally:
        process.terminate()
        process.wait(30)
