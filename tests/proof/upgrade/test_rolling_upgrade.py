"""Rolling upgrade: an older version and this one run side by side on one database and one broker.

The older tree comes from the git history and runs with today's dependencies on today's tables. Posts are created
through both APIs while the older parts are stopped one by one. The sandbox's ledger must hold each post once.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sysconfig
import tarfile
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from adapters.contract import Platform
from pipeline.queues import WORKER_GROUPS
from pipeline.store.database import rows
from pipeline.store.schema_version import read_table_revision
from tests.conftest import free_ports
from tests.stack import FAST, Stack, is_answering, until

NEW_SETTINGS = ("SLIPWAY_MARK__", "SLIPWAY_PUBLISH__OUTAGE_CAP")
"""Prefixes of settings that the older version does not know and is started without."""
ROOT = Path(__file__).parents[3]
OLD_COMMIT = "eb57548dd3bb7d473e893acd38d9463982cef151"
"""The older version: before the first release, the last commit whose code knows the tables up to 0006 only; later the
tag of the previous release."""
PARTS = ("api", "beat", *(f"worker-{group}" for group in WORKER_GROUPS))
STOP_LIMIT = 40
"""Seconds a part may take to stop: SLIPWAY_WORKER__SHUTDOWN (5 s here) on a busy machine."""


Spell = Callable[[dict[str, Any]], dict[str, Any]]
BODIES: dict[str, Spell] = {
    "plain": lambda body: body,
    "with an id": lambda body: {**body, "external_id": uuid4().hex},
    "with nulls": lambda body: {**body, "tiktok": None, "pinterest": None, "music_url": None},
    "with nulls and an id": lambda body: {**body, "tiktok": None, "external_id": uuid4().hex},
    "with a default": lambda body: {**body, "on_late": "publish"},
    "with an offset": lambda body: {
        **body,
        "scheduled_at": (datetime.now(UTC) + timedelta(seconds=60)).isoformat(),
    },
    "in upper case, in another order": lambda body: {
        **body,
        "accounts": [{"id": one["id"].upper()} for one in reversed(body["accounts"])],
    },
}
"""Bodies that each version has to recognise when the other one stored them."""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source tree of the older version."""
    git = shutil.which("git")
    known = git and subprocess.run(
        [git, "-C", str(ROOT), "cat-file", "-e", f"{OLD_COMMIT}^{{commit}}"], check=False, capture_output=True
    )
    if not git or not known or known.returncode:
        pytest.skip(f"the git history here does not contain {OLD_COMMIT}, so the older version cannot be run")
    folder = tmp_path_factory.mktemp("older")
    archive = folder / "tree.tar"
    subprocess.run([git, "-C", str(ROOT), "archive", f"--output={archive}", OLD_COMMIT], check=True)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def create_environment(tree: Path) -> str:
    """Return an interpreter that imports the older tree and today's libraries, but never today's code.

    This environment installs the current tree in editable form; the older version's isolated children would find it.
    A path in a ``.pth`` file adds a folder without reading the ``.pth`` files in it.
    """
    venv.create(tree / ".venv", with_pip=False, symlinks=True)
    [packages] = (tree / ".venv" / "lib").glob("python3*/site-packages")
    (packages / "older.pth").write_text(f"{tree}\n{sysconfig.get_path('purelib')}\n")
    return str(tree / ".venv" / "bin" / "python")


@dataclass(kw_only=True)
class Deployment:
    """The parts of one version. ``stack`` has its own API port; database and broker are shared."""

    stack: Stack
    name: str

    def start(self) -> None:
        for part in PARTS:
            words = part.split("-")
            extra = ["--slots", "8", "--name", f"{self.name}-{part}@%h"] if words[0] == "worker" else []
            self.stack.start(f"{self.name}-{part}", "pipeline.cli", *words, *extra)
        until(lambda: all(self._is_up(part) for part in PARTS), 90, self._read_logs)

    def stop(self, part: str) -> None:
        """Send SIGTERM to the part's main process."""
        process = self.stack.parts[f"{self.name}-{part}"]
        assert process.poll() is None, self._read_log(part)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_LIMIT) == 0, self._read_log(part)

    def _is_up(self, part: str) -> bool:
        if part == "api":  # the versions log different texts
            return is_answering(f"{self.stack.api}/healthz")
        if part == "beat":  # which logs nothing while all is well: it is up once it talks to an engine
            return bool(psutil.Process(self.stack.parts[f"{self.name}-{part}"].pid).net_connections("all"))
        return " ready" in self._read_log(part)

    def _read_log(self, part: str) -> str:
        return (self.stack.folder / f"{self.name}-{part}.log").read_text()

    def _read_logs(self) -> str:
        return "\n".join(f"--- {part}\n{self._read_log(part)[-2000:]}" for part in PARTS)


@dataclass(kw_only=True)
class Client:
    """Create posts through either API and record them."""

    word: str = field(default_factory=lambda: f"upgrade {uuid4().hex[:12]}")
    posts: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def send(self, through: Stack, *platforms: str, due: timedelta | None = None) -> str:
        text = f"{self.word} {next(self._numbers)}."
        later = None if due is None else (datetime.now(UTC) + due).isoformat()
        post = through.create_post(text, *platforms, scheduled_at=later)
        self.posts[post] = (text, platforms)
        return post

    def repeat(self, first: Stack, then: Stack, spell: Spell) -> None:
        """Send one body through one version and again through the other: it must be one post."""
        text = f"{self.word} {next(self._numbers)}."
        body = spell(
            {
                "caption": text,
                "media": {"type": "video", "url": first.media("sample.mp4")},
                "accounts": [{"id": str(first.accounts[p])} for p in ("linkedin", "facebook")],
            }
        )
        made, again = first.post(**body), then.post(**body)
        assert (made.status_code, again.status_code) == (201, 200), f"{made.text}\n{again.text}"
        found = again.json()["data"]
        assert (found["id"], found["duplicate"]) == (made.json()["data"]["id"], True)
        self.posts[found["id"]] = (text, ("linkedin", "facebook"))

    def list_expected(self) -> Counter[tuple[str, str]]:
        return Counter((text, platform) for text, platforms in self.posts.values() for platform in platforms)

    def list_live(self, stack: Stack) -> Counter[tuple[str, str]]:
        return Counter((str(line["caption"]), line["platform"]) for line in stack.live(self.word))


@pytest.fixture(scope="module")
def deployments(
    older: Path, module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Deployment]]:
    """The older and the current deployment; only the sandbox is running."""
    folder = tmp_path_factory.mktemp("rolling")
    sandbox, media, old_api, new_api = free_ports(4)
    environment = module_environment | {"SLIPWAY_FOLDER": str(folder)} | FAST
    new = Stack(environment=dict(environment), folder=folder, ports=[sandbox, media, new_api])
    known = {name: value for name, value in environment.items() if not name.startswith(NEW_SETTINGS)}
    old = Stack(
        environment=known,
        folder=folder,
        ports=[sandbox, media, old_api],
        tree=older,
        python=create_environment(older),
    )
    try:
        new.start_sandbox()
        new.seed(*Platform)
        old.key, old.accounts = new.key, new.accounts
        yield Deployment(stack=old, name="old"), Deployment(stack=new, name="new")
    finally:
        old.stop()
        new.stop()


@pytest.mark.timeout(600)
def test_posts_are_live_once_while_parts_of_two_versions_work_side_by_side(
    deployments: tuple[Deployment, Deployment], older: Path
) -> None:
    old, new = deployments
    known = max(path.name[:4] for path in (older / "pipeline/store/migrations/versions").glob("0*.py"))
    with new.stack.context.database.begin() as c:
        assert known < read_table_revision(c), "the older version must meet tables that it does not know"
        # as migration 0023 finds it where the older version has a key: here the tables came first
        rows(c, "UPDATE mark SET has_former_servers = true RETURNING one")
    client = Client()

    old.start()
    first = [client.send(old.stack, *Platform), client.send(old.stack, "instagram", "linkedin")]
    for post in first:
        old.stack.await_status(post, "posted", 120)

    new.start()
    client.send(old.stack, "facebook", due=timedelta(seconds=60))  # due after the older version has stopped
    for n in range(12):
        client.send(
            (old, new)[n % 2].stack, *(("instagram", "linkedin") if n % 3 else ("facebook", "youtube"))
        )
    for spell in BODIES.values():
        client.repeat(old.stack, new.stack, spell)
        client.repeat(new.stack, old.stack, spell)
    for part in (*(f"worker-{group}" for group in WORKER_GROUPS), "beat", "api"):
        client.send(old.stack, "linkedin", "facebook")
        client.send(new.stack, "instagram", "tiktok")
        old.stop(part)
    client.send(new.stack, *Platform)

    for post in client.posts:
        new.stack.await_status(post, "posted", 150)
    assert client.list_live(new.stack) == client.list_expected()
    with new.stack.context.database.begin() as c:
        moved = rows(
            c,
            """SELECT DISTINCT m.target, d.crashes FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = ANY(CAST(:posts AS uuid[])) AND (m.target = 'unknown' OR d.crashes > 0)""",
            posts=[UUID(post) for post in client.posts],
        )
    assert not moved, "a delivery became unknown, or a stop counted as a crash"
