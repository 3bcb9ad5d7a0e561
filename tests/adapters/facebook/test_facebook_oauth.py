"""The Pages behind a token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from adapters import graph_oauth
from adapters.contract import Credentials
from adapters.errors import Rejected
from adapters.facebook.adapter import Facebook
from tests.adapters.facebook.drafts import (
    PAGE,
    SECRET,
    USER_TOKEN,
)
from tests.adapters.scripted_server import ScriptedServer


def page(number: str, tasks: str) -> str:
    return f'{{"id":"{number}","name":"Page {number}","access_token":"EAA-{number}","tasks":[{tasks}]}}'


def test_pages_come_with_their_own_tokens(server: ScriptedServer, facebook: Facebook) -> None:
    usable = page(PAGE, '"MANAGE","CREATE_CONTENT"')
    server.enqueue(
        f'{{"data":[{usable}],"paging":{{"cursors":{{"after":"QVFI"}},"next":"https://x/next"}}}}',
        f'{{"data":[{page("2", chr(34) + "ANALYZE" + chr(34))}]}}',
        '{"id":"10158"}',
    )
    dies = datetime.now(UTC) + timedelta(days=60)
    (found,) = facebook.discover(Credentials(access_token=SecretStr(USER_TOKEN), expires_at=dies))
    assert (found.remote_id, found.username, found.connection) == (PAGE, f"Page {PAGE}", "page")
    kept = found.credentials
    assert kept.access_token.get_secret_value() == f"EAA-{PAGE}"
    assert kept.refresh_token is not None
    assert kept.refresh_token.get_secret_value() == USER_TOKEN
    assert (kept.expires_at, kept.refresh_expires_at) == (None, dies)
    assert server.requests[1].query["after"] == "QVFI"
    assert found.granted_by == "10158"
    assert USER_TOKEN not in repr(found)


def test_more_pages_than_are_read_are_refused_and_not_cut(
    server: ScriptedServer, facebook: Facebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_oauth, "_MAX_LISTS", 2)
    more = f'{{"data":[{{"id":"{PAGE}"}}],"paging":{{"cursors":{{"after":"QVFI"}},"next":"https://x/next"}}}}'
    server.enqueue(more, more)
    with pytest.raises(Rejected, match="none was taken"):
        facebook.discover(Credentials(access_token=SecretStr(USER_TOKEN)))


def test_pages_of_a_business_are_found_through_the_token(server: ScriptedServer, facebook: Facebook) -> None:
    scopes = f'{{"data":{{"granular_scopes":[{{"scope":"pages_manage_posts","target_ids":["{PAGE}"]}}]}}}}'
    alone = f'{{"id":"{PAGE}","name":"P","access_token":"EAA-p"}}'
    server.enqueue('{"data":[]}', scopes, alone, '{"id":"10158"}')
    (found,) = facebook.discover(Credentials(access_token=SecretStr(USER_TOKEN)))
    assert found.remote_id == PAGE
    assert server.calls == [
        "GET /graph/v25.0/me/accounts",
        "GET /graph/v25.0/debug_token",
        f"GET /graph/v25.0/{PAGE}",
        "GET /graph/v25.0/me",
    ]
    assert server.requests[1].query["access_token"] == f"990602627938098|{SECRET}"
