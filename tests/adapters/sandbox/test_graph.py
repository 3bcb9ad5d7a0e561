"""Graph API versions, enums and ``appsecret_proof``, as the sandbox takes and refuses them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Facebook, Instagram
from tests.adapters.sandbox.process import Sandbox


def read_me(sandbox: Sandbox, version: str) -> tuple[int, Any]:
    answer = requests.get(f"{sandbox.base}/facebook/{version}/me", timeout=30)
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("version", "code"), [("v20.0", 2635), ("v3.3", 2635), ("v28.0", 2500), ("v25.5", 2500)]
)
def test_versions_that_are_not_served_are_refused(sandbox: Sandbox, version: str, code: int) -> None:
    assert read_me(sandbox, version) == (400, code)


@pytest.mark.parametrize("version", ["v21.0", "v25.0", "v26.0", "v27.0"])
def test_versions_that_are_served_reach_the_node(sandbox: Sandbox, version: str) -> None:
    assert read_me(sandbox, version) == (400, 100), "nothing is read without a token"


@pytest.mark.parametrize("turn", [str.upper, str.lower])
def test_enums_are_taken_in_either_case(quick: Sandbox, turn: Callable[[str], str]) -> None:
    page = Facebook(sandbox=quick, account=quick.account("facebook"))
    made = page.call_page("POST", "video_reels", {"upload_phase": turn("start")}).json()
    content = (quick.folder / "media" / "sample.mp4").read_bytes()
    assert page.send(made["upload_url"], content, 0, len(content)).ok
    finish = {"upload_phase": turn("finish"), "video_id": made["video_id"], "video_state": turn("published")}
    assert page.call_page("POST", "video_reels", finish).json() == {"success": True}
    assert [entry["kind"] for entry in quick.ledger()] == ["reel"]


@pytest.mark.parametrize("turn", [str.upper, str.lower])
def test_instagrams_media_types_are_taken_in_either_case(quick: Sandbox, turn: Callable[[str], str]) -> None:
    instagram = Instagram(sandbox=quick, account=quick.account("instagram"))
    reel = {"media_type": turn("reels"), "video_url": quick.media("sample.mp4")}
    container = instagram.create_id(**reel)
    assert instagram.wait_until_ended(container) == "FINISHED"
    assert instagram.publish(container).ok
    assert [entry["kind"] for entry in quick.ledger()] == ["reel"]


SECRET = "shh-a-secret"


def read_page(sandbox: Sandbox, token: str, proof: str | None) -> tuple[int, int | None]:
    answer = requests.get(
        f"{sandbox.base}/facebook/v26.0/me",
        params={} if proof is None else {"appsecret_proof": proof},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    return answer.status_code, answer.json().get("error", {}).get("code")


@pytest.mark.parametrize("required", [False, True])
def test_a_wrong_proof_is_refused_and_a_missing_one_if_the_app_requires_it(
    sandbox: Sandbox, *, required: bool
) -> None:
    token = sandbox.account("facebook").access_token
    assert read_page(sandbox, token, "anything") == (200, None), "no app is registered"
    app = {"platform": "facebook", "client_id": "1", "client_secret": SECRET, "requires_proof": required}
    sandbox.control_json("POST", "apps", app)
    right = hmac.new(SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
    assert read_page(sandbox, token, right) == (200, None)
    assert read_page(sandbox, token, right[:-1] + "x") == (400, 100)
    assert read_page(sandbox, token, None) == ((400, 100) if required else (200, None))
