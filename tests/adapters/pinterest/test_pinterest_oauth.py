"""Consent, codes, rotating refreshes, and account discovery; no secret in logs or reprs."""

from __future__ import annotations

import pytest

from adapters.pinterest import limits
from adapters.pinterest.adapter import Pinterest
from tests.adapters.pinterest import drafts as m
from tests.adapters.scripted_server import ScriptedServer


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
