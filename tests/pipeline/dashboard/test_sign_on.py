"""Single sign-on: a real provider's users come in if an admin has added them, and every other answer is refused."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from joserfc import jwk, jwt
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from config.api import Oidc
from pipeline.actions import sign_on
from pipeline.actions.people import reset
from pipeline.actions.sign_on import CALLBACK, SignOnRefused, check_id_token
from pipeline.dashboard.login import ONLY_SIGN_ON
from pipeline.domain.account import Role
from pipeline.store.auth.users import hash_password, set_disabled
from pipeline.store.database import rows
from tests.actors import TESTER
from tests.conftest import free_ports
from tests.pipeline.api.running_server import serving
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.openid_provider import (
    CLIENT,
    NEEDS_NODE,
    install_provider,
    providing,
    sign_in_there,
)
from tests.pipeline.dashboard.site import HOME, LOGIN, PASSWORD, Client, Site, Someone
from tests.pipeline.dashboard.test_second_factor import give, show, turn_on

pytestmark = NEEDS_NODE
PLACE = "/dashboard/sessions?a=1"


class Ports(NamedTuple):
    api: int
    provider: int

    @property
    def callback(self) -> str:
        return f"http://127.0.0.1:{self.api}{CALLBACK}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.provider}"


@pytest.fixture(scope="module")
def ports() -> Ports:
    install_provider()
    return Ports(*free_ports(2))


@pytest.fixture(scope="module")
def settings(module_environment: dict[str, str], ports: Ports) -> dict[str, str]:
    own = {**CLIENT, "ISSUER": ports.issuer, "NAME": "Shop Login"}
    return {
        **module_environment,
        "SLIPWAY_API__PORT": str(ports.api),
        "SLIPWAY_API__PUBLIC_URL": f"http://127.0.0.1:{ports.api}",
        **{f"SLIPWAY_DASHBOARD__OIDC__{name}": value for name, value in own.items()},
    }


@pytest.fixture(scope="module")
def site(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(settings, tmp_path_factory.mktemp("sign-on")) as server:
        yield Site(server=server, tenant=server.tenant())


@pytest.fixture
def provider(ports: Ports) -> Iterator[ExitStack]:
    """The provider, until this is closed."""
    with ExitStack() as running:
        running.enter_context(providing(ports.provider, ports.callback))
        yield running


def add(site: Site, name: str) -> Someone:
    """Add a user whose login is the address that the provider has of *name*."""
    return site.add_user({None: Role.VIEWER}, f"{name}@shop.example")


def go(client: Client, ports: Ports, who: str) -> str:
    """Press the button and sign in at the provider as *who*; return the address it leads back to."""
    begun = client.get("/dashboard/sign-on", params={"next": PLACE}, allow_redirects=False)
    assert begun.status_code == 303, begun.text
    return sign_in_there(begun.headers["Location"], who, ports.callback)


def come_back(client: Client, address: str) -> tuple[int, str]:
    """Return the status, and the page that the answer leads to, or the sentence of a refusal."""
    answer = client.get(address, allow_redirects=False)
    said = re.findall(r'<p id="problem".*?</svg> (.*?)</p>', answer.text, re.DOTALL)
    return answer.status_code, answer.headers.get("Location") or (said[0] if said else "")


def test_a_user_whom_an_admin_added_comes_in_by_the_verified_address_and_from_then_on_by_the_subject(
    site: Site, ports: Ports, provider: ExitStack
) -> None:
    ann, _ = add(site, "ann"), add(site, "bob")
    with site.open() as client:
        assert 'href="/dashboard/sign-on?next=/dashboard/">Sign in with Shop' in client.get(LOGIN).text
        assert come_back(client, go(client, ports, "ann")) == (303, PLACE)
        assert client.get(HOME, allow_redirects=False).status_code == 200
    provider.close()
    later = {"ann": "ann@elsewhere.example", "ann.2": "ann@shop.example"}
    other_keys = providing(ports.provider, ports.callback, later, lean=True)
    with other_keys, site.open() as client:
        for who, expected in (
            ("ann", (303, PLACE)),
            ("bob", (303, PLACE)),
            ("ann.2", (401, "no user here has this name")),
        ):
            status, said = come_back(client, go(client, ports, who))
            assert (status, expected[1] in said) == (expected[0], True), said
        with site.server.context.database.begin() as c:
            reset(c, TESTER, ann.id, ann.login, hash_password(PASSWORD))
        assert come_back(client, go(client, ports, "ann.2")) == (303, PLACE)
    with site.server.context.database.begin() as c:
        audit = rows(c, "SELECT verb, actor_name FROM audit WHERE actor_id = :id ORDER BY id", id=ann.id)
    assert [one.verb for one in audit] == ["bind sign-on", *["start"] * 2, "bind sign-on", "start"]
    assert {one.actor_name for one in audit} == {ann.login}


def test_each_answer_that_is_not_for_this_sign_in_is_refused_with_the_next_step(
    site: Site, ports: Ports, provider: ExitStack
) -> None:
    shut_out, *_ = [add(site, name) for name in ("shut.out", "doubtful", "eve")]
    with site.server.context.database.begin() as c:
        set_disabled(c, shut_out.id, disabled=True)

    def refuse(who: str, sentence: str, change: Callable[[str], str] = str) -> None:
        with site.open() as client:
            address = change(go(client, ports, who))
            status, said = come_back(client, address)
            assert (status, sentence in said, "slipway" in client.cookies) == (401, True, False), said

    refuse("stranger", "ask an admin to invite it")
    refuse("doubtful", "has not verified your e-mail address")
    refuse("shut.out", sign_on.DISABLED)
    refuse("eve", sign_on.STALE, lambda address: re.sub("state=[^&]+", "state=another", address))
    refuse("eve", sign_on.STALE, lambda address: f"{address}&code=another")
    refuse("eve", "(iss)", lambda address: re.sub("iss=[^&]+", "iss=https%3A%2F%2Fevil.example", address))
    refuse("eve", "(iss)", lambda address: re.sub("&?iss=[^&]+", "", address))
    refuse("eve", "did not sign you in", lambda address: re.sub("code=[^&]+", "error=access_denied", address))
    with site.open() as client, site.open() as victim:
        address = go(client, ports, "eve")
        assert come_back(victim, address) == (401, sign_on.STALE), "another browser"
        kept = client.cookies["slipway-sign-on"]
        assert come_back(client, address) == (303, PLACE)
        client.cookies.set("slipway-sign-on", kept, domain="127.0.0.1", path="/")
        assert come_back(client, address) == (401, sign_on.USED)
        address = go(client, ports, "eve")
        provider.close()
        client.cookies.pop("slipway")
        assert come_back(client, address) == (503, sign_on.DOWN.format(name="Shop Login"))
        assert client.get("/dashboard/sign-on", allow_redirects=False).status_code == 503
        assert "slipway" not in client.cookies
    context = site.server.context
    late = context.vault.seal({"until": "2026-01-01T00:00:00+00:00"}, sign_on._find_owner(context)).decode()
    assert sign_on.open_sign_on(context, late) == sign_on.open_sign_on(context, "made up") == {}
    refused = [line for line in site.server.read_log().splitlines() if "route=/dashboard/sign-on" in line]
    assert len([one for one in refused if "code=login_failed" in one and "address=127.0.0.1" in one]) >= 12
    assert CLIENT["CLIENT_SECRET"] not in site.server.read_log()


def test_a_second_factor_is_asked_for_unless_the_settings_say_that_a_sign_on_is_one(
    site: Site, ports: Ports, provider: ExitStack
) -> None:
    user = add(site, "careful")
    with site.log_in(user) as client:
        secret, _ = turn_on(client)
    with site.open() as client:
        asked = client.get(go(client, ports, "careful"), allow_redirects=False)
        assert (asked.status_code, "slipway" in client.cookies) == (200, False)
        assert give(client, user, asked, "000000") == 401
        assert give(client, user, asked, show(secret, 1)) == 303
        assert client.get(HOME, allow_redirects=False).status_code == 200


def test_it_is_a_button_beside_the_password(site: Site, provider: ExitStack, chromium: Browser) -> None:
    add(site, "pat")
    with chromium.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto(PLACE)
        check_accessibility(page, "sign-in-with-button")
        page.get_by_role("link", name="Sign in with Shop Login").press("Enter")
        page.get_by_placeholder("Enter any login").fill("pat")
        page.get_by_placeholder("and password").fill("any")
        page.get_by_role("button", name="Sign-in").click()
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("This one: sign out")).to_be_visible()
        assert page.url == site.url + PLACE
        assert "slipway-sign-on" not in {one["name"] for one in context.cookies()}


GIVEN = Oidc(issuer="https://login.example", client_id="slipway", client_secret=SecretStr("s" * 64))
KEY = jwk.ECKey.generate_key("P-256", {"kid": "1", "use": "sig"})
KEYS = jwk.KeySet([KEY]).as_dict(private=False)


def sign(key: Any = KEY, alg: str = "ES256", **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    right = {"iss": GIVEN.issuer, "aud": "slipway", "sub": "1", "nonce": "n", "iat": now, "exp": now + 300}
    claims = {name: value for name, value in (right | changes).items() if value is not None}
    return {"id_token": jwt.encode({"alg": alg, "kid": "1"}, claims, key, algorithms=[alg])}


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        (lambda: sign(iss="https://evil.example"), "iss"),
        (lambda: sign(aud="another client"), "aud"),
        (lambda: sign(aud=["slipway", "another"]), "azp"),
        (lambda: sign(aud=["slipway", "another"], azp="another"), "azp"),
        (lambda: sign(nonce="of another sign-in"), "nonce"),
        (lambda: sign(nonce=None), "nonce"),
        (lambda: sign(exp=1), "exp"),
        (lambda: sign(sub=None), "sub"),
        (lambda: sign(jwk.ECKey.generate_key("P-256")), "bad signature"),
        (lambda: sign(jwk.OctKey.import_key("s" * 64), "HS256"), "unsupported algorithm"),
        (lambda: {"id_token": "e30.e30."}, "missing algorithm"),
        (dict, "decode error"),
    ],
)
def test_an_id_token_with_one_thing_wrong_is_refused(tokens: Callable[[], dict[str, Any]], what: str) -> None:
    assert check_id_token(GIVEN, sign(), KEYS, "n")["sub"] == "1"
    with pytest.raises(SignOnRefused) as refused:
        check_id_token(GIVEN, tokens(), KEYS, "n")
    assert f"({what})" in refused.value.write("Login")


def test_where_it_is_the_only_way_passwords_open_nothing(
    settings: dict[str, str], ports: Ports, provider: ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own, [port] = tmp_path_factory.mktemp("only"), free_ports(1)
    only = {"SLIPWAY_DASHBOARD__OIDC__ONLY": "true", "SLIPWAY_DASHBOARD__OIDC__IS_FACTOR": "true"}
    demands = {"SLIPWAY_DASHBOARD__SECOND_FACTOR": "demanded", "SLIPWAY_API__PORT": str(port)}
    with serving({**settings, **only, **demands}, own) as server:
        site = Site(server=server, tenant=server.tenant())
        user = add(site, "only")
        with site.open() as client:
            refused = site.try_login(client, user.login, PASSWORD)
            assert (refused.status_code, ONLY_SIGN_ON in refused.text) == (403, True)
            assert 'type="password"' not in refused.text
            address = go(client, ports, "only").replace(f":{ports.api}", f":{port}")
            assert come_back(client, address) == (303, PLACE)
            assert client.get(HOME, allow_redirects=False).status_code == 200, "no other factor is demanded"
