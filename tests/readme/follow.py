"""Follows the README's "Try it" in a fresh checkout, as a user does: its commands, in its order, and after some of them
further commands of the command line that show what these did."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.embedded.process import wait_until
from tests.conftest import free_ports

ROOT = Path(__file__).parents[2]
FIRST_START = 900.0
"""Seconds for `make up` to install everything and to start on a busy machine."""
ONE_COMMAND = 300.0
SLIPWAY = ".venv/bin/slipway "
LEDGER = f"{SLIPWAY}sandbox ledger"
RUN_BY_CI = ("make test",)
"""Commands that `.ci/run` runs itself."""
FURTHER: Mapping[str, tuple[str, ...]] = {
    "make up": ("account list", "post list --due now..7d"),
    "delivery list --state unknown": ("attention", "top", "doctor"),
    "explain ID": ("delivery show ID", "sandbox ledger --platform linkedin"),
    "delivery decide ID --live URL": (
        "receipts export --workspace Sandbox > receipts.jsonl",
        "receipts verify receipts.jsonl",
        "audit list",
        "account add-sandbox --count 200",
        "import template --rows 5000 --accounts all > month.csv",
        "import plan month.csv",
        "import apply ID --plan HASH",
        "import rollback ID",
        "demo --bulk",
    ),
}
"""A command of the page -> those that are run after it."""


def list_commands(page: str) -> list[str]:
    """Return the commands in the shell blocks of the page's "Try it", in order, without their comments."""
    section = re.split(r"^## ", page, flags=re.MULTILINE)[1]
    assert section.startswith("Try it"), section[:40]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [re.sub(r"\s+# .*$", "", line) for line in lines if line.strip()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody with a fresh checkout: where it is, the environment, and further arguments of ``Popen`` (the user)."""

    checkout: Path
    environment: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)

    def start(self, line: str, out: Path) -> subprocess.Popen[bytes]:
        """Start a line in a shell without a terminal."""
        with out.open("wb") as file:
            return subprocess.Popen(
                ["/bin/sh", "-c", line],
                cwd=self.checkout,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.options,
            )

    def run(self, line: str) -> str:
        """Run a line and return what it prints. Fails unless its exit status is 0."""
        out = self.checkout.parent / "output"
        status = self.start(line, out).wait(ONE_COMMAND)
        said = out.read_text()
        assert status == 0, f"{line}\n{said}"
        assert "Traceback" not in said, f"{line}\n{said}"
        return said


def copy_checkout(target: Path) -> None:
    """Copy what a clone of this checkout would have, changes that are not committed included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


@contextmanager
def running_up(person: Person, line: str) -> Iterator[str]:
    """Run `make up` in the first terminal; yield what it has printed, and stop it as Ctrl-C does."""
    out = person.checkout.parent / "first-terminal"
    process = person.start(line, out)
    try:
        wait_until(lambda: "Publish a post" in out.read_text() or process.poll() is not None, FIRST_START)
        said = out.read_text()
        assert "Publish a post" in said, said
        yield said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(90)
        sockets = person.checkout / ".slipway" / "run" / "sockets"
        if sockets.is_file():
            shutil.rmtree(sockets.read_text())  # kept for the next start
    assert out.read_text().rstrip().endswith("stopped; nothing is left running."), out.read_text()


def follow(person: Person) -> dict[str, str]:
    """Follow the README. Return each line -> what it printed."""
    up, *others = (line for line in list_commands((ROOT / "README.md").read_text()) if line not in RUN_BY_CI)
    assert up == "make up"
    others = [line for shown in ("make up", *others) for line in _extend(shown) if line != "make up"]
    said: dict[str, str] = {}
    with running_up(person, up) as printed:
        said[up] = printed
        paste = printed.partition("(copy and paste):")[2].strip()
        said["curl"], said["curl again"] = person.run(paste), person.run(f"sleep 1; {paste}")
        # A fault meets the next call of any post: as a user does, look first that these two are out.
        assert wait_until(lambda: person.run(LEDGER).count("Hello from Slipway") == 2, ONE_COMMAND)
        for line in others:
            said[line] = person.run(_fill_in(line, list(said.values())))
        said["make demo"] = person.run("make demo")
    return said


def _extend(shown: str) -> list[str]:
    """Return a line of the page and the further ones to run after it."""
    return [shown, *(SLIPWAY + command for command in FURTHER.get(shown.removeprefix(SLIPWAY), ()))]


def _fill_in(line: str, said: Sequence[str]) -> str:
    """Put the id, the hash and the address that were printed last in place of ID, HASH and URL."""
    printed = said[-1] + "\n" + "\n".join(reversed(said))
    ids = re.findall(r"^(?:import +)?([0-9a-f]{8}-[0-9a-f-]{27})", printed, re.MULTILINE)
    hashes = re.findall(r"^plan hash +([0-9a-f]{64})$", printed, re.MULTILINE)
    urls = re.findall(r"https://www\.linkedin\.com/\S+", said[-1])
    line = re.sub(r"\bID\b", lambda _: ids[0], line)
    line = re.sub(r"\bHASH\b", lambda _: hashes[0], line)
    return re.sub(r"\bURL\b", lambda _: urls[-1], line)


def build_environment(home: Path, path: str) -> dict[str, str]:
    """Return the environment of a person with a bare locale and home, on free ports, without settings of Slipway."""
    kept = ("SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_CACHE_DIR")
    api, flower, sandbox, media = free_ports(4)
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PATH": path,
        "HOME": str(home),
        "LANG": "C",
        "LC_ALL": "C",
        "SLIPWAY_API__PORT": str(api),
        "SLIPWAY_FLOWER__PORT": str(flower),
        "SLIPWAY_SANDBOX__URL": f"http://127.0.0.1:{sandbox}",
        "SLIPWAY_SANDBOX__MEDIA_URL": f"http://127.0.0.1:{media}",
    }
