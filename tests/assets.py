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


MARKS = ("facebook", "instagram", "pinterest", "tiktok", "youtube")
ICONS = tuple(
    """arrow-right arrow-up ban calendar chart-column check chevron-down chevron-left chevron-right circle-alert
    circle-check circle-question-mark clock contrast copy ellipsis external-link eye history image inbox link
    list-filter log-out menu pause pencil play plug plus refresh-cw rotate-cw search settings trash-2
    triangle-alert undo-2 upload users x""".split()  # noqa: SIM905  one name after another, as they are read
)
PACKAGES = (
    Package(
        name="htmx.org",
        version="2.0.11",  # the line whose `allowEval` switches evaluation off; 4 has no such switch
        integrity="sha512-Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==",
        files={"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE"},
    ),
    Package(
        name="idiomorph",  # lets a list load itself anew without losing focus, scroll or open parts
        version="0.8.0",
        integrity="sha512-R47JBL+6jHDQvcnbppIUtXXcxi5h6+wuCEEZXnRhUltsgzPFKzThL5PuHppP9ypJuy+7WawcY1TsSBD/iQbMhw==",
        files={"dist/idiomorph-ext.min.js": "idiomorph-ext.min.js", "LICENSE": "idiomorph-ext.LICENSE"},
    ),
    Package(
        name="simple-icons",  # marks of the platforms; LinkedIn is none of them: its mark is our own
        version="16.37.0",
        integrity="sha512-8mCJIhpMYOL9g13GW59EiL3sVXJnTEKGCTZFaekl9UQ3Qo0SwVjnLaJ82QiaH8BKBdouEDzrHMXIWh8cBIy48A==",
        files={"LICENSE.md": "LICENSE", **{f"icons/{name}.svg": f"{name}.svg" for name in MARKS}},
        folder=VENDOR / "marks",
    ),
    Package(
        name="lucide-static",
        version="1.62.0",
        integrity="sha512-WBZA/m2PvkFpMGHDtsBck5P2A9G4ehLlYu4GwwICcmEm1BvYVgj00lCDxKRWLlbMlOibLaiwdQ88G5pHkSWgwA==",
        files={"LICENSE": "LICENSE", **{f"icons/{name}.svg": f"{name}.svg" for name in ICONS}},
        folder=VENDOR / "icons",
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
