"""Consent, codes, rotating refreshes, and account discovery; no secret in logs or reprs."""

from __future__ import annotations

import pytest

from adapters.oauth import TokenResponse
from adapters.pinterest import limits
from adapters.pinterest.adapter import Pinterest
from adapters.pinterest.checkpoint import Checkpoint
from adapters.pinterest.wire import UploadTarget
from tests.adapters.pinterest import drafts as m
from tests.adapters.scripted_server import ScriptedServer

BASIC = "Basic MTIzNDU2NzphcHAtc2VjcmV0LXZhbHVl"  # base64 of 1234567:app-secret-value


def test_discover_finds_the_user_and_its_boards(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(
        '{"account_type":"BUSINESS","id":"2783136121146311751","username":"casa","business_name":"Casa Inc"}',
        '{"items":[{"id":"1","name":"Tiles","privacy":"PUBLIC"}],"bookmark":"more"}',
        '{"items":[{"id":"2","name":"Secret","privacy":"SECRET"}],"bookmark":null}',
    )
    (found,) = pinterest.discover(m.account().credentials)
    assert (found.remote_id, found.username, found.display_name, found.connection) == (
        "2783136121146311751",
        "casa",
        "Casa Inc",
        "user",
    )
    assert found.settings == {
        "boards": [
            {"id": "1", "name": "Tiles", "privacy": "PUBLIC"},
            {"id": "2", "name": "Secret", "privacy": "SECRET"},
        ],
        "has_more_boards": False,
    }
    assert server.calls == ["GET /v5/user_account", "GET /v5/boards", "GET /v5/boards"]
    assert server.requests[2].query["bookmark"] == "more"


def test_discover_reads_every_page_of_boards_or_says_that_there_are_more(
    server: ScriptedServer, pinterest: Pinterest, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = '{"id":"1","username":"casa"}'
    pages = [f'{{"items":[{{"id":"{n}","name":"B"}}],"bookmark":"{n}"}}' for n in range(1, 8)]
    server.enqueue(user, *pages, '{"items":[{"id":"8","name":"B"}],"bookmark":null}')
    (found,) = pinterest.discover(m.account().credentials)
    assert [board["id"] for board in found.settings["boards"]] == [str(n) for n in range(1, 9)]
    assert found.settings["has_more_boards"] is False
    monkeypatch.setattr(limits, "BOARD_PAGES", 2)
    server.enqueue(user, *pages[:2])
    (found,) = pinterest.discover(m.account().credentials)
    assert (len(found.settings["boards"]), found.settings["has_more_boards"]) == (2, True)


# --- secrets ---------------------------------------------------------------------------------------------------------


def assert_no_secrets(*texts: str) -> None:
    for text in texts:
        for secret in m.SECRETS:
            assert secret not in text


def test_values_that_hold_secrets_do_not_show_them(pinterest: Pinterest) -> None:
    assert_no_secrets(
        repr(TokenResponse.model_validate({"access_token": m.TOKEN, "refresh_token": m.REFRESH})),
        repr(UploadTarget.model_validate_json(m.REGISTERED)),
        repr(Checkpoint(upload_url=m.SIGNATURE, upload_parameters={"s": m.SIGNATURE})),
        repr(m.account()),
        repr(pinterest),
        repr(pinterest._build_client(m.account()).__dict__),
    )
