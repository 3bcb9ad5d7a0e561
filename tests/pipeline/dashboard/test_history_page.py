"""The history: a sentence for every change, for whom it is, by person, client and day, in pages by index."""
# ruff: noqa: RUF001  sentences have typographic quotes

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from adapters.contract import Platform
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_step import run_at_once, run_steering_step
from pipeline.actions.steering import Steering
from pipeline.actions.undo import undo_change, undo_job
from pipeline.dashboard.clock import ZONE_COOKIE
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import State
from pipeline.domain.steering import Arguments, Verb
from pipeline.store import audit
from pipeline.store.audit import AuditFilter, list_history, record_change
from pipeline.store.auth.keys import create_key
from pipeline.store.database import new_id, row, rows
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.undo_log import find_last_changes
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.dashboard.test_post_actions import AGREED, done, press
from tests.pipeline.store.ledger import HOUR, Ledger, Post
from tests.pipeline.store.plans import count_rows_read

URL = "/dashboard/history"
ANN = Actor(kind="user", name="ann", address="192.0.2.1")
HOSTILE = '<img src=x onerror="alert(1)">'
_TAG = re.compile(r"<[^>]+>")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
Reader = tuple[UUID, Client]


def record(
    ledger: Ledger,
    verb: str,
    kind: Any,
    subject: object,
    workspace: UUID | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: Actor = ANN,
) -> None:
    with ledger.database.begin() as c:
        record_change(c, actor, verb, kind, str(subject), workspace, before, after)


def show(http: Client, status: int = 200, **query: str) -> str:
    answer = http.get(URL, params=query)
    assert answer.status_code == status, answer.text
    return answer.text


def read_lines(page: str) -> list[str]:
    """Return the text of each row, newest first."""
    found = re.findall(r'<li class="row change".*?</li>', page, re.DOTALL)
    return [" ".join(html.unescape(_TAG.sub("", one)).split()) for one in found]


@pytest.fixture
def client_of(site: Site, ledger: Ledger) -> Iterator[Reader]:
    """A workspace, and a viewer who sees nothing else."""
    workspace = ledger.workspace()
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as session:
        yield workspace, session


AT = datetime(2030, 11, 28, 18, tzinfo=UTC)
LATER = datetime(2030, 11, 29, 9, 30, tzinfo=UTC)


# --- sentences -------------------------------------------------------------------------------------------------------


def test_an_edit_says_what_it_changed_from_what_to_what(client_of: Reader, ledger: Ledger) -> None:
    workspace, http = client_of
    post = ledger.post([ledger.account(workspace)], due=HOUR)
    one = str(post.deliveries[0])
    moved = {"scheduled_at": AT}, {"scheduled_at": LATER}
    for before, after, expected in (
        (*moved, "ann moved it from Thu 28 Nov 2030 18:00 to Fri 29 Nov 2030 09:30"),
        ({"caption": "a"}, {"caption": HOSTILE}, f"ann changed the caption from “a” to “{HOSTILE}”"),
        ({"caption": "a" * 400}, {"caption": ""}, f"ann changed the caption from “{'a' * 117}...” to “”"),
        ({"media": {"url": "a"}}, {"media": {"url": "b"}}, "ann changed the files"),
        ({"options": {}}, {"options": {"linkedin": {"title": "T"}}}, "ann gave LinkedIn its own words: “T”"),
        (
            {"options": {"linkedin": {"title": "T"}}},
            {"options": {"linkedin": {"title": "U"}}},
            "ann changed LinkedIn’s own words from “T” to “U”",
        ),
        (
            {"options": {"linkedin": {"title": "T"}}},
            {"options": {}},
            "ann took back the own words of LinkedIn",
        ),
        (
            {"options": {"tiktok": {"disable_duet": True}}},
            {"options": {"tiktok": {"disable_duet": False}}},
            "ann changed the options of TikTok",
        ),
        ({"deliveries": {}}, {"deliveries": {one: "scheduled"}}, "ann added TikTok"),
        ({"deliveries": {one: "scheduled"}}, {"deliveries": {one: "cancelled"}}, "ann took TikTok off"),
        (
            {"caption": "a", "music_url": "x", **moved[0]},
            {"caption": "b", "music_url": "y", **moved[1]},
            "ann moved it from Thu 28 Nov 2030 18:00 to Fri 29 Nov 2030 09:30, changed the caption from “a” to “b” and "
            "changed the music",
        ),
        ({}, {}, "ann changed it"),
    ):
        record(ledger, "edit", "post", post.id, workspace, before, after)
        assert read_lines(show(http))[0].startswith(f"{expected} hello Tests "), expected


@pytest.mark.parametrize(
    ("verb", "kind", "after", "expected"),
    [
        ("cancel", "post", {}, "canceled it hello"),
        ("discard", "post", {"why": "old news"}, "left it out: “old news” hello"),
        ("pause", "pause", {"why": HOSTILE}, f"paused Tests: “{HOSTILE}”"),
        ("connect", "account", {"username": "ada"}, "connected ada"),
        ("save", "import preset", {"columns": {"Text": "caption"}}, "kept names of columns for files"),
        ("grant", "user", {"login": "bob"}, "changed the role of bob"),
        ("frobnicate", "post", {}, "did “frobnicate” to a post"),
        ("edit", "gadget", {"why": 7}, "did “edit” to a gadget: “7”"),
        (
            "edit",
            "post",
            {"deliveries": 7, "options": [1], "scheduled_at": "soon"},
            "moved it to an unknown time",
        ),
        ("cancel", "post", {"deliveries": [1]}, "canceled it"),
        ("reschedule", "steering job", {"arguments": "x"}, "moved posts"),
    ],
)
def test_every_change_has_a_sentence_without_ids(
    http: Client, ledger: Ledger, verb: str, kind: str, after: dict[str, Any], expected: str
) -> None:
    workspace = ledger.workspace()
    post = ledger.post([ledger.account(workspace)], due=HOUR)
    subject = post.id if kind == "post" else new_id()
    record(ledger, verb, kind, subject, workspace, {"deliveries": {str(new_id()): "failed"}}, after)
    page = show(http, client=str(workspace))
    [line] = read_lines(page)
    assert line.startswith(f"ann {expected}"), line
    assert not _UUID.search(line)
    assert "<img" not in page.partition("<main")[2]


def test_who_did_it_is_a_person_a_key_or_the_command_line(client_of: Reader, ledger: Ledger) -> None:
    workspace, http = client_of
    with ledger.database.begin() as c:
        create_key(c, workspace, "Agency scheduler")
        key = row(c, "SELECT id, public_id FROM keys WHERE workspace_id = :w", w=workspace)
    assert key is not None
    for actor, expected in (
        (Actor(kind="key", name=key.public_id, id=key.id), "A key (“Agency scheduler”) changed the caption"),
        (Actor(kind="key", name="gone", id=new_id()), "A key changed the caption"),
        (Actor(kind="key", name="the operator"), "The operator changed the caption"),
        (Actor(kind="command line", name="root"), "The command line changed the caption"),
        (Actor(kind="system", name="steering job x"), "Slipway changed the caption"),
    ):
        record(ledger, "edit", "post", new_id(), workspace, {"caption": "a"}, {"caption": "b"}, actor)
        assert read_lines(show(http))[0].startswith(expected)


def test_a_job_says_how_many_posts_and_leads_to_them(http: Client, core: CoreFixture) -> None:
    posts = [core.ledger.post([core.account(f"{n}")], due=HOUR) for n in range(2)]
    steer(core, posts, Verb.RESCHEDULE, shift=timedelta(hours=2))
    [line] = read_lines(page := show(http, client=str(core.workspace)))
    assert line.startswith("ann moved 2 posts 2 h later Show Tests")
    assert 'href="/dashboard/jobs/' in page


# --- for whom, by what, and in pages ---------------------------------------------------------------------------------


def test_a_visitor_sees_the_changes_of_their_clients_and_admins_also_those_of_keys(
    site: Site, http: Client, ledger: Ledger
) -> None:
    own, other = ledger.workspace(), ledger.workspace()
    record(ledger, "edit", "post", new_id(), other)
    record(ledger, "create", "key", "slw_live_x", own, {}, {"name": "mine"})
    record(ledger, "open", "file", new_id(), own)
    record(ledger, "edit", "post", new_id(), own)
    name = f"person-{new_id().hex[:8]}"
    record(ledger, "start", "session", "x", None, actor=replace(ANN, name=name))
    for role, expected in ((Role.VIEWER, ["changed it"]), (Role.ADMIN, ["changed it", "made the key mine"])):
        with site.log_in(site.add_user({own: role})) as session:
            lines = read_lines(show(session))
            assert [
                line.removeprefix("ann ").partition(" The post")[0].partition(" Tests")[0] for line in lines
            ] == expected
            assert read_lines(show(session, person=name)) == []
            assert session.get(URL, params={"client": str(other)}).status_code == 404
    with site.log_in(site.add_user({None: Role.OPERATOR})) as session:
        assert read_lines(show(session, person=name)) == []
        assert len(read_lines(show(session, client=str(own)))) == 1
    assert read_lines(show(http, person=name))[0].startswith(f"{name} signed in")


def test_it_is_filtered_by_person_client_and_day_of_the_sessions_clock(site: Site, ledger: Ledger) -> None:
    one, two = ledger.workspace(), ledger.workspace()
    jonas = replace(ANN, name="jonas")
    grow(ledger, one, "ann", datetime(2026, 11, 27, 18, 29, tzinfo=UTC))
    grow(ledger, two, "ann", datetime(2026, 11, 27, 18, 31, tzinfo=UTC))
    record(ledger, "edit", "post", new_id(), one, actor=jonas)
    with site.log_in(site.add_user({one: Role.VIEWER, two: Role.VIEWER})) as session:
        assert len(read_lines(show(session))) == 3
        assert [line.split()[0] for line in read_lines(show(session, person="jonas"))] == ["jonas"]
        assert len(read_lines(show(session, client=str(two)))) == 1
        assert len(read_lines(show(session, person="ann", client=str(one)))) == 1
        assert len(read_lines(show(session, day="2026-11-27"))) == 2
        session.cookies.set(ZONE_COOKIE, "Asia/Kolkata", path="/dashboard")
        assert len(read_lines(show(session, day="2026-11-28"))) == 1, (
            "half past midnight, five and a half hours earlier"
        )
        page = show(session, person="nobody")
        assert "Nothing was changed that this asks for." in page
        for wrong in (
            {"day": "soon"},
            {"day": "9999-12-31"},
            {"day": "0001-01-01"},
            {"client": "x"},
            {"after": "x"},
        ):
            show(session, 400, **wrong)
        for place in ("soon~1", "2026-11-27", "2026-11-27T00:00:00Z~x", "9999-12-31T23:59:59-12:00~1"):
            show(session, 400, after=place)
        for place in ("2020-11-27~-1", f"2020-11-27T00:00:00Z~{2**70}"):
            assert read_lines(show(session, after=place)) == []


def test_pages_hold_each_change_once(client_of: Reader, ledger: Ledger) -> None:
    workspace, http = client_of
    grow(ledger, workspace, "ann", datetime(2026, 11, 27, tzinfo=UTC), 120)  # all of one time
    path, keys = URL, []
    while path:
        page = http.get(path).text
        keys += re.findall(r'data-key="(\d+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else ""
    assert len(keys) == len(set(keys)) == 120
    assert keys == sorted(keys, key=int, reverse=True)


def grow(
    ledger: Ledger, workspace: UUID, person: str, at: datetime, number: int = 1, kind: str = "post"
) -> None:
    """Add rows of that time, as if they had been written then."""
    with ledger.database.begin() as c:
        rows(
            c,
            """INSERT INTO audit (at, actor_kind, actor_name, verb, kind, subject, workspace_id, before, after)
               SELECT :at, 'user', :person, 'edit', :kind, 'x-' || n, :w, '{}', '{}'
               FROM generate_series(1, :number) n RETURNING id""",
            at=at,
            person=person,
            kind=kind,
            w=workspace,
            number=number,
        )


def test_a_page_reads_no_more_than_a_page_of_each_client(ledger: Ledger) -> None:
    own = [ledger.workspace() for _ in range(2)]
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for hours in range(10):
        at = start + timedelta(hours=hours)
        for workspace in (*own, ledger.workspace()):
            grow(ledger, workspace, "jonas", at, 200)
            grow(ledger, workspace, "ann", at, 3)
            grow(ledger, workspace, "ann", at, 200, kind="file")
    with ledger.database.once() as c:
        c.execute(text("ANALYZE audit"))
    middle = (start + timedelta(hours=5), 0)
    for chosen in (
        AuditFilter(),
        AuditFilter(actor="ann"),
        AuditFilter(since=start + timedelta(hours=3), until=middle[0]),
    ):
        for after in (None, middle):
            read = count_rows_read(ledger, audit, list_history, chosen, own, None, 5, after)
            assert read <= 3 * 5, (chosen, after)


# --- on the page of a post -------------------------------------------------------------------------------------------


def read_history(http: Client, post: Post) -> list[str]:
    """Return the sentences of the history of a post, newest first."""
    page = http.get(f"/dashboard/posts/{post.id}").text
    part = page.partition('id="history-heading"')[2].partition("</ol>")[0]
    found = re.findall(r'<li class="dot [^"]+">(.*?)\s*<small', part, re.DOTALL)
    return [" ".join(html.unescape(_TAG.sub("", one)).split()) for one in found]


def test_what_a_visitor_does_is_in_the_posts_history(site: Site, core: CoreFixture) -> None:
    user = site.add_user({core.workspace: Role.OPERATOR}, login=f"ann-{new_id().hex[:6]}")
    post = core.ledger.post([core.account("one"), core.account("two")], due=timedelta(days=1))
    core.ledger.update("posts", post.id, "due_at = '2030-11-28 18:00Z'")
    with site.log_in(user) as ann:
        form = {"local_time": "2030-11-29T09:30", "time_zone": "UTC", "version": "*"}
        done(press(ann, post, "reschedule", form), post, "reschedule")
        done(press(ann, post, "pause", {"why": "<b>wait</b>"}), post, "pause")
        done(press(ann, post, "cancel", AGREED), post, "cancel")
        assert read_history(ann, post) == [
            f"{user.login} canceled it on TikTok",
            f"{user.login} paused it on TikTok: “<b>wait</b>”",
            f"{user.login} moved it from Thu 28 Nov 2030 18:00 to Fri 29 Nov 2030 09:30",
            "Added by hand",
        ]


def test_an_undo_says_what_it_brings_back(http: Client, core: CoreFixture) -> None:
    posts = [core.ledger.post([core.account(f"{n}")], due=HOUR) for n in range(2)]
    for post in posts:
        core.ledger.update("posts", post.id, "due_at = '2030-01-01 10:00Z'")
        core.ledger.change(post.deliveries[0], "due_at = '2030-01-01 10:00Z'")
    caller = replace(core.caller, actor=ANN)
    job = steer(core, posts, Verb.RESCHEDULE, shift=timedelta(hours=2))
    undone = undo_job(core.context, caller, job)
    run_steering_step(core.context, undone.id)
    change = Change(given=frozenset({"caption"}), caption="other")
    edit(core.context, caller, posts[0].id, change)
    with core.context.database.begin() as c:
        last = find_last_changes(c, [posts[0].id])[posts[0].id]
    assert last is not None
    undo_change(core.context, caller, last)
    assert read_history(http, posts[0])[:4] == [
        "ann undid a change: changed the caption from “other” to “hello”",
        "ann changed the caption from “hello” to “other”",
        "ann undid a change: moved it from Tue 1 Jan 2030 12:00 to Tue 1 Jan 2030 10:00, with 1 post more",
        "ann moved it from Tue 1 Jan 2030 10:00 to Tue 1 Jan 2030 12:00, with 1 post more",
    ]


def test_a_move_that_no_row_records_is_told_all_the_same(http: Client, core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    accepted = core.accept(scheduled_at=AT)
    post = Post(id=accepted.id, workspace=core.workspace, deliveries=[])
    change = Change(given=frozenset({"scheduled_at"}), scheduled_at=LATER)
    edit(
        core.context, replace(core.caller, actor=None), post.id, change
    )  # as the row of an import that updates it
    assert read_history(http, post) == [
        "A change of many posts moved it from Thu 28 Nov 2030 18:00 to Fri 29 Nov 2030 09:30",
        "Came from the key “tests”",
    ]


def add_move(core: CoreFixture, delivery: UUID, at: datetime, target: str, mover: str, made: int = 0) -> None:
    core.run(
        """INSERT INTO moves (delivery_id, at, mover, origin, target, generation, fence)
           VALUES (:id, :at, :mover, 'publishing', :target, :made, 1)""",
        id=delivery,
        at=at,
        target=target,
        mover=mover,
        made=made,
    )


def test_it_says_how_far_an_account_on_its_way_has_come(http: Client, core: CoreFixture) -> None:
    accounts = [core.account(name, Platform(name)) for name in ("tiktok", "youtube", "linkedin")]
    post = core.ledger.post(accounts, State.PROCESSING, due=-HOUR)
    for delivery, platform in zip(post.deliveries, core.accounts, strict=True):
        core.ledger.change(delivery, "platform = :p", p=platform)
    core.ledger.change(
        post.deliveries[2], "state = 'failed', error = '{}', armed_at = NULL, armed_deadline = NULL"
    )
    steps = (
        ("scheduled", "reachability"),
        ("queued", "delay"),
        ("retrying", "publish"),
        ("queued", "delay"),
        ("publishing", "publish"),
        ("preparing", "publish"),
        ("processing", "status"),
    )
    for seconds, (target, mover) in enumerate(steps):
        for n in range(3):
            at = core.now() + timedelta(seconds=10 * seconds + n)
            add_move(core, post.deliveries[n], at, target, mover)
    add_move(core, post.deliveries[0], core.now(), "publishing", "publish", made=7)
    assert read_history(http, post) == [
        "Sent to TikTok and YouTube: the answer is awaited",
        "TikTok and YouTube began to get it ready",
        "Began to send it to TikTok and YouTube",
        "Next in line for TikTok and YouTube",
        "It did not go through to TikTok and YouTube: it is tried again",
        "Its files are in order for TikTok and YouTube",
        "Added by hand",
    ]


def test_it_says_what_became_of_each_account(http: Client, core: CoreFixture) -> None:
    accounts = [
        core.account(name, Platform(name))
        for name in ("tiktok", "youtube", "instagram", "facebook", "linkedin")
    ]
    post = core.ledger.post(accounts, due=HOUR)
    for delivery, platform in zip(post.deliveries, core.accounts, strict=True):
        core.ledger.change(delivery, "platform = :p", p=platform)
    base = core.now()

    def move(n: int, seconds: int, target: str, mover: str = "publish") -> None:
        add_move(core, post.deliveries[n], base + timedelta(seconds=seconds), target, mover)

    for n in (1, 2):
        core.run(
            """INSERT INTO attempts (delivery_id, account_id, n, generation, fence, opened_at, closed_at, outcome,
                                     error)
               VALUES (:id, :account, :n, 0, 1, :at, :at, 'failed', '{"class": "Rejected"}')""",
            id=post.deliveries[2],
            account=accounts[2],
            n=n,
            at=base,
        )
    move(0, 7, "published")
    move(1, 41, "published")
    move(2, 64, "failed")
    move(3, 65, "failed", "delay")
    move(4, 66, "published", "decide")
    first, last = (f"{base + timedelta(seconds=n):%H:%M:%S}" for n in (7, 41))
    assert read_history(http, post) == [
        "It was too late for Facebook, and left out",
        "Instagram refused it, after two tries",
        f"Live on TikTok and YouTube, first at {first}, last at {last}",
        "Added by hand",
    ]


def test_it_says_of_which_file_and_row_a_post_came(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], due=HOUR)
    job = new_id()
    core.run(
        """INSERT INTO imports (id, workspace_id, name, strict, updates, time_zone, columns, accounts, object, rows,
                                accepted)
           VALUES (:id, :w, :name, false, false, 'UTC', '{}', '{}', :object, 20, 20)""",
        id=job,
        w=core.workspace,
        name=f"december{HOSTILE}.csv",
        object=str(job),
    )
    core.run(
        """INSERT INTO import_rows (import_id, number, line, verdict, action, occurrence, post_id)
           VALUES (:id, 14, 15, 'accepted', 'create', 0, :post)""",
        id=job,
        post=post.id,
    )
    core.ledger.update("posts", post.id, "import_id = :i", i=job)
    record(core.ledger, "apply", "import", job, core.workspace)
    page = http.get(f"/dashboard/posts/{post.id}").text.partition("<main")[2]
    assert "<img" not in page
    assert read_history(http, post) == [f"Came with the import “december{HOSTILE}.csv”, row 14"]
    assert re.search(
        r'</time> · <a class="who" href="[^"]+person=ann"><b dir="auto">ann</b></a></small>', page
    )


def steer(core: CoreFixture, posts: list[Post], verb: Verb, **arguments: Any) -> UUID:
    """Run a steering job of these posts, in the name of ann, and return its id."""
    chosen = ListFilter(deliveries=tuple(one for post in posts for one in post.deliveries))
    asked = Steering(verb=verb, filter=chosen, arguments=Arguments(**arguments))
    whys = run_at_once(core.context, replace(core.caller, actor=ANN), asked)
    assert set(whys.values()) == {None}, whys
    with core.context.database.begin() as c:
        found = row(
            c,
            "SELECT id FROM steering_jobs WHERE workspace_id = :w ORDER BY id DESC LIMIT 1",
            w=core.workspace,
        )
    assert found is not None
    return UUID(str(found.id))


def test_the_last_change_of_a_post_is_undone_by_one_click(
    site: Site, http: Client, core: CoreFixture
) -> None:
    core.account("one")
    core.decided()
    accepted = core.accept(scheduled_at=AT)
    path, caller = f"/dashboard/posts/{accepted.id}", replace(core.caller, actor=ANN)
    for at in (LATER, LATER + timedelta(hours=1)):
        edit(core.context, caller, accepted.id, Change(given=frozenset({"scheduled_at"}), scheduled_at=at))
    undos = re.findall(rf'action="({path}/undo/\d+)"', http.get(path).text)
    assert len(undos) == 1, "the last change only"
    assert undos[0] in http.get("/dashboard/history").text
    with site.log_in(site.add_user({core.workspace: Role.VIEWER})) as viewer:
        assert "/undo/" not in viewer.get(path).text
        assert viewer.post(undos[0]).status_code == 403
    answer = http.post(undos[0])
    assert answer.status_code == 200, answer.text
    assert "Undone." in answer.text
    [due] = read_due(core, accepted.id)
    assert due == LATER
    assert http.post(undos[0]).status_code == 409, "it was undone"


def read_due(core: CoreFixture, post: UUID) -> list[datetime]:
    with core.context.database.begin() as c:
        return [r.due_at for r in rows(c, "SELECT due_at FROM posts WHERE id = :id", id=post)]
