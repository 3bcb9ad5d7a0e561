"""Consent pages and token endpoints of the vendors on the sandbox, and the requests of an app."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.adapters.sandbox.process import Account, Sandbox

REDIRECT_URI = "http://127.0.0.1:9/oauth/callback"
VERIFIER = "v" * 50
S256 = hashlib.sha256(VERIFIER.encode())
BASE64URL = base64.urlsafe_b64encode(S256.digest()).rstrip(b"=").decode()


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """The OAuth endpoints of one platform and how they differ from RFC 6749."""

    platform: str
    page: str
    """Path of the consent page."""
    scope: str
    token: str
    """Path of the token endpoint."""
    client: str = "client_id"
    """Name of the parameter with the app's id."""
    code: str = "code"
    """Name of the code field in the exchange."""
    challenge: str = BASE64URL
    is_json: bool = False
    """The exchange is JSON, not a form."""
    has_basic_auth: bool = False
    """The exchange sends app id and secret by HTTP Basic."""
    denied: str = "access_denied"
    """The error after Deny."""

    def build_url(self, sandbox: Sandbox, **more: str) -> tuple[str, dict[str, str]]:
        """Return URL and query of the consent page."""
        query = {
            self.client: "app",
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": self.scope,
        }
        query |= {"state": "s t&", "access_type": "offline"}
        return sandbox.base + self.page, {**query, **more}

    def open_page(self, sandbox: Sandbox, **more: str) -> requests.Response:
        url, query = self.build_url(sandbox, **more)
        return requests.get(url, params=query, timeout=30, allow_redirects=False)

    def request_code(self, sandbox: Sandbox, **more: str) -> str:
        answer = self.open_page(sandbox, auto="allow", **more)
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]

    def exchange(self, sandbox: Sandbox, code: str, **change: str | None) -> requests.Response:
        form = {self.code: code, "grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, **change}
        return self._send(sandbox, form)

    def refresh(self, sandbox: Sandbox, token: str | None, **change: str | None) -> requests.Response:
        return self._send(sandbox, {"grant_type": "refresh_token", "refresh_token": token} | change)

    def _send(self, sandbox: Sandbox, form: dict[str, str | None]) -> requests.Response:
        client = "client_id" if self.platform == "tiktok_business" else self.client
        form = {client: "app", "client_secret": "secret", **form}
        url = sandbox.base + self.token
        if self.is_json:
            return requests.post(url, json=form, timeout=30)
        if self.has_basic_auth:
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
        is_json=True,
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
        has_basic_auth=True,
    ),
    Vendor(
        platform="linkedin",
        page="/linkedin-www/oauth/v2/authorization",
        scope="openid profile w_member_social w_organization_social r_organization_social rw_organization_admin",
        token="/linkedin-www/oauth/v2/accessToken",
        denied="user_cancelled_authorize",
    ),
]
VENDORS_BY_PLATFORM = {vendor.platform: vendor for vendor in VENDORS}

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=list(VENDORS_BY_PLATFORM))


def read_access_token(answer: requests.Response) -> str:
    body = answer.json()
    return str(body["data"]["access_token"] if "data" in body else body["access_token"])


def is_refused(answer: requests.Response) -> bool:
    """Return whether the exchange failed: error formats differ, but none contains a token."""
    body = answer.json()
    return "access_token" not in body and not body.get("data")


def call_with_token(sandbox: Sandbox, platform: str, token: str, account: Account) -> requests.Response:
    """Call an endpoint that requires a token of *account*."""
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
