"""LinkedIn on the sandbox: headers, authors, images, videos in parts, posts and duplicates."""

from hashlib import sha256
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
import requests
from pypdf import PdfWriter

from adapters.sandbox.linkedin import render
from tests.adapters.sandbox.clients import LinkedIn
from tests.adapters.sandbox.process import Sandbox


@pytest.fixture
def person(quick: Sandbox) -> LinkedIn:
    return LinkedIn(sandbox=quick, account=quick.account("linkedin"))


@pytest.fixture
def company(quick: Sandbox) -> LinkedIn:
    return LinkedIn(
        sandbox=quick, account=quick.account("linkedin", "acme", options={"kind": "organization"})
    )


def parse_error(answer: requests.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


def media(urn: str, **more: str) -> dict[str, Any]:
    return {"media": {"id": urn, **more}}


def test_persons_and_organizations_are_named_by_their_urns(person: LinkedIn, company: LinkedIn) -> None:
    assert person.urn.startswith("urn:li:person:")
    assert company.urn.startswith("urn:li:organization:")
    assert [person.account.answer["connection"], company.account.answer["connection"]] == [
        "person",
        "organization",
    ]
    assert (person.account.refresh_token, person.account.answer["expires_in"]) == (None, 5184000)
    partner = person.sandbox.account("linkedin", "p", options={"partner": True})
    assert partner.answer["refresh_expires_in"] == 31536000


def test_an_image_post_is_live_with_its_urn_in_a_header(company: LinkedIn) -> None:
    image = company.image()
    assert company.state(image) == "AVAILABLE"
    answer = company.post("one \\#1 #tag", media(image, altText="a circle"))
    assert (answer.status_code, answer.content) == (201, b"")
    urn = answer.headers["x-restli-id"]
    (entry,) = company.sandbox.ledger("linkedin")
    assert (entry["kind"], entry["remote_id"], entry["caption"]) == ("image", urn, "one #1 #tag")
    assert (entry["account"], entry["url"]) == (company.urn, f"https://www.linkedin.com/feed/update/{urn}/")
    (row,) = company.list_posts(count=10).json()["elements"]
    assert (row["id"], row["content"]["media"]["id"], row["commentary"]) == (urn, image, "one \\#1 #tag")
    assert company.call("GET", f"posts/{quote(urn, safe='')}").json() == row
    for _ in range(2):
        assert company.call("DELETE", f"posts/{quote(urn, safe='')}").status_code == 204
    assert company.list_posts().json()["elements"] == []


def test_many_images_keep_their_order(company: LinkedIn) -> None:
    images = [company.image(f"sample-{number}.jpg") for number in (3, 1, 2)]
    assert company.post("grid", {"multiImage": {"images": [{"id": urn} for urn in images]}}).ok
    (entry,) = company.sandbox.ledger()
    assert (entry["kind"], len(entry["media"])) == ("photos", 3)
    alone = company.post("alone", {"multiImage": {"images": [{"id": images[0]}]}})
    assert parse_error(alone) == (400, "INVALID_VALUE_FOR_FIELD")


def test_a_video_goes_up_in_parts_and_is_finalized_in_order(company: LinkedIn, large: bytes) -> None:
    value = company.start_video(len(large))
    parts = value["uploadInstructions"]
    assert [part["firstByte"] for part in parts] == [0, 4194304, 8388608]
    assert parts[-1]["lastByte"] == len(large) - 1
    etags = [company.put_part(part, large).headers["ETag"] for part in reversed(parts)][::-1]
    assert parse_error(company.finish_video(value, etags[::-1])) == (400, "INVALID_VALUE_FOR_FIELD")
    assert parse_error(company.finish_video(value, etags[:2])) == (400, "INVALID_VALUE_FOR_FIELD")
    assert company.state(value["video"]) == "WAITING_UPLOAD"
    assert company.post("early", media(value["video"])).json()["code"] == "MEDIA_ASSET_WAITING_UPLOAD"
    assert company.finish_video(value, etags).status_code == 200
    assert company.state(value["video"]) == "AVAILABLE"
    answer = company.post("a video", media(value["video"], title="t"))
    assert answer.headers["x-restli-id"].startswith("urn:li:ugcPost:")
    assert company.sandbox.ledger()[0]["media"][0]["bytes"] == len(large)


def test_a_part_has_its_exact_length_its_type_and_no_token(company: LinkedIn, large: bytes) -> None:
    (part, *_) = company.start_video(len(large))["uploadInstructions"]
    octets = {"Content-Type": "application/octet-stream"}
    token = {"Authorization": f"Bearer {company.account.access_token}"}
    body = large[: part["lastByte"] + 1]

    def put(data: bytes, headers: dict[str, str]) -> tuple[int, str]:
        return parse_error(requests.put(part["uploadUrl"], data=data, headers=headers, timeout=30))

    assert put(body[:-1], octets) == (400, "INVALID_VALUE_FOR_FIELD")
    assert put(body, {"Content-Type": "video/mp4"}) == (400, "ILLEGAL_ARGUMENT")
    assert put(body, octets | token) == (400, "ILLEGAL_ARGUMENT")
    assert company.put_part(part, large).status_code == 200


def test_a_thumbnail_is_a_still_image_under_10_mb_without_a_token_before_the_finish(
    company: LinkedIn, video_bytes: bytes
) -> None:
    assert "thumbnailUploadUrl" not in company.start_video(len(video_bytes))
    value = company.start_video(len(video_bytes), uploadThumbnail=True)
    picture = (company.sandbox.folder / "media" / "sample-1.jpg").read_bytes()
    family = {"media-type-family": "STILLIMAGE"}
    token = {"Authorization": f"Bearer {company.account.access_token}"}

    def put(data: bytes, headers: dict[str, str]) -> requests.Response:
        return requests.put(value["thumbnailUploadUrl"], data=data, headers=headers, timeout=30)

    assert parse_error(put(picture, {})) == (400, "ILLEGAL_ARGUMENT")
    assert parse_error(put(picture, {"media-type-family": "VIDEO"})) == (400, "ILLEGAL_ARGUMENT")
    assert parse_error(put(picture, family | token)) == (400, "ILLEGAL_ARGUMENT")
    assert parse_error(put(b"no picture", family)) == (400, "INVALID_VALUE_FOR_FIELD")
    assert put(picture + bytes(10_000_000 - len(picture)), family).status_code == 400
    assert put(picture, family).status_code == 201
    etags = [company.put_part(part, video_bytes).headers["ETag"] for part in value["uploadInstructions"]]
    assert company.finish_video(value, etags).ok
    assert parse_error(put(picture, family)) == (400, "INVALID_VALUE_FOR_FIELD")
    assert company.post("x", media(value["video"])).status_code == 201
    assert company.sandbox.ledger()[0]["extra"]["thumbnail"] == sha256(picture).hexdigest()


def test_an_image_is_sent_with_the_token_and_once(company: LinkedIn) -> None:
    value = company.start_image()
    data = (company.sandbox.folder / "media" / "sample-1.jpg").read_bytes()
    without = requests.put(value["uploadUrl"], data=data, timeout=30)
    assert parse_error(without) == (401, "INVALID_ACCESS_TOKEN")
    assert company.state(value["image"]) == "WAITING_UPLOAD"
    assert parse_error(company.post("x", media(value["image"]))) == (400, "MEDIA_ASSET_WAITING_UPLOAD")
    assert company.put_image(value, data).status_code == 201
    company.sandbox.control_json("POST", "clock", {"advance_s": 86_401})
    late = company.put_image(value, data)
    assert parse_error(late) == (400, "EXPIRED_UPLOAD_URL")


def test_a_member_can_write_images_but_not_read_them(person: LinkedIn) -> None:
    image = person.image()
    answer = person.call("GET", f"images/{quote(image, safe='')}")
    assert parse_error(answer) == (403, "ACCESS_DENIED")
    assert person.post("mine", media(image)).status_code == 201
    assert parse_error(person.list_posts()) == (403, "ACCESS_DENIED")
    urn = person.sandbox.ledger()[0]["remote_id"]
    assert parse_error(person.call("GET", f"posts/{quote(urn, safe='')}")) == (403, "ACCESS_DENIED")


def write_pdf(pages: int, password: str = "") -> bytes:
    made, writer = BytesIO(), PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(200, 200)
    if password:
        writer.encrypt(password)
    writer.write(made)
    return made.getvalue()


def test_a_document_is_sent_whole_and_posted_with_a_title(company: LinkedIn) -> None:
    value = company.start_whole("documents")
    urn = value["document"]
    assert (urn[:16], company.state(urn)) == ("urn:li:document:", "WAITING_UPLOAD")
    assert parse_error(company.post("early", media(urn, title="t"))) == (400, "MEDIA_ASSET_WAITING_UPLOAD")
    document = company.document()
    assert company.state(document) == "AVAILABLE"
    assert parse_error(company.post("untitled", media(document))) == (400, "MISSING_FIELD")
    assert company.post("titled", media(document, title="Catalogue")).status_code == 201
    (entry,) = company.sandbox.ledger()
    data = (company.sandbox.folder / "media" / "sample.pdf").read_bytes()
    assert (entry["kind"], entry["media"][0]["sha256"]) == ("document", sha256(data).hexdigest())


@pytest.mark.parametrize(
    "data",
    [write_pdf(301), write_pdf(1, "secret"), b"%PDF-1.7 damaged", b"no document"],
    ids=["pages", "password", "damaged", "other"],
)
def test_a_document_that_breaks_a_rule_fails_in_processing(company: LinkedIn, data: bytes) -> None:
    urn = company.document(data)
    assert company.state(urn) == "PROCESSING_FAILED"
    failed = company.post("x", media(urn, title="t"))
    assert parse_error(failed) == (400, "MEDIA_ASSET_PROCESSING_FAILED")


def test_a_member_can_write_documents_of_300_pages_but_not_read_them(
    person: LinkedIn, company: LinkedIn
) -> None:
    urn = person.document(write_pdf(300))
    answer = person.call("GET", f"documents/{quote(urn, safe='')}")
    assert parse_error(answer) == (403, "ACCESS_DENIED")
    foreign = company.post("x", media(urn, title="t"))
    assert parse_error(foreign) == (400, "INVALID_CONTENT_OWNERSHIP")
    assert person.post("mine", media(urn, title="t")).status_code == 201


def test_a_text_has_no_content_and_a_link_is_a_card_of_what_was_sent(company: LinkedIn) -> None:
    assert company.post("words").status_code == 201
    assert company.post("words", {"article": {"source": "https://example.com/a"}}).status_code == 201
    assert parse_error(company.post("more", {"article": {"title": "t"}})) == (400, "MISSING_FIELD")
    assert [entry["kind"] for entry in company.sandbox.ledger()] == ["text", "article"]
    article, text = company.list_posts().json()["elements"]
    assert ("content" in text, article["content"]) == (
        False,
        {"article": {"source": "https://example.com/a"}},
    )


def test_nobody_writes_for_others_or_shows_what_is_not_theirs(person: LinkedIn, company: LinkedIn) -> None:
    assert parse_error(person.post("x", author=company.urn)) == (403, "ACCESS_DENIED")
    assert parse_error(company.post("x", author=person.urn)) == (403, "ACCESS_DENIED")
    assert parse_error(person.post("x", media(company.image()))) == (400, "INVALID_CONTENT_OWNERSHIP")
    foreign = {"initializeUploadRequest": {"owner": company.urn}}
    assert parse_error(person.call("POST", "images", foreign, action="initializeUpload")) == (
        403,
        "ACCESS_DENIED",
    )
    assert person.sandbox.ledger() == []


def test_the_same_post_is_refused_for_ten_minutes_with_the_first_ones_urn(person: LinkedIn) -> None:
    image = person.image()
    first = person.post("twice", media(image))
    again = person.post("twice", media(image))
    error = again.json()
    assert (again.status_code, error["errorDetails"]["inputErrors"][0]["code"]) == (422, "DUPLICATE_POST")
    assert first.headers["x-restli-id"] in error["message"]
    assert person.post("twice", media(person.image())).status_code == 201
    person.sandbox.control_json("POST", "clock", {"advance_s": 601})
    assert person.post("twice", media(image)).status_code == 201


def test_every_call_names_its_version_and_protocol(company: LinkedIn) -> None:
    url = f"{company.sandbox.base}/linkedin/rest/posts"
    token = {"Authorization": f"Bearer {company.account.access_token}"}
    restli = {"X-Restli-Protocol-Version": "2.0.0"}

    def send_post(headers: dict[str, str]) -> tuple[int, str]:
        return parse_error(requests.post(url, json=company.body(), headers=headers, timeout=30))

    assert send_post(restli) == (401, "EMPTY_ACCESS_TOKEN")
    assert send_post(token | restli) == (400, "VERSION_MISSING")
    assert send_post(token | restli | {"LinkedIn-Version": "202401"}) == (426, "NONEXISTENT_VERSION")
    for unknown in ("202613", "202512", "202511", "203001", "202609.01"):
        assert send_post(token | restli | {"LinkedIn-Version": unknown}) == (426, "NONEXISTENT_VERSION")
    assert send_post(token | {"LinkedIn-Version": "202609"}) == (400, "ILLEGAL_ARGUMENT")
    assert company.sandbox.ledger() == []


def test_urns_in_a_path_are_encoded(company: LinkedIn) -> None:
    assert parse_error(company.call("GET", f"images/{company.image()}")) == (400, "ILLEGAL_ARGUMENT")
    missing = company.call("GET", f"images/{quote('urn:li:image:none', safe='')}")
    assert parse_error(missing) == (404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"commentary": "x" * 3001}, "FIELD_LENGTH_TOO_LONG"),
        ({"commentary": None}, "MISSING_FIELD"),
        ({"author": None}, "MISSING_FIELD"),
        ({"author": "urn:li:group:1"}, "INVALID_URN_TYPE"),
        ({"visibility": "SECRET"}, "INVALID_VALUE_FOR_FIELD"),
        ({"distribution": {}}, "INVALID_VALUE_FOR_FIELD"),
        ({"lifecycleState": "DRAFT"}, "INVALID_VALUE_FOR_FIELD"),
        ({"content": {"media": {"id": "urn:li:image:none"}}}, "INVALID_URN_ID"),
        ({"content": {"media": {"id": "urn:li:share:1"}}}, "INVALID_URN_TYPE"),
        ({"content": {"media": {"id": "urn:li:image:x", "altText": "x" * 4087}}}, "FIELD_LENGTH_TOO_LONG"),
        ({"content": {"carousel": {}}}, "INVALID_VALUE_FOR_FIELD"),
    ],
)
def test_a_post_that_breaks_a_rule_is_refused(
    company: LinkedIn, change: dict[str, Any], expected: str
) -> None:
    answer = company.call("POST", "posts", company.body() | change)
    assert parse_error(answer) == (400, expected)
    assert company.sandbox.ledger() == []


@pytest.mark.parametrize(
    ("commentary", "seen"),
    [
        ("plain", "plain"),
        ("a \\(b\\) \\#c \\\\", "a (b) #c \\"),
        ("#tag and {hashtag|\\#|other}", "#tag and #other"),
        ("hi @[Ann B](urn:li:person:x-1)!", "hi Ann B!"),
        ("cut (here) and gone", "cut "),
        ("mail me @home", "mail me "),
    ],
)
def test_reserved_characters_cut_the_text(commentary: str, seen: str) -> None:
    assert render(commentary) == seen


def test_a_failed_video_cannot_be_posted(company: LinkedIn, video_bytes: bytes) -> None:
    company.sandbox.fault("linkedin", "prepare", "fail-processing", reason="Too dark")
    urn = company.video(video_bytes)
    body = company.call("GET", f"videos/{quote(urn, safe='')}").json()
    assert (body["status"], body["processingFailureReason"]) == ("PROCESSING_FAILED", "Too dark")
    assert parse_error(company.post("x", media(urn))) == (400, "MEDIA_ASSET_PROCESSING_FAILED")


def test_an_organizations_listing_can_lag_behind(company: LinkedIn) -> None:
    company.sandbox.fault("linkedin", "finalize", "late-visibility", delay_ms=60_000)
    urn = company.post().headers["x-restli-id"]
    assert (company.list_posts().json()["elements"], len(company.sandbox.ledger())) == ([], 1)
    assert parse_error(company.call("GET", f"posts/{quote(urn, safe='')}")) == (404, "RESOURCE_NOT_FOUND")
    company.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert [row["id"] for row in company.list_posts().json()["elements"]] == [urn]


def test_a_member_has_150_posts_a_day_until_midnight(sandbox: Sandbox) -> None:
    sandbox.pace("instant", quotas=True)
    person = LinkedIn(sandbox=sandbox, account=sandbox.account("linkedin"))
    answers = [person.post(f"post {number}") for number in range(151)]
    assert {answer.status_code for answer in answers[:150]} == {201}
    assert parse_error(answers[150]) == (429, "TOO_MANY_REQUESTS")
    sandbox.control_json("POST", "clock", {"advance_s": 86_400})
    assert person.post("tomorrow").status_code == 201
