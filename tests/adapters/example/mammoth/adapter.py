"""Mammoth: uploads files, waits until they are processed, then publishes one status. Hosts: ``api``, ``www``.

Mammoth does not exist. Its visible call takes an ``Idempotency-Key``: a repetition returns the first call's status.
A status that ``look`` does not find may therefore be sent again with the same key and files.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from pydantic import Field

from adapters.base import BaseAdapter
from adapters.contract import (
    Absent,
    Account,
    CannotTell,
    Capabilities,
    CheckpointData,
    Credentials,
    Draft,
    FinalizeResult,
    LookResult,
    Pending,
    Platform,
    PrepareResult,
    Problem,
    Published,
    Ready,
    RemoteAccount,
)
from adapters.error_table import Phase
from adapters.errors import CredentialsRevoked, Rejected, Unavailable
from adapters.http import Model
from adapters.listing import ListedPost, Listing
from adapters.live_check import ConnectionChecks
from adapters.oauth import (
    TokenResponse,
    build_app_form,
    build_code_form,
    build_consent_url,
    build_credentials,
    build_pkce,
)
from adapters.post_options import PostOptions
from adapters.transport import Request, bearer_header, get_size, open_body, parse_response, send
from tests.adapters.example.mammoth import limits
from tests.adapters.example.mammoth.errors import SERVICE, translate_error
from tests.adapters.example.mammoth.problems import problems
from tests.adapters.example.mammoth.wire import Attachment, Me, Status, Statuses
from tests.adapters.example.word import MAMMOTH

SCOPES = "read write"
LIVE_CHECKS = (ConnectionChecks(connection="user", required_scopes=("read", "write")),)


class MammothOptions(PostOptions):
    """Options of a status; when at least one account is Mammoth."""

    platform: ClassVar[Platform] = MAMMOTH

    spoiler_text: str | None = Field(None, min_length=1, max_length=100)
    visibility: Literal["public", "unlisted"] | None = None


class Mammoth(BaseAdapter):
    """The adapter; ``adapters.contract`` describes each method."""

    platform: ClassVar[Platform] = MAMMOTH
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = MammothOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: ARG002 one set of rules
        """Return every limit that the draft breaks."""
        return problems(draft)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Upload one file, or read the state of one, per call."""
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

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Publish the status, in one request."""
        sent = checkpoint.get("media", ())
        if not sent or checkpoint.get("ready") != len(sent):
            raise Unavailable("The files are not ready.", code="not_prepared")
        body = {"status": draft.caption, "media_ids": list(sent), **draft.options}
        key = {"Idempotency-Key": draft.delivery_id}
        made = self._ask(
            Status, "POST", "/api/v1/statuses", account, step=Phase.FINALIZE, json=body, headers=key
        )
        return Published(remote_id=made.id, url=made.url)

    def look(
        self,
        draft: Draft,  # noqa: ARG002 the files identify the status
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Find the status with exactly our files. Absent is safe: the same key and files make no second status."""
        if armed_at is None:
            return Ready(checkpoint=checkpoint)
        sent = tuple(checkpoint.get("media", ()))
        if not sent:
            return CannotTell(reason="no files are known to identify the status by", is_final=True)
        listed = self._list(account)
        ours = [status for status in listed if status.media_ids == sent and status.id not in taken]
        return Published(remote_id=ours[0].id, url=ours[0].url) if ours else Absent(checkpoint=checkpoint)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:  # noqa: ARG002 it has no times
        """List the account's statuses. Mammoth shows neither text nor time, so all are candidates."""
        unknown = {"created_at": None, "same_caption": None, "same_kind": None}
        posts = [
            ListedPost(
                remote_id=one.id, url=one.url, same_media=len(one.media_ids) == len(draft.media), **unknown
            )
            for one in self._list(account)
        ]
        return Listing(posts=posts)

    def _list(self, account: Account) -> Sequence[Status]:
        path = f"/api/v1/accounts/{account.remote_id}/statuses"
        return self._ask(
            Statuses, "GET", path, account, step=Phase.LOOK, params={"limit": limits.LISTED}
        ).root

    def _send(self, draft: Draft, account: Account, index: int) -> Attachment:
        media = draft.media[index]
        body = open_body(media, 0, get_size(media))
        kind = {"Content-Type": media.facts.content_type} if media.facts else {}
        return self._ask(Attachment, "POST", "/api/v2/media", account, body=body, headers=kind)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:  # noqa: ARG002 there is nothing to refresh
        """Raise CredentialsRevoked: Mammoth's tokens are valid until they are revoked."""
        raise CredentialsRevoked(
            "Mammoth's tokens are not renewed.", next_action="Connect the account again."
        )

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Return the URL of the consent page."""
        address, app = f"{self._settings.hosts['www']}/oauth/authorize", {"client_id": self._settings.app_id}
        return build_consent_url(address, app, SCOPES, redirect_uri, state, **build_pkce(code_challenge))

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """Exchange an authorization code for credentials."""
        form = {**build_code_form(code, redirect_uri, code_verifier or ""), **build_app_form(self._settings)}
        return build_credentials(self._ask(TokenResponse, "POST", "/oauth/token", None, form=form), None)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """Return the one account of a token."""
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
        step: Phase = Phase.PREPARE,
        headers: Mapping[str, str] | None = None,
        **call: Any,
    ) -> Model:
        grant = whose.credentials if isinstance(whose, Account) else whose
        token = {} if grant is None else bearer_header(grant.access_token.get_secret_value())
        url = self._settings.hosts["api"] + path
        request = Request(method=method, url=url, headers={**token, **(headers or {})}, **call)
        answer = send(self._http, SERVICE, request, step)
        return parse_response(
            answer, model, SERVICE, step, translate_error, (HTTPStatus.OK, HTTPStatus.ACCEPTED)
        )
