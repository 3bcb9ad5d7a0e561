"""Mammoth: files are sent and waited for, then one status shows them. Hosts: ``api``, ``www``. It does not exist.

Its visible call takes an ``Idempotency-Key``: repeated with the same key it answers with the status that is there. So a
status that was not found may be sent again, by the same key and with the same files.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode

from pydantic import ValidationError

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
from adapters.errors import CredentialsRevoked, Rejected, Unavailable
from adapters.http import Answer, Client, NoAnswer, NotSent, SizedBody
from tests.adapters.example.mammoth import limits
from tests.adapters.example.mammoth.errors import of_answer, unclear
from tests.adapters.example.mammoth.problems import problems
from tests.adapters.example.mammoth.wire import STATUSES, Attachment, Me, Status, Token, Wire
from tests.adapters.example.word import MAMMOTH

WireT = TypeVar("WireT", bound=Wire)
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
        state = self._read(Attachment, account, f"/api/v1/media/{sent[ready]}").state
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
        answer = self._ask("POST", "/api/v1/statuses", account, visible=True, json_body=body, headers=key)
        made = _read(Status, answer, visible=True)
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
        answer = self._ask("GET", path, account, params={"limit": limits.LISTED})
        try:
            listed = STATUSES.validate_json(answer.body)
        except ValidationError:
            raise unclear(visible=False, status=answer.status) from None
        ours = [status for status in listed if status.media_ids == sent and status.id not in taken]
        return Published(remote_id=ours[0].id, url=ours[0].url) if ours else Absent(checkpoint=checkpoint)

    def _send(self, draft: Draft, account: Account, index: int) -> Attachment:
        media = draft.media[index]
        if media.facts is None or media.stream is None:
            raise Unavailable("The file's size or bytes are not at hand.", code="media_unavailable")
        body = SizedBody(media.stream(0, media.facts.bytes), media.facts.bytes)
        kind = {"Content-Type": media.facts.content_type}
        answer = self._ask("POST", "/api/v2/media", account, body=body, headers=kind)
        return _read(Attachment, answer, visible=False)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:  # noqa: ARG002 there is nothing to refresh
        """Tokens live until they are revoked."""
        raise CredentialsRevoked(
            "Mammoth's tokens are not renewed.", next_action="Connect the account again."
        )

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """The consent page."""
        asked = {
            "client_id": self._settings.app_id, "redirect_uri": redirect_uri, "state": state, "scope": SCOPES,
            "response_type": "code", "code_challenge": code_challenge or "", "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{self._settings.hosts['www']}/oauth/authorize?{urlencode(asked)}"

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """The grant behind a code."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "code_verifier": code_verifier or "", "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(),
        }  # fmt: skip
        token = _read(Token, self._ask("POST", "/oauth/token", None, form=form), visible=False)
        return Credentials(access_token=token.access_token, scopes=tuple(token.scope.split()))

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The one account of a token."""
        answer = self._ask("GET", "/api/v1/accounts/verify_credentials", credentials)
        me = _read(Me, answer, visible=False)
        return (
            RemoteAccount(
                remote_id=me.id, username=me.username, display_name=me.username, connection="user",
                credentials=credentials,
            ),
        )  # fmt: skip

    # --- the wire ----------------------------------------------------------------------------------------------------

    def _read(self, model: type[WireT], account: Account, path: str) -> WireT:
        return _read(model, self._ask("GET", path, account), visible=False)

    def _ask(
        self,
        method: str,
        path: str,
        whose: Account | Credentials | None,
        *,
        visible: bool = False,
        **call: Any,
    ) -> Answer:
        headers = dict(call.pop("headers", {}))
        grant = whose.credentials if isinstance(whose, Account) else whose
        if grant is not None:
            headers["Authorization"] = f"Bearer {grant.access_token.get_secret_value()}"
        try:
            answer = self._client.call(method, self._api + path, headers=headers, visible=visible, **call)
        except NotSent:
            raise Unavailable("Mammoth could not be reached; nothing was sent.") from None
        except NoAnswer:
            raise unclear(visible=visible) from None
        if answer.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            raise of_answer(answer, visible=visible)
        return answer


def _read(model: type[WireT], answer: Answer, *, visible: bool) -> WireT:
    try:
        return model.model_validate_json(answer.body)
    except ValidationError:
        raise unclear(visible=visible, status=answer.status) from None
