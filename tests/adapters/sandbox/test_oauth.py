"""The consent pages of all six vendors, and the way from a person's yes to tokens that work."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.adapters.sandbox.clients import graph_error
from tests.adapters.sandbox.process import CONTROL_TOKEN, Account, Sandbox

BACK = "http://127.0.0.1:9/oauth/callback"
VERIFIER = "v" * 50
S256 = hashlib.sha256(VERIFIER.encode())
BASE64URL = base64.urlsafe_b64encode(S256.digest()).rstrip(b"=").decode()


@dataclass(frozen=True, kw_only=True)
class Vendor:
    platform: str
    page: str
    scope: str
    token: str
    client: str = "client_id"
    code: str = "code"
    challenge: str = BASE64URL
    as_json: bool = False
    basic: bool = False
    denied: str = "access_denied"

    def address(self, sandbox: Sandbox, **more: str) -> tuple[str, dict[str, str]]:
        query = {self.client: "app", "redirect_uri": BACK, "response_type": "code", "scope": self.scope}
        query |= {"state": "s t&", "access_type": "offline"}
        return sandbox.base + self.page, {**query, **more}

    def ask(self, sandbox: Sandbox, **more: str) -> requests.Response:
        url, query = self.address(sandbox, **more)
        return requests.get(url, params=query, timeout=30, allow_redirects=False)

    def code_of(self, sandbox: Sandbox, **more: str) -> str:
        answer = self.ask(sandbox, auto="allow", **more)
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]

    def exchange(self, sandbox: Sandbox, code: str, **change: str | None) -> requests.Response:
        form: dict[str, str | None] = {self.client: "app", "client_secret": "secret", self.code: code}
        if self.platform == "tiktok_business":
            form["client_id"] = form.pop(self.client)
        form |= {"grant_type": "authorization_code", "redirect_uri": BACK, **change}
        url = sandbox.base + self.token
        if self.as_json:
            return requests.post(url, json=form, timeout=30)
        if self.basic:
            app = (form.pop(self.client) or "", form.pop("client_secret") or "")
            return requests.post(url, data=form, auth=app, timeout=30)
        return requests.post(url, data=form, timeout=30)


VENDORS = [
    Vendor(
        platform="tiktok",
        page="/tiktok-www/v2/auth/authorize/",
        scope="user.info.basic,video.publish,video.list",
        token="/tiktok/v2/oauth/token/",
        client="client_key",
        challenge=S256.hexdigest(),
    ),
    Vendor(
        platform="tiktok_business",
        page="/tiktok-www/v2/auth/authorize/",
        scope="user.info.basic,user.info.username,video.list,video.publish",
        token="/tiktok-business/open_api/v1.3/tt_user/oauth2/token/",
        client="client_key",
        code="auth_code",
        challenge=S256.hexdigest(),
        as_json=True,
    ),
    Vendor(
        platform="instagram",
        page="/instagram/oauth/authorize",
        scope="instagram_business_basic,instagram_business_content_publish",
        token="/instagram/oauth/access_token",
    ),
    Vendor(
        platform="facebook",
        page="/facebook/v25.0/dialog/oauth",
        scope="pages_show_list,pages_read_engagement,pages_manage_posts",
        token="/facebook/v25.0/oauth/access_token",
    ),
    Vendor(
        platform="youtube",
        page="/google-accounts/o/oauth2/v2/auth",
        scope="https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.readonly",
        token="/google-oauth/token",
    ),
    Vendor(
        platform="pinterest",
        page="/pinterest-www/oauth/",
        scope="boards:read,pins:read,pins:write",
        token="/pinterest/v5/oauth/token",
        basic=True,
    ),
    Vendor(
        platform="linkedin",
        page="/linkedin-www/oauth/v2/authorization",
        scope="openid profile w_member_social w_organization_social r_organization_social rw_organization_admin",
        token="/linkedin-www/oauth/v2/accessToken",
        denied="user_cancelled_authorize",
    ),
]
BY_NAME = {vendor.platform: vendor for vendor in VENDORS}

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=list(BY_NAME))


def access(answer: requests.Response) -> str:
    body = answer.json()
    return str(body["data"]["access_token"] if "data" in body else body["access_token"])


def failed(answer: requests.Response) -> bool:
    """Every vendor has its own way to say no; none of them gives a token away."""
    body = answer.json()
    return "access_token" not in body and not body.get("data")


@every_vendor
def test_the_page_offers_the_accounts_and_its_form_works(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform, "ann<b>", display_name="Ann & Co")
    url, query = vendor.address(sandbox)
    page = requests.get(url, params=query, timeout=30)
    assert page.headers["Content-Type"].startswith("text/html")
    assert ("Ann &amp; Co (@ann&lt;b&gt;)" in page.text, "s t&amp;" in page.text) == (True, True)
    form = query | {"username": "ann<b>", "decision": "allow"}
    answer = requests.post(url, data=form, timeout=30, allow_redirects=False)
    assert answer.status_code == 303
    back = urlsplit(answer.headers["Location"])
    assert (f"{back.scheme}://{back.netloc}{back.path}", parse_qs(back.query)["state"]) == (BACK, ["s t&"])
    assert access(vendor.exchange(sandbox, parse_qs(back.query)["code"][0]))


@every_vendor
def test_a_person_can_say_no(sandbox: Sandbox, vendor: Vendor) -> None:
    back = urlsplit(vendor.ask(sandbox, auto="deny").headers["Location"])
    assert (parse_qs(back.query)["error"], parse_qs(back.query)["state"]) == ([vendor.denied], ["s t&"])
    assert "code" not in parse_qs(back.query)


@every_vendor
def test_a_new_account_can_be_named_on_the_page(sandbox: Sandbox, vendor: Vendor) -> None:
    assert vendor.ask(sandbox, auto="allow").status_code == 400
    assert access(vendor.exchange(sandbox, vendor.code_of(sandbox, new_username="newcomer")))


@every_vendor
def test_a_code_is_good_once(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    code = vendor.code_of(sandbox, username="ann")
    assert access(vendor.exchange(sandbox, code))
    assert failed(vendor.exchange(sandbox, code))


@every_vendor
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": ""},
        {"grant_type": "password"},
    ],
    ids=["redirect", "no-redirect", "grant"],
)
def test_an_exchange_that_does_not_fit_leaves_the_code_unused(
    sandbox: Sandbox, vendor: Vendor, change: dict[str, str]
) -> None:
    if vendor.platform == "facebook" and "grant_type" in change:
        change = {"client_secret": ""}  # Facebook does not look at the grant type
    sandbox.account(vendor.platform)
    code = vendor.code_of(sandbox, username="ann")
    assert failed(vendor.exchange(sandbox, code, **change))
    assert access(vendor.exchange(sandbox, code))


@every_vendor
def test_a_challenge_needs_its_verifier(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    pkce = {"code_challenge": vendor.challenge, "code_challenge_method": "S256"}
    code = vendor.code_of(sandbox, username="ann", **pkce)
    assert failed(vendor.exchange(sandbox, code))
    assert failed(vendor.exchange(sandbox, code, code_verifier="w" * 50))
    assert access(vendor.exchange(sandbox, code, code_verifier=VERIFIER))


@every_vendor
def test_an_app_that_is_known_must_bring_its_secret_and_its_address(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    app = {
        "platform": vendor.platform,
        "client_id": "app",
        "client_secret": "secret",
        "redirect_uris": [BACK],
    }
    sandbox.control_json("POST", "apps", app)
    code = vendor.code_of(sandbox, username="ann")
    assert failed(vendor.exchange(sandbox, code, client_secret="wrong"))
    assert access(vendor.exchange(sandbox, code))
    assert vendor.ask(sandbox, auto="allow", redirect_uri="http://127.0.0.1:9/elsewhere").status_code == 400
    assert vendor.ask(sandbox, auto="allow", **{vendor.client: "stranger"}).status_code == 400


@every_vendor
def test_nobody_is_sent_anywhere_by_a_page_that_is_asked_wrongly(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    for wrong in (
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "/relative"},
        {"redirect_uri": BACK + "#x"},
        {"response_type": "token"},
        {vendor.client: ""},
        {"username": "nobody"},
    ):
        answer = vendor.ask(sandbox, auto="allow", **wrong)
        assert (answer.status_code, "Location" in answer.headers) == (400, False), wrong


@every_vendor
def test_a_lost_answer_uses_the_code_up(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    code = vendor.code_of(sandbox, username="ann")
    sandbox.fault(vendor.platform, "oauth", "effect-then-drop")
    with pytest.raises(requests.ConnectionError):
        vendor.exchange(sandbox, code)
    assert failed(vendor.exchange(sandbox, code))


def _works(sandbox: Sandbox, platform: str, token: str, account: Account) -> requests.Response:
    calls: dict[str, Callable[[], requests.Response]] = {
        "tiktok": lambda: requests.post(
            f"{sandbox.base}/tiktok/v2/post/publish/creator_info/query/", headers=bearer, timeout=30
        ),
        "tiktok_business": lambda: requests.get(
            f"{sandbox.base}/tiktok-business/open_api/v1.3/business/get/",
            params={"business_id": account.remote_id, "fields": '["username","display_name"]'},
            headers={"Access-Token": token},
            timeout=30,
        ),
        "instagram": lambda: requests.get(
            f"{sandbox.base}/instagram/me?fields=username", headers=bearer, timeout=30
        ),
        "youtube": lambda: requests.get(
            f"{sandbox.base}/youtube/youtube/v3/channels?part=id&mine=true", headers=bearer, timeout=30
        ),
        "pinterest": lambda: requests.get(f"{sandbox.base}/pinterest/v5/boards", headers=bearer, timeout=30),
        "linkedin": lambda: requests.get(f"{sandbox.base}/linkedin/v2/userinfo", headers=bearer, timeout=30),
    }
    bearer = {"Authorization": f"Bearer {token}"}
    return calls[platform]()


@pytest.mark.parametrize("platform", [name for name in BY_NAME if name != "facebook"])
def test_the_tokens_of_a_consent_work(sandbox: Sandbox, platform: str) -> None:
    account = sandbox.account(platform)
    vendor = BY_NAME[platform]
    token = access(vendor.exchange(sandbox, vendor.code_of(sandbox, username="ann")))
    answer = _works(sandbox, platform, token, account)
    assert (answer.status_code, answer.json().get("code", 0)) == (200, 0)


def test_a_token_can_do_no_more_than_was_granted(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok")
    vendor = BY_NAME["tiktok"]
    answer = vendor.exchange(sandbox, vendor.code_of(sandbox, username="ann", scope="video.list"))
    assert answer.json()["scope"] == "video.list"
    refused_call = _works(sandbox, "tiktok", access(answer), account)
    assert refused_call.json()["error"]["code"] == "scope_not_authorized"
    form = {"client_key": "app", "client_secret": "secret", "grant_type": "refresh_token"}
    form["refresh_token"] = answer.json()["refresh_token"]
    fresh = requests.post(f"{sandbox.base}/tiktok/v2/oauth/token/", data=form, timeout=30).json()
    assert fresh["scope"] == "video.list"


def test_business_tells_who_the_account_is(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok_business", display_name="Ann")
    answer = _works(sandbox, "tiktok_business", account.access_token, account).json()
    assert answer["data"] == {"username": "ann", "display_name": "Ann"}


def test_google_gives_a_refresh_token_the_first_time_or_when_it_prompts(sandbox: Sandbox) -> None:
    sandbox.account("youtube")
    vendor = BY_NAME["youtube"]

    def has_refresh(**more: str) -> bool:
        return (
            "refresh_token"
            in vendor.exchange(sandbox, vendor.code_of(sandbox, username="ann", **more)).json()
        )

    assert has_refresh(access_type="online") is False
    assert [has_refresh(), has_refresh(), has_refresh(prompt="consent")] == [True, False, True]


def test_a_google_app_in_testing_loses_its_refresh_token_after_a_week(sandbox: Sandbox) -> None:
    account = sandbox.account("youtube", options={"testing": True})
    form = {"client_id": "i", "client_secret": "s", "grant_type": "refresh_token"}
    form["refresh_token"] = account.refresh_token or ""
    url = f"{sandbox.base}/google-oauth/token"
    fresh = requests.post(url, data=form, timeout=30).json()
    assert (set(fresh), fresh["expires_in"]) == ({"access_token", "expires_in", "scope", "token_type"}, 3599)
    sandbox.control_json("POST", "clock", {"advance_s": 7 * 86_400})
    assert requests.post(url, data=form, timeout=30).json()["error"] == "invalid_grant"


def test_linkedin_partners_keep_their_refresh_token_and_its_end(sandbox: Sandbox) -> None:
    account = sandbox.account("linkedin", options={"partner": True})
    sandbox.control_json("POST", "clock", {"advance_s": 86_400})
    form = {"client_id": "i", "client_secret": "s", "grant_type": "refresh_token"}
    form["refresh_token"] = account.refresh_token or ""
    url = f"{sandbox.base}/linkedin-www/oauth/v2/accessToken"
    fresh = requests.post(url, data=form, timeout=30).json()
    assert fresh["refresh_token"] == account.refresh_token
    assert 363 * 86_400 < fresh["refresh_token_expires_in"] <= 364 * 86_400


def test_a_linkedin_member_brings_organizations_along(sandbox: Sandbox) -> None:
    ann, acme = (
        sandbox.account("linkedin"),
        sandbox.account("linkedin", "acme", options={"kind": "organization"}),
    )
    vendor = BY_NAME["linkedin"]
    token = access(vendor.exchange(sandbox, vendor.code_of(sandbox, username="ann")))
    headers = {"Authorization": f"Bearer {token}", "LinkedIn-Version": "202609"}
    headers["X-Restli-Protocol-Version"] = "2.0.0"

    def rest(path: str) -> Any:
        return requests.get(f"{sandbox.base}/linkedin/rest/{path}", headers=headers, timeout=30).json()

    (acl,) = rest("organizationAcls?q=roleAssignee&role=ADMINISTRATOR&state=APPROVED")["elements"]
    assert (acl["organization"], acl["roleAssignee"]) == (acme.remote_id, ann.remote_id)
    number = acme.remote_id.rpartition(":")[2]
    assert rest(f"organizations/{number}")["vanityName"] == "acme"
    assert rest(f"organizations?ids=List({number})")["results"][number]["localizedName"] == "acme"
    user = _works(sandbox, "linkedin", token, ann).json()
    assert f"urn:li:person:{user['sub']}" == ann.remote_id
    body = {
        "author": acme.remote_id,
        "commentary": "c",
        "visibility": "PUBLIC",
        "lifecycleState": "PUBLISHED",
    }
    body |= {"distribution": {"feedDistribution": "MAIN_FEED"}}  # type: ignore[dict-item]
    url = f"{sandbox.base}/linkedin/rest/posts"
    assert requests.post(url, json=body, headers=headers, timeout=30).status_code == 201
    assert [entry["account"] for entry in sandbox.ledger()] == [acme.remote_id]
    sandbox.control_json(
        "POST", "tokens", {"platform": "linkedin", "remote_id": acme.remote_id, "state": "revoked"}
    )
    assert requests.post(url, json=body, headers=headers, timeout=30).json()["code"] == "REVOKED_ACCESS_TOKEN"


@dataclass(kw_only=True)
class Login:
    """Facebook Login, as far as a person's token."""

    sandbox: Sandbox
    token: str

    def get(self, path: str, **query: str) -> requests.Response:
        url = f"{self.sandbox.base}/facebook/v25.0/{path}"
        return requests.get(url, params={"access_token": self.token, **query}, timeout=30)

    def longer(self) -> "Login":
        query = {"grant_type": "fb_exchange_token", "client_id": "app", "client_secret": "secret"}
        url = f"{self.sandbox.base}/facebook/v25.0/oauth/access_token"
        answer = requests.get(url, params=query | {"fb_exchange_token": self.token}, timeout=30).json()
        assert (answer["token_type"], answer["expires_in"]) == ("bearer", 5184000)
        return Login(sandbox=self.sandbox, token=answer["access_token"])


def login(sandbox: Sandbox, usernames: str, **more: str) -> Login:
    vendor = BY_NAME["facebook"]
    token = access(vendor.exchange(sandbox, vendor.code_of(sandbox, username=usernames, **more)))
    return Login(sandbox=sandbox, token=token)


def test_facebook_login_leads_to_pages_whose_tokens_have_no_end(sandbox: Sandbox) -> None:
    pages = [sandbox.account("facebook", name) for name in ("one", "two", "three")]
    person = login(sandbox, "one,two").longer()
    rows = person.get("me/accounts", fields="id,name,access_token,tasks").json()["data"]
    assert [row["id"] for row in rows] == [page.remote_id for page in pages[:2]]
    assert "CREATE_CONTENT" in rows[0]["tasks"]
    again = person.get("me/accounts", fields="access_token").json()["data"]
    assert [row["access_token"] for row in again] == [row["access_token"] for row in rows]
    sandbox.control_json("POST", "clock", {"advance_s": 61 * 86_400})
    page = Login(sandbox=sandbox, token=rows[0]["access_token"])
    assert page.get("me", fields="id,name").json()["id"] == pages[0].remote_id
    assert graph_error(person.get("me/accounts")) == (190, 463)


def test_the_pages_of_a_business_are_found_by_debug_token(sandbox: Sandbox) -> None:
    page = sandbox.account("facebook", "one", options={"business": True})
    person = login(sandbox, "one").longer()
    assert person.get("me/accounts").json() == {"data": []}
    told = requests.get(
        f"{sandbox.base}/facebook/v25.0/debug_token",
        params={"input_token": person.token, "access_token": "app|secret"},
        timeout=30,
    ).json()["data"]
    assert (told["type"], told["is_valid"]) == ("USER", True)
    assert {"scope": "pages_manage_posts", "target_ids": [page.remote_id]} in told["granular_scopes"]
    found = person.get(page.remote_id, fields="id,name,access_token").json()
    assert (found["id"], found["access_token"].startswith("EAA")) == (page.remote_id, True)


def test_a_persons_token_is_no_pages_token(sandbox: Sandbox) -> None:
    page = sandbox.account("facebook", "one")
    person = login(sandbox, "one")
    url = f"{sandbox.base}/facebook/v25.0/{page.remote_id}/feed"
    answer = requests.post(url, json={"message": "m", "access_token": person.token}, timeout=30)
    assert graph_error(answer) == (190, 2069032)
    assert person.get("me", fields="id,name").json()["name"] == "Sandbox Person"


def test_instagram_is_reached_through_the_page_it_is_linked_to(sandbox: Sandbox) -> None:
    sandbox.pace("instant", quotas=True)
    sandbox.account("facebook", "one")
    linked = sandbox.account("instagram", "one")
    scope = "pages_show_list,instagram_basic,instagram_content_publish"
    person = login(sandbox, "one", scope=scope)
    fields = "id,access_token,instagram_business_account{id,username}"
    (row,) = person.get("me/accounts", fields=fields).json()["data"]
    assert row["instagram_business_account"] == {"id": linked.remote_id, "username": "one"}
    page = Login(sandbox=sandbox, token=row["access_token"])
    assert page.get(linked.remote_id, fields="username").json()["username"] == "one"
    query = {"access_token": page.token, "image_url": sandbox.media("sample-1.jpg")}
    made = requests.post(f"{sandbox.base}/facebook/v25.0/{linked.remote_id}/media", params=query, timeout=30)
    assert made.ok, made.text
    assert graph_error(
        requests.post(f"{sandbox.base}/facebook/v25.0/me/feed", params={"message": "m", **query}, timeout=30)
    )


def test_instagrams_short_token_becomes_a_long_one(sandbox: Sandbox) -> None:
    account = sandbox.account("instagram")
    vendor = BY_NAME["instagram"]
    answer = vendor.exchange(sandbox, vendor.code_of(sandbox, username="ann")).json()
    assert answer["user_id"] == int(account.remote_id)
    query = {"grant_type": "ig_exchange_token", "client_secret": "s", "access_token": answer["access_token"]}
    long = requests.get(f"{sandbox.base}/instagram/access_token", params=query, timeout=30).json()
    assert _works(sandbox, "instagram", long["access_token"], account).json()["username"] == "ann"


def test_apps_are_made_known_by_the_control_api_alone(sandbox: Sandbox) -> None:
    body = {"platform": "tiktok", "client_id": "a", "client_secret": "b", "redirect_uris": "no list"}
    answer = sandbox.control("POST", "apps", body)
    assert (answer.status_code, "redirect_uris" in answer.json()["error"]) == (422, True)
    assert CONTROL_TOKEN not in answer.text
    assert requests.post(f"{sandbox.base}/control/apps", json=body, timeout=30).status_code == 401
