"""OAuth rules of single vendors: scopes, refresh tokens, Facebook Login, members and their organizations."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.adapters.sandbox.clients import graph_error
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM, call_with_token, read_access_token
from tests.adapters.sandbox.process import Sandbox


def test_a_token_can_do_no_more_than_was_granted(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok")
    vendor = VENDORS_BY_PLATFORM["tiktok"]
    answer = vendor.exchange(sandbox, vendor.request_code(sandbox, username="ann", scope="video.list"))
    assert answer.json()["scope"] == "video.list"
    refused = call_with_token(sandbox, "tiktok", read_access_token(answer), account)
    assert refused.json()["error"]["code"] == "scope_not_authorized"
    assert vendor.refresh(sandbox, answer.json()["refresh_token"]).json()["scope"] == "video.list"


def test_business_tells_who_the_account_is(sandbox: Sandbox) -> None:
    account = sandbox.account("tiktok_business", display_name="Ann")
    answer = call_with_token(sandbox, "tiktok_business", account.access_token, account).json()
    assert answer["data"] == {"username": "ann", "display_name": "Ann"}


def test_google_gives_a_refresh_token_the_first_time_or_when_it_prompts(sandbox: Sandbox) -> None:
    sandbox.account("youtube")
    vendor = VENDORS_BY_PLATFORM["youtube"]

    def has_refresh(**more: str) -> bool:
        return (
            "refresh_token"
            in vendor.exchange(sandbox, vendor.request_code(sandbox, username="ann", **more)).json()
        )

    assert has_refresh(access_type="online") is False
    assert [has_refresh(), has_refresh(), has_refresh(prompt="consent")] == [True, False, True]


def test_a_google_app_in_testing_loses_its_refresh_token_after_a_week(sandbox: Sandbox) -> None:
    account = sandbox.account("youtube", options={"testing": True})
    vendor = VENDORS_BY_PLATFORM["youtube"]
    fresh = vendor.refresh(sandbox, account.refresh_token).json()
    assert (set(fresh), fresh["expires_in"]) == ({"access_token", "expires_in", "scope", "token_type"}, 3599)
    sandbox.control_json("POST", "clock", {"advance_s": 7 * 86_400})
    assert vendor.refresh(sandbox, account.refresh_token).json()["error"] == "invalid_grant"


def test_linkedin_partners_keep_their_refresh_token_and_its_end(sandbox: Sandbox) -> None:
    account = sandbox.account("linkedin", options={"partner": True})
    sandbox.control_json("POST", "clock", {"advance_s": 86_400})
    fresh = VENDORS_BY_PLATFORM["linkedin"].refresh(sandbox, account.refresh_token).json()
    assert fresh["refresh_token"] == account.refresh_token
    assert 363 * 86_400 < fresh["refresh_token_expires_in"] <= 364 * 86_400


def test_a_linkedin_member_brings_organizations_along(sandbox: Sandbox) -> None:
    ann, acme = (
        sandbox.account("linkedin"),
        sandbox.account("linkedin", "acme", options={"kind": "organization"}),
    )
    vendor = VENDORS_BY_PLATFORM["linkedin"]
    token = read_access_token(vendor.exchange(sandbox, vendor.request_code(sandbox, username="ann")))
    headers = {"Authorization": f"Bearer {token}", "LinkedIn-Version": "202609"}
    headers["X-Restli-Protocol-Version"] = "2.0.0"

    def rest(path: str) -> Any:
        return requests.get(f"{sandbox.base}/linkedin/rest/{path}", headers=headers, timeout=30).json()

    (acl,) = rest("organizationAcls?q=roleAssignee&role=ADMINISTRATOR&state=APPROVED")["elements"]
    assert (acl["organization"], acl["roleAssignee"]) == (acme.remote_id, ann.remote_id)
    number = acme.remote_id.rpartition(":")[2]
    assert rest(f"organizations/{number}")["localizedName"] == "acme"
    user = call_with_token(sandbox, "linkedin", token, ann).json()
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
    """A token of a person or Page from Facebook Login."""

    sandbox: Sandbox
    token: str

    def get(self, path: str, **query: str) -> requests.Response:
        url = f"{self.sandbox.base}/facebook/v25.0/{path}"
        return requests.get(url, params={"access_token": self.token, **query}, timeout=30)

    def extend(self) -> "Login":
        query = {"grant_type": "fb_exchange_token", "client_id": "app", "client_secret": "secret"}
        url = f"{self.sandbox.base}/facebook/v25.0/oauth/access_token"
        answer = requests.get(url, params=query | {"fb_exchange_token": self.token}, timeout=30).json()
        assert (answer["token_type"], answer["expires_in"]) == ("bearer", 5184000)
        return Login(sandbox=self.sandbox, token=answer["access_token"])


def login(sandbox: Sandbox, usernames: str, **more: str) -> Login:
    vendor = VENDORS_BY_PLATFORM["facebook"]
    token = read_access_token(
        vendor.exchange(sandbox, vendor.request_code(sandbox, username=usernames, **more))
    )
    return Login(sandbox=sandbox, token=token)


def test_facebook_login_leads_to_pages_whose_tokens_have_no_end(sandbox: Sandbox) -> None:
    pages = [sandbox.account("facebook", name) for name in ("one", "two", "three")]
    person = login(sandbox, "one,two").extend()
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
    person = login(sandbox, "one").extend()
    assert person.get("me/accounts").json() == {"data": []}
    info = requests.get(
        f"{sandbox.base}/facebook/v25.0/debug_token",
        params={"input_token": person.token, "access_token": "app|secret"},
        timeout=30,
    ).json()["data"]
    assert (info["type"], info["is_valid"]) == ("USER", True)
    assert {"scope": "pages_manage_posts", "target_ids": [page.remote_id]} in info["granular_scopes"]
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
    vendor = VENDORS_BY_PLATFORM["instagram"]
    answer = vendor.exchange(sandbox, vendor.request_code(sandbox, username="ann")).json()
    assert answer["user_id"] == int(account.remote_id)
    query = {"grant_type": "ig_exchange_token", "client_secret": "s", "access_token": answer["access_token"]}
    long = requests.get(f"{sandbox.base}/instagram/access_token", params=query, timeout=30).json()
    assert call_with_token(sandbox, "instagram", long["access_token"], account).json()["username"] == "ann"
