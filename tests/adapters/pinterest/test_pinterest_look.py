"""``look`` after a lost response: which pin of the board is ours, and when that cannot be decided."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import pytest

from adapters.contract import CannotTell, Published, Ready
from adapters.errors import OutcomeUnknown
from adapters.pinterest.adapter import Pinterest
from tests.adapters.drafts import ARMED, NONE_TAKEN
from tests.adapters.pinterest import drafts as m
from tests.adapters.scripted_server import DROP, ScriptedServer

ACCOUNT = m.account()
CHECKPOINT = {"board_id": m.BOARD}
LINKED = m.post(link="https://shop.example.com/a")
MARKED = f"https://shop.example.com/a?utm_content={m.DELIVERY}"
OTHERS = "https://shop.example.com/a?utm_content=another"


def look(pinterest: Pinterest, draft: Any = LINKED, taken: Container[str] = NONE_TAKEN) -> Any:
    return pinterest.look(draft, ACCOUNT, CHECKPOINT, ARMED, taken)


def test_a_lost_answer_is_found_by_its_mark(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(DROP, m.page(m.build_pin("1", link=OTHERS), m.build_pin("2", link=MARKED)))
    with pytest.raises(OutcomeUnknown):
        pinterest.finalize(LINKED, ACCOUNT, CHECKPOINT)
    found = Published(remote_id="2", url=f"{server.url}/www/pin/2/", is_searched=True)
    assert look(pinterest) == found
    assert server.calls == ["POST /v5/pins", f"GET /v5/boards/{m.BOARD}/pins"]
    assert server.requests[1].query == {"page_size": "100"}


def test_a_pin_in_a_section_is_sought_on_the_board_and_in_the_section(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    """Some lists may show it twice: it is one pin."""
    draft = m.post(link="https://shop.example.com/a", board_section_id="77")
    shown = m.build_pin("2", link=MARKED, board_section_id="77")
    for board in (m.page(), m.page(shown)):
        server.enqueue(board, m.page(shown))
        result = look(pinterest, draft)
        assert (result.remote_id, result.is_searched) == ("2", True)
    board, section = server.calls[:2]
    assert board == f"GET /v5/boards/{m.BOARD}/pins"
    assert section == f"GET /v5/boards/{m.BOARD}/sections/77/pins"
    server.enqueue(m.page({**shown, "board_section_id": "78"}))
    [listed] = pinterest.list_posts(draft, ACCOUNT, ARMED).posts
    assert listed.same_kind is False


@pytest.mark.parametrize(
    ("pin", "found"),
    [
        ({"link": MARKED}, True),
        ({"link": MARKED, "title": "changed by Pinterest"}, True),
        ({"link": f"https://shop.example.com/a?ref=x&utm_content={m.DELIVERY}&b=1#c"}, True),
        ({"link": MARKED, "created_at": "2026-11-24T11:59:01"}, True),  # within a minute of a slow clock
        ({"link": MARKED, "created_at": "2026-11-24T11:58:59"}, False),
        ({"link": MARKED, "created_at": "2026-11-24T12:58:59+01:00"}, False),
        ({"link": MARKED, "created_at": None}, False),
        ({"link": "https://shop.example.com/a"}, False),  # a twin without the mark
        ({"link": OTHERS}, False),
        ({"link": None}, False),
        ({"link": "http://[broken?utm_content"}, False),
    ],
)
def test_with_a_link_the_mark_decides(
    server: ScriptedServer, pinterest: Pinterest, pin: dict[str, Any], found: bool
) -> None:
    server.enqueue(m.page(m.build_pin(**pin)))
    assert isinstance(look(pinterest), Published if found else CannotTell)


@pytest.mark.parametrize(
    ("pin", "found"),
    [
        ({}, True),
        ({"link": ""}, True),
        ({"description": "Casa new tiles "}, True),  # spaces and line breaks may be rendered otherwise
        ({"title": "Casas"}, False),
        ({"description": "Casa"}, False),
        ({"link": "https://a.example"}, False),
        ({"created_at": "2026-11-24T11:00:00"}, False),
    ],
)
def test_without_a_link_the_texts_and_the_time_decide(
    server: ScriptedServer, pinterest: Pinterest, pin: dict[str, Any], found: bool
) -> None:
    server.enqueue(m.page(m.build_pin(**pin)))
    assert isinstance(look(pinterest, m.post()), Published if found else CannotTell)


def test_twins_are_told_apart_by_who_owns_them(server: ScriptedServer, pinterest: Pinterest) -> None:
    twins = m.page(m.build_pin("1"), m.build_pin("2"))
    server.enqueue(twins, twins, twins)
    assert isinstance(look(pinterest, m.post()), CannotTell)
    assert look(pinterest, m.post(), frozenset({"1"})).remote_id == "2"
    assert isinstance(look(pinterest, m.post(), frozenset({"1", "2"})), CannotTell)


def test_pages_are_read_to_a_limit_and_the_same_pin_counts_once(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    ours = m.build_pin("9", link=MARKED)
    server.enqueue(m.page(ours, bookmark="b1"), m.page(ours, bookmark="b2"), m.page())
    assert look(pinterest).remote_id == "9"
    assert [asked.query.get("bookmark") for asked in server.requests] == [None, "b1", "b2"]
    server.enqueue(*(m.page(bookmark=f"c{n}") for n in range(5)))
    assert isinstance(look(pinterest), CannotTell)
    assert len(server.requests) == 8


def test_before_arming_look_sees_a_processed_video(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(m.build_media_status("succeeded"))
    state = {**CHECKPOINT, "media_id": "12345", "sent": True, "polls": 2}
    seen = pinterest.look(m.post(m.video()), ACCOUNT, state, None, NONE_TAKEN)
    assert seen == Ready(checkpoint={**CHECKPOINT, "media_id": "12345", "sent": True, "processed": True})
