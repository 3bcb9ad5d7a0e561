"""The pages of imports: a file is dropped, planned, applied and rolled back; hostile files are refused there too."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from pipeline.actions.steer_step import run_steering_step
from pipeline.domain.account import Plan, Role, Subscription
from pipeline.domain.bulk_import import ImportState
from pipeline.domain.delivery import State
from pipeline.imports.columns import Columns, Format
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import read_caller
from pipeline.store.database import new_id, row, rows
from tests.pipeline.dashboard.dropped_files import IMPORTS, drop, good, read, send, work, write_rows
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.store.ledger import Ledger

SCRIPT = "<script>alert(1)</script>"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
FORMULA = '=HYPERLINK("http://evil.example","free")'


def show(http: Client, path: str = IMPORTS, status: int = 200) -> str:
    answer = http.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def see(page: str) -> str:
    """Return the text of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def press(http: Client, identity: UUID, verb: str, status: int = 303, **fields: str) -> str:
    answer = http.post(f"{IMPORTS}/{identity}/{verb}", data=fields, allow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.text


def apply(context: Context, http: Client, identity: UUID) -> None:
    plan = work(context, identity).plan_hash
    assert plan is not None
    press(http, identity, "apply", plan=plan.hex())
    work(context, identity)


def test_a_file_is_planned_applied_and_rolled_back(site: Site, http: Client, context: Context) -> None:
    identity = drop(site, http, write_rows(*map(good, range(3)), good(9, accounts="tiktok:nobody")))
    page = show(http, f"{IMPORTS}/{identity}")
    assert 'hx-trigger="every 1s"' in page
    assert "Waits to be read" in page
    plan = work(context, identity).plan_hash
    page = show(http, f"{IMPORTS}/{identity}")
    assert "every 1s" not in page
    for text in (
        "3 will be scheduled",
        "1 refused",
        "Schedule 3",
        "month.csv",
        "The 1 refused row stays out",
    ):
        assert text in see(page), text
    assert "No such account: tiktok:nobody" in page
    assert "user-" in see(page).partition("sent by")[2][:20]
    assert plan is not None
    press(http, identity, "apply", plan=plan.hex())
    assert "Being scheduled" in show(http, f"{IMPORTS}/{identity}")
    assert work(context, identity).result == {"created": 3}
    page = show(http, f"{IMPORTS}/{identity}")
    assert f"/dashboard/queue?import={identity}" in page
    assert "3 scheduled" in see(page)
    press(http, identity, "rollback")
    assert work(context, identity).state is ImportState.ROLLED_BACK
    assert "3 canceled again" in see(show(http, f"{IMPORTS}/{identity}"))
    verbs = list_audited(context, identity)
    assert verbs == ["create", "apply", "rollback"]


def list_audited(context: Context, identity: UUID) -> list[str]:
    with context.database.begin() as c:
        found = rows(c, "SELECT * FROM audit WHERE subject = :id ORDER BY id", id=str(identity))
    assert {one.actor_kind for one in found} == {"user"}
    return [one.verb for one in found]


def test_refused_rows_come_first_and_pages_follow_each_other(
    site: Site, http: Client, context: Context
) -> None:
    bad = [good(n, local_time=f"31.12.2031 25:{n:02d}") for n in range(4)]
    equal = [good(70, "Twice"), good(70, "Twice")]
    identity = drop(site, http, write_rows(*map(good, range(60)), *bad, *equal))
    work(context, identity)
    seen: list[int] = []
    path: str | None = f"{IMPORTS}/{identity}"
    while path:
        page = show(http, path)
        seen += map(int, re.findall(r'id="row-(\d+)"', page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else None
    assert seen[:5] == [61, 62, 63, 64, 66], "refused, then warned"
    assert sorted(seen) == list(range(1, 67))
    assert seen[5:] == [n for n in range(1, 66) if n not in range(61, 65)]
    for name, number in (("refused", 4), ("warned", 1), ("changes", 0)):
        page = show(http, f"{IMPORTS}/{identity}?rows={name}")
        assert page.count('id="row-') == number
    assert "31.12.2031 25:00" in show(http, f"{IMPORTS}/{identity}?rows=refused")
    for query in ("rows=all", "after=x", "rows=refused&after=rest~1", f"after=rest~{9**30}"):
        show(http, f"{IMPORTS}/{identity}?{query}", 400)


def test_rows_that_change_a_post_say_so_and_do(site: Site, http: Client, context: Context) -> None:
    name = new_id().hex
    apply(context, http, drop(site, http, write_rows(good(1, external_id=name))))
    second = drop(site, http, write_rows(good(1, "Better words", external_id=name)), update="true")
    work(context, second)
    page = show(http, f"{IMPORTS}/{second}?rows=changes")
    assert "Change 1" in page
    assert "Changes a post that is there" in page
    assert "what it changes stays changed" in page
    apply(context, http, second)
    page = see(show(http, f"{IMPORTS}/{second}"))
    assert "1 changed a post that was there" in page
    assert "Posts that it changed stay changed" in page
    with context.database.begin() as c:
        post = row(c, "SELECT caption FROM posts WHERE external_id = :x", x=name)
    assert post is not None
    assert post.caption == "Better words"


def test_the_forecast_has_the_days_of_the_clock_and_what_is_over_a_limit(
    site: Site, http: Client, context: Context
) -> None:
    day = [
        good(
            n, local_time=f"2031-06-01 {n // 2:02d}:{n % 2 * 30:02d}", media_urls=f"https://c.example/{n}.jpg"
        )
        for n in range(20)
    ]
    last = good(99, local_time="2031-06-03 23:30")
    identity = drop(site, http, write_rows(*day, last))
    work(context, identity)
    page = see(show(http, f"{IMPORTS}/{identity}/forecast"))
    assert "Sun 1 Jun: 5 not on time" in page
    assert "daily limit: later than planned" in page
    assert "Tue 3 Jun 2031: 1 post" in page
    http.cookies.set("slipway-zone", "Asia/Tokyo", domain="127.0.0.1", path="/dashboard")
    assert "Wed 4 Jun 2031: 1 post" in see(show(http, f"{IMPORTS}/{identity}/forecast"))


def test_an_import_has_the_name_that_it_is_given(site: Site, http: Client, context: Context) -> None:
    identity = drop(site, http, write_rows(good(1)))
    for name in ("", "   ", "x" * 256):
        assert "name: 1 to 255 characters" in press(http, identity, "rename", 400, name=name)
    press(http, identity, "rename", name=f" Fjord December {SCRIPT} ")
    press(http, identity, "rename", name=f"Fjord December {SCRIPT}")
    assert read(context, identity).name == f"Fjord December {SCRIPT}"
    assert list_audited(context, identity) == ["create", "rename"], "the same name is no change"
    for path in (IMPORTS, f"{IMPORTS}/{identity}", "/dashboard/queue"):
        page = show(http, path)
        assert "Fjord December &lt;script&gt;" in page, path
        assert SCRIPT not in page
    filtered = show(http, f"/dashboard/queue?import={identity}&when=all")
    assert "Import: Fjord December" in filtered
    assert "an earlier file" in show(http, f"/dashboard/queue?import={new_id()}&when=all")


def test_a_plan_is_thrown_away_and_a_running_import_stopped(
    site: Site, http: Client, context: Context
) -> None:
    identity = drop(site, http, write_rows(good(1)))
    press(http, identity, "delete", 409)
    press(http, identity, "cancel")
    assert "Stopped" in show(http, f"{IMPORTS}/{identity}")
    press(http, identity, "delete")
    assert "Thrown away" in show(http, IMPORTS)
    page = see(show(http, f"{IMPORTS}/{identity}"))
    assert "The file and its rows are gone" in page
    assert "Throw away" not in page


def test_another_plan_is_not_applied_and_the_page_says_why(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    identity = drop(site, http, write_rows(*map(good, range(2))))
    plan = work(context, identity).plan_hash
    assert plan is not None
    assert "its plan another one" in press(http, identity, "apply", 409, plan="0" * 64)
    sql = "UPDATE import_rows SET due_at = now() - interval '1 hour' WHERE import_id = :id AND number = 2 RETURNING 1"
    with context.database.begin() as c:
        rows(c, sql, id=identity)
    page = see(press(http, identity, "apply", 409, plan=plan.hex()))
    assert "nothing was applied" in page
    assert "Row 2: Its time has passed." in page
    assert "Being read" in page
    assert read(context, identity).state is ImportState.READING


def test_a_file_that_cannot_be_read_says_what_to_do(site: Site, http: Client, context: Context) -> None:
    identity = drop(site, http, b"caption,colour\nHello,red\n")
    work(context, identity)
    page = see(show(http, f"{IMPORTS}/{identity}"))
    assert "Column colour: There is no such column" in page
    assert "Correct it and drop the file again" in page
    assert "Roll back" not in page


def test_failed_posts_are_counted_and_lead_to_the_retry_of_all(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    identity = drop(site, http, write_rows(*map(good, range(3))))
    apply(context, http, identity)
    with context.database.begin() as c:
        sql = """SELECT d.id FROM deliveries d JOIN posts p ON p.id = d.post_id WHERE p.import_id = :id LIMIT 2"""
        failed = [one.id for one in rows(c, sql, id=identity)]
    for one in failed:
        ledger.change(
            one, """state = 'failed', error = '{"class": "Rejected", "code": "x", "message": "No."}'"""
        )
    page = show(http, f"{IMPORTS}/{identity}")
    assert "2 Failed" in see(page)
    form = page[page.index('action="/dashboard/queue/count"') :]
    fields = {name: html.unescape(value) for name, value in HIDDEN.findall(form[: form.index("</form>")])}
    answer = http.post("/dashboard/queue/count", fields | {"number": "1"})
    assert "Try again: 2 posts at 2 accounts?" in answer.text, "more than the button said"
    assert {ledger.state(one) for one in failed} == {State.FAILED}
    answer = http.post("/dashboard/queue/count", fields, allow_redirects=False)
    job = parse_qs(urlsplit(answer.headers["Location"]).query)["job"][0]
    for _ in range(2):
        run_steering_step(context, UUID(job))
    assert {ledger.state(one) for one in failed} == {State.ACCEPTED}


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_is_newest_first_and_goes_on(site: Site, context: Context) -> None:
    tenant, other = site.server.tenant(), site.server.tenant()
    with context.database.begin() as c:
        caller = read_caller(c, tenant.workspace, None)
    assert caller is not None
    roles: dict[UUID | None, Role] = {tenant.workspace: Role.AUTHOR, other.workspace: Role.VIEWER}
    with site.log_in(site.add_user(roles)) as http:
        page = show(http)
        assert "No file was imported yet." in page
        assert "sample.csv" in page
        made = [
            store_file(context, caller, ImportOptions(), Columns([]), [b"{}\n"], Format.NDJSON).id
            for _ in range(53)
        ]
        with site.log_in(site.add_user({other.workspace: Role.AUTHOR})) as another:
            made.append(drop(Site(server=site.server, tenant=other), another, write_rows(good(1))))
        first = show(http)
        assert "Next page" in first
        following = re.search(r'rel="next" href="([^"]+)"', first)
        assert following is not None
        rest = show(http, html.unescape(following[1]))
        seen = re.findall(r'data-key="([^"]+)"', first + rest)
        assert seen == [str(one) for one in reversed(made)]
        assert len(seen) == 54
        for place in ("x", "x~y", "2031-01-01~x", "~"):
            show(http, f"{IMPORTS}?after={place}", 400)


def test_the_sample_has_a_row_for_each_account_and_is_planned_without_a_refusal(
    site: Site, http: Client, context: Context
) -> None:
    sample = http.get(f"{IMPORTS}/sample.csv", params={"workspace": str(site.tenant.workspace)})
    assert sample.headers["Content-Disposition"] == 'attachment; filename="sample.csv"'
    found = work(context, drop(site, http, sample.content, name="sample.csv"))
    assert (found.accepted, found.rejected) == (2, 0)
    assert b"tiktok:username" in http.get(f"{IMPORTS}/sample.csv").content


def test_presets_and_zone_are_those_of_the_client(site: Site, http: Client, context: Context) -> None:
    tenant = site.server.tenant()
    mine = Site(server=site.server, tenant=tenant)
    data = b"Text,Where,When\nHello,https://c.example/1.mp4,2031-05-01 10:00\n"
    given = {"map": "Text=caption,Where=media_urls,When=local_time", "save_as": "ours"}
    accounts = "tiktok:tiktok_user"
    first = drop(mine, http, data, accounts=accounts, **given)
    second = drop(mine, http, data, accounts=accounts, preset="ours", time_zone="Asia/Tokyo")
    assert [work(context, one).accepted for one in (first, second)] == [1, 1]
    with context.database.begin() as c:
        found = row(c, "SELECT due_at FROM import_rows WHERE import_id = :id", id=second)
    assert found is not None
    assert found.due_at == datetime(2031, 5, 1, 1, tzinfo=UTC)
    assert "ours</option>" in show(http, f"{IMPORTS}?workspace={tenant.workspace}")
    assert "ours</option>" not in show(http, IMPORTS)


# --- who may ---------------------------------------------------------------------------------------------------------


def test_a_viewer_sees_and_changes_nothing(site: Site, http: Client, context: Context) -> None:
    identity = drop(site, http, write_rows(good(1)))
    plan = work(context, identity).plan_hash
    other = site.server.tenant()
    assert plan is not None
    with site.log_in(
        site.add_user({site.tenant.workspace: Role.VIEWER, other.workspace: Role.AUTHOR})
    ) as viewer:
        page = show(viewer, f"{IMPORTS}/{identity}")
        assert "Schedule 1" not in page
        assert "1 will be scheduled" in see(page)
        for verb, fields in (("apply", {"plan": plan.hex()}), ("delete", {}), ("rename", {"name": "x"})):
            press(viewer, identity, verb, 403, **fields)
        assert send(site, viewer, write_rows(good(1))).status_code == 403
    with site.log_in(site.add_user({site.tenant.workspace: Role.VIEWER})) as viewer:
        assert 'id="import-file"' not in show(viewer)
    assert read(context, identity).state is ImportState.PLANNED


def test_a_client_without_a_plan_that_publishes_imports_nothing(site: Site, http: Client) -> None:
    tenant = site.server.tenant(plan=Plan.BUSINESS, subscription=Subscription.CANCELED)
    answer = send(Site(server=site.server, tenant=tenant), http, write_rows(good(1)))
    assert answer.status_code == 402


# --- hostile files ---------------------------------------------------------------------------------------------------


def test_formulas_and_scripts_in_cells_are_text(site: Site, http: Client, context: Context) -> None:
    identity = drop(
        site, http, write_rows(good(1, FORMULA), good(2, SCRIPT), good(3, SCRIPT, local_time=SCRIPT))
    )
    assert work(context, identity).accepted == 2
    page = show(http, f"{IMPORTS}/{identity}")
    assert SCRIPT not in page
    assert html.escape(FORMULA, quote=False) in html.unescape(page).replace('"', '"')


def test_a_line_without_an_end_is_refused_and_does_not_fill_the_page(
    site: Site, http: Client, context: Context
) -> None:
    identity = drop(site, http, b"caption,accounts\n" + b"x" * 10_000_000)
    found = work(context, identity)
    assert found.accepted == 0
    page = show(http, f"{IMPORTS}/{identity}")
    assert len(page) < 200_000
    assert found.error or "1 refused" in see(page)


@pytest.mark.parametrize(
    ("data", "options", "status", "sentence"),
    [
        (b"", {}, 400, "The file is empty."),
        (b"%PDF-1.7", {}, 415, "It is a PDF file."),
        (b"caption\nx\n", {"map": "Text=nothing"}, 400, "there is no such column"),
        (b"caption\nx\n", {"time_zone": "Mars/Base"}, 422, "Must be a time zone"),
        (b"caption\nx\n", {"workspace": ""}, 400, "choose the client"),
        (b"caption\nx\n", {"workspace": "x"}, 400, "workspace has to be an id"),
    ],
)
def test_what_cannot_be_taken_is_said_in_the_words_of_the_contract(
    site: Site, http: Client, data: bytes, options: dict[str, str], status: int, sentence: str
) -> None:
    answer = send(site, http, data, **options)
    assert (answer.status_code, sentence in html.unescape(answer.text)) == (status, True), answer.text
    assert 'class="strip red fill error"' in answer.text
