"""What people come for, in a filled month: by clicks alone, which are counted, and by the keyboard alone.

| task | begins at | clicks at most |
|---|---|---|
| why is it late | any page | 2 |
| retry all that failed of an import | any page | 3 |
| move to tomorrow | the post in the queue | 3 |
| pause TikTok for one client | any page | 3 |
| what goes out in the next hour | any page | 1 |
| find by words | any page | 1 |
| reconnect an account | Attention | 2 |
| what a colleague changed | any page | 2 |
| import a file, apply it and roll it back | any page | 6 |
| invite a colleague as author | any page | 4 |
| make a key for an agent | the keys | 4 |
| undo | the page after a change | 1 |
| approve ten | any page | 3 |
| send one back | Approval | 3 |
| a client approves, on a phone | the link | 2 |
| fill a week with five drafts | the calendar of a client | 2 |

The field of a form that is chosen from, and the button that asks for a file, count as a click each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from adapters.contract import Platform
from pipeline.actions.approve import LINK_PATH, make_link
from pipeline.actions.steer_step import run_steering_step
from pipeline.domain.account import AGENT
from pipeline.domain.delivery import State
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import find_caller, read_caller
from pipeline.store.database import row, rows
from pipeline.store.posts.approvals import Approval, demand_of, read_approvals
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.dropped_files import IMPORTS, drop, good, work, write_rows
from tests.pipeline.dashboard.filled_month import Month, fill_month
from tests.pipeline.dashboard.hands import Hand, Keys, Mouse
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.dashboard.test_compose import NEW, open_form
from tests.pipeline.dashboard.test_imports_page import apply
from tests.pipeline.store.ledger import Ledger, Post

SERVER_SETTINGS = {"SLIPWAY_TIKTOK__APP_ID": "an-app", "SLIPWAY_API__PUBLIC_URL": "https://slipway.example"}
MINUTE = timedelta(minutes=1)
WHY = "The client checks the new logo."
"""Of a pause of the month."""


@pytest.fixture(scope="module")
def month(site: Site, ledger: Ledger) -> Month:
    return fill_month(ledger, 600)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A filled month, and what arranges a task in it."""

    site: Site
    context: Context
    ledger: Ledger
    month: Month
    http: Client
    folder: Path

    def add_post(self, account: UUID, platform: Platform, due: timedelta) -> tuple[Post, str]:
        """Add a post; return it with its caption, which no other has."""
        caption = f"Lantern walk {os.urandom(4).hex()}"
        post = self.ledger.post([account], due=due, platform=platform)
        self.ledger.update("posts", post.id, "caption = :t", t=caption)
        return post, caption

    def add_waiting(self, number: int) -> list[Post]:
        """Add posts that wait for an approval, and no others."""
        account = self.find_account("platform = 'instagram'")
        posts = self.ledger.posts(number, [account], due=40 * MINUTE, platform=Platform.INSTAGRAM)
        with self.context.database.begin() as c:
            rows(c, "DELETE FROM approvals RETURNING post_id")
            demand_of(c, [one.id for one in posts], "key x")
        return sorted(posts, key=lambda one: one.id)

    def read_approvals(self, posts: Sequence[Post]) -> list[Approval]:
        with self.context.database.begin() as c:
            found = read_approvals(c, [one.id for one in posts])
        return [found[one.id] for one in posts]

    def find_account(self, where: str) -> UUID:
        with self.context.database.begin() as c:
            found = row(c, f"SELECT id FROM accounts WHERE {where} ORDER BY username LIMIT 1")  # noqa: S608
        assert found is not None
        return UUID(str(found.id))

    def work(self, job: UUID) -> None:
        """Do a steering job, as a worker does."""
        for _ in range(3):
            run_steering_step(self.context, job)


@pytest.fixture
def scene(site: Site, context: Context, ledger: Ledger, month: Month, http: Client, tmp_path: Path) -> Scene:
    return Scene(site=site, context=context, ledger=ledger, month=month, http=http, folder=tmp_path)


def find_why_it_is_late(hand: Hand, scene: Scene) -> None:
    paused = scene.find_account("id::text IN (SELECT target FROM pauses WHERE scope = 'account')")
    _, caption = scene.add_post(paused, Platform.FACEBOOK, -20 * MINUTE)
    hand.press(find_count(hand.page, "Late"))
    late = find_row(hand.page, caption)
    expect(late).to_contain_text(WHY)
    expect(late).to_contain_text(re.compile(r"2\d min .*late"))
    hand.open(late)
    expect(hand.page.get_by_text(f"Paused with its account: “{WHY}”")).to_be_visible()


def retry_what_failed_of_an_import(hand: Hand, scene: Scene) -> None:
    name = f"{os.urandom(4).hex()}.csv"
    identity = drop(scene.site, scene.http, write_rows(*map(good, range(3))), name=name)
    apply(scene.context, scene.http, identity)
    sql = "SELECT d.id FROM deliveries d JOIN posts p ON p.id = d.post_id WHERE p.import_id = :id ORDER BY 1 LIMIT 2"
    with scene.context.database.begin() as c:
        failed = [one.id for one in rows(c, sql, id=identity)]
    for one in failed:
        scene.ledger.change(
            one, """state = 'failed', error = '{"class": "Unavailable", "code": "x", "message": "No."}'"""
        )
    go_to(hand, "Imports")
    hand.open(find_row(hand.page, name))
    hand.press(hand.page.get_by_role("button", name="Try 2 posts again"))
    expect(hand.page.locator("#toast")).to_contain_text("0 of 2")
    scene.work(read_job(hand.page))
    assert {scene.ledger.state(one) for one in failed} == {State.ACCEPTED}


def move_to_tomorrow(hand: Hand, scene: Scene) -> None:
    post, caption = scene.add_post(
        scene.find_account("platform = 'instagram'"), Platform.INSTAGRAM, 40 * MINUTE
    )
    before = scene.ledger.delivery(post.deliveries[0]).due_at
    hand.page.goto(f"/dashboard/queue?text={post.id}")
    hand.tick(find_row(hand.page, caption))
    hand.press(hand.page.locator("summary", has_text="Move…"))
    hand.press(hand.page.get_by_role("button", name="To tomorrow"))
    expect(hand.page.locator("#toast")).to_contain_text("Moved 0 of 1")
    scene.work(read_job(hand.page))
    moved = scene.ledger.delivery(post.deliveries[0]).due_at - before
    assert abs(moved - timedelta(days=1)) <= timedelta(hours=1), "at the same wall time"


def pause_tiktok_for_one_client(hand: Hand, scene: Scene) -> None:
    why = f"Their campaign waits {os.urandom(4).hex()}"
    go_to(hand, "Accounts")
    account = hand.page.locator(".row.of-account", has_text="Kita Ramen").filter(has_text="TikTok")
    hand.press(account.locator("summary"))
    expect(account.get_by_label("Why")).to_be_focused()
    hand.page.keyboard.type(why)
    hand.press(account.get_by_role("button", name="TikTok of"))
    expect(account.get_by_role("button", name="Resume")).to_be_visible()
    with scene.context.database.begin() as c:
        ended = rows(c, "DELETE FROM pauses WHERE why = :why RETURNING scope", why=why)
    assert [one.scope for one in ended] == ["account"]


def see_the_next_hour(hand: Hand, scene: Scene) -> None:
    _, caption = scene.add_post(scene.find_account("platform = 'youtube'"), Platform.YOUTUBE, 30 * MINUTE)
    hand.press(find_count(hand.page, "Next hour"))
    expect(find_row(hand.page, caption)).to_be_visible()


def find_by_words(hand: Hand, scene: Scene) -> None:
    post, caption = scene.add_post(
        scene.find_account("platform = 'linkedin'"), Platform.LINKEDIN, 90 * MINUTE
    )
    hand.find(caption.upper())
    expect(hand.page.locator(".row.queue")).to_have_attribute("id", f"row-{post.id}")


def reconnect(hand: Hand, scene: Scene) -> None:
    hand.page.context.route("https://www.tiktok.com/**", lambda route: route.fulfill(body="Sign in"))
    lost = hand.page.get_by_role("region", name="Access withdrawn").locator(".row", has_text="TikTok").first
    hand.press(lost.get_by_role("button", name="Connect"))
    with hand.page.context.expect_page() as opened:
        hand.press(hand.page.get_by_role("link", name="Go to TikTok"))
    assert opened.value.url.startswith("https://www.tiktok.com/")
    assert "client_key=an-app" in opened.value.url


def see_what_a_colleague_changed(hand: Hand, scene: Scene) -> None:
    go_to(hand, "History")
    hand.press(hand.page.locator(".row.change .who", has_text="jonas").first)
    expect(hand.page.get_by_text("Person: jonas")).to_be_visible()
    changes = hand.page.locator(".row.change")
    expect(changes.filter(has_text=re.compile(r"^\s*jonas moved it from .+ to "))).not_to_have_count(0)
    expect(changes.filter(has_not_text=re.compile(r"^\s*jonas "))).to_have_count(0)


def import_apply_and_roll_back(hand: Hand, scene: Scene) -> None:
    file = scene.folder / "december.csv"
    file.write_bytes(write_rows(*map(good, range(4))))
    with scene.context.database.begin() as c:
        client = row(c, "SELECT name FROM workspaces WHERE id = :id", id=scene.site.tenant.workspace)
    assert client is not None
    page = hand.page
    go_to(hand, "Imports")
    hand.choose(page.get_by_label("Client"), client.name)
    hand.pick_file(page.locator("input[type=file]"), file)
    page.wait_for_url(re.compile(f"{IMPORTS}/[0-9a-f-]{{36}}$"))
    identity = UUID(page.url.rpartition("/")[2])
    work(scene.context, identity)
    hand.press(page.get_by_role("button", name="Schedule 4"))
    expect(page.get_by_text("Being scheduled").first).to_be_visible()
    work(scene.context, identity)
    hand.press(page.locator("summary", has_text="Roll back…"))
    hand.press(page.get_by_role("button", name="Roll back"))
    expect(page.get_by_text("Being rolled back").first).to_be_visible()
    assert work(scene.context, identity).result == {"created": 4, "cancelled": 4}


def invite_an_author(hand: Hand, scene: Scene) -> None:
    page, login = hand.page, f"ola-{os.urandom(4).hex()}"
    go_to(hand, "Settings")
    hand.press(page.locator("summary", has_text="Invite"))
    expect(page.get_by_label("Name to sign in with")).to_be_focused()
    page.keyboard.type(login)
    invitation = page.get_by_role("form", name="Invite")
    hand.choose(invitation.get_by_label("Client"), "Tallow & Wick")
    hand.press(invitation.get_by_role("button", name="Invite"))
    password = page.locator("#secret-password").inner_text()
    expect(page.get_by_role("row", name=login)).to_contain_text("Author for Tallow & Wick")
    with scene.site.open() as client:
        assert scene.site.try_login(client, login, password).status_code == 303


def make_a_key_for_an_agent(hand: Hand, scene: Scene) -> None:
    page, name = hand.page, f"An agent {os.urandom(4).hex()}"
    page.goto("/dashboard/settings/keys")
    hand.press(page.locator("summary", has_text="New key"))
    expect(page.get_by_label("What it is for")).to_be_focused()
    page.keyboard.type(name)
    hand.choose(page.get_by_label("Client"), "Tallow & Wick")
    expect(page.get_by_label("TikTok")).to_be_checked()
    hand.check(page.get_by_label("For an agent"))
    hand.press(page.get_by_role("button", name="Make the key"))
    with scene.context.database.begin() as c:
        caller = find_caller(c, page.locator("#secret-key").inner_text())
    assert caller is not None
    assert (len(caller.accounts or ()), caller.limits.over(AGENT).posts_per_day, caller.needs_approval) == (
        3,
        20,
        True,
    )
    expect(page.get_by_role("row", name=name)).to_contain_text("20 of 20 left today")


def undo(hand: Hand, scene: Scene) -> None:
    account = scene.find_account("platform = 'instagram'")
    post, _ = scene.add_post(account, Platform.INSTAGRAM, 50 * MINUTE)
    before, page = scene.ledger.delivery(post.deliveries[0]).due_at, hand.page
    page.goto(f"/dashboard/queue?text={post.id}")
    page.locator(f"#pick-{post.id}").check()
    page.get_by_text("Move…").click()
    page.get_by_role("button", name="To tomorrow").click()
    scene.work(read_job(page))
    assert scene.ledger.delivery(post.deliveries[0]).due_at > before
    expect(page.locator("#toast")).to_contain_text(re.compile(r"9:\d\d left"))
    hand.press(page.locator("#toast").get_by_role("button", name="Undo"))
    page.wait_for_url(lambda url: "job=" in url and str(post.id) not in url)
    scene.work(read_job(page))
    assert scene.ledger.delivery(post.deliveries[0]).due_at == before


def approve_ten(hand: Hand, scene: Scene) -> None:
    posts = scene.add_waiting(10)
    go_to(hand, "Approval")
    hand.check(hand.page.get_by_label("Select all on this page"))
    hand.press(hand.page.get_by_role("button", name="Approve 10"))
    expect(hand.page.get_by_text("Approved 10 posts.")).to_be_visible()
    assert all(one.is_approved for one in scene.read_approvals(posts))


def send_one_back(hand: Hand, scene: Scene) -> None:
    posts = scene.add_waiting(2)
    hand.page.goto("/dashboard/approval")
    hand.open(hand.page.locator(f"#row-{posts[1].id}"))
    pane = hand.page.locator(f"#pane[data-post='{posts[1].id}']")
    expect(pane).to_be_focused()
    look(hand, "approval")
    hand.press(pane.get_by_label("A word back"))
    hand.page.keyboard.type("The price is wrong.")
    hand.press(pane.get_by_role("button", name="Send back"))
    expect(hand.page.get_by_text("Sent 1 post back.")).to_be_visible()
    assert [one.sent_back for one in scene.read_approvals(posts)] == [None, "The price is wrong."]


def approve_by_a_link_on_a_phone(hand: Hand, scene: Scene) -> None:
    posts = scene.add_waiting(2)
    with scene.context.database.begin() as c:
        caller = read_caller(c, posts[0].workspace, None)
    assert caller is not None
    token, _ = make_link(scene.context, caller, [one.id for one in posts], timedelta(days=1))
    hand.page.context.clear_cookies()
    hand.page.set_viewport_size({"width": 390, "height": 844})
    hand.page.goto(LINK_PATH.format(token=token))
    look(hand, "link")
    hand.press(hand.page.locator("summary", has_text="Approve all 2"))
    hand.press(hand.page.get_by_role("button", name="Yes, approve 2 posts"))
    expect(hand.page.get_by_text("Nothing more to approve")).to_be_visible()
    assert all(one.is_approved for one in scene.read_approvals(posts))


def fill_a_week_with_five_drafts(hand: Hand, scene: Scene) -> None:
    client = scene.site.server.tenant(platforms=(Platform.FACEBOOK,))
    for n in range(5):
        form = {"account": client.accounts[Platform.FACEBOOK], "caption": f"Draft {n}", "when": "next"}
        sent = {**open_form(scene.http, client), **form, "do": "draft"}
        assert scene.http.post(NEW, sent, allow_redirects=False).status_code == 303
    hand.page.goto(f"/dashboard/calendar?view=week&workspace={client.workspace}")
    hand.press(hand.page.get_by_role("link", name="Fill the week"))
    hand.press(hand.page.get_by_role("button", name="Schedule 5"))
    expect(hand.page.locator("#filled")).to_contain_text("Scheduled 5 drafts.")
    with scene.context.database.begin() as c:
        sql = "SELECT due_at FROM posts WHERE workspace_id = :w AND status = 'scheduled' ORDER BY id"
        times = [one.due_at for one in rows(c, sql, w=client.workspace)]
    assert (len(times), times) == (5, sorted(set(times)))


TASKS: Mapping[str, tuple[int, Callable[[Hand, Scene], None]]] = {
    "why is it late": (2, find_why_it_is_late),
    "retry all failed of an import": (3, retry_what_failed_of_an_import),
    "move to tomorrow": (3, move_to_tomorrow),
    "pause TikTok for one client": (3, pause_tiktok_for_one_client),
    "next hour": (1, see_the_next_hour),
    "find by words": (1, find_by_words),
    "reconnect": (2, reconnect),
    "what a colleague changed": (2, see_what_a_colleague_changed),
    "import, apply and roll back": (6, import_apply_and_roll_back),
    "invite an author": (4, invite_an_author),
    "make a key for an agent": (4, make_a_key_for_an_agent),
    "undo": (1, undo),
    "approve ten": (3, approve_ten),
    "send one back": (3, send_one_back),
    "approve by a link": (2, approve_by_a_link_on_a_phone),
    "fill a week": (2, fill_a_week_with_five_drafts),
}


@pytest.mark.parametrize("task", TASKS)
def test_it_is_done_by_so_many_clicks_alone_and_by_the_keyboard_alone(
    browser: Page, scene: Scene, task: str
) -> None:
    most, do = TASKS[task]
    for hand, clicks in ((Mouse(browser), most), (Keys(browser), 0)):
        browser.goto("/dashboard/")
        do(hand, scene)
        assert hand.clicks == clicks


@pytest.mark.usefixtures("home")
def test_a_row_that_is_opened_while_the_keys_bring_it_has_the_focus(browser: Page, scene: Scene) -> None:
    scene.add_waiting(2)
    browser.goto("/dashboard/approval")
    asked = list[Route]()

    def hold(one: Route) -> None:
        if one.request.headers.get("hx-target") == "pane":
            asked.append(one)
        else:
            one.continue_()

    browser.route(re.compile(r"/dashboard/approval\?"), hold)
    for key in ("j", "Enter"):
        with browser.expect_request(lambda one: one.headers.get("hx-target") == "pane"):
            browser.keyboard.press(key)
    asked[0].continue_()
    asked[1].continue_()
    row = browser.locator(".row.here")
    expect(browser.locator(f"#pane[data-post='{row.get_attribute('data-key')}']")).to_be_focused()


def look(hand: Hand, name: str) -> None:
    """Check the page, once: it is the same for both hands."""
    if isinstance(hand, Mouse):
        check_accessibility(hand.page, name)


def go_to(hand: Hand, title: str) -> None:
    hand.press(hand.page.get_by_role("navigation", name="Pages").get_by_role("link", name=title))


def find_count(page: Page, label: str) -> Locator:
    return page.get_by_role("region", name="Right now").get_by_role("link", name=re.compile(f"^{label} "))


def find_row(page: Page, words: str) -> Locator:
    return page.locator("main .row", has_text=words)


def read_job(page: Page) -> UUID:
    page.wait_for_url(re.compile("job="))
    return UUID(page.url.rpartition("job=")[2])
