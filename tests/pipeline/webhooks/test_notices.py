"""Notices of what needs a person: once per cause and once when it ends, in the form of each target, by real servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from config.settings import Smtp, load
from pipeline.domain.attention import Kind, Matter
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import Reason, State
from pipeline.domain.notice import KINDS, LASTING, PAUSE, Form, find_uncertain
from pipeline.domain.webhook import PauseReason, Tried
from pipeline.maintenance.expire import expire_webhook_events
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import require_reconnect
from pipeline.store.attention import ROWS
from pipeline.store.database import new_id
from pipeline.store.deliveries.pauses import pause
from pipeline.store.vault import Vault
from pipeline.store.webhooks.events import list_listeners
from pipeline.store.webhooks.notices import list_targets, lock_target, update_causes
from pipeline.store.webhooks.rounds import ArmedEvent
from pipeline.store.webhooks.webhooks import Webhook, list_webhooks, pause_webhook
from pipeline.webhooks import notices
from pipeline.webhooks.notices import make_notices
from pipeline.webhooks.send_email import send_email
from pipeline.webhooks.send_webhooks import send_webhooks
from pipeline.wiring import build_context
from tests.crash_table import Crashes
from tests.database_outages import locked
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.media.servers import Site, certificate, serving, status
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.waiting import until

ACTOR = Actor(kind="command line", name="tests", address="tests@here")
REVOKED = {"class": "CredentialsRevoked", "code": "revoked", "message": "Signed out."}
SECRET = "/hook/T000/hush"
HOSTILE = "<!channel> @everyone [x](https://evil.example) \x1b[2J\r\nBcc: all@example.com " + "z" * 200


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        running.routes[SECRET] = status(200)
        yield running


@pytest.fixture
def trial(environment: dict[str, str], site: Site) -> dict[str, str]:
    """Settings under which notices may lead to the server."""
    return {**environment, "SLIPWAY_SANDBOX__URL": site.origin, "SLIPWAY_WEBHOOKS__TRIAL_ORIGIN": site.origin}


@pytest.fixture
def core(trial: dict[str, str], vault_key: str) -> Iterator[CoreFixture]:
    """A workspace on a database of this test's own."""
    context = build_context(load(trial))
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    yield make_core(context, ledger)
    ledger.database.close()
    context.database.close()


def add(core: CoreFixture, site: Site, *kinds: Kind, form: Form = Form.SLACK, whole: bool = False) -> Webhook:
    workspace = None if whole else core.workspace
    return notices.add(core.context, ACTOR, workspace, form, f"{site.origin}{SECRET}", kinds or KINDS)


def withdraw(core: CoreFixture, workspace: UUID | None = None, posts: int = 2) -> UUID:
    """Add an account to connect again, with posts that wait for it; return it."""
    account = core.ledger.account(workspace or core.workspace)
    core.ledger.posts(posts, [account], due=HOUR)
    with core.context.database.begin() as c:
        require_reconnect(c, account, REVOKED, 1)
    return account


def connect(core: CoreFixture, account: UUID) -> None:
    core.ledger.update("accounts", account, "status = 'active', error = NULL")


def look(core: CoreFixture, after: timedelta = timedelta(0)) -> int:
    """Let so much time pass, and look once."""
    core.run(
        "UPDATE notices SET since = since - CAST(:t AS interval), told_at = told_at - CAST(:t AS interval)",
        t=after,
    )
    return make_notices(core.context)


def tell(core: CoreFixture) -> int:
    """Look as often as a cause that lasts needs, and send what is made."""
    look(core)
    made = look(core, LASTING)
    send_webhooks(core.context)
    return made


def texts(site: Site, name: str = "text") -> list[str]:
    return [json.loads(body)[name] for _, _, body in site.posts]


def test_a_cause_that_lasts_is_told_once_and_once_when_it_has_ended(core: CoreFixture, site: Site) -> None:
    add(core, site)
    account = withdraw(core)
    assert [look(core), look(core, LASTING / 2)] == [0, 0], "it does not last yet"
    assert [look(core, LASTING / 2), look(core, LASTING), look(core, PAUSE)] == [1, 0, 0]
    connect(core, account)
    assert [look(core), look(core, LASTING), look(core, PAUSE)] == [0, 1, 0]
    send_webhooks(core.context)
    began, ended = texts(site)
    assert "TikTok" in began
    assert "Access withdrawn\nPosts: 2, next " in began
    assert "(UTC)" in began
    assert began.endswith(f"\n{core.context.settings.own_url}/dashboard/")
    assert ended.startswith("Over: ")
    assert began.partition("\n")[0] in ended
    assert not _read(core, "SELECT id FROM notices"), "nothing is kept of what is over"


def test_many_posts_of_one_cause_are_one_notice(core: CoreFixture, site: Site) -> None:
    add(core, site)
    account = core.account("one")
    core.ledger.posts(30, [account], due=-HOUR)
    core.ledger.put_all(core.ledger.posts(5, [account]), State.BLOCKED, reason=Reason.IS_IT_LIVE)
    assert tell(core) == 2
    late, live = sorted(texts(site), key=lambda text: "Is it live?" in text)
    assert ("Late\nPosts: 30." in late, "Is it live?\nPosts: 5" in live) == (True, True)


def test_what_lasts_less_than_a_minute_is_not_told(core: CoreFixture, site: Site) -> None:
    add(core, site)
    account = withdraw(core)
    look(core)
    connect(core, account)
    assert [look(core, LASTING), look(core, LASTING), look(core, PAUSE)] == [0, 0, 0]


def test_what_comes_and_goes_is_told_once_an_hour(core: CoreFixture, site: Site) -> None:
    add(core, site)
    account = withdraw(core)
    told = []
    for _ in range(10):  # five minutes each
        core.ledger.update("accounts", account, "status = 'reconnect'")
        told += [look(core), look(core, LASTING)]
        connect(core, account)
        told += [look(core, LASTING / 2), look(core, 3 * LASTING)]
    assert sum(told) == 2, "it began, and ended"
    core.ledger.update("accounts", account, "status = 'reconnect'")
    assert [look(core), look(core, PAUSE)] == [0, 1]


def test_a_short_absence_is_no_end(core: CoreFixture, site: Site) -> None:
    add(core, site)
    account = withdraw(core)
    assert tell(core) == 1
    connect(core, account)
    look(core)
    core.ledger.update("accounts", account, "status = 'reconnect'")
    assert [look(core, LASTING / 2), look(core, LASTING)] == [0, 0]


def test_each_target_is_told_of_its_workspace_and_kinds(core: CoreFixture, site: Site) -> None:
    other = core.ledger.workspace()
    add(core, site, Kind.RECONNECT)
    withdraw(core, other)
    assert tell(core) == 0
    withdraw(core)
    core.ledger.posts(1, [core.account("late")], due=-HOUR)
    assert tell(core) == 1, "not what is late, and not of the other workspace"
    add(core, site, whole=True)
    assert tell(core) == 3


def test_two_lookers_at_once_tell_once(core: CoreFixture, site: Site) -> None:
    add(core, site)
    withdraw(core)
    look(core)
    core.run("UPDATE notices SET since = since - interval '1 minute'")
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: make_notices(core.context), range(4))) == 1
    send_webhooks(core.context)
    assert len(site.posts) == 1


def test_a_look_concerns_its_target_alone(core: CoreFixture, site: Site) -> None:
    one, other = add(core, site), add(core, site)
    with core.context.database.begin() as c:
        assert lock_target(c, one.id)
        update_causes(c, one.id, {"late": "Late"}, ())
        with core.context.database.begin() as d:
            assert not lock_target(d, one.id), "a look is under way, at another target or not"
            assert lock_target(d, other.id)
    core.run("UPDATE notices SET is_there = false")
    with core.context.database.begin() as c:
        update_causes(c, other.id, {}, ())
    assert len(_read(core, "SELECT id FROM notices")) == 1
    notices.remove(core.context, ACTOR, one.id)
    with core.context.database.begin() as c:
        assert not lock_target(c, one.id)


def test_a_looker_that_dies_tells_once(
    core: CoreFixture, site: Site, trial: dict[str, str], crashes: Crashes
) -> None:
    add(core, site)
    withdraw(core)
    look(core)
    core.run("UPDATE notices SET since = since - interval '1 minute'")
    crashes.crash(trial, "notices.made", "run_job", "notices")
    until(lambda: make_notices(core.context) == 1, 20)
    assert make_notices(core.context) == 0
    send_webhooks(core.context)
    assert len(site.posts) == 1


def test_a_notice_is_tried_again_under_its_id_and_its_end_comes_after_it(
    core: CoreFixture, site: Site
) -> None:
    add(core, site)
    account = withdraw(core)
    site.routes[SECRET] = status(500)
    assert tell(core) == 1
    connect(core, account)
    look(core)
    assert look(core, LASTING) == 1
    site.routes[SECRET] = status(200)
    core.run("UPDATE webhook_events SET next_at = now() WHERE next_at IS NOT NULL")
    core.run("UPDATE webhooks SET hold_until = now()")
    send_webhooks(core.context)
    assert [text.startswith("Over: ") for text in texts(site)] == [False, False, True]
    tries = [(r.type, r.tries) for r in _read(core, "SELECT type, tries FROM webhook_events ORDER BY n")]
    assert tries == [("notice", 2), ("notice.ended", 1)]


def _read(core: CoreFixture, sql: str) -> list[Any]:
    with core.context.database.begin() as c:
        return list(c.exec_driver_sql(sql).all())


def test_names_of_others_are_harmless_in_every_form(core: CoreFixture, site: Site) -> None:
    account = withdraw(core)
    core.ledger.update("accounts", account, "username = :name", name=HOSTILE)
    add(core, site)
    assert tell(core) == 1
    [slack] = texts(site)
    assert "&lt;!channel&gt;" in slack
    assert "<" not in slack
    assert slack.count("\n") == 2
    assert "z" * 81 not in slack
    site.posts.clear()
    add(core, site, form=Form.DISCORD)
    assert tell(core) == 1
    [discord] = [json.loads(body) for _, _, body in site.posts]
    assert discord["allowed_mentions"] == {"parse": []}
    assert r"\[x\]\(https\:\/\/evil.example\)" in discord["content"]
    assert len(discord["content"]) < 2000
    assert all(char == "\n" or char.isprintable() for char in slack + discord["content"])


def test_requests_are_not_signed_and_the_address_is_shown_nowhere(
    core: CoreFixture, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    add(core, site)
    withdraw(core)
    site.routes[SECRET] = status(404)
    tell(core)
    [(_, headers, _)] = site.posts
    assert not [name for name in headers if name.lower().startswith("webhook-")]
    stored = _read(
        core, "SELECT w.url || a.after::text AS shown FROM webhooks w, audit a WHERE a.kind = 'notice'"
    )
    assert "hush" not in caplog.text + stored[0].shown


def test_targets_are_no_webhooks_of_customers(core: CoreFixture, site: Site) -> None:
    target = add(core, site)
    with core.context.database.begin() as c:
        assert list_webhooks(c, core.caller) == list_listeners(c, [core.workspace], lock=False) == []
        assert [one.id for one in list_targets(c)] == [target.id]
        pause_webhook(c, target.id, PauseReason.DEAD)
    add(core, site, Kind.WEBHOOK_PAUSED)
    assert tell(core) == 2
    assert "webhook paused notices\nslipway notice list" in texts(site)[0]
    notices.test(core.context, ACTOR, target.id)
    with core.context.database.begin() as c:
        assert [one.paused_at for one in list_targets(c, identity=target.id)] == [None]


def test_what_a_removed_target_knew_goes_with_it(core: CoreFixture, site: Site) -> None:
    target = add(core, site)
    withdraw(core)
    assert tell(core) == 1
    notices.remove(core.context, ACTOR, target.id)
    assert look(core, PAUSE) == 0
    expire_webhook_events(core.context)
    assert not _read(core, "SELECT id FROM webhooks UNION ALL SELECT id FROM notices")
    with pytest.raises(Refusal, match="There is no target of notices"):
        notices.remove(core.context, ACTOR, target.id)


def test_a_cause_that_cannot_be_read_has_not_ended(core: CoreFixture, site: Site) -> None:
    add(core, site, Kind.PAUSED)
    with core.context.database.begin() as c:
        pause(c, "all", "", "checking")
    assert look(core) == 0
    with locked(core.ledger.database, "pauses"):
        assert look(core, LASTING) == 1
        assert look(core, LASTING) == 0
    send_webhooks(core.context)
    assert texts(site) == [f"Paused: paused all\n{core.context.settings.own_url}/dashboard/"]


def test_what_is_not_surely_gone_has_not_ended() -> None:
    late = Matter(kind=Kind.UNREAD, reason=Kind.OVERDUE)
    letters = [Matter(kind=Kind.DEAD_LETTERS)] * ROWS
    accounts = Matter(kind=Kind.RECONNECT, is_capped=True)
    capped = Matter(kind=Kind.BLOCKED, is_capped=True)
    assert find_uncertain([late, accounts, *letters, capped], ROWS) == {"late", "dead_letters", "blocked"}


@pytest.mark.parametrize(
    ("form", "address", "why"),
    [
        (Form.SLACK, "https://10.0.0.1/hush", "slack: this URL cannot be used"),
        (Form.DISCORD, "http://discord.com/hush", "discord: this URL cannot be used"),
        (Form.EMAIL, "ops@example.com\nBcc: a@example.com", "email: it must be the address of one mailbox"),
        (Form.EMAIL, "a@example.com, b@example.com", "email: it must be the address of one mailbox"),
        (
            Form.EMAIL,
            "ops@example.com",
            "email: none can be sent, as SLIPWAY_SMTP__HOST or SLIPWAY_SMTP__SENDER is",
        ),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(
    core: CoreFixture, form: Form, address: str, why: str
) -> None:
    with pytest.raises(Refusal, match=why) as refused:
        notices.add(core.context, ACTOR, None, form, address, KINDS)
    assert "hush" not in refused.value.message


# --- e-mail ----------------------------------------------------------------------------------------------------------


class Mailbox:
    """Takes every message, unless it is told what to answer."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd calls it so
        self.got.append(envelope)
        return self.answer


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server on loopback without TLS, and its port."""
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=find_port())
    server.start()
    yield box, server.port
    server.stop()


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def mailing(core: CoreFixture, port: int) -> CoreFixture:
    smtp = Smtp(host="127.0.0.1", port=port, security="none", sender="slipway@example.org")
    settings = core.context.settings.model_copy(update={"smtp": smtp})
    return replace(core, context=replace(core.context, settings=settings))


def test_an_email_is_one_message_with_the_id_of_its_notice(
    core: CoreFixture, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    core = mailing(core, port)
    account = withdraw(core)
    core.ledger.update("accounts", account, "username = :name", name=HOSTILE)
    target = notices.add(core.context, ACTOR, core.workspace, Form.EMAIL, "ops@example.com", KINDS)
    assert target.url == "o…@example.com"
    box.answer = "451 Later"
    assert tell(core) == 1
    box.answer = "250 OK"
    core.run("UPDATE webhook_events SET next_at = now() WHERE next_at IS NOT NULL")
    core.run("UPDATE webhooks SET hold_until = now()")
    send_webhooks(core.context)
    first, second = (one.original_content or b"" for one in box.got)
    [event] = _read(core, "SELECT id, state FROM webhook_events")
    assert event.state == "delivered"
    for text in (first.decode(), second.decode()):
        head = text.partition("\r\n\r\n")[0]
        assert f"Message-ID: <{event.id}@example.org>" in head
        assert "\r\nBcc:" not in head
    assert [one.rcpt_tos for one in box.got] == [["ops@example.com"]] * 2
    tries = _read(core, "SELECT outcome, answer FROM webhook_attempts ORDER BY n")
    assert [(*one,) for one in tries] == [("http_error", "(451, b'Later')"), ("delivered", None)]


def test_a_mail_server_that_is_away_is_tried_again(core: CoreFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        core = mailing(core, closed.getsockname()[1])
        notices.add(core.context, ACTOR, core.workspace, Form.EMAIL, "ops@example.com", KINDS)
        withdraw(core)
        assert tell(core) == 1
    [tried] = _read(core, "SELECT outcome, error FROM webhook_attempts")
    assert (tried.outcome, tried.error) == ("unanswered", "no e-mail sent: ConnectionRefusedError")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_an_email_is_sent_encrypted_after_a_login(
    core: CoreFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: Literal["starttls", "tls"]
) -> None:
    box, logins = Mailbox(), []

    def log_in(_: SMTP, session: Session, __: Envelope, ___: str, given: LoginPassword) -> AuthResult:
        logins.append((given.login, given.password, session.ssl is not None or security == "tls"))
        return AuthResult(success=True)

    tls, _ = certificate(tmp_path, "localhost")
    more = {"ssl_context": tls, "auth_require_tls": False} if security == "tls" else {"tls_context": tls}
    server = Controller(box, hostname="127.0.0.1", port=find_port(), authenticator=log_in, **more)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    server.start()
    smtp = Smtp(
        host="localhost", port=server.port, security=security, sender="slipway@example.org", username="u"
    )
    try:
        tried = send(smtp.model_copy(update={"password": SecretStr("hush")}))
        monkeypatch.delenv("SSL_CERT_FILE")
        untrusted = send(smtp)
    finally:
        server.stop()
    assert (tried.outcome, len(box.got), logins) == ("delivered", 1, [(b"u", b"hush", True)])
    assert (untrusted.outcome, untrusted.error) == ("unanswered", "no e-mail sent: SSLCertVerificationError")


def send(smtp: Smtp) -> Tried:
    payload = json.dumps({"data": {"lines": ["Late", "https://slipway.example.com/dashboard/"]}})
    event = ArmedEvent(
        id=new_id(), lane=new_id(), type="notice", body=payload, n=1, tries=1, at=datetime.now(UTC)
    )
    return send_email(smtp, "ops@example.com", event)
