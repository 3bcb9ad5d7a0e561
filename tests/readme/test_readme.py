"""The README, followed to the letter: under a path with spaces, without a terminal, with LANG=C, as root and not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.readme.follow import (
    FURTHER,
    ROOT,
    SLIPWAY,
    Person,
    build_environment,
    copy_checkout,
    follow,
    list_commands,
)

NOBODY = 65534
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may reach."""
    made = Path(tempfile.mkdtemp(prefix="slipway readme ", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def owner(place: Path) -> Iterator[Person]:
    """The user who runs the tests; root works in a folder that is closed to others."""
    base = Path(tempfile.mkdtemp(prefix="slipway readme ", dir=Path.home() if os.geteuid() == 0 else place))
    checkout = base / "two words" / "slipway"
    copy_checkout(checkout)
    yield Person(checkout=checkout, environment=build_environment(Path.home(), os.environ["PATH"]))
    shutil.rmtree(base)


@pytest.fixture
def other_user(place: Path) -> Person:
    """A user who is not root, in a folder of its own, with the machine's Python."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; the other test was not root either")
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    python = [
        "/usr/bin/env",
        "python3",
        "-c",
        "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))",
    ]
    found = subprocess.run(python, env={"PATH": SYSTEM_PATH}, capture_output=True, check=False, **options)  # type: ignore[call-overload]
    if found.returncode:
        pytest.skip("the machine has no Python of 3.11 or newer with venv that another user can run")
    home, checkout = place / "home", place / "two words" / "slipway"
    home.mkdir()
    copy_checkout(checkout)
    for path in (home, checkout.parent, *checkout.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return Person(checkout=checkout, environment=build_environment(home, SYSTEM_PATH), options=options)


def test_the_readme_lists_two_terminals_of_commands() -> None:
    commands = list_commands((ROOT / "README.md").read_text())
    assert commands[:2] == ["make up", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()
    assert len(commands) == 2 + 6
    assert all(line.startswith(SLIPWAY) for line in commands[2:])
    assert {*FURTHER} <= {line.removeprefix(SLIPWAY) for line in commands}


@pytest.mark.parametrize("who", ["owner", "other_user"])
def test_every_command_of_the_readme_does_what_its_line_says(
    who: str, request: pytest.FixtureRequest
) -> None:
    said = follow(request.getfixturevalue(who))
    first, second = (json.loads(said[name].splitlines()[-1]) for name in ("curl", "curl again"))
    assert (first["code"], second["code"]) == (201, 201)
    assert first["data"]["id"] != second["data"]["id"], "the second paste is a post of its own"

    printed = {line.removeprefix(SLIPWAY): text for line, text in said.items()}
    tiktok = [line for line in printed["demo --ahead 0"].splitlines() if "tiktok sandbox_tiktok" in line]
    states = " ".join(tiktok)
    assert 0 < states.find("unknown") < states.find("published"), "the lost answer can be seen, and its end"
    assert "All 4 are live, each exactly once." in printed["demo --ahead 0"]
    [unknown] = [line for line in printed["delivery list --state unknown"].splitlines() if "linkedin" in line]
    assert unknown.split()[0] in printed["demo --lose-answer"]
    assert "delivery list --state unknown --platform linkedin" in printed["attention"]
    assert unknown.split()[0] in printed["explain ID"]
    assert unknown.split()[0] in printed["delivery show ID"]
    ledger = [
        line for line in printed["sandbox ledger --platform linkedin"].splitlines() if "linkedin" in line
    ]
    assert len(ledger) == 1
    assert "published" in printed["delivery decide ID --live URL"]
    assert "The chain holds" in printed["receipts verify receipts.jsonl"]
    applied, rolled = printed["import apply ID --plan HASH"], printed["import rollback ID"]
    assert ("5,000 created" in applied, "5,000 canceled" in rolled) == (True, True)
    assert "All 60 are live, each exactly once." in printed["demo --bulk"]
    assert "All 4 are live, each exactly once." in said["make demo"]
