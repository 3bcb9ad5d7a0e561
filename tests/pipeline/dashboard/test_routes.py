"""Every route of the dashboard: without a session, with too small a role, from another site, without a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from starlette.routing import Route

from pipeline.dashboard.app import PAGES, create_dashboard
from pipeline.dashboard.page import REQUIRED_ROLES
from pipeline.domain.role import Role
from tests.pipeline.api.running_server import ABSENT
from tests.pipeline.dashboard.site import HOME, LOGIN, Site, Someone

OPEN = {"/login", "/static/{digest}/{name:path}"}
"""Paths of the only routes that need no session."""
SAFE = {"GET", "HEAD"}
ROUTES = [
    (method, route)
    for route in create_dashboard().routes
    if isinstance(route, Route)
    for method in sorted((route.methods or set()) - {"HEAD"})
]
PROTECTED = [pytest.param(m, r, id=f"{m} {r.path}") for m, r in ROUTES if r.path not in OPEN]
CHANGING = [pytest.param(m, r, id=f"{m} {r.path}") for m, r in ROUTES if m not in SAFE and r.path not in OPEN]
ABOVE_VIEWER = [
    pytest.param(m, r, id=f"{m} {r.path}")
    for m, r in ROUTES
    if (REQUIRED_ROLES.get(r.endpoint) or Role.VIEWER) > Role.VIEWER
]


@pytest.fixture(scope="module")
def admin(site: Site) -> Someone:
    return site.add_user({None: Role.ADMIN})


@pytest.fixture
def logged_in(site: Site, admin: Someone) -> Iterator[requests.Session]:
    with site.log_in(admin) as session:
        yield session


def send(
    session: requests.Session, site: Site, method: str, route: Route, **headers: str
) -> requests.Response:
    """Send a request to a route, with ids of nothing."""
    path = route.path
    for name in route.param_convertors:
        path = path.replace(f"{{{name}}}", ABSENT)
    assert "{" not in path
    return session.request(
        method, f"{site.url}/dashboard{path}", headers=headers, allow_redirects=False, timeout=30
    )


def test_every_route_but_the_login_and_static_files_is_a_page_with_a_role() -> None:
    routes = [route for _, own in PAGES for route in own]
    assert {r.path for r in routes if r.endpoint not in REQUIRED_ROLES} == {"/login"}
    assert {r.path for _, r in ROUTES} >= {r.path for r in routes}


def test_the_navigation_leads_to_pages_that_answer_with_their_role(
    site: Site, logged_in: requests.Session
) -> None:
    for entry, _ in PAGES:
        if entry is not None:
            shown = logged_in.get(site.url + entry.path, timeout=30)
            assert (shown.status_code, entry.title in shown.text) == (200, True), entry


@pytest.mark.parametrize(("method", "route"), PROTECTED)
def test_without_a_session_it_leads_to_the_login(site: Site, method: str, route: Route) -> None:
    with site.open() as client:
        answer = send(client, site, method, route)
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, LOGIN)
        answer = send(client, site, method, route, **{"HX-Request": "true"})
        assert (answer.status_code, answer.headers["HX-Redirect"].partition("?")[0]) == (401, LOGIN)
        assert answer.text == ""


@pytest.mark.parametrize(("method", "route"), PROTECTED)
def test_without_a_role_it_is_refused(site: Site, method: str, route: Route) -> None:
    with site.log_in(site.add_user({})) as client:
        answer = send(client, site, method, route)
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
        answer = send(client, site, method, route)
        assert (answer.status_code, f"needs the role {needed.value}" in answer.text) == (403, True)


@pytest.mark.parametrize(("method", "route"), CHANGING)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", ""], ids=repr
)
def test_from_another_site_it_is_refused(
    site: Site, logged_in: requests.Session, method: str, route: Route, origin: str
) -> None:
    answer = send(logged_in, site, method, route, Origin=origin)
    assert (answer.status_code, "another site" in answer.text) == (403, True)
    assert logged_in.get(site.url + HOME, allow_redirects=False, timeout=30).status_code == 200


@pytest.mark.parametrize(("method", "route"), CHANGING)
def test_without_any_origin_the_browsers_own_word_decides(
    site: Site, logged_in: requests.Session, method: str, route: Route
) -> None:
    del logged_in.headers["Origin"]
    for word in ("", "cross-site", "same-site", "none"):
        headers = {"Sec-Fetch-Site": word} if word else {}
        assert send(logged_in, site, method, route, **headers).status_code == 403
    assert send(logged_in, site, method, route, **{"Sec-Fetch-Site": "same-origin"}).status_code != 403


@pytest.mark.parametrize(("method", "route"), CHANGING)
def test_without_the_token_of_the_session_it_is_refused(
    site: Site, logged_in: requests.Session, admin: Someone, method: str, route: Route
) -> None:
    with site.log_in(admin) as other:
        tokens = {"", "0" * 64, "\u00e9", str(other.headers["X-CSRF-Token"])}
    for token in tokens:
        answer = send(logged_in, site, method, route, **{"X-CSRF-Token": token})
        assert (answer.status_code, "out of date" in answer.text) == (403, True), token
    assert logged_in.get(site.url + HOME, allow_redirects=False, timeout=30).status_code == 200


@pytest.mark.parametrize(("method", "route"), PROTECTED)
def test_hostile_input_is_no_error_of_the_server(
    site: Site, logged_in: requests.Session, method: str, route: Route
) -> None:
    for query in (
        "?cursor=%00",
        "?cursor=%ff%fe",
        "?due=..&account=x&platform='&state=%3Cimg&q=%25",
        "?%00=1",
    ):
        url = f"{site.url}/dashboard{route.path}".replace("{", "%7B").replace("}", "%7D")
        answer = logged_in.request(method, url + query, allow_redirects=False, timeout=30, stream=True)
        assert answer.status_code < 500, query
        if answer.headers.get("Content-Type") == "text/event-stream":
            answer.close()  # it never ends
            return
        assert "<img" not in answer.text
        if route.path == "/logout":
            return


def test_the_login_refuses_another_site_and_a_missing_token(site: Site) -> None:
    user = site.add_user()
    with site.open() as client:
        client.get(site.url + LOGIN, timeout=30)
        form = {"login": user.login, "password": user.password}
        for given in (form, {**form, "csrf": ""}, {**form, "csrf": "x"}):
            answer = client.post(site.url + LOGIN, given, allow_redirects=False, timeout=30)
            assert (answer.status_code, "out of date" in answer.text) == (403, True)
        client.headers["Origin"] = "https://evil.example"
        answer = site.try_login(client, user.login, user.password)
        assert (answer.status_code, "another site" in answer.text) == (403, True)
    with site.open() as client:  # a browser that keeps no cookies
        answer = client.post(site.url + LOGIN, {**form, "csrf": "x"}, cookies={}, timeout=30)
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
    site: Site, logged_in: requests.Session, body: bytes, kind: str, status: int
) -> None:
    answer = logged_in.post(
        site.url + "/dashboard/logout",
        body,
        headers={"Content-Type": kind},
        allow_redirects=False,
        timeout=30,
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")


def test_an_unknown_path_and_method_are_pages(site: Site, logged_in: requests.Session) -> None:
    for method, path, status in (
        ("GET", "nothing", 404),
        ("DELETE", "sessions", 405),
        ("GET", "logout", 405),
    ):
        answer = logged_in.request(method, site.url + HOME + path, allow_redirects=False, timeout=30)
        assert (answer.status_code, "<main" in answer.text) == (status, True)
