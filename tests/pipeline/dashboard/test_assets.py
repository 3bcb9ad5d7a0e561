"""Static files: those that `make assets` fetched are unchanged, and each is served under its hash."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from itertools import accumulate
from pathlib import Path

import pytest
import requests

from pipeline.dashboard.render import load_asset, static
from tests.assets import LOCK, PACKAGES, ROOT, compute_integrity, extract
from tests.pipeline.dashboard.site import Site

OWN = ROOT / "pipeline" / "dashboard" / "static"
MAX_OWN_JAVASCRIPT = 700
"""Lines."""


def test_the_vendored_files_are_those_of_the_lock() -> None:
    locked = json.loads(LOCK.read_text())
    assert {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in locked} == locked
    expected = {str((p.folder / name).relative_to(ROOT)) for p in PACKAGES for name in p.files.values()}
    assert set(locked) == expected


def test_every_vendored_library_has_its_licence_beside_it() -> None:
    for folder in {package.folder for package in PACKAGES}:
        code = {path.name.partition(".")[0] for path in folder.glob("*.min.*")}
        assert code or (folder / "LICENSE").exists()
        if code:
            assert {path.name.partition(".")[0] for path in folder.glob("*LICENSE*")} == code


def test_another_tarball_is_noticed(tmp_path: Path) -> None:
    for package in PACKAGES:
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package.integrity)
        assert re.fullmatch(r"\d+\.\d+\.\d+", package.version)
        assert compute_integrity(b"something else") != package.integrity
    other = tmp_path / "other.tgz"
    other.write_bytes(b"no tarball")
    with pytest.raises(Exception, match=r"not a gzip file|could not be opened"):
        list(extract(PACKAGES[0], other))


def test_own_javascript_stays_small() -> None:
    lines = {path.name: path.read_text().count("\n") for path in OWN.glob("*.js")}
    assert sum(lines.values()) < MAX_OWN_JAVASCRIPT, lines


def test_there_is_one_stylesheet_of_our_own_and_no_block_of_it_stays_open() -> None:
    assert [path.name for path in OWN.glob("*.css")] == ["dashboard.css"]
    depths = [*accumulate({"{": 1, "}": -1}.get(one, 0) for one in (OWN / "dashboard.css").read_text())]
    assert (min(depths), max(depths), depths[-1]) == (0, 2, 0), "a rule in a block of a query, and no deeper"


def test_a_file_is_cached_for_ever_under_its_hash_and_sent_anew_under_another(site: Site) -> None:
    address = static("vendor/htmx.min.js")
    answer = requests.get(site.url + address, timeout=30)
    assert answer.content == load_asset("vendor/htmx.min.js").content
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    old = requests.get(site.url + "/dashboard/static/0123456789abcdef/vendor/htmx.min.js", timeout=30)
    assert (old.status_code, old.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e/app.py",
        "..%2f..%2fapp.py",
        "vendor/../../__init__.py",
        "vendor/assets.json",
        "vendor",
        "",
        "dashboard.css%00",
        "/etc/hostname",
        "a" * 3000,
    ],
)
def test_only_css_javascript_and_icons_of_the_folder_are_served(site: Site, name: str) -> None:
    request = requests.Request("GET", site.url + "/dashboard/static/x/").prepare()
    request.url = f"{site.url}/dashboard/static/x/{name}"
    assert requests.Session().send(request, timeout=30).status_code in {400, 404}


def test_the_package_holds_templates_and_static_files(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--wheel", "--out-dir", tmp_path, ROOT, "--quiet"], check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = (ROOT / "pipeline" / "dashboard", ROOT / "pipeline" / "api" / "skill")
    found = [p for folder in folders for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert folders[1] / "slipway.sh" in found
    files = {str(p.relative_to(ROOT)) for p in found}
    assert files <= names
