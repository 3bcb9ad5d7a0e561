"""`slipway import plan --from` with a real worker: posts of another product are planned and applied."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.database import rows
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack

LISTS = Path(__file__).parents[1] / "imports/saved_lists"
POSTIZ, GENVIRAL = (str(LISTS / f"{name}.json") for name in ("postiz", "genviral"))
ACME = ("--from", "postiz", "--account", "Acme Inc.=linkedin:acme-gmbh")


@pytest.fixture(scope="module", autouse=True)
def workspace(terminal: Terminal, sandbox: Stack) -> None:
    """A workspace with an account on each platform, and a worker that takes the steps of imports."""
    sandbox.start_worker("upkeep")
    terminal.text("workspace create Acme")
    for platform, name in (
        ("linkedin", "acme-gmbh"),
        ("tiktok", "acme"),
        ("instagram", "acme"),
        ("youtube", "y"),
    ):
        terminal.text("account add-sandbox", platform, "--username", name)


def read_receipts(terminal: Terminal, found: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in terminal.text("import rows", found["id"], "--json").splitlines()]


def read_posts(ledger: Ledger, prefix: str) -> list[Any]:
    sql = "SELECT * FROM posts WHERE external_id LIKE :prefix ORDER BY external_id"
    with ledger.database.begin() as c:
        return rows(c, sql, prefix=f"{prefix}:%")


def test_a_list_of_postiz_is_planned_applied_and_rolled_back(terminal: Terminal, ledger: Ledger) -> None:
    planned = terminal.json("import plan", POSTIZ, *ACME)
    assert planned["counts"] == {"rows": 5, "accepted": 3, "duplicate": 0, "rejected": 2}
    assert planned["notes"] == [
        "Comments do not come along, as the list has none (4).",
        "Drafts have no time here: theirs is left out (1).",
        "HTML became plain text, a line for each paragraph, no word bold or underlined (3).",
        "Left out: failed (1).",
        "Left out: in the past (1).",
        "Left out: published (1).",
        "cm4ean69r0003w8w1cdomox9n Acme Inc. is linkedin:acme-gmbh (1).",
        "cm4instag0003w8w1cdomox9n acme is instagram:acme (1).",
        "cm4tiktok0003w8w1cdomox9n @acme is tiktok:acme (1).",
    ]
    x, weekly = (one for one in read_receipts(terminal, planned) if one["verdict"] == "rejected")
    assert [(one["path"], one["value"]) for one in x["issues"]] == [("integration.providerIdentifier", "x")]
    assert [(one["path"], one.get("value")) for one in weekly["issues"]] == [
        ("intervalInDays", 7),
        ("tags", '[{"tag": {"id": "t1", "name": "Spring", "color": "#fff"}}]'),
        ("account", "cm4facebo0003w8w1cdomox9n Acme"),
        ("image", None),
        ("settings.plug--boost--active", True),
    ]
    assert "--account 'Acme=facebook:username' says which." in weekly["error"]
    assert "--without tags leaves it out." in weekly["error"]

    applied = terminal.json("import apply", planned["id"], "--plan", planned["plan"]["hash"])
    assert applied["result"] == {"created": 3}
    draft, text, video = read_posts(ledger, "postiz")
    assert text.caption == "Autumn & winter\n\nNow in Berlin:\n- coats\n- hats\nhttps://acme.example/new"
    assert text.due_at.astimezone(UTC).isoformat() == "2031-05-04T10:00:00+00:00"
    assert (draft.status, draft.instagram["collaborators"]) == ("draft", ["friend"])
    assert (video.media["url"], video.ai_generated) == ("https://uploads.postiz.com/a.mp4", True)
    assert (video.tiktok["privacy_level"], video.tiktok["disable_duet"]) == ("SELF_ONLY", True)

    again = terminal.json("import plan", POSTIZ, *ACME)
    assert again["counts"]["duplicate"] == 3
    rolled = terminal.json("import rollback", planned["id"])
    assert rolled["result"] == {"created": 3, "canceled": 3}


def test_what_is_left_out_by_name_is_no_reason_to_reject(terminal: Terminal) -> None:
    terminal.text("account add-sandbox facebook --username acme")
    fields = ("tags", "intervalInDays", "image", "settings.plug--boost--active")
    without = [word for name in fields for word in ("--without", name)]
    planned = terminal.json("import plan", POSTIZ, *ACME, *without)
    assert planned["counts"]["rejected"] == 3, "the platform X, and two that need media"
    assert [note for note in planned["notes"] if "--without" in note] == [
        "Left out, as --without says: image (4).",
        "Left out, as --without says: intervalInDays (1).",
        "Left out, as --without says: settings.plug--boost--active (1).",
        "Left out, as --without says: tags (1).",
    ]


def test_a_list_of_genviral_is_planned_and_applied(terminal: Terminal, ledger: Ledger) -> None:
    tiktok = "22222222-0000-4000-8000-000000000001=tiktok:acme"
    planned = terminal.json("import plan", GENVIRAL, "--from", "genviral", "--account", tiktok)
    assert planned["counts"] == {"rows": 3, "accepted": 2, "duplicate": 0, "rejected": 1}
    assert planned["notes"] == [
        "22222222-0000-4000-8000-000000000001 is tiktok:acme (1).",
        "22222222-0000-4000-8000-000000000002 Acme is instagram:acme (1).",
        "An external_id gives way to genviral:ID (1).",
        "Left out: posted (1).",
    ]
    (rejected,) = (one for one in read_receipts(terminal, planned) if one["verdict"] == "rejected")
    assert [(one["path"], one["value"]) for one in rejected["issues"]] == [
        ("poll", '{"options": ["a", "b"]}'),
        ("account", "22222222-0000-4000-8000-000000000003"),
    ]
    terminal.json("import apply", planned["id"], "--plan", planned["plan"]["hash"])
    scheduled, draft = read_posts(ledger, "genviral")
    assert (scheduled.tiktok, draft.status) == (
        {"post_mode": "MEDIA_UPLOAD", "title": "Two"},
        "draft",
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--account", "a=b:c"), "for --from"),
        (("--from", "postiz", "--format", "csv"), "--format for other files"),
        (("--from", "postiz", "--account", "Acme"), "--account Acme: Must be an account's id"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    terminal: Terminal, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    file = tmp_path / "posts.json"
    file.write_text(Path(POSTIZ).read_text())
    assert why in terminal.refusal("import plan", str(file), *words)


def test_a_list_without_a_post_to_come_is_no_import(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "posts.json"
    posts = json.loads(Path(POSTIZ).read_text())["posts"]
    file.write_text(json.dumps({"posts": [one for one in posts if one["state"] in ("PUBLISHED", "ERROR")]}))
    said = terminal.refusal("import plan", str(file), "--from", "postiz")
    assert said == "Error: No post is still to come. Left out: failed (1). Left out: published (1).\n"


def test_what_the_database_cannot_hold_rejects_its_row_alone(terminal: Terminal, tmp_path: Path) -> None:
    (post,) = (
        p for p in json.loads(Path(POSTIZ).read_text())["posts"] if p["id"].startswith("cmi1later0001")
    )
    bad = {**post, "id": "a", "poll\0": "\0\ud800", "content": "\0", "settings": {"\ud800": "\0"}}
    state = {**post, "state": "NEW\0"}
    file = tmp_path / "posts.json"
    file.write_text(f"{json.dumps({'posts': [bad, state]})}\n\n{json.dumps([{'posts': [post]}])}\n")
    planned = terminal.json("import plan", str(file), *ACME)
    assert planned["counts"] == {"rows": 2, "accepted": 1, "duplicate": 0, "rejected": 1}
    assert "Left out: state NEW\ufffd (1)." in planned["notes"]
