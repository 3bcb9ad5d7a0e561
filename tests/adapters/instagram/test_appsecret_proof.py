"""``appsecret_proof`` with Instagram: with tokens of Facebook Login that our own app obtained, and with no others."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from adapters.instagram.adapter import Instagram
from tests.adapters.instagram.drafts import CREATED, QUOTA, SECRET, TOKEN, account, photo_post
from tests.adapters.scripted_server import Reply, ScriptedServer

APP = "990602627938098"
PROOF = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("connection", "app_id", "proof"),
    [
        ("facebook_login", APP, PROOF),
        ("facebook_login", "", None),
        ("facebook_login", "another app", None),
        ("instagram_login", APP, None),
    ],
    ids=["ours", "pasted", "another app's", "of Instagram Login"],
)
def test_it_goes_with_our_own_tokens_of_facebook_login_only(
    server: ScriptedServer, instagram: Instagram, connection: str, app_id: str, proof: str | None
) -> None:
    one = account(connection)
    one = replace(one, credentials=replace(one.credentials, app_id=app_id))
    server.enqueue(Reply(body=QUOTA), Reply(body=CREATED))
    begun = instagram.prepare(photo_post(), one, {})
    instagram.prepare(photo_post(), one, begun.checkpoint)
    assert [request.query.get("appsecret_proof") for request in server.requests] == [proof] * 2
