"""Check the repository's files: module length, wording of product code, links of Markdown pages."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 400
"""Lines a product module may have."""
PRONOUNS = re.compile(r"\b(nobody|somebody|whoever|anybody|told|anew)\b", re.IGNORECASE)
"""Words that replace the name of a component."""
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listed.splitlines() if (path := ROOT / name).is_file()]


PRODUCT = _tracked("pipeline/*.py", "adapters/*.py", "config/*.py")
PAGES = _tracked("*.md")


def test_no_product_module_is_longer_than_a_reader_holds_in_the_head() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in PRODUCT if (lines := _lines(path)) > LONGEST}
    assert not long


def test_product_code_names_components_instead_of_pronouns() -> None:
    lines = sum(map(_lines, PRODUCT))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in PRODUCT
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PRONOUNS.search(line)
    ]
    assert len(found) * 10_000 < 5 * lines, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        path, _, heading = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        if heading:
            assert heading in _anchors(there), f"{target}: {there.name} has no such heading"


def _anchors(page: Path) -> set[str]:
    """Return GitHub's anchors of the page's headings."""
    headings = re.findall(r"^#+ +(.+?)\s*$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _lines(path: Path) -> int:
    return path.read_text().count("\n")


def test_ci_tests_the_python_of_the_production_image() -> None:
    images = set(
        re.findall(r"^FROM python:(\d+\.\d+)", (ROOT / "config" / "Dockerfile").read_text(), re.MULTILINE)
    )
    assert len(images) == 1
    assert f"/usr/bin/python{images.pop()}" in (ROOT / ".ci" / "run").read_text()


def test_the_lock_file_has_one_version_of_each_package_for_all_pythons() -> None:
    names = [package["name"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]]
    assert [name for name in set(names) if names.count(name) > 1] == []
