"""The skill of agents, followed to the letter: every command of SKILL.md, in its order, with the script it fetches."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from adapters.contract import Platform
from pipeline.store.accounts.accounts import add_account
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from tests.flow.busy_server import serving_refusals
from tests.flow.ledger import caption
from tests.flow.losing_proxy import LosingProxy
from tests.pipeline.api.running_server import ABSENT, ROOT
from tests.stack import Stack, to_remote

SKILL = ROOT / "pipeline" / "api" / "skill"
FILES = {"mug.mp4": "sample.mp4", "mug-1.jpg": "sample-1.jpg", "mug-2.jpg": "sample-2.jpg"}
"""The files that the page posts -> the sandbox's samples."""
SPY = """#!/bin/sh
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> "$PROCESSES"
exec {curl} "$@"
"""
"""curl, which first writes down every process of the machine with its arguments."""

pytestmark = pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="SKIPPED: the skill: curl or jq is not here."
)


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Somebody with a key, one TikTok account, a folder, and what the shell finds there."""

    stack: Stack
    key: str
    account: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, url: str = "") -> subprocess.CompletedProcess[str]:
        """Run lines in a bash that stops at the first that fails."""
        more = {**self.environment, "SLIPWAY_URL": url or self.stack.api, "SLIPWAY_KEY": self.key}
        command = ["bash", "-eo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=self.folder, env=more, capture_output=True, text=True, check=False, timeout=300
        )

    def call(self, *words: str, url: str = "") -> subprocess.CompletedProcess[str]:
        """Run one command of the script."""
        return self.run(f'exec bash "{SKILL}/slipway.sh" ' + " ".join(f"'{word}'" for word in words), url)

    def list_posts(self) -> dict[str, dict[str, Any]]:
        """Return the posts of the key by external_id."""
        listed = json.loads(self.call("list-posts").stdout)["posts"]
        found = {post["external_id"]: post for post in listed}
        assert len(found) == len(listed)
        return found


@pytest.fixture
def agent(stack: Stack, tmp_path: Path) -> Agent:
    made = stack.control("POST", "accounts", {"platform": "tiktok", "username": stack.owner, "options": {}})
    with stack.context.database.begin() as c:
        workspace = create_workspace(c, name="Agent")
        account = add_account(c, stack.context.vault, workspace, Platform.TIKTOK, to_remote(made))
        key = create_key(c, workspace, "agent")
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PROCESSES": f"{tmp_path}/processes"}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "curl").write_text(SPY.format(curl=shutil.which("curl")))
    (tmp_path / "bin" / "curl").chmod(0o755)
    return Agent(stack=stack, key=key, account=str(account), folder=tmp_path, environment=environment)


def build_words(agent: Agent, *more: str) -> tuple[str, ...]:
    """Return the words of a command that makes a post of its own."""
    post = ("--caption", caption(), "--media-type", "video", "--media-url", agent.stack.media("sample.mp4"))
    return ("create-post", *post, "--accounts", agent.account, *more)


def read_front_matter() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SKILL / "SKILL.md").read_text().split("---\n")[1])
    return found


def test_every_block_of_the_page_does_what_the_page_says(agent: Agent) -> None:
    for name, sample in FILES.items():
        (agent.folder / name).write_bytes(requests.get(agent.stack.media(sample), timeout=30).content)
    blocks = re.findall(r"^```sh\n(.*?)^```", (SKILL / "SKILL.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 12
    earlier = len(agent.stack.live("Our new mug"))  # other tests post it too
    done = agent.run("echo '\f'\n".join(blocks))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (agent.folder / "slipway" / "SKILL.md").read_bytes() == (SKILL / "SKILL.md").read_bytes()

    posts, printed = agent.list_posts(), done.stdout.split("\f")
    assert {name: post["status"] for name, post in posts.items()} == {
        "mug-1": "posted",
        "mug-tomorrow": "canceled",
        "mug-slides": "posted",
        **{f"mug-week-{n}": "scheduled" for n in (1, 2, 3)},
        "mug-asked": "scheduled",
    }
    assert len(agent.stack.live("Our new mug")) == earlier + 1
    assert posts["mug-tomorrow"]["caption"] == "Our mug, at last"
    assert posts["mug-slides"]["accounts"]["states"][0]["delivered_as"] == "inbox_draft"
    assert '"status": "posted"' in printed[5]
    assert '"turn": null' in printed[6]
    assert '"canceled": 1' in printed[7]
    assert '"accepted": 3' in printed[9]

    processes = (agent.folder / "processes").read_text()
    assert processes.count(" --config - ") > len(posts)
    assert agent.key.partition(".")[2] not in processes + done.stdout + done.stderr


@pytest.mark.parametrize("name", [(), ("--external-id", "mug-1")], ids=["unnamed", "named"])
def test_a_lost_answer_and_a_repeat_make_one_post(agent: Agent, name: tuple[str, ...]) -> None:
    words = build_words(agent, "--scheduled-at", "2090-01-01T00:00:00Z", *name)
    with LosingProxy(agent.stack.api) as proxy:
        first = agent.call(*words, url=proxy.url)
        assert [len(keys) for keys in proxy.keys.values()] == [2]
    second = agent.call(*words)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "nothing was posted again" in second.stderr
    [post] = agent.list_posts().values()
    assert json.loads(first.stdout)["id"] == json.loads(second.stdout)["id"] == post["id"]


def test_a_draft_whose_scheduling_is_repeated_is_scheduled_once(agent: Agent) -> None:
    post = json.loads(agent.call(*build_words(agent, "--draft")).stdout)["id"]
    words = ("schedule-post", "--id", post, "--scheduled-at", "2090-01-01T00:00:00Z")
    assert [json.loads(agent.call(*words).stdout)["status"] for _ in range(2)] == ["scheduled"] * 2


def test_exit_code_1_says_what_is_refused(agent: Agent) -> None:
    text = ("--caption", "Words alone", "--media-type", "text", "--accounts", agent.account)
    validated, refused = agent.call("validate-post", *text), agent.call("create-post", *text)
    assert (validated.returncode, refused.returncode) == (1, 1)
    assert json.loads(validated.stdout)["refused"][0]["platform"] == "tiktok"
    assert json.loads(refused.stdout)["error_code"] == "validation_failed"
    assert refused.stderr.startswith("400 validation_failed: ")
    assert agent.list_posts() == {}

    post = json.loads(agent.call(*build_words(agent, "--scheduled-at", "2090-01-01T00:00:00Z")).stdout)["id"]
    assert [agent.call("cancel-posts", "--post-ids", one).returncode for one in (post, ABSENT)] == [0, 1]
    assert agent.call("get-post", "--id", post).returncode == 0
    assert agent.call("get-post", "--id", post, "--wait", "9").returncode == 1
    used_wrongly = (["post"], ["get-post", "--id", "../accounts"], ["create-post", "--captoin", "x"])
    assert [agent.call(*words).returncode for words in used_wrongly] == [1] * len(used_wrongly)


def test_a_batch_names_the_posts_it_refuses(agent: Agent) -> None:
    video = {"type": "video", "url": agent.stack.media("sample.mp4")}
    good = {"caption": caption(), "media": video, "accounts": [{"id": agent.account}], "draft": True}
    (agent.folder / "posts.json").write_text(json.dumps([good, {**good, "caption": ""}]))
    done = [agent.call("create-posts", "--file", "posts.json") for _ in range(2)]
    assert [one.returncode for one in done] == [1, 1]
    counts = [json.loads(one.stdout) for one in done]
    assert [(one["accepted"], one["duplicates"], one["refused"]) for one in counts] == [(1, 0, 1), (0, 1, 1)]


def test_exit_code_2_says_when_to_repeat(agent: Agent) -> None:
    with serving_refusals() as server:
        done = agent.call("accounts", url=server.url)
        assert server.asked == ["1", "86400"]
    assert (done.returncode, json.loads(done.stdout)["error_code"]) == (2, "rate_limited")
    assert "Repeat the same command in 86400 seconds" in done.stderr
    gone = agent.call("cancel-posts", "--post-ids", ABSENT, url=server.url)
    assert (gone.returncode, gone.stdout) == (2, ""), "nobody listens there any more"


def test_what_an_agent_loads_is_in_the_form_of_agent_skills() -> None:
    front = read_front_matter()
    assert front["name"] == "slipway"
    assert len(front["description"]) <= 1024
    assert len((SKILL / "SKILL.md").read_text().split()) < 900
    script = (SKILL / "slipway.sh").read_text()
    assert all(name in script for name in front["metadata"]["openclaw"]["requires"]["env"])
