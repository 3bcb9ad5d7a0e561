"""`slipway post list` and `slipway delivery list` have the same filters and the same paging."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from adapters.contract import Platform
from pipeline.cli import cli
from pipeline.cli.options import SPAN
from pipeline.domain.delivery import Reason, State
from pipeline.store.database import rows
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger

NOUNS = ("post", "delivery")
HOUR = timedelta(hours=1)


def options(noun: str) -> set[str]:
    group = cli.get_command(click.Context(cli), noun)
    assert isinstance(group, click.Group)
    return {name for parameter in group.commands["list"].params for name in parameter.opts}


def test_both_lists_have_the_same_options() -> None:
    assert options("post") == options("delivery")
    assert {"--workspace", "--platform", "--account", "--due", "--reason", "--error-class"} <= options("post")


def listed(terminal: Terminal, noun: str, *words: str) -> set[str]:
    """Return the ids of the posts that a list names."""
    return {row["id" if noun == "post" else "post"] for row in terminal.json(noun, "list", *words)}


@pytest.mark.parametrize("noun", NOUNS)
def test_every_filter_is_passed_on_and_none_means_all(terminal: Terminal, ledger: Ledger, noun: str) -> None:
    workspace, elsewhere = ledger.workspace(), ledger.fresh(due=3 * HOUR)
    tiktok, linkedin = ledger.account(workspace), ledger.account(workspace, Platform.LINKEDIN)
    later, blocked = ledger.post([tiktok], due=2 * HOUR), ledger.post([tiktok])
    ledger.put(blocked, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    failed = ledger.post([linkedin], State.FAILED, platform=Platform.LINKEDIN, due=-2 * HOUR)
    error = '{"code": "unavailable", "class": "Unavailable", "message": "It is down."}'
    ledger.change(failed.deliveries[0], "error = CAST(:e AS jsonb)", e=error)
    ledger.update("posts", failed.id, "status = 'failed', created_at = now() - interval '2 hours'")
    ledger.update("posts", later.id, "caption = 'Spring 100%_SALE'")
    with ledger.database.begin() as c:
        rows(
            c,
            """INSERT INTO replays (workspace_id, token, fingerprint, post_id)
               VALUES (:w, 'id:order 7', '', :i) RETURNING token""",
            w=workspace,
            i=failed.id,
        )

    within = ("--workspace", str(workspace))
    for words, posts in (
        ((), (later, blocked, failed)),
        (("--platform", "linkedin"), (failed,)),
        (("--account", str(tiktok)), (later, blocked)),
        (("--state", "failed"), (failed,)),
        (("--reason", "person_needed"), (blocked,)),
        (("--error-class", "Unavailable"), (failed,)),
        (("--status", "scheduled"), (later,)),
        (("--due", "now..3h"), (later,)),
        (("--text", "SPRING 100%"), (later,)),
        (("--external-id", "order 7"), (failed,)),
        (("--created", "..-1h"), (failed,)),
        (("--created", "-1h..", "--text", "1_0"), ()),
    ):
        assert listed(terminal, noun, *within, *words) == {str(post.id) for post in posts}, words
    everywhere = listed(terminal, noun, "--due", "1h..4h", "--limit", "1000")
    assert {str(later.id), str(elsewhere.id)} <= everywhere, "without a workspace"
    assert "`slipway account list`" in terminal.refusal(noun, "list", "--account", "nobody")
    assert f"`slipway {noun} list`" in terminal.refusal(noun, "list", "--after", "5")


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("order", ["created", "due"])
def test_pages_follow_each_other_without_a_gap(
    terminal: Terminal, ledger: Ledger, noun: str, order: str
) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    posts = [ledger.post([account], due=n * HOUR) for n in (4, 1, 3)]
    wanted = [posts[n] for n in ((2, 1, 0) if order == "created" else (1, 2, 0))]
    words, seen = (noun, "list", "--workspace", str(workspace), "--sort", order, "--limit", "2"), []
    after: tuple[str, ...] = ()
    for _ in range(2):
        page = terminal.json(*words, *after)
        seen += [row["id" if noun == "post" else "post"] for row in page]
        after = ("--after", page[-1]["id"])
    assert seen == [str(post.id) for post in wanted]
    assert terminal.json(*words, *after) == []
    assert "There may be more: repeat with --after " in terminal.run(*words).stderr
    if order == "due":
        assert "begin with the first page" in terminal.refusal(*words, "--after", str(workspace))


def span(text: str) -> tuple[datetime | None, datetime | None]:
    found = SPAN.convert(text, None, None)
    assert isinstance(found, tuple)
    return found


def test_a_span_is_a_day_or_two_times_of_which_one_may_be_missing() -> None:
    day = datetime(2027, 1, 31, tzinfo=UTC)
    assert span("2027-01-31") == (day, day + timedelta(days=1))
    assert span("2027-01-31T00:00:00Z..2027-01-31T02:00:00+01:00") == (day, day + HOUR)
    start, end = span("-2h..1d")
    assert start is not None
    assert end is not None
    assert timedelta(hours=26) <= end - start < timedelta(hours=26, minutes=1)
    assert span("..now")[0] is None
    assert span("now..")[1] is None


@pytest.mark.parametrize(
    "text", ["", "..", "now..-1h", "2027-02-30", "2h", "tomorrow..", "2027-01-31T00:00:00..now"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        span(text)
