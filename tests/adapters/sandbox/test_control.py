"""The control API, the command line, and the separation of the two ports."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from tests.adapters.sandbox.process import CONTROL_TOKEN, ROOT, Sandbox, command, free_port

OPERATIONS = (
    ("POST", "accounts"),
    ("GET", "ledger"),
    ("POST", "reset"),
    ("POST", "faults"),
    ("GET", "faults"),
    ("DELETE", "faults"),
    ("DELETE", "faults/1"),
    ("POST", "tokens"),
    ("POST", "oauth/code"),
    ("POST", "apps"),
    ("POST", "comments"),
    ("POST", "pace"),
    ("POST", "clock"),
    ("PUT", "media/x.jpg"),
)


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", CONTROL_TOKEN, "Bearer \xff"])
def test_control_needs_its_token(sandbox: Sandbox, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for method, path in OPERATIONS if authorization is None else OPERATIONS[:1]:
        url = f"{sandbox.base}/control/{path}"
        assert requests.request(method, url, headers=headers, timeout=30).status_code == 401, path


def test_health_needs_no_token(sandbox: Sandbox) -> None:
    assert requests.get(f"{sandbox.base}/control/health", timeout=30).json() == {"ok": True}


def test_an_account_is_the_same_when_asked_for_again_but_its_tokens_are_new(sandbox: Sandbox) -> None:
    answer = sandbox.control("POST", "accounts", {"platform": "tiktok", "username": "ann"})
    again = sandbox.control("POST", "accounts", {"platform": "tiktok", "username": "ann"})
    assert (answer.status_code, again.status_code) == (201, 201)
    first, second = answer.json(), again.json()
    assert set(first) == {
        "platform",
        "remote_id",
        "username",
        "access_token",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "scopes",
        "connection",
    }
    assert first["remote_id"] == second["remote_id"]
    assert first["access_token"] != second["access_token"]
    assert sandbox.account("tiktok", "bob").remote_id != first["remote_id"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("accounts", {"platform": "myspace", "username": "a"}, "tiktok_business"),
        ("accounts", {"platform": "tiktok"}, "username"),
        ("accounts", {"platform": "tiktok", "username": "a", "private": "yes"}, "private"),
        ("accounts", [], "JSON object"),
        ("pace", {"pace": "slow"}, "instant"),
        ("clock", {"advance_s": -1}, "advance_s"),
        ("faults", {"platform": "tiktok", "step": "any", "fault": "429", "times": "x"}, "times"),
        ("faults", {"platform": "tiktok", "step": "any", "fault": "answer"}, "need a status"),
        ("faults", {"platform": "tiktok", "step": "any", "fault": "answer", "status": 99}, "from 200"),
    ],
)
def test_a_bad_body_is_refused_with_what_is_wrong(
    sandbox: Sandbox, path: str, body: object, named: str
) -> None:
    answer = sandbox.control("POST", path, body)
    assert (answer.status_code, named in answer.json()["error"]) == (422, True)


def test_tokens_of_an_unknown_account_are_not_found(sandbox: Sandbox) -> None:
    body = {"platform": "tiktok", "remote_id": "nobody", "state": "expired"}
    assert sandbox.control("POST", "tokens", body).status_code == 404


def test_the_media_port_serves_media_and_nothing_else(sandbox: Sandbox) -> None:
    base = f"http://127.0.0.1:{sandbox.media_port}"
    for path in (
        "control/health",
        "tiktok-www/oembed",
        "",
        "media/",
        "media/..%2Fstate.jsonl",
        "media/.x.part",
    ):
        assert requests.get(f"{base}/{path}", timeout=30).status_code == 404
    assert requests.get(f"{base}/media/sample-1.jpg", timeout=30).status_code == 200


def _run(
    folder: Path, port: int, media_port: int, control: str | None = "t"
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    if control is not None:
        environment["SLIPWAY_SANDBOX_CONTROL_TOKEN"] = control
    line = command(folder, port, media_port)
    return subprocess.run(
        line, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_busy_port_is_told_in_a_sentence(tmp_path: Path, samples: Path) -> None:
    (tmp_path / "media").symlink_to(samples)
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        for ports in ((busy, free_port()), (free_port(), busy)):
            ended = _run(tmp_path, *ports)
            assert (ended.returncode, ended.stdout) == (1, "")
            assert ended.stderr == (
                f"Port {busy} on 127.0.0.1 is busy: stop what uses it, or choose another.\n"
            )


def test_a_folder_in_use_and_a_missing_token_are_told_in_a_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    ended = _run(sandbox.folder, free_port(), free_port())
    assert ended.returncode == 1
    assert ended.stderr == f"Another sandbox already uses the folder {sandbox.folder}.\n"
    ended = _run(tmp_path, free_port(), free_port(), control=None)
    assert (ended.returncode, "SLIPWAY_SANDBOX_CONTROL_TOKEN" in ended.stderr) == (1, True)
