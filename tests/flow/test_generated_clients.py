"""Clients generated from the OpenAPI documents compile in strict mode, and publish, read, edit and upload.

The packages of ``make clients`` are tested by the tasks of the reference, as they are shown there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from adapters.contract import Platform
from pipeline.api.reference.page import Part, read_tasks
from pipeline.store.accounts.accounts import add_account
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from tests.flow.busy_server import serving_refusals
from tests.flow.ledger import caption
from tests.flow.losing_proxy import LosingProxy
from tests.flow.test_refusals import REFUSALS
from tests.pipeline.api.imports.importing import LATER, write_lines
from tests.pipeline.api.running_server import ROOT
from tests.stack import Stack, to_remote, until

CLIENTS = Path(__file__).parent / "clients"
DOCUMENTS = {"partner": "/openapi.json", "operator": "/api/operator/v1/openapi.json"}
PROGRAMS = {"partner": "publish", "operator": "operate"}
"""The program that uses the client of each document."""
BIN = Path(sys.executable).parent
MYPY = {"MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "clients")}
"""The cache of all checks here; that of `make check` is of other options."""
NEEDS_NODE = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")),
    reason="SKIPPED: the generated TypeScript clients: node or npm is not here (apt install nodejs npm)",
)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that has to succeed, and return what it prints."""
    variables = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def python_clients(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both generated projects."""
    folder = tmp_path_factory.mktemp("python")
    for name, path in DOCUMENTS.items():
        # The first answer is composed, and the program waits five seconds.
        requests.get(stack.api + path, timeout=120).raise_for_status()
        options = ("--fail-on-warning", "--url", stack.api + path, "--output-path", folder / name)
        printed = run(BIN / "openapi-python-client", "generate", *options, cwd=folder)
        assert "warning" not in printed.lower(), printed
    return folder


@pytest.fixture(scope="module")
def typescript_clients(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs compiled against both generated modules."""
    source, folder = CLIENTS / "typescript", tmp_path_factory.mktemp("typescript")
    installed = source / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (source / "package-lock.json").stat().st_mtime:
        run("npm", "ci", cwd=source)
    for file in (*source.glob("*.ts"), source / "tsconfig.json", source / "package.json"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(source / "node_modules")
    commands = folder / "node_modules" / ".bin"
    for name, path in DOCUMENTS.items():
        run(commands / "openapi-typescript", stack.api + path, "-o", f"{name}.ts", cwd=folder)
    run(commands / "tsc", cwd=folder)
    return folder


@pytest.fixture
def video(stack: Stack, tmp_path: Path) -> Path:
    """A video to upload."""
    file = tmp_path / "sample.mp4"
    file.write_bytes(requests.get(stack.media("sample.mp4"), timeout=30).content)
    return file


def test_the_generated_python_clients_and_their_users_pass_mypy_in_strict_mode(python_clients: Path) -> None:
    for name, program in PROGRAMS.items():
        project = python_clients / name
        checked = (project / f"slipway_{name}_api_client", CLIENTS / f"{program}.py")
        run(BIN / "mypy", "--strict", "--config-file=", *checked, cwd=project, MYPYPATH=str(project), **MYPY)


def test_the_generated_python_client_publishes(stack: Stack, python_clients: Path, video: Path) -> None:
    text = caption()
    arguments = (stack.api, stack.key, video, str(stack.accounts["tiktok"]), text)
    project = python_clients / "partner"
    printed = run(sys.executable, CLIENTS / "publish.py", *arguments, cwd=project, PYTHONPATH=str(project))
    assert_live(stack, text, printed.strip())


def test_the_generated_python_client_of_operators_lists_dead_letters(
    stack: Stack, python_clients: Path
) -> None:
    project = python_clients / "operator"
    command = (sys.executable, CLIENTS / "operate.py", stack.api, stack.key)
    assert run(*command, cwd=project, PYTHONPATH=str(project)).strip()


@NEEDS_NODE
def test_the_generated_typescript_client_compiles_in_strict_mode_and_publishes(
    stack: Stack, typescript_clients: Path, video: Path
) -> None:
    text = caption()
    arguments = (stack.api, stack.key, video, str(stack.accounts["tiktok"]), text)
    printed = run("node", "compiled/publish.js", *arguments, cwd=typescript_clients)
    assert_live(stack, text, printed.strip())


@NEEDS_NODE
def test_the_generated_typescript_client_of_operators_lists_dead_letters(
    stack: Stack, typescript_clients: Path
) -> None:
    assert run("node", "compiled/operate.js", stack.api, stack.key, cwd=typescript_clients).strip()


def assert_live(stack: Stack, text: str, post: str) -> None:
    """Assert that the post is live once, in its edited version."""
    assert stack.read(post)["status"] == "posted"
    assert [line["caption"] for line in stack.live(text)] == [text]


# --- the packages of `make clients` --------------------------------------------------------------------------

COMMANDS = {
    "curl": ("sh", "-euc"),
    "Python": (sys.executable, "-c"),
    "TypeScript": ("node", "--input-type=module", "--eval"),
}
NEEDED = {"curl": "jq", "Python": sys.executable, "TypeScript": "npm"}
"""What a language's samples need."""
FIRST_CALL = {"curl": "POST=", "Python": "post = ", "TypeScript": "const post = "}
"""How the line of the first task begins up to which the samples of the others go on."""
SHOWN = {
    "Publish a post": r"pending|posted",
    "Schedule": r"scheduled",
    "Post a slideshow": r"Post accepted|Post scheduled|posted",
    "Keep a draft": r"scheduled",
    "Post many at once": r"201.*Post",
    "Import a file": r"appl",
    "Be told by a webhook": r"whsec_",
    "Find out why": r"caption of a failed post|summary",
    "Retry what failed": r"\b1\b",
}
"""What the sample of each task prints."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A workspace of its own with one account, so that the samples find that account first."""

    stack: Stack
    key: str
    account: str
    remote_id: str

    def post(self, **body: object) -> str:
        """Create a post, and return its id."""
        answer = self.send("POST", "/posts", {**body, "accounts": [{"id": self.account}]})
        return str(answer["id"])

    def send(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """Return the data of an answer."""
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"{self.stack.api}/api/partner/v1{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=60)
        assert answer.ok, answer.text
        found: dict[str, object] = answer.json()["data"]
        return found


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages, installed: Python's beside node_modules."""
    folder = tmp_path_factory.mktemp("packages")
    run(sys.executable, "-m", "pipeline.api.clients.build", "--output", folder / "built", cwd=ROOT)
    [wheel] = (folder / "built").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    for archive in (folder / "built").glob("*.tgz"):
        run("npm", "install", "--no-audit", "--no-fund", archive, cwd=folder)
    return folder


@pytest.fixture
def shop(stack: Stack) -> Shop:
    name = {"platform": "facebook", "username": stack.owner, "options": {}}
    remote = to_remote(stack.control("POST", "accounts", name), None)
    with stack.context.database.begin() as c:
        workspace = create_workspace(c, name="Shop")
        account = add_account(c, stack.context.vault, workspace, Platform.FACEBOOK, remote)
        key = create_key(c, workspace, "shop")
    return Shop(stack=stack, key=key, account=str(account), remote_id=remote.remote_id)


def fail_post(shop: Shop) -> None:
    """Have the platform refuse a post of the shop; what another shop still retries leaves the fault alone."""
    status, body = REFUSALS["facebook"]
    answer = {"status": status, "body": json.dumps(body), "account": shop.remote_id}
    shop.stack.fault("facebook", "finalize", "answer", times=1, **answer)
    images = {"type": "slideshow", "urls": [shop.stack.media("sample-1.jpg")]}
    post = shop.post(caption="caption of a failed post", media=images)
    until(lambda: shop.send("GET", f"/posts/{post}")["status"] == "failed", 60)
    shop.stack.control("DELETE", "faults")


FILES = {"mug.mp4": "sample.mp4", "mug-1.jpg": "sample-1.jpg", "mug-2.jpg": "sample-2.jpg"}
"""The sandbox's media in the place of the files and URLs that the samples name."""


def write_files(shop: Shop, folder: Path) -> None:
    """Write the files that the samples name."""
    for name, sample in FILES.items():
        (folder / name).write_bytes(requests.get(shop.stack.media(sample), timeout=30).content)
    images = {"type": "slideshow", "urls": [shop.stack.media("sample-1.jpg")]}
    row = {"caption": caption(), "media": images, "accounts": [{"id": shop.account}], "scheduled_at": LATER}
    (folder / "march.ndjson").write_bytes(write_lines(row))


def complete(task: Part, language: str) -> str:
    """Return a sample after the lines of the first task that it goes on from."""
    first, sample = read_tasks()[0], task.samples[language]
    if task is first:
        return sample
    lines = first.samples[language].splitlines()
    end = next(n for n, line in enumerate(lines) if line.startswith(FIRST_CALL[language]))
    return "\n".join([*lines[:end], sample])


def run_sample(task: Part, language: str, shop: Shop, packages: Path, folder: Path, url: str = "") -> str:
    """Run a sample in *folder*, against the proxy at *url* if one is given, and return what it prints."""
    if shutil.which(NEEDED[language]) is None:
        pytest.skip(f"SKIPPED: the {language} samples of tasks: {NEEDED[language]} is not here.")
    write_files(shop, folder)
    if (packages / "node_modules").exists():
        (folder / "node_modules").symlink_to(packages / "node_modules")
    sample = complete(task, language)
    for name, found in FILES.items():
        sample = sample.replace(f"https://cdn.example.com/{name}", shop.stack.media(found))
    environment = {"SLIPWAY_URL": url or shop.stack.api, "SLIPWAY_KEY": shop.key, "PYTHONPATH": str(packages)}
    return run(*COMMANDS[language], sample, cwd=folder, **environment)


def test_the_python_package_and_its_samples_pass_mypy_in_strict_mode(packages: Path, tmp_path: Path) -> None:
    for task in read_tasks():
        (tmp_path / f"{task.id.replace('-', '_')}.py").write_text(complete(task, "Python"))
    checked = (packages / "slipway_client", *tmp_path.glob("*.py"))
    run(BIN / "mypy", "--strict", "--config-file=", *checked, cwd=packages, MYPYPATH=str(packages), **MYPY)


@pytest.mark.parametrize("language", COMMANDS)
@pytest.mark.parametrize("task", read_tasks(), ids=lambda task: task.id)
def test_a_task_of_the_reference_does_what_it_says(
    shop: Shop, packages: Path, tmp_path: Path, task: Part, language: str
) -> None:
    if task.title in ("Find out why", "Retry what failed"):
        fail_post(shop)
    printed = run_sample(task, language, shop, packages, tmp_path)
    assert re.search(SHOWN[task.title], printed), printed


@pytest.mark.parametrize("language", ["Python", "TypeScript"])
def test_a_client_repeats_a_post_under_one_key_until_it_is_answered(
    shop: Shop, packages: Path, tmp_path: Path, language: str
) -> None:
    with LosingProxy(shop.stack.api) as proxy:
        run_sample(read_tasks()[0], language, shop, packages, tmp_path, proxy.url)
    for path, keys in proxy.keys.items():
        assert len(keys) == 2, path
        assert keys[0] == keys[1] is not None, path
    found = shop.send("GET", "/posts")["posts"]
    assert isinstance(found, list)
    assert [post["external_id"] for post in found] == proxy.keys["/api/partner/v1/posts"][:1]


@pytest.mark.parametrize("language", ["Python", "TypeScript"])
def test_a_client_schedules_a_draft_though_the_answer_is_lost(
    shop: Shop, packages: Path, tmp_path: Path, language: str
) -> None:
    [task] = [one for one in read_tasks() if one.title == "Keep a draft"]
    with LosingProxy(shop.stack.api) as proxy:
        printed = run_sample(task, language, shop, packages, tmp_path, proxy.url)
    assert "scheduled" in printed
    [scheduling] = [keys for path, keys in proxy.keys.items() if path.endswith("/schedule")]
    assert len(scheduling) == 2
    assert scheduling[0] == scheduling[1] is not None


READS_ACCOUNTS = {
    "Python": """
from slipway_client import Slipway, SlipwayError, data
from slipway_client.api import scope

try:
    data(scope.list_accounts.sync(client=Slipway()))
except SlipwayError as error:
    print(error.code)
""",
    "TypeScript": """
import { Slipway, data } from "slipway-client";

await data(new Slipway().api.GET("/api/partner/v1/accounts")).catch((error) => console.log(error.code));
""",
}


@pytest.mark.parametrize("language", READS_ACCOUNTS)
def test_a_client_waits_as_a_server_asks_and_gives_back_an_answer_that_asks_for_a_day(
    packages: Path, tmp_path: Path, language: str
) -> None:
    if shutil.which(NEEDED[language]) is None:
        pytest.skip(f"SKIPPED: the {language} client and Retry-After: {NEEDED[language]} is not here.")
    if (packages / "node_modules").exists():
        (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    with serving_refusals() as server:
        environment = {"SLIPWAY_URL": server.url, "SLIPWAY_KEY": "key", "PYTHONPATH": str(packages)}
        printed = run(*COMMANDS[language], READS_ACCOUNTS[language], cwd=tmp_path, **environment)
    assert (printed.strip(), server.asked) == ("rate_limited", ["1", "86400"])
