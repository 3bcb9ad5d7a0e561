"""Pinterest on the sandbox: boards, pins, the upload form of the storage, limits."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Pinterest
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM
from tests.adapters.sandbox.process import Sandbox


@pytest.fixture
def pinner(quick: Sandbox) -> Pinterest:
    return Pinterest(sandbox=quick, account=quick.account("pinterest", options={"default_board": "Videos"}))


def parse_error(answer: requests.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


def test_an_account_comes_with_its_default_board_made_once(pinner: Pinterest) -> None:
    again = pinner.sandbox.account("pinterest", options={"default_board": "Videos"}).answer
    assert again["settings"] == pinner.account.answer["settings"]
    assert (again["connection"], again["expires_in"], again["refresh_expires_in"]) == (
        "user",
        2592000,
        5184000,
    )
    (board,) = pinner.call("GET", "boards").json()["items"]
    assert (board["id"], board["name"]) == (pinner.board, "Videos")
    assert pinner.sandbox.account("pinterest", "bob").answer["settings"] == {}
    more = pinner.sandbox.account("pinterest", options={"default_board": "More"}).answer["settings"]
    assert pinner.call("GET", f"boards/{more['default_board']}").json()["name"] == "More"
    assert pinner.call("GET", "user_account").json()["username"] == "ann"


def test_an_image_pin_is_live_and_found_by_its_link(pinner: Pinterest) -> None:
    link = "https://a.example/path?utm_content=0f3a&x=%20"
    answer = pinner.pin(link=link, alt_text="a circle")
    assert answer.status_code == 201
    pin = answer.json()
    (entry,) = pinner.sandbox.ledger("pinterest")
    assert (entry["kind"], entry["remote_id"], entry["caption"]) == ("image", pin["id"], "d")
    assert (entry["url"], entry["extra"]["link"]) == (f"https://www.pinterest.com/pin/{pin['id']}/", link)
    assert [item["link"] for item in pinner.list_pins()["items"]] == [link]
    assert pinner.call("GET", f"pins/{pin['id']}").json() == pin
    assert pinner.call("DELETE", f"pins/{pin['id']}").status_code == 204
    assert parse_error(pinner.call("GET", f"pins/{pin['id']}")) == (404, 50)
    assert (pinner.list_pins()["items"], len(pinner.sandbox.ledger())) == ([], 1)


def test_a_carousel_has_from_two_to_five_images_of_one_size(pinner: Pinterest) -> None:
    def source(*names: str) -> dict[str, Any]:
        items = [{"url": pinner.sandbox.media(name), "title": name} for name in names]
        return {"source_type": "multiple_image_urls", "items": items, "index": 0}

    names = [f"sample-{number}.jpg" for number in range(1, 6)]
    answer = pinner.pin(source(*names))
    assert answer.json()["media"]["media_type"] == "multiple_images"
    assert len(pinner.sandbox.ledger()[0]["media"]) == 5
    for wrong in (names[:1], [*names, "picture.png"], ["sample-1.jpg", "wide.jpg"]):
        assert parse_error(pinner.pin(source(*wrong))) == (400, 1)


def test_a_video_pin_needs_a_video_that_has_succeeded_and_one_cover(
    pinner: Pinterest, video_bytes: bytes
) -> None:
    made = pinner.register()
    cover = {"cover_image_url": pinner.sandbox.media("sample-1.jpg")}
    source = {"source_type": "video_id", "media_id": made["media_id"]}
    assert pinner.status(made["media_id"]) == "registered"
    assert parse_error(pinner.pin(source | cover)) == (400, 1)
    assert pinner.send(made, video_bytes).status_code == 204
    assert pinner.status(made["media_id"]) == "succeeded"
    assert parse_error(pinner.pin(source)) == (400, 1)
    assert pinner.pin(source | cover).json()["media"]["media_type"] == "video"
    assert pinner.pin(source | {"cover_image_key_frame_time": 1}).status_code == 201
    assert [entry["media"][0]["bytes"] for entry in pinner.sandbox.ledger()] == [len(video_bytes)] * 2


def test_what_is_no_usable_film_fails(pinner: Pinterest, video_bytes: bytes) -> None:
    assert pinner.status(pinner.video(b"not a video")) == "failed"
    pinner.sandbox.fault("pinterest", "upload", "fail-processing")
    assert pinner.status(pinner.video(video_bytes)) == "failed"


def parse_xml_error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda fields: [f for f in fields if f[0] != "policy"], (403, "AccessDenied")),
        (
            lambda fields: [(n, (None, "x")) if n == "key" else (n, v) for n, v in fields],
            (403, "AccessDenied"),
        ),
        (lambda fields: [fields[-1], *fields[:-1]], (403, "AccessDenied")),
        (lambda fields: [*fields, ("more", (None, "x"))], (400, "InvalidArgument")),
        (lambda fields: fields[:-1], (400, "InvalidArgument")),
    ],
    ids=["missing", "changed", "file-first", "file-not-last", "no-file"],
)
def test_the_storage_refuses_a_form_that_is_not_as_it_must_be(
    pinner: Pinterest, video_bytes: bytes, spoil: Callable[[list[Any]], list[Any]], expected: tuple[int, str]
) -> None:
    made = pinner.register()
    fields: list[Any] = [(name, (None, value)) for name, value in made["upload_parameters"].items()]
    fields.append(("file", ("v.mp4", video_bytes, "video/mp4")))
    answer = requests.post(made["upload_url"], files=spoil(fields), timeout=30)
    assert parse_xml_error(answer) == expected
    assert pinner.status(made["media_id"]) == "registered"
    assert pinner.send(made, video_bytes).status_code == 204


def test_the_storage_wants_no_token_a_length_and_not_to_be_late(
    pinner: Pinterest, video_bytes: bytes
) -> None:
    made = pinner.register()
    headers = {"Authorization": f"Bearer {pinner.account.access_token}"}
    both = requests.post(made["upload_url"], data=made["upload_parameters"], headers=headers, timeout=30)
    assert parse_xml_error(both) == (400, "InvalidArgument")
    chunked = requests.post(made["upload_url"], data=iter([b"x"]), timeout=30)
    assert parse_xml_error(chunked) == (411, "MissingContentLength")
    pinner.sandbox.control_json("POST", "clock", {"advance_s": 3601})
    assert parse_xml_error(pinner.send(made, video_bytes)) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"board_id": "x"}, (400, 1)),
        ({"board_id": "1"}, (404, 40)),
        ({"title": "x" * 101}, (400, 1)),
        ({"description": "x" * 801}, (400, 1)),
        ({"link": "https://a.example/" + "x" * 2048}, (400, 1)),
        ({"alt_text": "x" * 501}, (400, 1)),
        ({"media_source": None}, (400, 1)),
        ({"media_source": {"source_type": "pin_url"}}, (400, 1)),
        ({"media_source": {"source_type": "image_url", "url": "https://elsewhere.example/a.jpg"}}, (400, 1)),
        ({"media_source": {"source_type": "video_id", "media_id": "7"}}, (400, 1)),
    ],
)
def test_a_pin_that_breaks_a_rule_is_refused(
    pinner: Pinterest, body: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert parse_error(pinner.pin(**body)) == expected
    assert pinner.sandbox.ledger() == []


def test_an_unreachable_picture_is_told_in_the_vendors_words(pinner: Pinterest) -> None:
    pinner.sandbox.fault("pinterest", "media", "5xx")
    message = "Unable to reach the URL. Please check the URL is correct and try again."
    assert pinner.pin().json()["message"] == message
    assert pinner.pin().ok


def test_foreign_boards_are_closed(pinner: Pinterest) -> None:
    bob = pinner.sandbox.account("pinterest", "bob")
    assert parse_error(pinner.call("GET", f"boards/{pinner.board}/pins", token=bob.access_token)) == (
        403,
        29,
    )


def test_the_pins_of_a_board_come_in_pages_newest_first(pinner: Pinterest) -> None:
    for number in range(3):
        pinner.pin(title=f"pin {number}")
    first = pinner.list_pins(page_size=2)
    assert [pin["title"] for pin in first["items"]] == ["pin 2", "pin 1"]
    second = pinner.list_pins(page_size=2, bookmark=first["bookmark"])
    assert ([pin["title"] for pin in second["items"]], second["bookmark"]) == (["pin 0"], None)


def test_a_listing_can_lag_behind(pinner: Pinterest) -> None:
    pinner.sandbox.fault("pinterest", "finalize", "late-visibility", delay_ms=60_000)
    pin = pinner.pin().json()["id"]
    assert (pinner.list_pins()["items"], len(pinner.sandbox.ledger())) == ([], 1)
    pinner.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert [item["id"] for item in pinner.list_pins()["items"]] == [pin]


def test_a_minute_has_100_writes(sandbox: Sandbox) -> None:
    pinner = Pinterest(sandbox=sandbox, account=sandbox.account("pinterest"))
    answers = [pinner.call("POST", "media", {"media_type": "video"}) for _ in range(101)]
    assert {answer.status_code for answer in answers[:100]} == {201}
    assert parse_error(answers[100]) == (429, 8)
    assert answers[0].headers["x-ratelimit-remaining"] == "99"
    assert set(answers[100].headers) >= {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


def test_refresh_tokens_rotate(pinner: Pinterest) -> None:
    old, vendor = pinner.account.refresh_token, VENDORS_BY_PLATFORM["pinterest"]
    fresh = vendor.refresh(pinner.sandbox, old, continuous_refresh="true").json()
    assert fresh["refresh_token"] != old
    assert vendor.refresh(pinner.sandbox, old).ok
    newest = vendor.refresh(pinner.sandbox, old).json()
    assert pinner.call("GET", "boards", token=newest["access_token"]).ok
    assert parse_error(vendor.refresh(pinner.sandbox, old)) == (400, 283)


def test_a_pin_of_a_section_is_listed_there_and_not_on_the_board(quick: Sandbox) -> None:
    section, options = "77", {"default_board": "Videos", "sections": ["77"]}
    pinner = Pinterest(sandbox=quick, account=quick.account("pinterest", options=options))
    pin = pinner.pin(board_section_id=section).json()
    assert pin["board_section_id"] == section
    assert pinner.list_pins()["items"] == []
    [listed] = pinner.call("GET", f"boards/{pinner.board}/sections/{section}/pins").json()["items"]
    assert listed["id"] == pin["id"]
    without = quick.account("pinterest", options={"default_board": "Other"})
    other = without.answer["settings"]["default_board"]
    for answer in (
        pinner.pin(board_section_id="999"),
        pinner.pin(board_id=other, board_section_id=section),
        pinner.call("GET", f"boards/{other}/sections/{section}/pins"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, 50)
    assert len(pinner.sandbox.ledger("pinterest")) == 1
