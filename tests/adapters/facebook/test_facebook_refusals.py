"""Facebook's definite refusals: one call, no repetition, and the person who has to act is named."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Draft
from adapters.errors import CredentialsRevoked, PermissionMissing, Rejected, Unavailable
from adapters.facebook.adapter import Facebook
from tests.adapters.facebook.drafts import account, landscape, photos, reel
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

VISIBLE: dict[str, tuple[Draft, dict[str, Any]]] = {
    "feed post": (photos(), {"photos": ["1", "2"], "post": "1_2"}),
    "reel": (reel(), {"video_id": "123", "sent": True}),
    "video": (landscape(), {"video_id": "123", "session": "777", "start": 10, "end": 10}),
}
"""A prepared checkpoint of each kind of post: the next request is the visible one."""
REFUSALS = [
    *((324, subcode) for subcode in (None, 2069019, 98765)),
    *((100, subcode) for subcode in (1609008, 2061006)),
    *((6000, subcode) for subcode in (None, 1363019, 98765)),
]
POLICY = [(368, None), (368, 98765), (368, 1346003), (368, 1390008), (368, 1404102), (368, 4854002)]


@pytest.mark.parametrize("pair", REFUSALS + POLICY)
@pytest.mark.parametrize("kind", VISIBLE)
def test_a_definite_refusal_of_the_visible_call_is_final(
    server: ScriptedServer, facebook: Facebook, kind: str, pair: tuple[int, int | None]
) -> None:
    draft, checkpoint = VISIBLE[kind]
    server.enqueue(Reply(status=400, body=build_error(*pair)))
    with pytest.raises(Rejected) as caught:
        facebook.finalize(draft, account(), checkpoint)
    assert caught.value.next_action
    assert len(server.requests) == 1


@pytest.mark.parametrize("pair", POLICY)
def test_a_policy_refusal_is_not_repeated_even_if_it_is_called_transient(
    server: ScriptedServer, facebook: Facebook, pair: tuple[int, int | None]
) -> None:
    draft, checkpoint = VISIBLE["feed post"]
    refusal = Reply(status=400, body=build_error(*pair, transient=True))
    server.enqueue(refusal, refusal)
    for call in (facebook.finalize, facebook.prepare):
        with pytest.raises(Rejected):
            call(draft, account(), checkpoint if call == facebook.finalize else {})


def test_a_file_refusal_that_is_called_transient_may_pass_at_another_try(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(Reply(status=400, body=build_error(324, 2069019, transient=True)))
    with pytest.raises(Unavailable):
        facebook.prepare(photos(), account(), {})


def test_a_missing_permission_for_videos_is_known_by_its_words(
    server: ScriptedServer, facebook: Facebook
) -> None:
    words = "(#100) No permission to publish the video"
    server.enqueue(Reply(status=400, body=build_error(100, message=words)))
    draft, checkpoint = VISIBLE["video"]
    with pytest.raises(PermissionMissing) as caught:
        facebook.finalize(draft, account(), checkpoint)
    assert "connect it again" in (caught.value.next_action or "")


@pytest.mark.parametrize("kind", VISIBLE)
def test_a_deleted_app_needs_a_reconnect_at_the_first_call(
    server: ScriptedServer, facebook: Facebook, kind: str
) -> None:
    words = "Error validating application. Application has been deleted."
    server.enqueue(Reply(status=400, body=build_error(190, message=words)))
    with pytest.raises(CredentialsRevoked):
        facebook.prepare(VISIBLE[kind][0], account(), {})
    assert len(server.requests) == 1
