"""The form of a post: it makes what the API makes, keeps what is typed, and says what is wrong beside its field."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.api.posts.schema import build_post_format
from pipeline.domain.account import Plan, Role, Subscription
from pipeline.maintenance.expire import expire_audit
from pipeline.runtime.context import Context
from pipeline.store.database import row, rows
from tests.pipeline.api.running_server import Tenant
from tests.pipeline.dashboard.site import Client, Site

NEW, LINK = "/dashboard/new", "https://example.com/a?b=1"
_HIDDEN = re.compile(r'<input type="hidden" name="(form|version|tab)" value="([^"]*)">')
TOMORROW = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}T18:00"


@pytest.fixture(scope="module")
def client(site: Site) -> Tenant:
    """A client with an account on each platform."""
    return site.server.tenant(platforms=(*Platform,))


def open_form(http: Client, client: Tenant) -> dict[str, Any]:
    """Return the hidden fields of an empty form."""
    return read_hidden(http.get(f"{NEW}?empty=1&workspace={client.workspace}").text, client)


def read_hidden(page: str, client: Tenant) -> dict[str, Any]:
    return {**dict(_HIDDEN.findall(page)), "workspace": str(client.workspace), "when": "at"}


def send(http: Client, fields: dict[str, Any], do: str = "send", status: int = 303) -> str:
    answer = http.post(NEW, {**fields, "do": do}, allow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.headers.get("location", answer.text)


def read_post(context: Context, path: str) -> Any:
    with context.database.begin() as c:
        identity = UUID(path.rpartition("/")[2].partition("?")[0])
        post = row(c, "SELECT * FROM posts WHERE id = :id", id=identity)
        parts = rows(c, "SELECT * FROM deliveries WHERE post_id = :id ORDER BY id", id=identity)
        return post, {str(one.account_id): one for one in parts}


def count_forms(context: Context, where: str = "true") -> int:
    with context.database.begin() as c:
        return len(rows(c, f"SELECT id FROM unsent_forms WHERE {where}"))  # noqa: S608


def test_a_form_becomes_the_post_that_the_api_would_make(
    http: Client, client: Tenant, context: Context
) -> None:
    accounts = [client.accounts[one] for one in (Platform.FACEBOOK, Platform.LINKEDIN)]
    words = "قهوة الصباح\r\n珈琲の朝 🫶"
    form = open_form(http, client) | {
        "account": accounts,
        "caption": words,
        f"own.{accounts[1]}": "For colleagues",
        "local_time": TOMORROW,
        "linkedin.visibility": "PUBLIC",
    }
    place = send(http, form)
    post, parts = read_post(context, place)
    assert place.endswith("?did=new")
    assert post.caption == words.replace("\r\n", "\n")
    assert parts[accounts[1]].own == {"caption": "For colleagues"}
    assert parts[accounts[0]].own is None
    assert post.due_at == datetime.fromisoformat(f"{TOMORROW}+00:00")
    assert send(http, form).partition("?")[0] == place.partition("?")[0]  # sent twice, it is one post
    assert count_forms(context, f"id = '{form['form']}'") == 0


def test_a_draft_waits_for_its_time_and_other_choices(http: Client, client: Tenant, context: Context) -> None:
    form = open_form(http, client) | {"account": client.accounts[Platform.FACEBOOK], "caption": "Later"}
    post, _ = read_post(context, send(http, form, "draft"))
    assert post.due_at.year > 9000
    form = open_form(http, client) | {
        "account": client.accounts[Platform.FACEBOOK],
        "caption": "Now",
        "when": "now",
    }
    post, _ = read_post(context, send(http, form))
    assert abs(post.due_at - datetime.now(UTC)) < timedelta(minutes=1)
    form = open_form(http, client) | {
        "account": client.accounts[Platform.FACEBOOK],
        "caption": "Next",
        "when": "next",
    }
    post, _ = read_post(context, send(http, form))
    assert post.due_at > datetime.now(UTC)


def test_a_check_says_what_is_wrong_beside_its_field(http: Client, client: Tenant) -> None:
    accounts = [client.accounts[one] for one in (Platform.INSTAGRAM, Platform.PINTEREST, Platform.TIKTOK)]
    form = open_form(http, client) | {"account": accounts, "caption": "", "local_time": TOMORROW}
    page = http.post(f"{NEW}/check", form).text
    assert 'data-for="caption"' not in page  # what is not filled in yet is no mistake
    form = read_hidden(page, client) | {**form, "caption": "x" * 600, "pinterest.link": "no address"}
    page = http.post(f"{NEW}/check", form | read_hidden(page, client)).text
    assert 'data-for="caption"' in page
    assert 'data-for="pinterest.link"' in page
    assert "600 / 500" in page
    assert "Other choices need a post for TikTok alone" in page
    form = form | read_hidden(page, client) | {"caption": "Words alone", "pinterest.link": ""}
    page = http.post(f"{NEW}/check", form).text
    assert 'data-for="media"' in page  # three platforms that take no text alone
    assert "3 accounts" in page
    refused = send(http, form | read_hidden(page, client), status=400)
    assert "Words alone" in refused
    assert 'role="alert"' not in refused.partition('id="compose"')[2].partition('id="drop"')[0]


def test_what_is_typed_is_kept_and_no_tab_overwrites_another(
    site: Site, client: Tenant, context: Context
) -> None:
    user = site.add_user({client.workspace: Role.AUTHOR})
    with site.log_in(user) as first, site.log_in(user) as second:
        form = open_form(first, client) | {"caption": "From the first tab"}
        page = first.post(f"{NEW}/check", form).text
        again = first.post(f"{NEW}/check", form | {"caption": "Its answer was lost"}).text
        assert "another tab" not in page + again
        other = second.get(NEW).text  # another session, or one that began after the first had ended
        assert "Its answer was lost" in other
        theirs = read_hidden(other, client) | {"caption": "From the second tab"}
        page = second.post(f"{NEW}/check", theirs).text
        assert "another tab" not in page
        mine = form | read_hidden(again, client) | {"caption": "First again"}
        page = first.post(f"{NEW}/check", mine).text
        assert "It was changed in another tab" in page
        assert "From the second tab" in page
        assert "First again" in page
        assert "another tab" in send(first, mine, status=409)  # nor is it sent
        chosen = mine | {"version": re.findall(r'data-keep="(\d+)"', page)[0]}
        assert "another tab" not in first.post(f"{NEW}/check", chosen).text
        assert "First again" in second.get(NEW).text
        assert send(first, chosen, "discard").startswith(f"{NEW}?empty=1")
        assert count_forms(context, f"id = '{form['form']}'") == 0


def test_forms_are_of_their_user_and_end_after_30_days(site: Site, client: Tenant, context: Context) -> None:
    mine, other = (site.add_user({client.workspace: Role.AUTHOR}) for _ in range(2))
    with site.log_in(mine) as http, site.log_in(other) as stranger:
        form = open_form(http, client) | {"caption": "Mine"}
        http.post(f"{NEW}/check", form)
        assert stranger.get(f"{NEW}?form={form['form']}").status_code == 404
        assert "Mine" not in stranger.get(NEW).text
        stranger.post(f"{NEW}/check", form | {"caption": "Stolen"})
        assert "Stolen" not in http.get(NEW).text
    for days, left in ((29, 1), (31, 0)):
        with context.database.begin() as c:
            sql = "UPDATE unsent_forms SET changed_at = now() - :age WHERE id = :id RETURNING id"
            row(c, sql, age=timedelta(days=days), id=form["form"])
        expire_audit(context)
        assert count_forms(context, f"id = '{form['form']}'") == left


def read_form(page: str, client: Tenant) -> dict[str, Any]:
    """Return the fields of a form that is filled in, as a browser sends them."""
    found: dict[str, Any] = read_hidden(page, client)
    for name in ("post", "etag", "url", "local_time", "facebook.link"):
        values = re.findall(rf'name="{name}" value="([^"]*)"', page)
        found |= {name: [html.unescape(value) for value in values]} if values else {}
    for name, value in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>([^<]*)<', page):
        found[name] = html.unescape(value)
    ticked = re.findall(r'name="(account)" value="([^"]+)" checked', page)
    return found | {"account": [value for _, value in ticked]}


def test_a_post_is_copied_to_tomorrow_and_edited_and_a_colleague_overwrites_nothing(
    site: Site, client: Tenant, context: Context
) -> None:
    accounts = [client.accounts[one] for one in (Platform.FACEBOOK, Platform.LINKEDIN)]
    with site.log_in(site.add_user({client.workspace: Role.AUTHOR})) as http:
        words = {"caption": "First words", f"own.{accounts[1]}": "For colleagues", "facebook.link": LINK}
        place = send(http, open_form(http, client) | {"account": accounts, "local_time": TOMORROW, **words})
        post = place.rpartition("/")[2].partition("?")[0]
        copy = read_form(http.get(f"{NEW}?from={post}").text, client)
        assert copy["local_time"] == [
            f"{datetime.fromisoformat(TOMORROW) + timedelta(days=1):%Y-%m-%dT%H:%M}"
        ]
        other, parts = read_post(context, send(http, copy))
        assert (other.caption, str(other.id) != post) == ("First words", True)
        assert parts[accounts[1]].own == {"caption": "For colleagues"}
        assert other.due_at - read_post(context, place)[0].due_at == timedelta(days=1)

        mine, theirs = (read_form(http.get(f"/dashboard/posts/{post}/edit").text, client) for _ in range(2))
        assert send(http, theirs | {"caption": "A colleague's words"}).endswith("?did=edit")
        page = http.post(f"{NEW}/check", mine | {"caption": "My words"}).text
        for said in ("The post was changed while you wrote", "A colleague&#39;s words", "My words"):
            assert said in page
        mine |= read_hidden(page, client) | {"caption": "My words"}
        assert "The post was changed while you wrote" in send(http, mine, status=412)
        assert read_post(context, place)[0].caption == "A colleague's words"
        [tag] = re.findall(r'data-etag="([^"]+)"', page)
        send(http, mine | {"etag": html.unescape(tag), "local_time": TOMORROW.replace("18:00", "19:30")})
        changed, parts = read_post(context, place)
        assert (changed.caption, changed.due_at.hour) == ("My words", 19)
        assert LINK in http.get(f"/dashboard/posts/{post}/edit").text
        assert parts[accounts[1]].own == {"caption": "For colleagues"}

        draft = send(http, open_form(http, client) | {"account": accounts[:1], "caption": "Later"}, "draft")
        form = read_form(http.get(draft.partition("?")[0] + "/edit").text, client)
        send(http, form | {"caption": "Still later"}, "draft")
        assert read_post(context, draft)[0].due_at.year > 9000
        form = read_form(http.get(draft.partition("?")[0] + "/edit").text, client)
        send(http, form | {"local_time": TOMORROW})
        sent, _ = read_post(context, draft)
        assert (sent.caption, sent.due_at.hour) == ("Still later", 18)


def test_an_edited_post_is_no_neighbour_of_itself(http: Client, client: Tenant) -> None:
    form = {"account": client.accounts[Platform.FACEBOOK], "caption": "Said once", "local_time": TOMORROW}
    post = send(http, open_form(http, client) | form).partition("?")[0]
    assert "has the same caption" not in http.get(f"{post}/edit").text
    form["local_time"] = TOMORROW.replace("18:00", "20:15")
    send(http, open_form(http, client) | form)
    assert "has the same caption" in http.get(f"{post}/edit").text


def test_accounts_are_saved_as_groups_of_their_client(site: Site, http: Client, context: Context) -> None:
    client, stranger = (site.server.tenant() for _ in range(2))
    accounts = [*client.accounts.values()]

    def change(do: str, name: str = "", group: str = "", of: Tenant = client, **more: Any) -> str:
        form = open_form(http, of) | {f"group_name.{group}": name, "do": f"{do}:{group}" if group else do}
        answer = http.post(f"{NEW}/groups", form | more)
        assert answer.status_code == 200, answer.text
        return answer.text

    def list_saved(page: str) -> dict[str, str]:
        return dict(re.findall(r'<li id="group-([^"]+)"><button[^>]* data-choose="([^"]*)"', page))

    assert "Choose the accounts" in change("save", "Morning")
    foreign = [stranger.accounts[Platform.TIKTOK]]
    for name in ("Morning", "All", "Morning"):  # the last one in place of the first
        change("save", name, account=[*accounts[: 1 if name == "Morning" else 2], *foreign])
    page = http.get(f"{NEW}?empty=1&workspace={client.workspace}").text
    assert [*list_saved(page).values()] == [" ".join(accounts), accounts[0]]
    everything, morning = list_saved(page)
    assert "Another group is called" in change("rename", "All", morning)
    assert "1 to 64 characters, and this one 65" in change("rename", "x" * 65, morning)
    assert "not there any more" in change("rename", "Stolen", morning, of=stranger)
    change("remove", group=morning, of=stranger)
    assert "<bdi>Early &lt;3</bdi>" in change("rename", "Early <3", morning)
    assert [*list_saved(change("remove", group=everything))] == [morning]
    with context.database.begin() as c:
        said = rows(c, "SELECT verb FROM audit WHERE workspace_id = :w ORDER BY id", w=client.workspace)
        row(c, "DELETE FROM accounts WHERE id = :id RETURNING id", id=accounts[0])
    assert [one.verb for one in said][-3:] == [
        "save account group",
        "rename account group",
        "remove account group",
    ]
    assert morning in list_saved(http.get(f"{NEW}?empty=1&workspace={client.workspace}").text)


def test_roles_and_plans_hold(site: Site, client: Tenant, context: Context) -> None:
    viewer = site.add_user({client.workspace: Role.VIEWER, site.tenant.workspace: Role.AUTHOR})
    with site.log_in(viewer) as http:
        fields = open_form(http, site.tenant) | {"workspace": str(client.workspace), "caption": "Not mine"}
        assert http.post(f"{NEW}/check", fields).status_code == 403
        assert http.post(NEW, fields | {"do": "send"}).status_code == 403
        assert http.post(f"/dashboard/uploads?workspace={client.workspace}", b"x").status_code == 403
    unpaid = site.server.tenant(Plan.BUSINESS, Subscription.CANCELED, platforms=(Platform.FACEBOOK,))
    with site.log_in(site.add_user({None: Role.ADMIN})) as http:
        form = open_form(http, unpaid) | {
            "account": unpaid.accounts[Platform.FACEBOOK],
            "caption": "x",
            "when": "now",
        }
        assert "The subscription is" in send(http, form, status=402)
    assert build_post_format(context.settings).max_caption == 500
