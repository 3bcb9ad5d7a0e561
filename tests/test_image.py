"""What the image holds: packages, licences and the SBOM agree with the lock file; the audit says what it looked up."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit import judge
from tests.image_packages import DOCKERFILE, GPL, ROOT, build_page, list_libraries, list_packages

PAGE = ROOT / "config" / "IMAGE.md"
PERMISSIVE = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the page lists the libraries of x86-64 wheels")
def test_the_page_lists_what_the_image_installs() -> None:
    assert PAGE.read_text() == build_page(), "run `make licences`"


def test_every_licence_that_asks_more_than_a_notice_is_explained() -> None:
    prose = PAGE.read_text().partition("## Packages")[0]
    for name, _, licence in list_packages():
        if not set(re.split(r" (?:OR|AND) ", licence)) <= PERMISSIVE:
            assert f"{name} is {licence}" in prose or f"{name} {licence}" in prose, f"{name}: {licence}"


def test_the_gpl_in_the_image_is_what_the_page_says() -> None:
    rows = re.findall(rf"^\| (\S+) \| {GPL} \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [("av", "x264, x265")]
    [libavcodec] = Path(sys.prefix).glob("lib/python*/site-packages/av.libs/libavcodec-*")
    needed = subprocess.run(["ldd", libavcodec], capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert all(f"lib{library}" in needed for library in ("x264", "x265"))
    assert {"x264", "x265"} <= {*list_libraries(["av"])["av"]}


def test_the_image_carries_a_bill_of_what_it_installs(tmp_path: Path) -> None:
    [command] = re.findall(
        r"uv (export .+) --output-file sbom\.cdx\.json$", DOCKERFILE.read_text(), re.MULTILINE
    )
    assert f"$(UV_RUN) {command}" in (ROOT / "Makefile").read_text(), "`make sbom` writes the same"
    uv, file = Path(sys.executable).with_name("uv"), tmp_path / "sbom.cdx.json"
    subprocess.run([uv, *command.split(), "--output-file", file], cwd=ROOT, check=True)
    bill = json.loads(file.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {one["name"]: one["version"] for one in bill["components"]}
    assert {name: version for name, version, _ in list_packages()}.items() <= listed.items()
    assert re.search(r"^COPY --from=build /app/sbom\.cdx\.json ", DOCKERFILE.read_text(), re.MULTILINE)


def test_an_audit_without_an_answer_is_not_a_clean_one() -> None:
    nothing = {"dependencies": [{"name": "av", "skip_reason": "not found"}], "fixes": []}
    assert not judge(json.dumps(nothing), "").was_run
    assert judge("", "Traceback\nConnectionError: refused").sentences == [
        "pip-audit did not finish: ConnectionError: refused"
    ]


def test_a_known_vulnerability_is_named_with_the_version_that_has_none() -> None:
    vuln = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}
    found = [{"name": "a", "version": "1.0", "vulns": [vuln]}, {"name": "b", "version": "1.0", "vulns": []}]
    verdict = judge(json.dumps({"dependencies": found}), "")
    assert (verdict.was_run, verdict.is_clean) == (True, False)
    assert verdict.sentences == ["a 1.0: PYSEC-2026-1, fixed in 2.0", "2 of 2 packages looked up."]
    assert judge(json.dumps({"dependencies": found[1:]}), "").is_clean
