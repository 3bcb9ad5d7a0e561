"""Meta's deauthorize callback, as the sandbox sends it: signed, believed only then, harmless when it is repeated."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import requests
from pydantic import SecretStr

from adapters.contract import Platform
from pipeline.accounts.deauthorize import deauthorize
from pipeline.domain.audit import Actor
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.grants import deactivate
from pipeline.store.database import rows
from tests.pipeline.accounts.consent_page import OAuthWorkspace, build_stack_fixture, grant_consent
from tests.stack import Stack

SECRET = "sandbox-secret"
META = Actor(kind="system", name="Facebook")
USER = "10158000000000001"

stack = build_stack_fixture()


@pytest.fixture
def home(stack: Stack) -> OAuthWorkspace:
    return OAuthWorkspace.new(stack)


def connect(home: OAuthWorkspace, platform: Platform = Platform.FACEBOOK, name: str | None = None) -> UUID:
    name = name or home.add_person(platform.value)
    [one] = home.finish(platform, grant_consent(home.start(platform).url, name))
    return one.id


def address(home: OAuthWorkspace, platform: str = "facebook") -> str:
    return f"{home.stack.api}/api/partner/v1/connect/{platform}/deauthorize"


def remove_app(home: OAuthWorkspace, account: UUID, secret: str = SECRET) -> Any:
    found, _, _ = home.read_account(account)
    platform = found.platform.value
    body = {"platform": platform, "remote_id": found.remote_id, "url": address(home, platform)}
    return home.stack.control("POST", "deauthorize", {**body, "client_secret": secret})


def status(home: OAuthWorkspace, account: UUID) -> str:
    return home.read_account(account)[2]


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def sign(secret: str = SECRET, **changes: Any) -> str:
    said = {"algorithm": "HMAC-SHA256", "user_id": USER, "issued_at": int(time.time()) + 5, **changes}
    payload = encode(json.dumps({name: one for name, one in said.items() if one is not None}).encode())
    return f"{encode(hmac.digest(secret.encode(), payload.encode(), hashlib.sha256))}.{payload}"


def post(url: str, signed: str) -> requests.Response:
    return requests.post(url, data={"signed_request": signed}, timeout=60)


def test_all_accounts_of_the_user_have_to_be_connected_again(home: OAuthWorkspace) -> None:
    other = OAuthWorkspace.new(home.stack)
    mine, theirs, tiktok = connect(home), connect(other), home.connect_tiktok(home.add_person("tiktok")).id
    assert remove_app(home, mine)["status"] == 200
    assert [status(home, one) for one in (mine, theirs, tiktok)] == ["reconnect", "reconnect", "active"]
    [account] = [one for one in home.accounts() if one.id == mine]
    assert account.error is not None
    assert "removed the app" in account.error["message"]
    with home.stack.context.database.begin() as c:
        sql = "SELECT * FROM audit WHERE verb = 'deauthorize' AND subject = ANY(:ids) ORDER BY id"
        found = rows(c, sql, ids=[str(mine), str(theirs)])
    assert {(x.subject, x.workspace_id) for x in found} == {
        (str(mine), home.workspace),
        (str(theirs), other.workspace),
    }
    assert {(x.actor_kind, x.actor_name, x.address) for x in found} == {("system", "Facebook", "127.0.0.1")}
    assert all(x.request_id and x.after == {"status": "reconnect"} for x in found)


def test_an_instagram_user_is_told_from_others(home: OAuthWorkspace) -> None:
    one, two = connect(home, Platform.INSTAGRAM), connect(home, Platform.INSTAGRAM)
    assert remove_app(home, one)["status"] == 200
    assert [status(home, one), status(home, two)] == ["reconnect", "active"]


def test_one_address_serves_the_platforms_of_an_app_and_no_other(home: OAuthWorkspace) -> None:
    shares, other = connect(home, Platform.INSTAGRAM), home.connect_tiktok(home.add_person("tiktok")).id
    for one in (shares, other):
        home.sql("UPDATE accounts SET granted_by = :u WHERE id = :a RETURNING id", u=USER, a=one)
    assert post(address(home), sign()).status_code == 200
    assert [status(home, shares), status(home, other)] == ["reconnect", "active"]


def test_a_repeated_request_leaves_a_later_grant_alone(home: OAuthWorkspace) -> None:
    name = home.add_person("facebook")
    account = connect(home, name=name)
    signed = remove_app(home, account)["signed_request"]
    assert post(address(home), signed).status_code == 200
    assert connect(home, name=name) == account
    home.sql(
        "UPDATE accounts SET credentials_since = now() + interval '9 s' WHERE id = :a RETURNING id", a=account
    )
    assert post(address(home), signed).status_code == 200
    assert status(home, account) == "active"


def test_an_account_whose_user_is_not_known_is_matched_by_its_own_id(home: OAuthWorkspace) -> None:
    account = connect(home, Platform.INSTAGRAM)
    home.sql("UPDATE accounts SET granted_by = NULL WHERE id = :a RETURNING id", a=account)
    assert remove_app(home, account)["status"] == 200
    assert status(home, account) == "reconnect"


def test_an_account_out_of_use_stays_so_and_is_not_counted(home: OAuthWorkspace) -> None:
    account = connect(home)
    with home.stack.context.database.begin() as c:
        deactivate(c, account)
    deauthorize(home.stack.context, META, Platform.FACEBOOK, sign())
    assert status(home, account) == "inactive"
    assert deauthorize(home.stack.context, META, Platform.FACEBOOK, sign()) == 0


def test_an_unknown_user_changes_nothing(home: OAuthWorkspace) -> None:
    account = connect(home)
    assert post(address(home), sign(user_id="1")).status_code == 200
    assert status(home, account) == "active"


BAD = {
    "another secret": sign("another"),
    "no secret": sign(""),
    "nothing": "",
    "no payload": sign().partition(".")[0],
    "no base64": "\u00e9.\u00e9",
    "another payload": f"{sign(user_id='1').partition('.')[0]}.{sign().partition('.')[2]}",
    "another algorithm": sign(algorithm="none"),
    "no user": sign(user_id=None),
    "no time": sign(issued_at=None),
}


@pytest.mark.parametrize("signed", BAD.values(), ids=BAD)
def test_what_is_not_signed_as_meta_does_is_refused(home: OAuthWorkspace, signed: str) -> None:
    account = connect(home)
    answer = post(address(home), signed)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_callback"), answer.text
    assert status(home, account) == "active"


def test_without_an_app_secret_nobody_is_believed(home: OAuthWorkspace) -> None:
    context = home.stack.context
    bare = replace(context.platform_settings[Platform.FACEBOOK], app_secret=SecretStr(""))
    settings = {**context.platform_settings, Platform.FACEBOOK: bare}
    with pytest.raises(Refusal, match="signature"):
        deauthorize(replace(context, platform_settings=settings), META, Platform.FACEBOOK, sign(""))


def test_other_platforms_and_large_bodies_are_refused(home: OAuthWorkspace) -> None:
    assert post(address(home, "tiktok"), sign()).status_code == 404
    assert post(address(home, "myspace"), sign()).status_code == 404
    assert post(address(home), "x" * 20_001).status_code == 413
