"""Every route of the dashboard: without a session, with too small a role, from another site, without a token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from starlette.routing import Route

from pipeline.actions.steering import Steering, steer
from pipeline.dashboard import webhooks as webhook_pages
from pipeline.dashboard.app import NAVIGATION, create_dashboard
from pipeline.dashboard.decide import DECISIONS
from pipeline.dashboard.page import REQUIRED_ROLES
from pipeline.domain.account import Role
from pipeline.domain.bulk_import import Action
from pipeline.domain.delivery import State
from pipeline.domain.notice import KINDS, Form
from pipeline.domain.steering import Arguments, Verb
from pipeline.imports.columns import Columns, Format
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.sessions import list_sessions
from pipeline.store.database import insert, new_id, row
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.files.files import open_file
from pipeline.webhooks import notices, webhooks
from tests.actors import TESTER
from tests.pipeline.api.running_server import ABSENT
from tests.pipeline.dashboard.site import HOME, LOGIN, Client, Site, Someone
from tests.pipeline.dashboard.thumbnails import add_thumbnail
from tests.pipeline.store.ledger import HOUR, Ledger

OF_LINKS = {"/approve/{token}", "/approve/{token}/thumbnails/{name}"}
OF_SIGN_ON = {"/sign-on", "/sign-on/callback"}
OPEN = {"/login", "/static/{digest}/{name:path}"} | OF_LINKS | OF_SIGN_ON
"""Paths of the only routes that need no session."""
SESSIONS = "/dashboard/sessions"
"""A page of few statements."""
HOOK = "https://hooks.example.com/x"
SAFE = {"GET", "HEAD"}
ROUTES = [
    (method, route)
    for route in create_dashboard().routes
    if isinstance(route, Route)
    for method in sorted((route.methods or set()) - {"HEAD"})
]
PROTECTED = [pytest.param(m, r, id=f"{m} {r.path}") for m, r in ROUTES if r.path not in OPEN]
CHANGING = [pytest.param(m, r, id=f"{m} {r.path}") for m, r in ROUTES if m not in SAFE and r.path not in OPEN]
LOGOUT = next(r for _, r in ROUTES if r.path == "/logout")
"""A route that changes something: all go through the same check."""
ABOVE_VIEWER = [
    pytest.param(m, r, id=f"{m} {r.path}")
    for m, r in ROUTES
    if (REQUIRED_ROLES.get(r.endpoint) or Role.VIEWER) > Role.VIEWER
]


@pytest.fixture(scope="module")
def admin(site: Site) -> Someone:
    return site.add_user({None: Role.ADMIN})


@pytest.fixture(scope="module")
def nobody(site: Site) -> Someone:
    """A user without a role."""
    return site.add_user({})


@pytest.fixture
def logged_in(site: Site, admin: Someone) -> Iterator[Client]:
    with site.log_in(admin) as session:
        yield session


def send(session: Client, method: str, route: Route, **headers: str) -> requests.Response:
    """Send a request to a route, with ids of nothing."""
    path = route.path
    for name in route.param_convertors:
        path = path.replace(f"{{{name}}}", ABSENT)
    assert "{" not in path
    return session.request(method, f"/dashboard{path}", headers=headers, allow_redirects=False)


def test_every_route_but_the_login_and_static_files_is_a_page_with_a_role() -> None:
    assert {r.path for _, r in ROUTES if r.endpoint not in REQUIRED_ROLES} == OPEN


def test_without_a_provider_there_is_no_single_sign_on(site: Site) -> None:
    with site.open() as client:
        assert {client.get(f"/dashboard{path}").status_code for path in OF_SIGN_ON} == {404}
        assert "sign-on" not in client.get(LOGIN).text


def test_the_navigation_leads_to_pages_that_answer_with_their_role(logged_in: Client) -> None:
    for entry in NAVIGATION:
        shown = logged_in.get(entry.path)
        assert (shown.status_code, entry.title in shown.text) == (200, True), entry


@pytest.mark.parametrize(("method", "route"), PROTECTED)
def test_without_a_session_it_leads_to_the_login_and_without_a_role_it_is_refused(
    site: Site, nobody: Someone, method: str, route: Route
) -> None:
    with site.open() as client:
        answer = send(client, method, route)
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, LOGIN)
        answer = send(client, method, route, **{"HX-Request": "true"})
        assert (answer.status_code, answer.headers["HX-Redirect"].partition("?")[0]) == (401, LOGIN)
        assert answer.text == ""
    with site.log_in(nobody) as client:
        answer = send(client, method, route)
        if REQUIRED_ROLES[route.endpoint] is None:
            assert answer.status_code == 303
        else:
            assert (answer.status_code, "needs the role" in answer.text) == (403, True)


@pytest.mark.parametrize(("method", "route"), ABOVE_VIEWER)
def test_with_too_small_a_role_it_is_refused(site: Site, method: str, route: Route) -> None:
    needed = REQUIRED_ROLES[route.endpoint]
    assert needed is not None
    below = [role for role in Role if role < needed][-1]
    with site.log_in(site.add_user({None: below})) as client:
        answer = send(client, method, route)
        assert (answer.status_code, f"needs the role {needed.value}" in answer.text) == (403, True)


@pytest.mark.parametrize(("method", "route"), CHANGING)
def test_from_another_site_and_without_the_token_of_the_session_it_is_refused(
    site: Site, logged_in: Client, admin: Someone, method: str, route: Route
) -> None:
    with site.log_in(admin) as other:
        token = str(other.headers["X-CSRF-Token"])
    for headers, words in (
        ({"Origin": "https://evil.example"}, "another site"),
        ({"X-CSRF-Token": token}, "out of date"),
    ):
        answer = send(logged_in, method, route, **headers)
        assert (answer.status_code, words in answer.text) == (403, True), words
    assert logged_in.get(SESSIONS, allow_redirects=False).status_code == 200


def test_every_other_origin_and_token_is_refused_and_without_an_origin_the_browsers_own_word_decides(
    logged_in: Client,
) -> None:
    for origin in ("null", "http://127.0.0.1", "http://127.0.0.1:1", ""):
        assert "another site" in send(logged_in, "POST", LOGOUT, Origin=origin).text, origin
    for token in ("", "0" * 64, "\u00e9"):
        assert "out of date" in send(logged_in, "POST", LOGOUT, **{"X-CSRF-Token": token}).text, token
    del logged_in.headers["Origin"]
    for word in ("", "cross-site", "same-site", "none"):
        headers = {"Sec-Fetch-Site": word} if word else {}
        assert send(logged_in, "POST", LOGOUT, **headers).status_code == 403
    assert logged_in.get(SESSIONS, allow_redirects=False).status_code == 200
    assert send(logged_in, "POST", LOGOUT, **{"Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize(("method", "route"), PROTECTED)
def test_hostile_input_is_no_error_of_the_server(
    site: Site, logged_in: Client, method: str, route: Route
) -> None:
    for query in ("?cursor=%00", "?cursor=%ff%fe&due=..&account=x&platform='&state=%3Cimg&q=%25&%00=1"):
        url = f"{site.url}/dashboard{route.path}".replace("{", "%7B").replace("}", "%7D")
        answer = logged_in.request(method, url + query, allow_redirects=False, stream=True)
        assert answer.status_code < 500, query
        if answer.headers.get("Content-Type") == "text/event-stream":
            answer.close()  # it never ends
            return
        assert "<img" not in answer.text.replace('<img class="qr"', "")
        if route.path == "/logout":
            return


def test_the_login_refuses_another_site_and_a_missing_token(site: Site) -> None:
    user = site.add_user()
    with site.open() as client:
        client.get(LOGIN)
        form = {"login": user.login, "password": user.password}
        for given in (form, {**form, "csrf": ""}, {**form, "csrf": "x"}):
            answer = client.post(LOGIN, given, allow_redirects=False)
            assert (answer.status_code, "out of date" in answer.text) == (403, True)
        client.headers["Origin"] = "https://evil.example"
        answer = site.try_login(client, user.login, user.password)
        assert (answer.status_code, "another site" in answer.text) == (403, True)
    with site.open() as client:  # a browser that keeps no cookies
        answer = client.post(LOGIN, {**form, "csrf": "x"}, cookies={})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"a=%00", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=1"] * 6000), "application/x-www-form-urlencoded", 400),
        (b"a=" + b"1" * 300_000, "application/x-www-form-urlencoded", 413),
        (b'{"a": 1}', "application/json", 415),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_with_a_page(
    logged_in: Client, body: bytes, kind: str, status: int
) -> None:
    answer = logged_in.post(
        "/dashboard/logout",
        body,
        headers={"Content-Type": kind},
        allow_redirects=False,
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")


def test_an_unknown_path_and_method_are_pages(logged_in: Client) -> None:
    for method, path, status in (
        ("GET", "nothing", 404),
        ("DELETE", "sessions", 405),
        ("GET", "logout", 405),
    ):
        answer = logged_in.request(method, HOME + path, allow_redirects=False)
        assert (answer.status_code, "<main" in answer.text) == (status, True)


# --- ids of others ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ids(site: Site, ledger: Ledger) -> tuple[dict[str, str], dict[str, str]]:
    """Ids of another workspace, and ids of nothing, by the name that routes and fields have for them."""
    post = ledger.fresh(State.UNKNOWN)
    later = ledger.post([ledger.account(post.workspace)], State.SCHEDULED, due=HOUR)
    stranger, context = site.add_user({post.workspace: Role.ADMIN}), site.server.context
    site.start_session(stranger)
    with context.database.begin() as c:
        caller = read_caller(c, post.workspace, None)
    assert caller
    asked = Steering(
        verb=Verb.CANCEL, filter=ListFilter(deliveries=tuple(later.deliveries)), arguments=Arguments()
    )
    acting = replace(caller, actor=TESTER)
    job = steer(context, acting, asked, confirm=True, dispatch=False).job
    assert job
    with site.server.context.database.begin() as c:
        [session] = [one.id for one in list_sessions(c, stranger.id)]
        account = row(c, "SELECT account_id FROM deliveries WHERE id = :id", id=post.deliveries[0])
        upload = open_file(
            c,
            workspace=post.workspace,
            key=None,
            name="x.mp4",
            url="https://x",
            content_type="video/mp4",
            filename=None,
        )
        insert(c, "part_uploads", file_id=upload, user_id=stranger.id, size=1, modified=0)
    assert account
    foreign = {
        "upload_id": upload,
        "name": add_thumbnail(context, post.workspace),
        "post_id": post.id,
        "delivery_id": post.deliveries[0],
        "job_id": job.id,
        "change": 2**40,
        "session_id": session,
        "import_id": store_file(context, caller, ImportOptions(), Columns([]), [b"{}\n"], Format.NDJSON).id,
        "workspace": post.workspace,
        "account": account.account_id,
        "account_id": account.account_id,
        "webhook_id": webhooks.create(context, acting, url=HOOK, types=None, description=None)[0].id,
        "target": notices.add(context, TESTER, post.workspace, Form.SLACK, HOOK, KINDS).id,
    }
    return {k: str(v) for k, v in foreign.items()}, {k: str(new_id()) for k in foreign}


IMPORT_VERBS = (*Action, "rename")
WEBHOOK_VERBS = (*webhook_pages.VERBS, "nothing")
VERBS = ("live", "again", "look", "resume", "retry", "unpause", "pause", "cancel", "nothing")
CALLS: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/jobs/{job_id}", {}, 404),
    ("POST", "/jobs/{job_id}/stop", {}, 404),
    ("POST", "/jobs/undo", {"id": "{job_id}"}, 404),
    ("POST", "/posts/{post_id}/undo/{change}", {}, 404),
    ("GET", "/deliveries/{delivery_id}/decide", {}, 404),
    *(("POST", "/deliveries/{delivery_id}/decide", {"decision": d}, 404) for d in (*DECISIONS, "nothing")),
    ("GET", "/posts/{post_id}", {}, 404),
    ("GET", "/thumbnails/{name}", {}, 404),
    ("POST", "/posts/{post_id}/reschedule", {}, 404),
    ("GET", "/approval?post={post_id}", {}, 404),
    ("GET", "/approval?client={workspace}", {}, 404),
    ("POST", "/approval", {"post": "{post_id}.x", "verb": "approve"}, 404),
    ("POST", "/approval/links", {"post": "{post_id}.x"}, 404),
    ("POST", "/approval/links", {"client": "{workspace}"}, 404),
    ("POST", "/approval/links/end", {"workspace": "{workspace}", "link": "{post_id}"}, 404),
    ("GET", "/posts/{post_id}/edit", {}, 404),
    ("GET", "/new?from={post_id}", {}, 404),
    *(("POST", "/posts/{post_id}/deliveries/{delivery_id}/" + verb, {}, 404) for verb in VERBS),
    ("POST", "/posts/{post_id}/deliveries/{delivery_id}/file", {}, 404),
    ("POST", "/uploads?workspace={workspace}", {}, 404),
    ("GET", "/uploads/{upload_id}", {}, 404),
    ("PATCH", "/uploads/{upload_id}", {}, 404),
    ("GET", "/imports/{import_id}", {}, 404),
    ("GET", "/imports/{import_id}/forecast", {}, 404),
    *(("POST", "/imports/{import_id}/" + verb, {}, 404) for verb in (*IMPORT_VERBS, "nothing")),
    ("GET", "/imports?workspace={workspace}", {}, 404),
    ("POST", "/imports?workspace={workspace}", {}, 404),
    ("GET", "/imports/sample.csv?workspace={workspace}", {}, 404),
    # one that has ended is no error, and cannot be told from one that never was
    ("POST", "/sessions/{session_id}/end", {}, 303),
    ("GET", "/calendar?workspace={workspace}", {}, 404),
    ("GET", "/calendar?view=week&date=2026-12-01&workspace={workspace}", {}, 404),
    ("GET", "/fill?workspace={workspace}", {}, 404),
    ("GET", "/accounts?workspace={workspace}", {}, 404),
    ("GET", "/numbers?workspace={workspace}", {}, 404),
    ("GET", "/numbers/month?client={workspace}", {}, 404),
    ("GET", "/numbers/month.csv?client={workspace}", {}, 404),
    ("GET", "/history?client={workspace}", {}, 404),
    ("GET", "/accounts/{account_id}/times", {}, 404),
    ("POST", "/accounts/{account_id}/times", {"monday": "09:00", "time_zone": "UTC"}, 404),
    ("POST", "/accounts/connect", {"workspace": "{workspace}", "platform": "tiktok"}, 404),
    ("POST", "/accounts/connect", {"account": "{account}", "platform": "tiktok"}, 404),
    ("POST", "/pauses", {"what": "account:{account}", "why": "x"}, 404),
    ("POST", "/pauses", {"what": "workspace:{workspace}", "why": "x"}, 404),
    ("POST", "/pauses/end", {"scope": "account", "target": "{account}"}, 404),
    ("POST", "/pauses/end", {"scope": "workspace", "target": "{workspace}"}, 404),
    ("POST", "/pauses/undo", {"of": "{workspace}", "undo": "1"}, 404),
    ("GET", "/settings/keys?workspace={workspace}", {}, 404),
    ("POST", "/settings/keys", {"workspace": "{workspace}", "key_name": "x"}, 404),
    ("POST", "/settings/people", {"workspace": "{workspace}", "role": "viewer", "login": "x"}, 404),
    ("POST", "/settings/webhooks", {"workspace": "{workspace}", "url": HOOK}, 404),
    ("GET", "/settings/webhooks/{webhook_id}", {}, 404),
    *(("POST", "/settings/webhooks/{webhook_id}/" + verb, {}, 404) for verb in WEBHOOK_VERBS),
    ("POST", "/settings/notices", {"workspace": "{workspace}", "form": "slack", "address": "x"}, 404),
    ("POST", "/settings/notices/test", {"target": "{target}"}, 404),
    ("POST", "/settings/notices/delete", {"target": "{target}"}, 404),
    ("GET", "/settings/clients?client={workspace}", {}, 404),
    *(("POST", "/settings/clients/" + rule, {"client": "{workspace}"}, 404) for rule in ("approval", "late")),
    ("POST", "/settings/clients/plan", {"client": "{workspace}", "plan": "none"}, 403),
    # lists in which nothing is found
    ("GET", "/accounts?of={workspace}&undo=1", {}, 200),
    ("GET", "/jobs?id={job_id}", {}, 200),
    ("GET", "/pauses?account={account}", {}, 200),
    ("GET", "/queue?account={account}", {}, 200),
    ("GET", "/queue?workspace={workspace}", {}, 400),
    ("GET", "/queue?q={post_id}", {}, 200),
    ("POST", "/fill/plan", {"post": "{post_id}"}, 200),
    ("POST", "/fill/plan", {"scope": "all", "filter": "workspace={workspace}"}, 400),
    ("POST", "/fill", {"take": "{post_id}~" + "0" * 32 + "~2031-01-01T09:00:00Z"}, 200),
    ("POST", "/queue/count", {"action": "cancel", "post": "{post_id}"}, 200),
    ("POST", "/queue/count", {"action": "cancel", "scope": "all", "filter": "workspace={workspace}"}, 400),
    (
        "POST",
        "/queue/start",
        {"action": "cancel", "post": "{post_id}", "token": "{workspace}:x"},
        400,
    ),
]


def test_every_route_with_an_id_is_called_with_ids_of_others() -> None:
    verbs = "|".join((*VERBS, *IMPORT_VERBS, *WEBHOOK_VERBS))
    called = {(method, re.sub(f"/({verbs})$", "/{verb}", path)) for method, path, _, _ in CALLS}
    called |= {(method, re.sub("clients/(late|plan)$", "clients/{rule}", path)) for method, path in called}
    assert {(m, r.path) for m, r in ROUTES if r.param_convertors and r.path not in OPEN} <= called


@pytest.mark.parametrize(("method", "path", "fields", "status"), CALLS, ids=repr)
def test_an_id_of_another_workspace_answers_as_one_of_nothing(
    site: Site,
    ids: tuple[dict[str, str], dict[str, str]],
    method: str,
    path: str,
    fields: dict[str, str],
    status: int,
) -> None:
    def call(names: dict[str, str]) -> tuple[int, str]:
        def fill(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], text)

        form = {key: fill(value) for key, value in fields.items()}
        answer = http.request(method, f"/dashboard{fill(path)}", data=form or None, allow_redirects=False)
        body = re.sub(r'data-position="[^"]*"|(?<=id="clock").*?</span>', "", answer.text)
        for name, value in names.items():
            body = body.replace(value, name)
        return answer.status_code, body

    with site.log_in(site.add_user({site.tenant.workspace: Role.ADMIN})) as http:
        answers = [call(names) for names in ids]
    assert answers[0] == answers[1]
    assert answers[0][0] == status
