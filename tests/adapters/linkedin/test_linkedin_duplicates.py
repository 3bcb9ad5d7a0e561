"""A duplicate that LinkedIn names proves something only if this delivery was armed before, and once it was read."""

from __future__ import annotations

import json

import pytest

from adapters.contract import Account, CannotTell, Pending, Published
from adapters.errors import OutcomeUnknown, Unavailable
from adapters.linkedin.adapter import LinkedIn
from tests.adapters.drafts import ARMED
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer

ORG = m.account()
MEMBER = m.account("person")
CHECKPOINT = m.build_done_checkpoint(m.IMAGE)
ARMED_BEFORE = {**CHECKPOINT, "armed_before": True}
NAMED = "urn:li:share:6789"
NAMED_PATH = "/api/rest/posts/urn%3Ali%3Ashare%3A6789"


@pytest.mark.parametrize("account", [MEMBER, ORG])
def test_a_duplicate_on_a_first_attempt_proves_nothing(
    server: ScriptedServer, linkedin: LinkedIn, account: Account
) -> None:
    server.enqueue(Reply(status=422, body=m.DUPLICATE))
    with pytest.raises(OutcomeUnknown) as raised:
        linkedin.finalize(m.build_draft(), account, CHECKPOINT)
    assert raised.value.platform_code == "DUPLICATE_POST"


@pytest.mark.parametrize(
    ("reply", "is_live"),
    [
        (Reply(body=json.dumps(m.build_post(NAMED, m.IMAGE))), True),
        (Reply(body=json.dumps(m.build_post(NAMED, "urn:li:image:other", commentary="Other."))), False),
        (m.build_error(404, "RESOURCE_NOT_FOUND"), False),
        (Reply(status=403, body=m.DENIED), True),  # reading is not allowed
    ],
)
def test_an_organizations_duplicate_counts_once_it_was_read(
    server: ScriptedServer, linkedin: LinkedIn, reply: Reply, *, is_live: bool
) -> None:
    server.enqueue(Reply(status=422, body=m.DUPLICATE))
    pending = linkedin.finalize(m.build_draft(), ORG, ARMED_BEFORE)
    assert pending == Pending(checkpoint={**ARMED_BEFORE, "duplicate": NAMED})
    server.on("GET", "/api/rest/posts", m.build_listing())
    server.on("GET", NAMED_PATH, reply)
    seen = linkedin.look(m.build_draft(), ORG, pending.checkpoint, ARMED, ())
    assert isinstance(seen, Published) is is_live
    assert isinstance(seen, CannotTell) is not is_live
    taken = linkedin.look(m.build_draft(), ORG, pending.checkpoint, ARMED, (NAMED,))
    assert isinstance(taken, CannotTell)


def test_an_unreadable_page_says_nothing_about_a_duplicate(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.on("GET", NAMED_PATH, Reply(status=404, body="<html>"))
    with pytest.raises(Unavailable):
        linkedin.look(m.build_draft(), ORG, {**ARMED_BEFORE, "duplicate": NAMED}, ARMED, ())


def test_a_named_duplicate_of_a_member_is_live_if_armed_before(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.enqueue(DROP, Reply(status=422, body=m.DUPLICATE))
    with pytest.raises(OutcomeUnknown):
        linkedin.finalize(m.build_draft(), MEMBER, CHECKPOINT)
    again = linkedin.finalize(m.build_draft(), MEMBER, ARMED_BEFORE)
    assert again == Published(
        remote_id="urn:li:share:6789",
        url=f"{server.url}/www/feed/update/urn:li:share:6789/",
        notes={"duplicate": True},
    )
    assert server.requests[0].body == server.requests[1].body, "the same text and the same media"
