"""``appsecret_proof``: sent with tokens that our own app obtained, with no others, and never shown."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from adapters.contract import Account
from adapters.errors import AdapterError, AppRefused
from adapters.facebook.adapter import Facebook
from tests.adapters.drafts import NONE_TAKEN
from tests.adapters.facebook.drafts import (
    ARMED,
    SECRET,
    SUCCESS,
    TOKEN,
    VIDEO_STARTED,
    account,
    landscape,
    photo,
    photos,
    post_state,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

APP = "990602627938098"
PROOF = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
PREPARED = {"photos": ["1", "2"], "post": "1_2"}


def connected(app_id: str = APP) -> Account:
    one = account()
    return replace(one, credentials=replace(one.credentials, app_id=app_id))


def list_proofs(server: ScriptedServer) -> list[str | None]:
    return [request.query.get("appsecret_proof") for request in server.requests]


def publish(server: ScriptedServer, facebook: Facebook, one: Account) -> None:
    """Make a read, an invisible change, a chunk and the visible call."""
    offsets = '{"start_offset":"1000","end_offset":"1000"}'
    started = VIDEO_STARTED.replace("1048576", "1000")
    server.enqueue(Reply(body=photo(1)), Reply(body=started), Reply(body=offsets))
    server.enqueue(Reply(body=SUCCESS), Reply(body=post_state(published=True)))
    facebook.prepare(photos(), one, {})
    upload = facebook.prepare(landscape(), one, {})
    facebook.prepare(landscape(), one, upload.checkpoint)
    facebook.finalize(photos(), one, PREPARED)
    facebook.look(photos(), one, PREPARED, ARMED, NONE_TAKEN)


def test_every_call_with_a_token_of_our_app_carries_the_proof(
    server: ScriptedServer, facebook: Facebook
) -> None:
    publish(server, facebook, connected())
    assert list_proofs(server) == [PROOF] * 5


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (100, "Invalid appsecret_proof provided in the API argument"),
        (1, "Invalid appsecret_proof provided in the API argument"),
        (100, "API calls from the server require an appsecret_proof argument"),
    ],
)
def test_a_refusal_that_names_it_is_for_the_operator(
    server: ScriptedServer, facebook: Facebook, code: int, words: str
) -> None:
    refusal = Reply(status=400, body=build_error(code, message=words))
    server.enqueue(refusal, refusal)
    for call, checkpoint in ((facebook.prepare, {}), (facebook.finalize, PREPARED)):
        with pytest.raises(AppRefused) as caught:
            call(photos(), connected(), checkpoint)
        assert caught.value.code == "app_secret_refused"


def test_the_proof_is_in_no_error(server: ScriptedServer, facebook: Facebook) -> None:
    body = build_error(324).replace(
        '"error_user_msg": "\\u2026"', f'"error_user_msg": "proof {PROOF} of {TOKEN}"'
    )
    server.enqueue(Reply(status=400, body=body))
    with pytest.raises(AdapterError) as caught:
        facebook.finalize(photos(), connected(), PREPARED)
    shown = f"{caught.value!r} {vars(caught.value)}"
    assert PROOF not in shown
    assert TOKEN not in shown
    assert "[redacted]" in (caught.value.platform_message or "")
