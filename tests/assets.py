"""Fetches the dashboard's libraries and the tests' axe-core from npm by exact version, with their licences.

Run as ``python -m tests.assets`` (``make assets``) after a change of the table below. If a tarball has another hash
than the recorded one, nothing is written. ``tests/pipeline/dashboard/test_assets.py`` compares the files with the lock.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "pipeline" / "dashboard" / "static" / "vendor"
TESTS = ROOT / "tests" / "pipeline" / "dashboard" / "vendor"
LOCK = VENDOR / "assets.json"
"""SHA-256 of each file, by its path in the repository."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package of npm's registry."""

    name: str
    version: str
    integrity: str
    """As ``npm view NAME@VERSION dist.integrity`` shows it: SHA-512 of the tarball."""
    files: Mapping[str, str]
    """Path in the tarball -> name in the folder."""
    folder: Path = VENDOR


PACKAGES = (
    Package(
        name="htmx.org",
        version="2.0.11",  # the line whose `allowEval` switches evaluation off; 4 has no such switch
        integrity="sha512-Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==",
        files={"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE"},
    ),
    Package(
        name="@event-calendar/build",  # its tarball has no licence file: the folder has that of its repository
        version="5.10.1",
        integrity="sha512-iAR/l5oeFwqt7mfjBGsrpTiWFOt8yfI7PxV0OqnGaTzZGxvre2QeI0TNNlTpuefoMPd15qseQlfWpxiORzJOMA==",
        files={
            "dist/event-calendar.min.js": "event-calendar.min.js",
            "dist/event-calendar.min.css": "event-calendar.min.css",
        },
    ),
    Package(
        name="uplot",
        version="1.6.32",
        integrity="sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        files={
            "dist/uPlot.iife.min.js": "uplot.min.js",
            "dist/uPlot.min.css": "uplot.min.css",
            "LICENSE": "uplot.LICENSE",
        },
    ),
    Package(
        name="@picocss/pico",
        version="2.1.1",
        integrity="sha512-kIDugA7Ps4U+2BHxiNHmvgPIQDWPDU4IeU6TNRdvXQM1uZX+FibqDQT2xUOnnO2yq/LUHcwnGlu1hvf4KfXnMg==",
        files={"css/pico.min.css": "pico.min.css", "LICENSE.md": "pico.LICENSE.md"},
    ),
    Package(
        name="axe-core",
        version="4.14.1",
        integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        files={
            "axe.min.js": "axe.min.js",
            "LICENSE": "axe.LICENSE",
            "LICENSE-3RD-PARTY.txt": "axe.LICENSE-3RD-PARTY.txt",
        },
        folder=TESTS,
    ),
)


def main() -> None:
    """Fetch and check all packages, then write their files and the lock."""
    with tempfile.TemporaryDirectory() as folder:
        fetched = [(one, fetch(one, Path(folder))) for one in PACKAGES]
        contents = {path: content for one, tarball in fetched for path, content in extract(one, tarball)}
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    hashes = {str(p.relative_to(ROOT)): hashlib.sha256(c).hexdigest() for p, c in sorted(contents.items())}
    LOCK.write_text(json.dumps(hashes, indent=2) + "\n")
    print(f"{len(hashes)} files of {len(PACKAGES)} packages.")


def fetch(package: Package, folder: Path) -> Path:
    """Download a tarball with npm. Exits if its hash is not the recorded one."""
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    tarball = folder / name.split()[-1]
    if (found := compute_integrity(tarball.read_bytes())) != package.integrity:
        sys.exit(f"{package.name} {package.version} is not what was recorded: its hash is {found}.")
    return tarball


def compute_integrity(content: bytes) -> str:
    """Return the hash in the form of npm's registry."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def extract(package: Package, tarball: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of the table, with their contents."""
    with tarfile.open(tarball) as archive:
        for path, name in package.files.items():
            member = archive.extractfile(f"package/{path}")
            if member is None:
                sys.exit(f"{package.name} {package.version} has no file {path}.")
            yield package.folder / name, member.read()


if __name__ == "__main__":
    main()
