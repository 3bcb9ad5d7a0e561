"""`slipway post`: the rules of the API on the command line, many posts of a file, and posts exported to one."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import click
import pytest

from adapters.contract import Platform
from pipeline.cli import cli
from pipeline.domain.delivery import State
from pipeline.imports.export import PAGE
from pipeline.store.database import row
from tests.fork_server_client import Result
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import HOUR, Ledger

VIDEO = "https://cdn.example.com/v.mp4"
ABSENT = "01a2106e-0000-7000-8000-000000000000"


class Author:
    """A workspace with two accounts, whose posts the command line makes."""

    def __init__(self, terminal: Terminal, ledger: Ledger) -> None:
        self.terminal, self.ledger = terminal, ledger
        self.workspace = ledger.workspace()
        self.accounts = [str(ledger.account(self.workspace)) for _ in range(2)]

    def words(self, verb: str, *more: str) -> tuple[str, ...]:
        return ("post", verb, "--workspace", str(self.workspace), *more)

    def create(self, *more: str) -> dict[str, Any]:
        words = (
            "--account",
            self.accounts[0],
            "--caption",
            uuid4().hex,
            "--video",
            VIDEO,
            "--at",
            "2d",
            *more,
        )
        made: dict[str, Any] = self.terminal.json(*self.words("create", *words))
        return made

    def show(self, post: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.terminal.json("post show", post)
        return shown


@pytest.fixture
def author(terminal: Terminal, ledger: Ledger) -> Author:
    return Author(terminal, ledger)


def test_a_post_is_created_from_a_file_and_options_win_over_it(author: Author) -> None:
    file = author.terminal.folder / "post.json"
    images = [f"https://cdn.example.com/{n}.jpg" for n in range(2)]
    body = {"caption": "from the file", "tiktok": {"title": "A title"}, "accounts": [{"id": ABSENT}]}
    file.write_text(json.dumps({**body, "scheduled_at": "2090-01-01T00:00:00Z"}))
    words = ("--body", str(file), "--account", author.accounts[0], "--image", images[0], "--image", images[1])
    made = author.terminal.json(*author.words("create", *words, "--alt-text", "", "--alt-text", "A mug"))
    shown = author.show(made["id"])
    assert shown["media"] == {"type": "slideshow", "urls": images, "alt_texts": [None, "A mug"]}
    assert "alt_texts goes with media" in author.terminal.refusal("post edit", made["id"], "--alt-text", "x")
    author.terminal.text("post edit", made["id"], "--image", images[0], "--fit", "crop")
    fitted = author.show(made["id"])["media"]
    assert fitted == {"type": "slideshow", "urls": images[:1], "fit": "crop"}
    assert (shown["caption"], shown["tiktok"], shown["due_at"]) == (
        "from the file",
        {"title": "A title"},
        "2090-01-01T00:00:00.000Z",
    )


def test_a_platforms_options_are_given_one_by_one(author: Author) -> None:
    youtube = str(author.ledger.account(author.workspace, Platform.YOUTUBE))
    file = author.terminal.folder / "options.json"
    file.write_text(json.dumps({"youtube": {"title": "of the file", "category": "22"}}))
    options = ("youtube.title=2026", 'youtube.tags=["a", "b=c"]', "youtube.made_for_kids=false")
    words = [word for option in options for word in ("--option", option)]
    given = ("--account", youtube, "--ai-generated", "--external-id", "first", "--body", str(file), *words)
    made = author.create(*given)
    assert "REACHABILITY_PENDING" in {w["code"] for w in made["warnings"]}
    shown = author.show(made["id"])
    assert (shown["external_id"], shown["ai_generated"], len(shown["deliveries"])) == ("first", True, 2)
    due = datetime.fromisoformat(shown["due_at"]) - datetime.now(UTC)
    assert timedelta(days=1, hours=23) < due <= timedelta(days=2)
    [found] = author.terminal.json("post list --workspace", str(author.workspace))
    assert (found["id"], found["status"]) == (made["id"], "scheduled")
    edit = ("post edit", made["id"], "--video", VIDEO, "--cover")
    for cover, stored in (("2.5", 2.5), ("https://cdn.example.com/c.jpg", "https://cdn.example.com/c.jpg")):
        author.terminal.text(*edit, cover)
        assert author.show(made["id"])["media"]["cover"] == stored
    expected = {"title": "2026", "category": "22", "tags": ["a", "b=c"], "made_for_kids": False}
    assert author.show(made["id"])["youtube"] == expected
    author.terminal.text("post edit", made["id"], "--option", "youtube.privacy=private")
    assert author.show(made["id"])["youtube"] == {"privacy": "private"}
    for option, said in (("youtube", "is not SECTION.KEY=VALUE"), ("youtube.privacy=all", "youtube.privacy")):
        assert said in author.terminal.refusal(*author.words("create", "--option", option))


def test_what_an_account_has_of_its_own_is_given_field_by_field(author: Author) -> None:
    youtube = str(author.ledger.account(author.workspace, Platform.YOUTUBE))
    settings = (
        "caption=Only there",
        f"video={VIDEO}?own",
        "scheduled_at=2091-01-01T00:00:00Z",
        "youtube.title=T",
    )
    words = [word for setting in settings for word in ("--own", youtube, setting)]
    named = [word for account in (author.accounts[0], youtube) for word in ("--account", account)]
    made = author.create(*named, "--at", "2090-01-01T00:00:00Z", *words)
    shown = {one["platform"]: one for one in author.show(made["id"])["deliveries"]}
    own = ("caption", "media", "scheduled_at", "youtube")
    assert {name: shown["youtube"][name] for name in own} == {
        "caption": "Only there",
        "media": {"type": "video", "url": f"{VIDEO}?own"},
        "scheduled_at": "2091-01-01T00:00:00Z",
        "youtube": {"title": "T"},
    }
    assert not shown["tiktok"].keys() & set(own)
    refused = author.terminal.refusal(*author.words("create", "--own", youtube, "caption=x"))
    assert "name the account by --account" in refused


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--video", "http://x.example/v.mp4"), "media.url: Must be an https URL."),
        (("--account", "nobody"), "`slipway account list`"),
        (("--text", "--document", VIDEO), "Give one of --video, --image, --text and --document"),
        (("--title", "C"), "title goes with media"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_nothing_is_stored(
    author: Author, more: tuple[str, ...], said: str
) -> None:
    assert said in author.terminal.refusal(*author.words("create", "--caption", "x", *more))
    assert author.terminal.json("post list --workspace", str(author.workspace)) == []


def test_validate_reports_everything_and_stores_nothing(author: Author) -> None:
    words = author.words("validate", "--account", author.accounts[0], "--caption", "x", "--video", VIDEO)
    assert author.terminal.json(*words)["valid"] is True
    assert "It would be accepted." in author.terminal.text(*words)
    refused = author.terminal.run(*words, "--music-url", "https://x.example", "--json")
    assert refused.status == 1
    assert {x["code"] for x in json.loads(refused.stdout)["refused"]} == {"invalid_music_url"}
    assert "invalid_music_url" in author.terminal.run(*words, "--music-url", "https://x.example").stdout
    assert author.terminal.json("post list --workspace", str(author.workspace)) == []


def test_a_post_is_edited_at_once_or_not_at_all(author: Author) -> None:
    made = author.create()
    edited = author.terminal.json("post edit", made["id"], "--caption", "better", "--at", "3d")
    assert (edited["id"], edited["status"]) == (made["id"], "scheduled")
    assert author.show(made["id"])["caption"] == "better"
    now = author.terminal.json("post edit", made["id"], "--at", "now")
    assert now["status"] == "pending"
    assert "Nothing to change" in author.terminal.refusal("post edit", made["id"])
    assert "no such post" in author.terminal.refusal("post edit", ABSENT, "--caption", "x")
    assert (
        "cannot be changed"
        in author.terminal.run("post edit", made["id"], "--body", "-", stdin='{"external_id": "x"}').stderr
    )


def test_the_time_of_a_scheduled_draft_is_said_by_the_clock_of_the_workspace(author: Author) -> None:
    with author.ledger.database.begin() as c:
        row(
            c, "UPDATE workspaces SET time_zone = 'Asia/Tokyo' WHERE id = :w RETURNING id", w=author.workspace
        )
    words = ("--account", author.accounts[0], "--caption", "x", "--video", VIDEO, "--draft")
    made = author.terminal.json(*author.words("create", *words))
    at = ("--at", "2090-01-01T20:00:00Z")
    shown = author.terminal.text("post schedule", made["id"], *at).splitlines()
    assert shown[-1].split(maxsplit=1) == ["scheduled_at_local", "2090-01-02 05:00 Asia/Tokyo"]
    assert ["scheduled_at", "2090-01-01T20:00:00.000Z"] in [line.split() for line in shown]


def test_posts_of_several_workspaces_are_cancelled_and_each_other_one_has_its_reason(author: Author) -> None:
    other = Author(author.terminal, author.ledger)
    mine, theirs = author.create("--account", author.accounts[1])["id"], other.create()["id"]
    author.terminal.json("post cancel", mine, "--account", author.accounts[1])
    assert {d["state"] for d in author.show(mine)["deliveries"]} == {"accepted", "cancelled"}
    ended = author.terminal.run("post cancel", mine, theirs, ABSENT, "--json")
    found = json.loads(ended.stdout)
    assert (ended.status, set(found["canceled"])) == (1, {mine, theirs})
    assert found["errors"] == {ABSENT: "There is no such post: `slipway post list` shows them."}
    assert [author.show(post)["status"] for post in (mine, theirs)] == ["canceled"] * 2
    gone = author.terminal.run("post delete", mine)
    assert (gone.status, f"{mine}  The post is canceled: it stays." in gone.stdout) == (1, True)
    third = author.create()["id"]
    assert author.terminal.json("post delete", third)["deleted"] == [third]
    assert "There is no post" in author.terminal.refusal("post show", third)


def test_a_failed_post_is_retried_and_another_is_not(author: Author) -> None:
    failed = author.ledger.post([UUID(author.accounts[0])], State.FAILED)
    assert author.terminal.json("post retry", str(failed.id)) == {
        "retried": [str(failed.id)],
        "errors": {},
    }
    assert author.ledger.state(failed.deliveries[0]) is not State.FAILED
    waiting = author.create()["id"]
    ended = author.terminal.run("post retry", waiting)
    assert ended.status == 1
    assert f"{waiting}  validation_failed: " in ended.stdout


def build_post(author: Author, **more: Any) -> dict[str, Any]:
    return {
        "caption": uuid4().hex,
        "media": {"type": "video", "url": "https://cdn.example.com/v.mp4"},
        "accounts": [{"id": author.accounts[0]}],
        "scheduled_at": "2090-01-01T00:00:00Z",
        **more,
    }


def create_many(author: Author, body: dict[str, Any], *more: str) -> Result:
    return author.terminal.run(*author.words("create", "--body", "-", *more), stdin=json.dumps(body))


def test_each_post_of_a_file_has_a_result(terminal: Terminal, ledger: Ledger) -> None:
    author = Author(terminal, ledger)
    good = build_post(author)
    done = create_many(author, {"posts": [good, build_post(author, caption=""), good]}, "--json")
    found = json.loads(done.stdout)
    assert done.status == 1, "one is refused"
    assert [result["code"] for result in found["results"]] == [201, 422, 200]
    assert author.show(found["results"][0]["data"]["id"])["caption"] == good["caption"]
    none = create_many(
        author, {"posts": [build_post(author), build_post(author, caption="")], "atomic": True}
    )
    assert (none.status, none.stdout) == (1, "")
    assert "1 of 2 posts is refused, so nothing was stored. Post 1: caption:" in none.stderr
    both = create_many(author, {"posts": [good]}, "--caption", "for all of them")
    assert (both.status, both.stdout, "caption" in both.stderr) == (1, "", True)
    text = create_many(author, {"posts": [good]})
    assert text.status == 0
    assert "0 stored, 1 accepted before, 0 refused" in text.stdout


def export(terminal: Terminal, *words: str) -> str:
    return terminal.text("post export", *words)


def ids(terminal: Terminal, *words: str) -> list[str]:
    return [json.loads(line)["post_id"] for line in export(terminal, *words).splitlines()]


def test_every_post_of_a_workspace_is_written_once_newest_first(terminal: Terminal, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    posts = ledger.posts(PAGE + 1, [account])
    ledger.fresh()
    found = ids(terminal, "--workspace", str(workspace))
    assert found == sorted((str(post.id) for post in posts), reverse=True)
    later = ledger.post([account], due=5 * HOUR)
    text = export(terminal, "--workspace", str(workspace), "--due", "4h..6h", "--format", "csv")
    [row] = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""))
    assert (row["post_id"], row["accounts"].partition(":")[0]) == (str(later.id), "tiktok")
    commands = cast("click.Group", cli.get_command(click.Context(cli), "post")).commands
    of = {name: {option for p in commands[name].params for option in p.opts} for name in ("list", "export")}
    assert of["export"] == of["list"] - {"--limit", "--after", "--sort"} | {"--format"}


def test_a_workspace_and_one_format_are_demanded(terminal: Terminal) -> None:
    for words, said in (
        ((), "--workspace is missing: a file of posts is of one workspace."),
        (("--json", "--format", "csv"), "--json and --format csv exclude each other: give one of them."),
    ):
        done = terminal.run("post export", *words)
        assert done.status == 2
        assert said in done.stderr
