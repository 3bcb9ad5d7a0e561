"""Every variant still applies to the tree, changes it, and leaves it importable; every test it names exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sabotage.lanes import ROOT, NoVerdict, apply_patch, run_lane
from tests.sabotage.variants import CHAOS, LANES, ONE_PER_LANE, PATCHES, UNIT, VARIANTS

_CHANGED = re.compile(r"^\+\+\+ b/(.+)$", re.MULTILINE)


def test_every_patch_has_a_row_and_every_row_a_patch() -> None:
    assert sorted(path.stem for path in PATCHES.iterdir()) == sorted(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_applies_and_compiles(name: str, tmp_path: Path) -> None:
    changed = _CHANGED.findall((PATCHES / f"{name}.patch").read_text())
    assert changed
    for path in changed:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    try:
        apply_patch(name, tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{name} no longer applies; make it anew against this tree: {error.stderr}")
    for path in changed:
        assert (tmp_path / path).read_text() != (ROOT / path).read_text()
        compile((tmp_path / path).read_text(), path, "exec")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_tests_of_a_variant_exist(name: str) -> None:
    for lane, runs in VARIANTS[name].caught.items():
        for test in runs if lane != CHAOS else ():
            path, _, function = test.partition("::")
            assert (ROOT / path).exists(), test
            assert not function or f"def {function}(" in (ROOT / path).read_text(), test


def test_each_lane_can_fail_and_the_ci_sees_it_fail() -> None:
    assert list(ONE_PER_LANE) == list(LANES)
    for lane, name in ONE_PER_LANE.items():
        assert lane in VARIANTS[name].caught


def test_only_a_failed_test_counts_as_a_lane_that_fails(tmp_path: Path) -> None:
    """A test that cannot run (here: its fixture raises, its module is not there) proves nothing."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.fixture\ndef broken(): raise RuntimeError\n"
        "def test_error(broken): pass\ndef test_failed(): assert False\ndef test_passed(): pass\n"
    )
    assert run_lane(UNIT, ["test_it.py::test_failed"], tmp_path).failed
    assert not run_lane(UNIT, ["test_it.py::test_passed"], tmp_path).failed
    for nothing in ("test_it.py::test_error", "test_it.py::test_gone", "gone.py"):
        with pytest.raises(NoVerdict):
            run_lane(UNIT, [nothing], tmp_path)
