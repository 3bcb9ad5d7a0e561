"""The sandbox checks ``appsecret_proof`` against registered apps, and requires it where the app does."""

from __future__ import annotations

import hashlib
import hmac

import pytest
import requests

from tests.adapters.sandbox.process import Sandbox

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
