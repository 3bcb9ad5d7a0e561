"""Logging in: the cookie, ten tries and a wait, the same answer for all that is wrong, no way to another site."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from argon2 import PasswordHasher

from pipeline.dashboard.login import LoginTry, MustWait, WrongPassword, choose_next, log_in
from pipeline.store.auth.sessions import (
    MAX_TRIES,
    count_try,
    find_session,
    forget_tries,
    name_address,
    name_browser,
    name_login,
    start_session,
)
from pipeline.store.auth.users import (
    StoredPassword,
    create_user,
    is_outdated,
    read_password,
    set_disabled,
    set_password,
)
from pipeline.store.database import row
from tests.pipeline.api.running_server import serving, until
from tests.pipeline.dashboard.site import HOME, LOGIN, PASSWORD, Client, Site, Someone, find_token

WRONG = "not the password"


@pytest.fixture(autouse=True)
def _forget_tries_from_this_machine(site: Site) -> None:
    with site.server.context.database.begin() as c:
        row(c, "WITH gone AS (DELETE FROM login_tries RETURNING 1) SELECT count(*) FROM gone")


def test_a_page_without_a_session_leads_to_the_login_and_back(site: Site) -> None:
    user, client = site.add_user(), site.open()
    answer = client.get("/dashboard/sessions?a=1", allow_redirects=False)
    place = "?next=%2Fdashboard%2Fsessions%3Fa%3D1"
    assert (answer.status_code, answer.headers["Location"]) == (303, LOGIN + place)
    shown = client.get(answer.headers["Location"])
    assert 'value="/dashboard/sessions?a=1"' in shown.text
    answer = site.try_login(client, user.login, user.password, next="/dashboard/sessions?a=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/sessions?a=1")
    again = client.get(LOGIN + place, allow_redirects=False)
    assert (again.status_code, again.headers["Location"]) == (303, "/dashboard/sessions?a=1")


def test_a_logged_in_user_sees_the_first_page_and_logs_out(site: Site, http: Client) -> None:
    shown = http.get(HOME)
    assert shown.status_code == 200
    assert "<h1>Attention</h1>" in shown.text
    kept = dict(http.cookies)
    assert http.post("/dashboard/logout", allow_redirects=False).status_code == 303
    assert "slipway" not in http.cookies
    for cookies in ({}, kept):
        assert (
            requests.get(site.url + HOME, cookies=cookies, allow_redirects=False, timeout=30).status_code
            == 303
        )


@pytest.mark.parametrize(
    ("host", "origin", "cookie"),
    [
        ("localhost", "http://localhost", "slipway=T; HttpOnly; Path=/; SameSite=lax"),
        ("[::1]:8000", "http://[::1]:8000", "slipway=T; HttpOnly; Path=/; SameSite=lax"),
        ("d.example", "https://d.example", "__Host-slipway=T; HttpOnly; Path=/; SameSite=lax; Secure"),
        (
            "127.0.0.1:8000",
            "https://127.0.0.1:8000",
            "__Host-slipway=T; HttpOnly; Path=/; SameSite=lax; Secure",
        ),
    ],
)
def test_the_cookie_is_secure_unless_the_browser_is_on_this_machine(
    site: Site, host: str, origin: str, cookie: str
) -> None:
    user, client = site.add_user(), site.open()
    client.headers.update({"Host": host, "Origin": origin})
    shown = client.get(LOGIN)
    token = shown.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    form = {"login": user.login, "password": user.password, "csrf": token}
    client.headers["Cookie"] = shown.headers["Set-Cookie"].partition(";")[0]
    answer = client.post(LOGIN, form, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    name, _, rest = answer.headers["Set-Cookie"].partition("=")
    value, _, attributes = rest.partition(";")
    assert f"{name}=T;{attributes}" == cookie
    client.headers["Cookie"] = f"{name}={value}"
    assert client.get(HOME, allow_redirects=False).status_code in {200, 403}


def test_over_plain_http_from_elsewhere_no_password_is_checked(site: Site) -> None:
    user, client = site.add_user(), site.open()
    client.headers.update({"Host": "d.example", "Origin": "http://d.example"})
    token = client.get(LOGIN).headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    client.headers["Cookie"] = f"__Host-slipway-login={token}"
    form = {"login": user.login, "password": user.password, "csrf": token}
    answer = client.post(LOGIN, form, allow_redirects=False)
    assert (answer.status_code, "open it with https" in answer.text) == (403, True)


def test_a_cookie_that_another_host_could_set_is_not_taken_elsewhere(site: Site) -> None:
    user = site.add_user()
    with site.log_in(user) as client:
        token = client.cookies["slipway"]
    for host, status in (("127.0.0.1", 403), ("d.example", 303)):
        headers = {"Host": host, "Cookie": f"slipway={token}"}
        assert (
            requests.get(site.url + HOME, headers=headers, allow_redirects=False, timeout=30).status_code
            == status
        )


def test_the_answer_is_the_same_for_a_wrong_password_an_unknown_and_a_disabled_user(site: Site) -> None:
    known, disabled, client = site.add_user(), site.add_user(), site.open()
    with site.server.context.database.begin() as c:
        set_disabled(c, disabled.id, disabled=True)
    tries = [(known.login, WRONG), ("no-such-user", WRONG), (disabled.login, PASSWORD), ("<b>'\u0130", WRONG)]
    answers = [site.try_login(client, login, password) for login, password in tries]
    assert {answer.status_code for answer in answers} == {401}
    texts = {a.text.replace(login, "L") for a, (login, _) in zip(answers[:3], tries, strict=False)}
    assert len(texts) == 1
    assert "<b>" not in answers[3].text
    assert "slipway" not in client.cookies


def test_after_ten_tries_the_right_password_waits_too_and_so_does_an_unknown_login(site: Site) -> None:
    user = site.add_user()
    for login in (user.login, "unknown-login"):
        _forget_address(site)
        client = site.open()
        leave_two_tries(site, name_login(login))
        assert [site.try_login(client, login, WRONG).status_code for _ in range(2)] == [401] * 2
        _forget_address(site)
        answer = site.try_login(client, login, user.password)
        assert (answer.status_code, "Wait 15 minutes" in answer.text) == (429, True)
    _forget_address(site)
    assert site.try_login(site.open(), site.add_user().login, PASSWORD).status_code == 303


def test_after_ten_tries_from_one_address_other_logins_wait_there_and_the_log_says_so_without_what_was_typed(
    site: Site,
) -> None:
    client, before = site.open(), len(site.server.log.read_text())
    leave_two_tries(site, name_address("127.0.0.1"))
    statuses = [site.try_login(client, f"typed-by-mistake-{n}", WRONG).status_code for n in range(3)]
    assert statuses == [401, 401, 429]

    def read_codes() -> list[str]:
        lines = site.server.log.read_text()[before:].splitlines()
        mine = [line for line in lines if "route=/dashboard/login" in line]
        assert all("address=127.0.0.1" in line and "request_id=" in line for line in mine)
        return [word for line in mine for word in line.split() if word.startswith(("code=", "by="))]

    expected = ["code=login_failed"] * 2 + ["code=login_locked", "by=address"]
    until(lambda: read_codes() == expected, f"{expected}")
    assert not [word for word in ("typed-by-mistake", WRONG) if word in site.server.log.read_text()]
    user = site.add_user()
    assert site.try_login(client, user.login, PASSWORD).status_code == 429
    with site.server.context.database.begin() as c:  # time passes
        row(c, "UPDATE login_tries SET until = now() - interval '1 second' RETURNING tries")
    answer = site.try_login(client, user.login, PASSWORD, next="https://evil.example/")
    assert (answer.status_code, answer.headers["Location"]) == (303, HOME)


def test_a_browser_that_logged_in_before_does_not_wait_for_its_address(site: Site) -> None:
    user, other, known = site.add_user(), site.add_user(), site.open()
    assert site.try_login(known, user.login, PASSWORD).status_code == 303
    del known.cookies["slipway"]
    client = site.open()
    leave_two_tries(site, name_address("127.0.0.1"))
    assert [site.try_login(client, f"guess-{n}", WRONG).status_code for n in range(2)] == [401, 401]
    assert site.try_login(site.open(), user.login, PASSWORD).status_code == 429
    assert site.try_login(known, other.login, PASSWORD).status_code == 429, "known for the login it had"
    assert site.try_login(known, user.login, PASSWORD).status_code == 303
    del known.cookies["slipway"]
    leave_two_tries(site, name_browser(known.cookies["slipway-login"], user.login))
    assert [site.try_login(known, user.login, WRONG).status_code for _ in range(3)] == [401, 401, 429]
    with site.server.context.database.begin() as c:
        forget_tries(c, name_login(user.login))
    assert site.try_login(known, user.login, PASSWORD).status_code == 429, "ten tries of its own"


@pytest.fixture
def behind_proxy(environment: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """A server of this test's own, which takes the clients' addresses from their requests."""
    environment["SLIPWAY_API__PROXIES"] = "127.0.0.1/32"
    with serving(environment, tmp_path) as server:
        yield Site(server=server, tenant=server.tenant())


def come_from(site: Site, address: str) -> Client:
    client = site.open()
    client.headers["X-Forwarded-For"] = address
    return client


class Wave:
    """Wrong logins that are sent at once, with right ones among them."""

    WRONG = 24

    def __init__(self, site: Site, find_address: Callable[[int], str]) -> None:
        self._site = site
        self._wrong = [(come_from(site, find_address(n)), f"guess-{n}", WRONG) for n in range(self.WRONG)]
        self.statuses: Counter[int] = Counter()
        """Of the answers to wrong logins."""

    def send(self, user: Someone, clients: Sequence[Client]) -> list[tuple[requests.Response, int]]:
        """Return the answers of the user's clients, each with the passwords that were found wrong before it."""
        tries = [(client, user.login, user.password) for client in clients] + self._wrong
        together = threading.Barrier(len(tries))

        def attempt(client: Client, login: str, password: str) -> tuple[requests.Response, int]:
            token = find_token(client.get(LOGIN, timeout=60))
            form = {"csrf": token, "login": login, "password": password}
            together.wait(60)
            answer = client.post(LOGIN, form, allow_redirects=False, timeout=60)
            before = self.statuses[401]
            if password == WRONG:
                self.statuses[answer.status_code] += 1
            return answer, before

        with ThreadPoolExecutor(len(tries)) as pool:
            answers = [pool.submit(attempt, *one) for one in tries]
        return [one.result() for one in answers[: len(clients)]]


def test_wrong_logins_of_one_address_keep_no_right_ones_out(behind_proxy: Site) -> None:
    site, user = behind_proxy, behind_proxy.add_user()
    known = come_from(site, "203.0.113.7")
    alone = site.try_login(known, user.login, PASSWORD)
    assert alone.status_code == 303
    del known.cookies["slipway"]
    others = [come_from(site, f"198.51.100.{n}") for n in range(4)]
    wave = Wave(site, lambda _: "203.0.113.7")
    answers = [answer for answer, _ in wave.send(user, [known, *others])]
    assert [answer.status_code for answer in answers] == [303] * 5
    in_time = max(timedelta(seconds=3), 20 * alone.elapsed)  # for a machine that is busy: five hash at once
    assert max(answer.elapsed for answer in answers) < in_time
    assert wave.statuses[401] <= MAX_TRIES
    assert wave.statuses[401] + wave.statuses[429] == wave.WRONG, (
        "its own excess is refused, with when to repeat"
    )


def test_wrong_logins_of_many_addresses_keep_no_known_browser_or_address_out(behind_proxy: Site) -> None:
    site, user = behind_proxy, behind_proxy.add_user()
    known = come_from(site, "198.51.100.1")
    assert site.try_login(known, user.login, PASSWORD).status_code == 303
    del known.cookies["slipway"]
    known.headers["X-Forwarded-For"] = "198.51.100.2"
    wave = Wave(site, lambda n: f"203.0.113.{n}")
    answers = wave.send(user, [known, come_from(site, "198.51.100.1")])
    assert [answer.status_code for answer, _ in answers] == [303] * 2
    assert max(before for _, before in answers) < wave.WRONG // 2, "they go first"


def test_right_passwords_use_up_no_tries(site: Site) -> None:
    client, user = site.open(), site.add_user()
    leave_two_tries(site, name_address("127.0.0.1"))
    for _ in range(3):
        assert site.try_login(client, user.login, PASSWORD).status_code == 303
        client.cookies.clear()
    assert [site.try_login(client, user.login, WRONG).status_code for _ in range(3)] == [401, 401, 429]


def test_many_tries_at_once_are_no_more_than_ten(site: Site) -> None:
    context, user = site.server.context, site.add_user()
    leave_two_tries(site, name_login(user.login))

    def attempt(number: int) -> str:
        given = LoginTry(login=user.login, password=WRONG, address=f"10.9.8.{number}", agent="")
        try:
            return log_in(context, given)
        except (MustWait, WrongPassword) as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(MAX_TRIES)))
    assert sorted(outcomes) == ["MustWait"] * (MAX_TRIES - 2) + ["WrongPassword"] * 2


def test_an_old_hash_is_replaced_at_the_next_login(site: Site) -> None:
    context, login = site.server.context, "with-an-old-hash"
    with context.database.begin() as c:
        create_user(c, login, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD))
    for _ in range(2):
        assert site.try_login(site.open(), login, PASSWORD).status_code == 303
        with context.database.begin() as c:
            stored = read_password(c, login)
        assert stored is not None
        assert not is_outdated(stored.password_hash)


def test_a_password_that_is_changed_meanwhile_starts_no_session(site: Site) -> None:
    user = site.add_user()
    with site.server.context.database.begin() as c:
        stored = read_password(c, user.login)
        assert stored is not None
        set_password(c, user.id, "another hash")
        assert start_session(c, stored, "", "") is None
        current = StoredPassword(user_id=user.id, password_hash="another hash")
        set_disabled(c, user.id, disabled=True)
        assert start_session(c, current, "", "") is None
        set_disabled(c, user.id, disabled=False)
        token = start_session(c, current, "", "")
        assert token is not None
        assert find_session(c, token) is not None


@pytest.mark.parametrize(
    "place",
    [
        "//evil.example/dashboard/",
        "/dashboard//evil.example",
        "/dashboard/\\evil.example",
        "/dashboard/../../evil",
        "/dashboard/%2e./x/..",
        "javascript:alert(1)",
        "/dashboard/\r\nSet-Cookie: a=b",
        "/dashboard/\u2028",
        " /dashboard/",
        "/dashboard",
        "/api/partner/v1/posts",
        "",
    ],
)
def test_a_next_page_of_elsewhere_is_refused(place: str) -> None:
    assert choose_next(place) == HOME


@pytest.mark.parametrize("place", ["/dashboard/queue?state=failed&q=a%20b", "/dashboard/posts/01a2-b"])
def test_a_next_page_of_the_dashboard_is_kept(place: str) -> None:
    assert choose_next(place) == place


def leave_two_tries(site: Site, subject: str) -> None:
    """Count all but two of a subject's tries: each that is sent costs the server a hash."""
    with site.server.context.database.begin() as c:
        assert all(count_try(c, subject) for _ in range(MAX_TRIES - 2))


def _forget_address(site: Site) -> None:
    """Let this machine's address try again; what is counted for logins stays."""
    with site.server.context.database.begin() as c:
        forget_tries(c, name_address("127.0.0.1"))
