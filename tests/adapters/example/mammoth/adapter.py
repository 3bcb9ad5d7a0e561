"""Mammoth: files are sent and waited for, then one status shows them. Hosts: ``api``, ``www``. It does not exist.

Its visible call takes an ``Idempotency-Key``: repeated with the same key it answers with the status that is there. So a
status that was not found may be sent again, by the same key and with the same files.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

from adapters.contract import (
    Absent,
    Account,
    CannotTell,
    Capabilities,
    Checkpoint,
    Credentials,
    Draft,
    Finalized,
    Pending,
    Platform,
    PlatformSettings,
    Prepared,
    Problem,
    Published,
    Ready,
    RemoteAccount,
    Seen,
)
from adapters.error_table import Step
from adapters.errors import CredentialsRevoked, Rejected, Unavailable
from adapters.http import Client
from adapters.oauth import Grant, code_form
from adapters.oauth import credentials as credentials_of
from adapters.transport import Model, Request, bearer, read, send
from adapters.upload_source import bytes_of, size_of
from tests.adapters.example.mammoth import limits
from tests.adapters.example.mammoth.errors import SERVICE, of_answer
from tests.adapters.example.mammoth.problems import problems
from tests.adapters.example.mammoth.wire import Attachment, Me, Status, Statuses
from tests.adapters.example.word import MAMMOTH

SCOPES = "read write"


class Mammoth:
    """See the module; the contract of each method is in ``adapters.contract``."""

    platform: ClassVar[Platform] = MAMMOTH
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._api = settings.hosts["api"]

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: ARG002 one set of rules
        """Every limit that is broken."""
        return problems(draft)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Prepared:
        """A file after the other is sent, then one after the other is waited for: one request a call."""
        sent, ready = list(checkpoint.get("media", ())), checkpoint.get("ready", 0)
        if len(sent) < len(draft.media):
            made = self._send(draft, account, len(sent))
            return Pending(checkpoint={**checkpoint, "media": [*sent, made.id]})
        if ready == len(sent):
            return Ready(checkpoint=checkpoint)
        state = self._ask(Attachment, "GET", f"/api/v1/media/{sent[ready]}", account).state
        if state == "failed":
            raise Rejected("Mammoth could not process the file.", code="media_failed")
        if state == "processing":
            return Pending(checkpoint=checkpoint, wait=limits.FIRST_POLL)
        return Pending(checkpoint={**checkpoint, "ready": ready + 1})

    def finalize(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Finalized:
        """The status, and nothing after it."""
        sent = checkpoint.get("media", ())
        if not sent or checkpoint.get("ready") != len(sent):
            raise Unavailable("The files are not ready.", code="not_prepared")
        body = {"status": draft.caption, "media_ids": list(sent)}
        key = {"Idempotency-Key": draft.delivery_id}
        made = self._ask(
            Status, "POST", "/api/v1/statuses", account, step=Step.FINALIZE, json=body, headers=key
        )
        return Published(remote_id=made.id, url=made.url)

    def look(
        self,
        draft: Draft,  # noqa: ARG002 the files tell it apart
        account: Account,
        checkpoint: Checkpoint,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> Seen:
        """The one status with exactly our files; none: the same key and files again can do no harm."""
        if armed_at is None:
            return Ready(checkpoint=checkpoint)
        sent = tuple(checkpoint.get("media", ()))
        if not sent:
            return CannotTell(reason="No files are known by which the status could be told.")
        path = f"/api/v1/accounts/{account.remote_id}/statuses"
        listed = self._ask(Statuses, "GET", path, account, step=Step.LOOK, params={"limit": limits.LISTED})
        ours = [status for status in listed.root if status.media_ids == sent and status.id not in taken]
        return Published(remote_id=ours[0].id, url=ours[0].url) if ours else Absent(checkpoint=checkpoint)

    def _send(self, draft: Draft, account: Account, index: int) -> Attachment:
        media = draft.media[index]
        body = bytes_of(media, 0, size_of(media))
        kind = {"Content-Type": media.facts.content_type} if media.facts else {}
        return self._ask(Attachment, "POST", "/api/v2/media", account, body=body, headers=kind)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:  # noqa: ARG002 there is nothing to refresh
        """Tokens live until they are revoked."""
        raise CredentialsRevoked(
            "Mammoth's tokens are not renewed.", next_action="Connect the account again."
        )

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """The consent page."""
        asked = {
            "client_id": self._settings.app_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": SCOPES,
            "response_type": "code",
            "code_challenge": code_challenge or "",
            "code_challenge_method": "S256",
        }
        return f"{self._settings.hosts['www']}/oauth/authorize?{urlencode(asked)}"

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """The grant behind a code."""
        app = {
            "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(),
        }
        form = {**code_form(code, redirect_uri, code_verifier or ""), **app}
        return credentials_of(self._ask(Grant, "POST", "/oauth/token", None, form=form), None)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The one account of a token."""
        me = self._ask(Me, "GET", "/api/v1/accounts/verify_credentials", credentials)
        return (
            RemoteAccount(
                remote_id=me.id,
                username=me.username,
                display_name=me.username,
                connection="user",
                credentials=credentials,
            ),
        )

    # --- the wire ----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        whose: Account | Credentials | None,
        *,
        step: Step = Step.PREPARE,
        headers: Mapping[str, str] | None = None,
        **call: Any,
    ) -> Model:
        grant = whose.credentials if isinstance(whose, Account) else whose
        token = {} if grant is None else bearer(grant.access_token.get_secret_value())
        request = Request(method=method, url=self._api + path, headers={**token, **(headers or {})}, **call)
        answer = send(self._client, SERVICE, request, step)
        return read(answer, model, SERVICE, step, of_answer, (HTTPStatus.OK, HTTPStatus.ACCEPTED))
