"""What a client may say of its file: encoding, order of dates, names of columns, accounts."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from PIL import Image

from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.running_server import ask

PUBLER = (
    '"Date - Intl. format or prompt",Text,Link(s) - Separated by comma for FB carousels,Media URL(s) - Separated by '
    'comma,"Title - For the video, pin, PDF ..",Label(s) - Separated by comma,Alt text(s) - Separated by ||,'
    'Comment(s) - Separated by ||,"Pin board, FB album, or Google category","Post subtype - I.e. story, reel, PDF ..",'
    'CTA - For Facebook links or Google,"Reminder - For stories, reels, shorts, and TikToks"'
)
URL = "https://media.example/v.mp4"


def plan(importer: Importer, text: str | bytes, **said: str) -> dict[str, Any]:
    data = text if isinstance(text, bytes) else text.encode()
    return importer.work(importer.upload(data, f"?format=csv&{urlencode(said)}"))


def test_a_file_of_another_product_is_planned_by_its_preset(importer: Importer) -> None:
    account = next(iter(importer.tenant.accounts.values()))
    found = plan(
        importer,
        f"{PUBLER}\n2031-05-04 10:00,Hello,,{URL},,,,,,,,\n",
        preset="publer",
        accounts=str(account),
        time_zone="Asia/Tokyo",
    )
    assert (found["counts"]["accepted"], found["time_zone"]) == (1, "Asia/Tokyo"), importer.records(
        found["id"]
    )
    [record] = importer.records(found["id"])
    assert record.body == {
        "caption": "Hello",
        "media": {"type": "video", "url": URL},
        "accounts": [{"id": str(account)}],
        "scheduled_at": "2031-05-04T01:00:00Z",
    }
    assert found["notes"][0].startswith(
        "These columns are not read: Link(s) - Separated by comma for FB carousels, "
    )


def test_a_map_is_kept_by_its_name_and_used_for_the_next_file(importer: Importer) -> None:
    text = "Post,When,Owner\nHello,2031-05-04 10:00,Ann\n"
    first = plan(importer, text, map="Post=caption,When=local_time,Owner=", save_as="Acme")
    again = plan(importer, text, preset="Acme")
    assert first["notes"] == again["notes"] == ["These columns are not read: Owner."]
    listed = importer.server.get("/imports/presets", importer.tenant.key).json()["data"]["presets"]
    assert {one["name"]: one["source"] is None for one in listed} == {
        "publer": False,
        "ayrshare": False,
        "Acme": True,
    }
    plan(importer, text, preset="Acme", save_as="Acme")
    changed = {"Post": "caption", "When": "local_time", "Owner": ""}
    assert list_saves(importer) == [("save", "Acme", {}, changed)], "the same again is no change"
    plan(importer, "caption\nHello\n", save_as="Acme")
    assert list_saves(importer)[1:] == [("delete", "Acme", changed, {})]
    listed = importer.server.get("/imports/presets", importer.tenant.key).json()["data"]["presets"]
    assert [one["name"] for one in listed] == ["publer", "ayrshare"], "an empty one removes it"


def list_saves(importer: Importer) -> list[tuple[str, str, Any, Any]]:
    """Return the recorded changes of the workspace's presets: verb, name, and the columns before and after."""
    sql = "SELECT * FROM audit WHERE kind = 'import preset' AND workspace_id = :w ORDER BY id"
    found = importer.server.sql(sql, w=importer.tenant.workspace)
    return [(one.verb, one.subject, one.before["columns"], one.after["columns"]) for one in found]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"preset": "hootsuite"}, 400, "There is no preset 'hootsuite': there are publer, ayrshare."),
        ({"map": "Post=captoin"}, 400, "there is no such column; did you mean `caption`?"),
        ({"map": "a=caption", "save_as": "publer"}, 400, "is that of a product"),
        ({"accounts": "acme"}, 400, "accounts: Must be an account's id, or platform:username."),
        ({"encoding": "utf-7"}, 422, "encoding"),
        ({"map": "a\0=caption"}, 422, "map"),
    ],
)
def test_what_cannot_be_read_so_is_refused_before_the_file_is_stored(
    importer: Importer, query: dict[str, str], status: int, said: str
) -> None:
    answer = importer.send(b"caption\nHi\n", f"?format=csv&{urlencode(query, quote_via=quote)}")
    assert answer.status_code == status
    assert said in answer.text.replace("\\u0027", "'")
    listed = importer.server.get("/imports", importer.tenant.key).json()["data"]["imports"]
    assert listed == []


def test_media_may_be_named_by_the_uploads_of_the_workspace(importer: Importer) -> None:
    account = str(next(iter(importer.tenant.accounts.values())))
    url, _, _ = (upload_named(importer, *one) for one in (("one.jpg", 1), ("both.jpg", 2), ("both.jpg", 3)))
    rows = "".join(f"Hi,{name},now,{account}\n" for name in ("one.jpg", "both.jpg", "none.jpg"))
    found = plan(importer, f"caption,media_urls,scheduled_at,accounts\n{rows}")
    first, second, third = importer.records(found["id"])
    assert first.issues[0]["value"] == url, "which is a URL of the server's, and this process is another"
    assert second.issues[0]["message"] == "Several uploads have this name: write the URL of one."
    assert third.issues[0] == {
        "code": "validation_failed",
        "path": "media.urls.0",
        "message": "There is no file of this name.",
        "type": "missing",
        "value": "none.jpg",
    }
    stranger = importer.server.tenant()
    importer.tenant = stranger
    text = (
        f"caption,media_urls,scheduled_at,accounts\nHi,one.jpg,now,{next(iter(stranger.accounts.values()))}\n"
    )
    [record] = importer.records(plan(importer, text)["id"])
    assert record.issues[0]["message"] == "There is no file of this name.", "it is another workspace's"


def upload_named(importer: Importer, name: str, shade: int) -> str:
    image = io.BytesIO()
    Image.new("RGB", (1080, 1080), (shade * 60, 0, 0)).save(image, "JPEG")
    opened = ask(
        importer.server,
        importer.tenant.key,
        "POST",
        "/files",
        {"contentType": "image/jpeg", "filename": name},
    ).json()["data"]
    target = urlsplit(opened["uploadUrl"])
    answer = importer.server.send(
        "PUT", f"{target.path}?{target.query}", None, image.getvalue(), **{"Content-Type": "image/jpeg"}
    )
    assert answer.status_code == 200, answer.text
    url: str = opened["url"]
    return url
