"""The settings of webhooks, notices and clients: done by the keyboard alone, and what they refuse."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from pipeline.dashboard import clients, webhooks
from pipeline.domain.account import Plan, Role
from pipeline.domain.attention import Kind
from pipeline.domain.webhook import EventType
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.workspaces import find_workspace, list_policies
from pipeline.store.database import rows
from pipeline.store.webhooks.events import list_events
from pipeline.store.webhooks.notices import list_targets
from pipeline.store.webhooks.webhooks import list_webhooks_of, open_secrets
from tests.pipeline.api.running_server import ABSENT
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.hands import Hand, Keys
from tests.pipeline.dashboard.site import Client, Site

HOOK = "https://hooks.example.com/slipway"
LOOPBACK = "URL cannot be used: it must be a public https address"


def go_to(hand: Hand, title: str) -> None:
    hand.press(hand.page.get_by_role("navigation", name="Settings").get_by_role("link", name=title))


def write(field: Locator, text: str) -> None:
    """Type over what a field has that the keyboard is in."""
    expect(field).to_be_focused()
    field.page.keyboard.press("Control+A")
    field.page.keyboard.type(text)


def fail_tries(site: Site, webhook: UUID) -> None:
    """Let the events of a webhook fail, as its sender stores it."""
    with site.server.context.database.begin() as c:
        rows(
            c,
            """INSERT INTO webhook_attempts (webhook_id, event_id, n, ended_at, outcome, status, answer)
               SELECT webhook_id, id, 1, now(), 'http_error', 503, 'Too busy.' FROM webhook_events
               WHERE webhook_id = :w ON CONFLICT DO NOTHING RETURNING event_id""",
            w=webhook,
        )
        sql = "UPDATE webhook_events SET state = 'failed', next_at = NULL WHERE webhook_id = :w RETURNING id"
        rows(c, sql, w=webhook)


def test_a_client_is_added_with_its_rules_its_webhook_and_its_notices(browser: Page, site: Site) -> None:
    page, hand, name = browser, Keys(browser), f"Lantern House {os.urandom(4).hex()}"
    page.goto("/dashboard/settings")
    go_to(hand, "Clients")
    workspace = add_client(hand, site, name)
    set_rules(hand, site, name, workspace)
    go_to(hand, "Webhooks")
    make_webhook(hand, site, name, workspace)
    use_webhook(hand, site, workspace)
    go_to(hand, "Notices")
    use_notice(hand, site, name, workspace)
    assert page.url.endswith(webhooks.NOTICES)


def add_client(hand: Hand, site: Site, name: str) -> UUID:
    page = hand.page
    hand.press(page.locator("summary", has_text="New client"))
    write(page.get_by_role("textbox", name="Name"), name)
    hand.choose(page.get_by_role("form", name="New client").get_by_label("Time zone"), "Pacific/Wallis")
    hand.press(page.get_by_role("button", name="Add the client"))
    expect(page.get_by_role("row", name=name)).to_contain_text("Pacific/Wallis")
    with site.server.context.database.begin() as c:
        return find_workspace(c, name).id


def set_rules(hand: Hand, site: Site, name: str, workspace: UUID) -> None:
    page = hand.page
    hand.press(page.get_by_role("link", name=f"Change {name}"))
    expect(page.get_by_label("An approval is needed by")).to_be_focused()
    hand.choose(page.get_by_label("An approval is needed by"), "all of its posts")
    hand.press(page.get_by_role("button", name="Save the approval rule"))
    row = page.get_by_role("row", name=name)
    expect(row).to_contain_text("All of its posts")
    hand.press(row.get_by_role("link"))
    hand.choose(page.get_by_role("combobox", name="Late posts"), "hold them for an operator")
    hand.press(page.get_by_role("button", name="Save the rule for late posts"))
    expect(page.get_by_text("Say after how long")).to_be_visible()
    check_accessibility(page, "clients-wrong")
    page.get_by_label("Late after").focus()
    page.keyboard.type("2h")
    hand.press(page.get_by_role("button", name="Save the rule for late posts"))
    expect(row).to_contain_text("held after 2 h")
    hand.press(row.get_by_role("link"))
    hand.choose(page.get_by_role("combobox", name="Plan"), "Professional")
    hand.press(page.get_by_role("button", name="Save the plan"))
    expect(row).to_contain_text("Professional")
    with site.server.context.database.begin() as c:
        found, policy = find_workspace(c, name), list_policies(c)[workspace]
    assert (found.needs_approval, found.plan, policy.on_late) == (True, Plan.PROFESSIONAL, "hold")


def make_webhook(hand: Hand, site: Site, name: str, workspace: UUID) -> None:
    page = hand.page
    hand.press(page.locator("summary", has_text="New webhook"))
    form = page.get_by_role("form", name="New webhook")
    write(form.get_by_label("Address"), "https://10.0.0.1/x")
    hand.check(form.get_by_label("A post is live"))
    hand.choose(form.get_by_label("Client"), name)
    hand.press(form.get_by_role("button", name="Make the webhook"))
    expect(form.get_by_label("Address")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_text(LOOPBACK)).to_be_visible()
    expect(form.get_by_label("A post is live")).to_be_checked()
    check_accessibility(page, "webhooks-wrong")
    form.get_by_label("Address").focus()
    write(form.get_by_label("Address"), HOOK)
    hand.press(form.get_by_role("button", name="Make the webhook"))
    secret = page.locator("#secret-webhook").inner_text()
    with site.server.context.database.begin() as c:
        [made] = list_webhooks_of(c, [workspace])
        [sealed] = rows(c, "SELECT secrets FROM webhooks WHERE id = :id", id=made.id)
    assert (made.url, made.types) == (HOOK, [EventType.POST_POSTED])
    vault = site.server.context.vault
    assert open_secrets(vault, made.id, sealed.secrets, with_earlier=False) == [secret]
    go_to(hand, "Webhooks")
    opens = page.get_by_role("row", name=name).get_by_role("link", name="Open")
    expect(opens).to_be_visible()
    check_accessibility(page, "webhooks")
    assert secret not in page.content()
    hand.press(opens)


def use_webhook(hand: Hand, site: Site, workspace: UUID) -> None:
    page, context = hand.page, site.server.context
    with context.database.begin() as c:
        [made] = list_webhooks_of(c, [workspace])
    hand.press(page.get_by_role("button", name="Send a test"))
    tested = page.get_by_role("row", name="A test")
    expect(tested).to_contain_text("not yet")
    fail_tries(site, made.id)
    expect(tested).to_contain_text("refused by its server (503)")  # it follows by itself
    expect(tested).to_contain_text("Failed")
    hand.press(tested.locator("summary"))
    expect(tested).to_contain_text("Too busy.")
    check_accessibility(page, "webhook-failed")
    hand.press(tested.get_by_role("button", name="Send again: A test"))
    expect(tested).to_contain_text("Waits")
    fail_tries(site, made.id)
    page.reload()
    hand.press(page.get_by_role("form", name="Send failed events again").get_by_role("button"))
    expect(tested).to_contain_text("Waits")
    hand.press(page.get_by_role("button", name="Turn off"))
    expect(tested).to_contain_text("once it is on")
    hand.press(page.get_by_role("button", name="Turn on"))
    expect(page.get_by_role("button", name="Turn off")).to_be_visible()
    hand.press(page.locator("summary", has_text="Address and events"))
    form = page.get_by_role("form", name="Address and events")
    write(form.get_by_label("Address"), f"{HOOK}/2")
    hand.press(form.get_by_role("button", name="Save"))
    expect(page.get_by_role("heading", name=f"{HOOK}/2")).to_be_visible()
    hand.press(page.locator("summary", has_text="Delete"))
    hand.press(page.get_by_role("button", name="Yes, delete it"))
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    with context.database.begin() as c:
        assert list_webhooks_of(c, [workspace]) == []


def use_notice(hand: Hand, site: Site, name: str, workspace: UUID) -> None:
    page = hand.page
    hand.press(page.locator("summary", has_text="New notice"))
    form = page.get_by_role("form", name="New notice")
    write(form.get_by_label("Address"), f"{HOOK}?token=hush")
    hand.choose(form.get_by_label("Client"), name)
    hand.check(page.get_by_label("Posts are late"))
    hand.press(page.get_by_role("button", name="Add the notice"))
    row = page.get_by_role("row", name=name)
    expect(row).to_contain_text("Posts are late")
    hand.press(row.get_by_role("button", name="Send a test"))
    expect(row).to_contain_text("Waits")
    assert "hush" not in page.content()
    with site.server.context.database.begin() as c:
        [made] = list_targets(c, workspace)
        [event] = list_events(c, made.id, limit=9)
    assert ({*(made.types or ())}, event.type) == ({Kind.OVERDUE}, "notice.test")
    hand.press(row.locator("summary"))
    check_accessibility(page, "notices")
    hand.press(row.get_by_role("button", name="Yes, delete it"))
    expect(row).to_have_count(0)


REFUSED: Sequence[tuple[str, dict[str, str], str, str]] = [
    (webhooks.PATH, {"url": "http://hooks.example.com/x"}, "url", LOOPBACK),
    (webhooks.PATH, {"url": HOOK, "description": "x" * 201}, "description", "200 is the most."),
    (webhooks.PATH, {"url": HOOK, "workspace": ""}, "workspace", "Choose the client"),
    (webhooks.NOTICES, {"form": "slack", "address": "https://127.0.0.1/x"}, "address", LOOPBACK),
    (webhooks.NOTICES, {"form": "fax", "address": HOOK}, "form", "Choose where it is sent."),
    (webhooks.NOTICES, {"form": "slack", "address": " "}, "address", "Give an address"),
    (webhooks.NOTICES, {"form": "slack", "address": HOOK, "workspace": ""}, "workspace", "Choose the client"),
    (clients.PATH, {"name": " ", "plan": "creator", "time_zone": "UTC"}, "name", "The name is empty"),
    (clients.PATH, {"name": "x", "plan": "creator", "time_zone": "Europe/Osl"}, "time_zone", "Europe/Oslo?"),
    (f"{clients.PATH}/late", {"on_late": "hold", "after": "2 hours"}, "after", "is not a duration such as"),
    (f"{clients.PATH}/late", {"on_late": "publish", "after": "2h"}, "after", "takes no duration"),
    (f"{clients.PATH}/late", {"on_late": "x"}, "on_late", "Choose what happens"),
    (f"{clients.PATH}/approval", {"needed": "x"}, "needed", "Choose which posts"),
]


@pytest.mark.parametrize(("path", "form", "field", "sentence"), REFUSED, ids=repr)
def test_what_is_wrong_is_said_beside_its_field_and_changes_nothing(
    site: Site, http: Client, path: str, form: dict[str, str], field: str, sentence: str
) -> None:
    space = str(site.tenant.workspace)
    answer = http.post(path, {"workspace": space, "client": "" if path == clients.PATH else space, **form})
    assert (answer.status_code, sentence in answer.text) == (422, True), answer.text
    assert re.findall(r'<small id="problem-(\w+)"', answer.text) == [field]
    with site.server.context.database.begin() as c:
        subjects = rows(c, "SELECT id FROM webhooks WHERE workspace_id = :w", w=space)
        assert (subjects, list_policies(c).get(site.tenant.workspace)) == ([], None)


def test_an_admin_of_one_client_changes_its_rules_and_nothing_of_all(site: Site) -> None:
    mine, other = site.server.tenant().workspace, site.server.tenant().workspace
    with site.log_in(site.add_user({mine: Role.ADMIN, other: Role.OPERATOR})) as client:
        approval = {"needed": "by-key", "by_author": "yes"}
        assert client.post(f"{clients.PATH}/approval", {"client": mine, **approval}).status_code == 200
        shown = client.get(clients.PATH).text
        assert (str(mine) in shown, str(other) in shown, "New client" in shown) == (True, False, False)
        assert f'href="{clients.PATH}"' in client.get("/dashboard/approval").text
        hook = client.post(webhooks.PATH, {"workspace": other, "url": HOOK})
        notice = {"form": "slack", "address": HOOK}
        answers = [
            hook,
            *(client.post(webhooks.NOTICES, {"workspace": one, **notice}) for one in (other, "all")),
            client.post(clients.PATH, {"name": "x", "plan": "creator", "time_zone": "UTC"}),
            client.post(f"{clients.PATH}/plan", {"client": mine, "plan": "creator"}),
            client.post(f"{clients.PATH}/approval", {"client": other, **approval}),
        ]
        assert [one.status_code for one in answers] == [403] * 6
        assert client.get(f"{webhooks.PATH}/{ABSENT}").status_code == 404
    with site.server.context.database.begin() as c:
        caller = read_caller(c, mine, None)
        assert find_workspace(c, str(other)).self_approval is False
    assert caller
    assert caller.self_approval
