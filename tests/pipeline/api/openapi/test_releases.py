"""A document that changed has a new version, and what was merged under a version stays."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from typing import Any

import pytest

from pipeline.api.app import OPERATIONS, create_app
from pipeline.api.openapi.document import DOCUMENTS, Document, describe, hash_document
from tests.pipeline.api.running_server import ROOT

TABLE = "pipeline/api/openapi/releases.toml"
EARLIER = "pipeline/api/openapi/releases.py"
"""Where the table was in older commits."""
ROW = re.compile(r'version ?= ?"([\d.]+)",?\s+sha256 ?= ?"([0-9a-f]{64})"')
SPEC = {"info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": {"summary": "s"}}}}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.title)
def test_the_document_is_the_one_of_its_newest_version(document: Document) -> None:
    spec = describe(create_app(), document, OPERATIONS)
    newest, digest = document.releases[0], hash_document(spec)
    assert spec["info"]["version"] == newest.version
    assert digest == newest.sha256, (
        f"The document of the {document.title} is not the one of version {newest.version}. Add a release with a new "
        f'version, sha256="{digest}", and what changed on top of its table in {TABLE}.'
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.title)
def test_versions_rise_and_each_says_what_changed(document: Document) -> None:
    numbers = [tuple(map(int, release.version.split("."))) for release in document.releases]
    assert all(len(number) == 3 for number in numbers)
    assert all(newer > older for newer, older in pairwise(numbers))
    assert all(release.changes and all(release.changes) for release in document.releases)
    assert len({release.sha256 for release in document.releases}) == len(document.releases)


@pytest.mark.parametrize(
    "changed",
    [
        {**SPEC, "paths": {}},
        {**SPEC, "paths": {"/a": {"get": {"summary": "S"}}}},
        {**SPEC, "info": {"title": "T", "version": "1"}},
        {**SPEC, "components": {}},
        {**SPEC, "components": {"schemas": {"A": {"properties": {"example": {}}}}}},
    ],
)
def test_every_change_changes_the_digest(changed: dict[str, Any]) -> None:
    assert hash_document(changed) != hash_document(SPEC)


def test_version_changelog_and_examples_of_bodies_are_no_change() -> None:
    info = {"title": "t", "version": "2", "x-changelog": [1]}
    assert hash_document({"paths": SPEC["paths"], "info": info}) == hash_document(SPEC)
    one, other = ({**SPEC, "content": {"schema": {"type": "string"}, "example": text}} for text in "ab")
    assert hash_document(one) == hash_document(other) != hash_document(SPEC)


def test_no_release_that_was_merged_is_changed_or_removed() -> None:
    """A digest cannot be replaced under its version: every row of the history is still in the table."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("SKIPPED: the releases of the API's documents: there is no git history here")

    def ask(*command: str) -> str:
        return subprocess.run([git, *command], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    merged = {
        row
        for table in (TABLE, EARLIER)
        for commit in ask("log", "--first-parent", "--diff-filter=d", "--format=%H", "--", table).split()
        for row in ROW.findall(ask("show", f"{commit}:{table}"))
    }
    now = set(ROW.findall((ROOT / TABLE).read_text()))
    assert len(now) == sum(len(document.releases) for document in DOCUMENTS)
    assert merged <= now, f"Changed or removed: {merged - now}. Add a release with a new version instead."
