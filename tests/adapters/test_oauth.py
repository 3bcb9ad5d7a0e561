"""OAuth on the six platforms: consent pages, code exchange, refresh, and which refusals disconnect an account.

Discovery of accounts differs by platform: ``<platform>/test_*_oauth.py``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from adapters.contract import Account, Adapter, Credentials, Platform
from adapters.errors import (
    AdapterError,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.youtube.errors import OAUTH as GOOGLE_ERRORS
from tests.adapters.facebook import drafts as fb
from tests.adapters.instagram import drafts as ig
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pi
from tests.adapters.platforms import build_adapter
from tests.adapters.scripted_server import DROP, ReceivedRequest, Reply, ScriptedServer
from tests.adapters.tiktok import drafts as tt
from tests.adapters.tiktok import examples as tiktok
from tests.adapters.youtube import drafts as yt
from tests.adapters.youtube import examples as google

BACK = "https://slipway.example/back/"
APP = "990602627938098"
DIGEST = hashlib.sha256(b"verifier").digest()
CHALLENGE = base64.urlsafe_b64encode(DIGEST).rstrip(b"=").decode()
ORGANIZATION = "w_organization_social r_organization_social rw_organization_admin"
ORGANIZATION_ASKED = (
    "w_organization_social r_organization_social w_organization_social_feed r_organization_social_feed "
    "rw_organization_admin"
)
PAGE_SCOPES = "pages_show_list pages_read_engagement pages_manage_posts pages_manage_engagement"
INSTAGRAM_SCOPES = (
    "instagram_business_basic instagram_business_content_publish instagram_business_manage_comments"
)
YOUTUBE_SCOPES = (
    "https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.readonly"
)


@pytest.fixture
def build(server: ScriptedServer) -> Callable[..., Adapter]:
    """Build the adapter of a platform, with options of its settings, that sends to the server."""

    def made(platform: Platform, **options: Any) -> Adapter:
        return build_adapter(platform, server.url, **options)

    return made


def read_fields(request: ReceivedRequest) -> dict[str, Any]:
    if request.method == "GET":
        return dict(request.query)
    is_json = "json" in request.headers["Content-Type"]
    return dict(request.json()) if is_json else request.form()


def lasts(until: datetime | None, seconds: int | None) -> bool:
    if until is None or seconds is None:
        return until is None and seconds is None
    return timedelta(0) <= datetime.now(UTC) + timedelta(seconds=seconds) - until < timedelta(minutes=1)


def reveal(credentials: Credentials) -> tuple[str, str | None]:
    refresh = credentials.refresh_token
    return credentials.access_token.get_secret_value(), refresh.get_secret_value() if refresh else None


# --- consent ---------------------------------------------------------------------------------------------------------

BUSINESS_SCOPES = "user.info.basic,user.info.username,user.account.type,video.list,video.publish,video.upload"
CONSENT: list[tuple[Platform, dict[str, str], str, dict[str, str]]] = [
    (
        Platform.FACEBOOK,
        {},
        "/www/v25.0/dialog/oauth",
        {"client_id": APP, "scope": PAGE_SCOPES.replace(" ", ",")},
    ),
    (
        Platform.INSTAGRAM,
        {},
        "/www/oauth/authorize",
        {"client_id": APP, "scope": INSTAGRAM_SCOPES.replace(" ", ",")},
    ),
    (
        Platform.INSTAGRAM,
        {"connection": "facebook_login"},
        "/facebook_www/v25.0/dialog/oauth",
        {
            "client_id": APP,
            "scope": "instagram_basic,instagram_content_publish,instagram_manage_comments,pages_show_list,"
            "pages_read_engagement",
        },
    ),
    *(
        (Platform.LINKEDIN, options, "/www/oauth/v2/authorization", {"client_id": "77abc", "scope": scope})
        for options, scope in (
            ({}, f"r_basicprofile w_member_social {ORGANIZATION_ASKED}"),
            ({"connection": "person"}, "openid profile w_member_social"),
            ({"ask_for": "person"}, "openid profile w_member_social"),
            ({"connection": "organization"}, ORGANIZATION_ASKED),
        )
    ),
    (
        Platform.PINTEREST,
        {},
        "/www/oauth/",
        {"client_id": "1234567", "scope": "boards:read,boards:write,pins:read,pins:write,user_accounts:read"},
    ),
    (
        Platform.TIKTOK,
        {},
        "/tiktok-www/v2/auth/authorize/",
        {
            "client_key": "app",
            "scope": "user.info.basic,video.publish,video.upload,video.list",
            "code_challenge": DIGEST.hex(),  # TikTok's own form
            "code_challenge_method": "S256",
        },
    ),
    (
        Platform.TIKTOK,
        {"connection": "business"},
        "/tiktok-www/v2/auth/authorize/",
        {"client_key": "bapp", "scope": BUSINESS_SCOPES, "disable_auto_auth": "1"},
    ),
    (
        Platform.YOUTUBE,
        {},
        "/google-accounts/o/oauth2/v2/auth",
        {
            "client_id": "app",
            "scope": YOUTUBE_SCOPES,
            "access_type": "offline",
            "prompt": "consent",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        },
    ),
]


@pytest.mark.parametrize(("platform", "options", "path", "fields"), CONSENT)
def test_the_consent_page(
    server: ScriptedServer,
    build: Callable[..., Adapter],
    platform: Platform,
    options: dict[str, str],
    path: str,
    fields: dict[str, str],
) -> None:
    for challenge in (CHALLENGE, None):
        url = urlsplit(build(platform, **options).authorize_url(BACK, "s&t e", challenge))
        assert f"{url.scheme}://{url.netloc}{url.path}" == server.url + path
        known = {"redirect_uri": BACK, "response_type": "code", "state": "s&t e", **fields}
        expected = known if challenge else {k: v for k, v in known.items() if "challenge" not in k}
        assert dict(parse_qsl(url.query)) == expected


def test_a_challenge_that_tiktok_understands_stays(build: Callable[..., Adapter]) -> None:
    assert DIGEST.hex() in build(Platform.TIKTOK).authorize_url(BACK, "s", DIGEST.hex())


def test_an_unknown_connection_is_refused(build: Callable[..., Adapter]) -> None:
    with pytest.raises(Rejected, match="showcase"):
        build(Platform.LINKEDIN, connection="showcase").authorize_url(BACK, "s", None)


# --- codes -----------------------------------------------------------------------------------------------------------

GRAPH_APP = {"client_id": APP, "client_secret": fb.SECRET}
LINKEDIN_APP = {"client_id": "77abc", "client_secret": li.APP_SECRET}
TIKTOK_APP = {"client_key": "app", "client_secret": "app-very-secret"}
BUSINESS_APP = {"client_id": "bapp", "client_secret": "business-very-secret"}
GOOGLE_APP = {"client_id": "app", "client_secret": yt.APP_SECRET}
CODE = {"grant_type": "authorization_code", "code": "the code", "redirect_uri": BACK}
LONG = '{"access_token":"EAA-long","token_type":"bearer","expires_in":5183944}'
BEARER = '{"access_token":"EAA-short","token_type":"bearer","expires_in":5000}'
SHORT = '{"access_token":"IGQ-short","user_id":17841405822304914,"permissions":["instagram_business_basic"]}'
SHORT_LIST = (
    '{"data":[{"access_token":"IGQ-short","user_id":"178","permissions":"instagram_business_basic"}]}'
)
EXTENDED = {"grant_type": "fb_exchange_token", **GRAPH_APP, "fb_exchange_token": "EAA-short"}
IG_LONG = {"grant_type": "ig_exchange_token", "client_secret": ig.SECRET, "access_token": "IGQ-short"}
YEAR, SIXTY_DAYS = 31_536_000, 5_183_944
Sent = list[tuple[str, dict[str, str]]]
EXCHANGED: list[Any] = [
    (
        Platform.FACEBOOK,
        {},
        [BEARER, LONG],
        [
            ("GET /graph/v25.0/oauth/access_token", {**GRAPH_APP, "redirect_uri": BACK, "code": "the code"}),
            ("GET /graph/v25.0/oauth/access_token", EXTENDED),
        ],
        (("EAA-long", None), SIXTY_DAYS, None, PAGE_SCOPES),
    ),
    *(
        (
            Platform.INSTAGRAM,
            {},
            [short, ig.REFRESHED],
            [("POST /api/oauth/access_token", {**GRAPH_APP, **CODE}), ("GET /graph/access_token", IG_LONG)],
            (
                ("IGAA-new-token", None),
                SIXTY_DAYS,
                None,
                INSTAGRAM_SCOPES,
            ),
        )
        for short in (SHORT, SHORT_LIST)
    ),
    (
        Platform.INSTAGRAM,
        {"connection": "facebook_login"},
        [BEARER, ig.REFRESHED],
        [
            (
                "GET /facebook_graph/v25.0/oauth/access_token",
                {**GRAPH_APP, "redirect_uri": BACK, "code": "the code"},
            ),
            ("GET /facebook_graph/v25.0/oauth/access_token", EXTENDED),
        ],
        (
            ("IGAA-new-token", None),
            SIXTY_DAYS,
            None,
            "instagram_basic instagram_content_publish instagram_manage_comments pages_show_list "
            "pages_read_engagement",
        ),
    ),
    (
        Platform.LINKEDIN,
        {},
        [li.GRANT],
        [("POST /www/oauth/v2/accessToken", {**CODE, **LINKEDIN_APP})],
        (("AQV-new", "AQR-new"), 5_184_000, YEAR, ORGANIZATION),
    ),
    (
        Platform.PINTEREST,
        {},
        [pi.GRANT],
        [("POST /v5/oauth/token", {**CODE, "continuous_refresh": "true"})],
        (("pina-new", "pinr-new"), 2_592_000, 5_184_000, "boards:read boards:write pins:read pins:write"),
    ),
    (
        Platform.TIKTOK,
        {"verifier": "verifier"},
        [tiktok.TOKEN],
        [("POST /tiktok/v2/oauth/token/", {**TIKTOK_APP, **CODE, "code_verifier": "verifier"})],
        (("act.new", "rft.new"), 86_400, YEAR, "user.info.basic video.publish"),
    ),
    (
        Platform.TIKTOK,
        {"connection": "business"},
        [tiktok.BUSINESS_TOKEN],
        [
            (
                "POST /tiktok-business/open_api/v1.3/tt_user/oauth2/token/",
                {
                    **BUSINESS_APP,
                    "grant_type": "authorization_code",
                    "auth_code": "the code",
                    "redirect_uri": BACK,
                },
            )
        ],
        (("act.…", "rft.…"), 86_400, YEAR, "user.info.basic video.list video.publish"),
    ),
    *(
        (
            Platform.YOUTUBE,
            verifier,
            [google.CODE_TOKEN],
            [
                (
                    "POST /google-oauth/token",
                    {**GOOGLE_APP, **CODE, **({"code_verifier": "verifier"} if verifier else {})},
                )
            ],
            (("ya29.new", "1//new"), 3599, None, YOUTUBE_SCOPES),
        )
        for verifier in ({}, {"verifier": "verifier"})
    ),
]


@pytest.mark.parametrize(("platform", "options", "replies", "sent", "grant"), EXCHANGED)
def test_a_code_buys_a_grant(
    server: ScriptedServer,
    build: Callable[..., Adapter],
    platform: Platform,
    options: dict[str, str],
    replies: list[str],
    sent: Sent,
    grant: tuple[tuple[str, str | None], int, int | None, str],
) -> None:
    tokens, lives, renewable, scopes = grant
    server.enqueue(*replies)
    known = {name: value for name, value in options.items() if name != "verifier"}
    code = "the code#_" if platform is Platform.INSTAGRAM else "the code"  # which Instagram appends
    got = build(platform, **known).exchange(code, BACK, options.get("verifier"))
    assert list(zip(server.calls, map(read_fields, server.requests), strict=True)) == sent
    assert reveal(got) == tokens
    assert lasts(got.expires_at, lives)
    assert lasts(got.refresh_expires_at, renewable)
    assert got.scopes == tuple(scopes.split())
    is_facebook_login = platform is Platform.FACEBOOK or options.get("connection") == "facebook_login"
    assert got.app_id == (APP if is_facebook_login else ""), "its calls carry the proof of the app secret"


NOT_TAKEN: list[tuple[Platform, Reply, type[AdapterError], str]] = [
    (
        Platform.INSTAGRAM,
        Reply(status=400, body='{"error_type":"OAuthException","code":400,"error_message":"used"}'),
        Rejected,
        "rejected",
    ),
    *(
        (Platform.INSTAGRAM, reply, Unavailable, "platform_unavailable")
        for reply in (
            Reply(status=500, body=""),
            Reply(),
            Reply(body="<html>"),
            Reply(status=429, body=""),
            DROP,
        )
    ),
    (Platform.LINKEDIN, Reply('{"error":"invalid_grant"}', status=400), Rejected, "code_refused"),
    (Platform.PINTEREST, Reply(pi.build_error(1, "Invalid code."), status=400), Rejected, "code_refused"),
    (
        Platform.YOUTUBE,
        Reply(google.CODE_TOKEN.replace(" https://www.googleapis.com/auth/youtube.readonly", "")),
        PermissionMissing,  # the user unticked it
        "permission_missing",
    ),
]


@pytest.mark.parametrize(("platform", "reply", "error", "code"), NOT_TAKEN)
def test_a_code_that_is_not_taken(
    server: ScriptedServer,
    build: Callable[..., Adapter],
    platform: Platform,
    reply: Reply,
    error: type[AdapterError],
    code: str,
) -> None:
    server.enqueue(reply)
    with pytest.raises(AdapterError) as caught:
        build(platform).exchange("code-value", BACK, None)
    assert (type(caught.value), caught.value.code) == (error, code)
    assert fb.SECRET not in repr(caught.value)


# --- refresh ---------------------------------------------------------------------------------------------------------


def refreshed(token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token}


PINTEREST_APP = {"continuous_refresh": "true"}
FB_PAGE = f'{{"id":"{fb.PAGE}","name":"P","access_token":"EAA-p2"}}'
FB_EXCHANGE = {"grant_type": "fb_exchange_token", **GRAPH_APP}
ROTATED = google.CODE_TOKEN.replace('"expires_in"', '"refresh_token_expires_in":604799,"expires_in"')
REFRESHED: list[Any] = [
    (
        fb.account(),
        [LONG, FB_PAGE],
        "GET /graph/v25.0/oauth/access_token",
        {**FB_EXCHANGE, "fb_exchange_token": fb.USER_TOKEN},
        ("EAA-p2", "EAA-long"),
        "pages_manage_posts",
    ),
    (
        ig.account(),
        [ig.REFRESHED],
        "GET /graph/refresh_access_token",
        {"grant_type": "ig_refresh_token", "access_token": ig.TOKEN},
        ("IGAA-new-token", None),
        "",
    ),
    (
        ig.account("facebook_login"),
        [ig.REFRESHED],
        "GET /facebook_graph/v25.0/oauth/access_token",
        {**FB_EXCHANGE, "fb_exchange_token": ig.TOKEN},
        ("IGAA-new-token", None),
        "",
    ),
    *(
        (
            li.account(),
            [reply],
            "POST /www/oauth/v2/accessToken",
            {**refreshed(li.REFRESH), **LINKEDIN_APP},
            *got,
        )
        for reply, *got in (
            (li.GRANT, ("AQV-new", "AQR-new"), ORGANIZATION),
            ('{"access_token":"AQV-3","expires_in":1}', ("AQV-3", li.REFRESH), "w_member_social"),
        )
    ),
    *(
        (pi.account(), [reply], "POST /v5/oauth/token", {**refreshed(pi.REFRESH), **PINTEREST_APP}, *got)
        for reply, *got in (
            (pi.GRANT, ("pina-new", "pinr-new"), "boards:read boards:write pins:read pins:write"),
            ('{"access_token":"pina-3","expires_in":1}', ("pina-3", pi.REFRESH), "pins:write"),
        )
    ),
    *(
        (tt.account(), [reply], "POST /tiktok/v2/oauth/token/", {**TIKTOK_APP, **refreshed(tt.REFRESH)}, *got)
        for reply, *got in (
            (tiktok.TOKEN, ("act.new", "rft.new"), "user.info.basic video.publish"),
            ('{"access_token":"act.new","expires_in":86400}', ("act.new", tt.REFRESH), "video.publish"),
        )
    ),
    (
        tt.account("business"),
        [tiktok.BUSINESS_TOKEN],
        "POST /tiktok-business/open_api/v1.3/tt_user/oauth2/refresh_token/",
        {**BUSINESS_APP, **refreshed(tt.REFRESH)},
        ("act.…", "rft.…"),
        "user.info.basic video.list video.publish",
    ),
    *(
        (yt.account(), [reply], "POST /google-oauth/token", {**GOOGLE_APP, **refreshed(yt.REFRESH)}, *got)
        for reply, *got in (
            (google.TOKEN, ("ya29.new", yt.REFRESH), YOUTUBE_SCOPES),
            (ROTATED, ("ya29.new", "1//new"), YOUTUBE_SCOPES),
        )
    ),
]


@pytest.mark.parametrize(("account", "replies", "call", "fields", "tokens", "scopes"), REFRESHED)
def test_a_refresh_keeps_what_is_not_repeated(
    server: ScriptedServer,
    build: Callable[..., Adapter],
    account: Account,
    replies: list[str],
    call: str,
    fields: dict[str, str],
    tokens: tuple[str, str | None],
    scopes: str,
) -> None:
    server.enqueue(*replies)
    new = build(account.platform).refresh(account)
    assert server.calls[0] == call
    assert read_fields(server.requests[0]) == fields
    assert reveal(new) == tokens
    assert new.scopes == tuple(scopes.split())
    kind = server.requests[0].headers.get("Content-Type")
    assert kind in (None, "application/x-www-form-urlencoded", "application/json")


@pytest.mark.parametrize(
    ("account", "replies", "lives", "renewable"),
    [
        (fb.account(), [LONG, FB_PAGE], None, SIXTY_DAYS),
        (ig.account(), [ig.REFRESHED], SIXTY_DAYS, None),
        (ig.account("facebook_login"), [ig.REFRESHED], SIXTY_DAYS, None),
        (tt.account(), [tiktok.TOKEN], 86_400, YEAR),
        (yt.account(), [ROTATED], 3599, 604_799),
    ],
)
def test_a_refresh_says_how_long_the_tokens_live(
    server: ScriptedServer,
    build: Callable[..., Adapter],
    account: Account,
    replies: list[str],
    lives: int | None,
    renewable: int | None,
) -> None:
    server.enqueue(*replies)
    new = build(account.platform).refresh(account)
    assert lasts(new.expires_at, lives)
    assert lasts(new.refresh_expires_at, renewable)


def oauth_error(word: str, status: int = 400) -> Reply:
    return Reply(f'{{"error":"{word}","error_description":"…"}}', status=status)


def graph_error(code: int, subcode: int | None = None) -> Reply:
    return Reply(build_error(code, subcode), status=400)


GONE, BUSY, AWAY = CredentialsRevoked, RateLimited, Unavailable
FAILED: list[tuple[Account, list[Reply], type[AdapterError], str | None]] = [
    (fb.account(), [graph_error(190, 463)], GONE, None),
    (fb.account(), [Reply(LONG), graph_error(190)], GONE, None),
    (fb.account(), [Reply(LONG), Reply(f'{{"id":"{fb.PAGE}"}}')], PermissionMissing, None),
    (fb.account(), [Reply(status=500)], AWAY, None),
    *(
        (ig.account(connection), [graph_error(190, subcode)], GONE, None)
        for connection in ("instagram_login", "facebook_login")
        for subcode in (None, 463, 460)
    ),
    (ig.account(), [Reply(status=500, body="")], AWAY, None),
    (ig.account(), [graph_error(100)], AWAY, "refresh_too_early"),  # the token is too young
    *(
        (li.account(), [reply], error, code)
        for reply, error, code in (
            (oauth_error("invalid_grant"), GONE, "reconnect_required"),
            (oauth_error("invalid_request"), Rejected, "invalid_request"),
            (oauth_error("invalid_client", 401), Rejected, "app_refused"),
            (oauth_error("something_new"), AdapterError, "platform_error"),
            (oauth_error("invalid_grant", 500), AWAY, "platform_unavailable"),
            (Reply(status=429, body=""), AWAY, "platform_unavailable"),
            (Reply(status=503, body="<html>"), AWAY, "platform_unavailable"),
            (Reply(), AWAY, "platform_unavailable"),
            (DROP, AWAY, "platform_unavailable"),
        )
    ),
    *(
        (pi.account(), [reply], error, code)
        for reply, error, code in (
            (Reply(pi.build_error(1, "Invalid refresh token."), status=400), GONE, "reconnect_required"),
            (Reply(pi.build_error(2, "Authentication failed."), status=401), Rejected, "app_refused"),
            (Reply(pi.build_error(8, "…"), status=429), BUSY, "rate_limited"),
            (Reply(status=500), AWAY, "platform_unavailable"),
            (Reply(status=404), AWAY, "platform_unavailable"),
            (Reply(), AWAY, "platform_unavailable"),
            (DROP, AWAY, "platform_unavailable"),
        )
    ),
    *(
        (tt.account(), [reply], error, None)
        for reply, error in (
            (oauth_error("invalid_grant"), GONE),
            (oauth_error("invalid_grant", 200), GONE),
            (oauth_error("invalid_request"), GONE),
            (oauth_error("access_denied"), GONE),
            (oauth_error("invalid_client", 401), PermissionMissing),
            (oauth_error("unauthorized_client"), PermissionMissing),
            (oauth_error("invalid_scope"), PermissionMissing),
            (oauth_error("server_error", 500), AWAY),
            (oauth_error("temporarily_unavailable", 503), AWAY),
            (oauth_error("rate_limit_exceeded", 429), BUSY),
            (Reply("slow", status=429), AWAY),
            (oauth_error("something_new"), AdapterError),
            (Reply("<html>", status=502), AWAY),
            (DROP, AWAY),
        )
    ),
    *(
        (tt.account("business"), [reply], error, None)
        for reply, error in (
            (Reply(tiktok.business_error(40103)), GONE),
            (Reply(tiktok.business_error(40105)), GONE),
            (Reply(tiktok.business_error(40002)), GONE),
            (Reply(tiktok.business_error(40113)), Rejected),
            (Reply("", status=404), AWAY),
            (Reply(tiktok.business_error(40100)), BUSY),
            (Reply(tiktok.business_error(50000)), AWAY),
            (DROP, AWAY),
        )
    ),
    *((yt.account(), [oauth_error(word)], row.error, row.code) for word, row in GOOGLE_ERRORS.items()),
    *(
        (yt.account(), [reply], error, None)
        for reply, error in (
            (DROP, AWAY),
            (Reply("<html>", status=502), AWAY),
            (oauth_error("unheard_of", 503), AWAY),
            (oauth_error("unheard_of"), AdapterError),
            (Reply(status=429), AWAY),
            (Reply(), AWAY),
        )
    ),
]


@pytest.mark.parametrize(("account", "replies", "error", "code"), FAILED)
def test_only_a_definite_refusal_of_a_refresh_disconnects(
    server: ScriptedServer,
    build: Callable[..., Adapter],
    account: Account,
    replies: list[Reply],
    error: type[AdapterError],
    code: str | None,
) -> None:
    server.enqueue(*replies)
    with pytest.raises(AdapterError) as caught:
        build(account.platform).refresh(account)
    assert type(caught.value) is error
    assert code in (None, caught.value.code)
    assert caught.value.next_action or error is not CredentialsRevoked
    assert not any(secret in repr(caught.value) for secret in reveal(account.credentials) if secret)


def test_only_invalid_grant_says_that_googles_grant_has_ended() -> None:
    assert [word for word, row in GOOGLE_ERRORS.items() if row.error is CredentialsRevoked] == [
        "invalid_grant"
    ]


def test_a_token_too_young_to_refresh_is_asked_for_later(
    server: ScriptedServer, build: Callable[..., Adapter]
) -> None:
    server.enqueue(graph_error(100))
    with pytest.raises(Unavailable) as caught:
        build(Platform.INSTAGRAM).refresh(ig.account())
    assert caught.value.retry_after == timedelta(hours=1)


@pytest.mark.parametrize(
    "account",
    [
        fb.account(refresh_token=None),
        li.account(refresh=None),
        pi.account(refresh=None),
        tt.account("creator", refresh=None),
        tt.account("business", refresh=None),
        yt.account(refresh=None),
    ],
)
def test_without_a_refresh_token_the_account_is_connected_again(
    server: ScriptedServer, build: Callable[..., Adapter], account: Account
) -> None:
    with pytest.raises(
        CredentialsRevoked, match="60 days" if account.platform is Platform.LINKEDIN else None
    ):
        build(account.platform).refresh(account)
    assert server.requests == []


def test_pinterest_takes_the_apps_secret_in_a_header(
    server: ScriptedServer, build: Callable[..., Adapter]
) -> None:
    server.enqueue(pi.GRANT)
    build(Platform.PINTEREST).refresh(pi.account())
    encoded = "MTIzNDU2NzphcHAtc2VjcmV0LXZhbHVl"  # base64 of 1234567:app-secret-value
    assert server.requests[0].headers["authorization"] == f"Basic {encoded}"
