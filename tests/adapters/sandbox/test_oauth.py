"""Consent page, code exchange and tokens of every vendor."""

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.adapters.sandbox.oauth import (
    REDIRECT_URI,
    VENDORS_BY_PLATFORM,
    VERIFIER,
    Vendor,
    call_with_token,
    every_vendor,
    is_refused,
    read_access_token,
)
from tests.adapters.sandbox.process import CONTROL_TOKEN, Sandbox


@every_vendor
def test_the_page_offers_the_accounts_and_its_form_works(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform, "ann<b>", display_name="Ann & Co")
    url, query = vendor.build_url(sandbox)
    page = requests.get(url, params=query, timeout=30)
    assert page.headers["Content-Type"].startswith("text/html")
    assert ("Ann &amp; Co (@ann&lt;b&gt;)" in page.text, "s t&amp;" in page.text) == (True, True)
    form = query | {"username": "ann<b>", "decision": "allow"}
    answer = requests.post(url, data=form, timeout=30, allow_redirects=False)
    assert answer.status_code == 303
    back = urlsplit(answer.headers["Location"])
    assert (f"{back.scheme}://{back.netloc}{back.path}", parse_qs(back.query)["state"]) == (
        REDIRECT_URI,
        ["s t&"],
    )
    assert read_access_token(vendor.exchange(sandbox, parse_qs(back.query)["code"][0]))


@every_vendor
def test_a_person_can_say_no(sandbox: Sandbox, vendor: Vendor) -> None:
    back = urlsplit(vendor.open_page(sandbox, auto="deny").headers["Location"])
    assert (parse_qs(back.query)["error"], parse_qs(back.query)["state"]) == ([vendor.denied], ["s t&"])
    assert "code" not in parse_qs(back.query)


@every_vendor
def test_a_new_account_can_be_named_on_the_page(sandbox: Sandbox, vendor: Vendor) -> None:
    assert vendor.open_page(sandbox, auto="allow").status_code == 400
    assert read_access_token(vendor.exchange(sandbox, vendor.request_code(sandbox, new_username="newcomer")))


@every_vendor
def test_a_code_is_good_once(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    code = vendor.request_code(sandbox, username="ann")
    assert read_access_token(vendor.exchange(sandbox, code))
    assert is_refused(vendor.exchange(sandbox, code))


@every_vendor
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": REDIRECT_URI + "/"},
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
    code = vendor.request_code(sandbox, username="ann")
    assert is_refused(vendor.exchange(sandbox, code, **change))
    assert read_access_token(vendor.exchange(sandbox, code))


@every_vendor
def test_a_challenge_needs_its_verifier(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    pkce = {"code_challenge": vendor.challenge, "code_challenge_method": "S256"}
    code = vendor.request_code(sandbox, username="ann", **pkce)
    assert is_refused(vendor.exchange(sandbox, code))
    assert is_refused(vendor.exchange(sandbox, code, code_verifier="w" * 50))
    assert read_access_token(vendor.exchange(sandbox, code, code_verifier=VERIFIER))


@every_vendor
def test_an_app_that_is_known_must_bring_its_secret_and_its_address(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    app = {
        "platform": vendor.platform,
        "client_id": "app",
        "client_secret": "secret",
        "redirect_uris": [REDIRECT_URI],
    }
    sandbox.control_json("POST", "apps", app)
    code = vendor.request_code(sandbox, username="ann")
    assert is_refused(vendor.exchange(sandbox, code, client_secret="wrong"))
    assert read_access_token(vendor.exchange(sandbox, code))
    assert (
        vendor.open_page(sandbox, auto="allow", redirect_uri="http://127.0.0.1:9/elsewhere").status_code
        == 400
    )
    assert vendor.open_page(sandbox, auto="allow", **{vendor.client: "stranger"}).status_code == 400


@every_vendor
def test_nobody_is_sent_anywhere_by_a_page_that_is_asked_wrongly(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    for wrong in (
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "/relative"},
        {"redirect_uri": REDIRECT_URI + "#x"},
        {"response_type": "token"},
        {vendor.client: ""},
        {"username": "nobody"},
    ):
        answer = vendor.open_page(sandbox, auto="allow", **wrong)
        assert (answer.status_code, "Location" in answer.headers) == (400, False), wrong


@every_vendor
def test_a_lost_answer_uses_the_code_up(sandbox: Sandbox, vendor: Vendor) -> None:
    sandbox.account(vendor.platform)
    code = vendor.request_code(sandbox, username="ann")
    sandbox.fault(vendor.platform, "oauth", "effect-then-drop")
    with pytest.raises(requests.ConnectionError):
        vendor.exchange(sandbox, code)
    assert is_refused(vendor.exchange(sandbox, code))


@pytest.mark.parametrize("platform", [name for name in VENDORS_BY_PLATFORM if name != "facebook"])
def test_the_tokens_of_a_consent_work(sandbox: Sandbox, platform: str) -> None:
    account = sandbox.account(platform)
    vendor = VENDORS_BY_PLATFORM[platform]
    token = read_access_token(vendor.exchange(sandbox, vendor.request_code(sandbox, username="ann")))
    answer = call_with_token(sandbox, platform, token, account)
    assert (answer.status_code, answer.json().get("code", 0)) == (200, 0)


def test_apps_are_made_known_by_the_control_api_alone(sandbox: Sandbox) -> None:
    body = {"platform": "tiktok", "client_id": "a", "client_secret": "b", "redirect_uris": "no list"}
    answer = sandbox.control("POST", "apps", body)
    assert (answer.status_code, "redirect_uris" in answer.json()["error"]) == (422, True)
    assert CONTROL_TOKEN not in answer.text
    assert requests.post(f"{sandbox.base}/control/apps", json=body, timeout=30).status_code == 401
