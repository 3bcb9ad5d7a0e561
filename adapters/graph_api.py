"""The Graph API client that Instagram and Facebook share: Bearer calls, the proof of the app secret, uploads."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic
from urllib.parse import urlsplit

from pydantic import AliasPath, Field, SecretStr

from adapters.contract import Credentials, Media, PlatformSettings, Published
from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    PermissionMissing,
    Rejected,
    Unavailable,
)
from adapters.graph_errors import (
    FULL_USAGE,
    SERVER_ERROR,
    SUCCESS,
    GraphErrorTable,
    Known,
    Usage,
    build_error,
    parse_error,
    parse_usage,
)
from adapters.http import HttpClient, NoResponse, NotSent, Response
from adapters.live_check import Finding, ok, warn
from adapters.platform_message import clean_message
from adapters.transport import Wire, bearer_header, compute_upload_limit, get_size, open_body

# --- appsecret_proof -------------------------------------------------------------------------------------------------


def choose_proof_secret(settings: PlatformSettings, credentials: Credentials | None) -> SecretStr | None:
    """Return the secret that proves calls with these tokens, or None if our app did not obtain them."""
    is_ours = credentials is not None and credentials.app_id and credentials.app_id == settings.app_id
    return settings.app_secret if is_ours and settings.app_secret.get_secret_value() else None


def build_proof(token: str, secret: SecretStr | None) -> dict[str, str]:
    """Return the parameter ``appsecret_proof``; none without a token or a secret.

    Source: developers.facebook.com/docs/graph-api/guides/secure-requests, read 2026-11-27.
    """
    if not token or secret is None:
        return {}
    key = secret.get_secret_value().encode()
    return {"appsecret_proof": hmac.new(key, token.encode(), hashlib.sha256).hexdigest()}


# --- what uploads answer ---------------------------------------------------------------------------------------------

INTERRUPTED = "upload_interrupted"
"""Code of Unavailable for a partial upload: read the platform's offset or restart, then send the rest."""


_PARTIAL = frozenset({"OffsetInvalidError", "PartialRequestError"})


class _DebugInfo(Wire):
    retriable: bool = False
    type: str = ""
    message: str = Field("", repr=False)


class _Rupload(Wire):
    success: bool = False
    debug_info: _DebugInfo | None = None


# --- calls -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphReply(Generic[Known]):
    """A success: the parsed body and the usage headers."""

    data: Known
    usage: Usage


class GraphPage(Wire, Generic[Known]):
    """A page of a list."""

    data: tuple[Known, ...]
    after: str | None = Field(None, validation_alias=AliasPath("paging", "cursors", "after"))
    next: str | None = Field(None, validation_alias=AliasPath("paging", "next"))
    """Missing on the last page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphClient:
    """A client for one Graph host and version, with the token of its calls: Bearer tokens, JSON bodies."""

    http: HttpClient
    service: str
    base: str
    table: GraphErrorTable
    token: str = field(default="", repr=False)
    """Empty: the calls carry none."""
    proof_secret: SecretStr | None = field(default=None, repr=False)

    def read(self, model: type[Known], path: str, **params: str) -> GraphReply[Known]:
        """Send a GET. Raise Unavailable without a readable response, else the table's error."""
        return self._call(model, "GET", path, visible=False, params=params)

    def read_page(
        self, page: type[GraphPage[Known]], path: str, after: str | None, **params: str
    ) -> tuple[Sequence[Known], str | None]:
        """Read a page of a list, as ``read``; return its items, and the cursor of the next page, None on the last."""
        more = {} if after is None else {"after": after}
        found = self.read(page, path, **params, **more).data
        return found.data, found.after if found.next else None

    def change(self, model: type[Known], path: str, **call: Any) -> GraphReply[Known]:
        """Send a POST that makes nothing visible; ``call`` goes to ``HttpClient.call`` (``json_body``, ``body``, …)."""
        return self._call(model, "POST", path, visible=False, **call)

    def delete(self, model: type[Known], path: str) -> GraphReply[Known]:
        """Send a DELETE of what no visitor of the platform sees."""
        return self._call(model, "DELETE", path, visible=False)

    def publish(self, model: type[Known], path: str, **call: Any) -> GraphReply[Known]:
        """Send the visible POST, with *call* as in ``change``.

        Raise OutcomeUnknown for all but a success and a listed refusal.
        """
        return self._call(model, "POST", path, visible=True, **call)

    def send(self, method: str, path: str, *, visible: bool, **call: Any) -> Response:
        """Send a request, with *call* as in ``change``, and return the response whatever its status."""
        bearer = bearer_header(self.token) if self.token else {}
        call["headers"] = {**call.get("headers", {}), **bearer}
        call["params"] = {**call.get("params", {}), **build_proof(self.token, self.proof_secret)}
        url = f"{self.base.rstrip('/')}/{path}"
        return send(self.http, self.service, method, url, visible=visible, **call)

    def _call(
        self, model: type[Known], method: str, path: str, *, visible: bool, **call: Any
    ) -> GraphReply[Known]:
        response = self.send(method, path, visible=visible, **call)
        if response.status in SUCCESS and parse_error(response) is None:
            data = response.parse(model)
            if data is not None:
                return GraphReply(data=data, usage=parse_usage(response.headers))
            kind = OutcomeUnknown if visible else Unavailable
            raise kind(f"{self.service} sent an unreadable response", http_status=response.status)
        raise build_error(self.service, response, self.table, visible=visible)

    # --- uploads -----------------------------------------------------------------------------------------------------

    def upload(self, url: str, media: Media, offset: int | None) -> None:
        """Send a file's bytes from *offset* on, or without an offset its URL, to an upload URL; nothing visible.

        Raise Unavailable (``upload_interrupted``) if the platform may hold a part, Rejected if it refuses the file.
        Source: developers.facebook.com/docs/video-api/guides/reels-publishing, 2026-09-11.
        """
        headers, body, limit = {"Authorization": f"OAuth {self.token}"}, None, None
        if offset is None:
            headers["file_url"] = media.url
        else:
            size = get_size(media)
            headers |= {"offset": str(offset), "file_size": str(size)}
            body, limit = open_body(media, offset, size - offset), compute_upload_limit(size - offset)
        try:
            response = self.http.call("POST", url, headers=headers, body=body, limit=limit)
        except (NotSent, NoResponse):
            raise Unavailable(f"{self.service}: the upload was interrupted", code=INTERRUPTED) from None
        parsed = response.parse(_Rupload) or _Rupload()
        if response.status not in SUCCESS or not parsed.success:
            raise self._build_upload_error(response, parsed.debug_info)

    def _build_upload_error(self, response: Response, info: _DebugInfo | None) -> AdapterError:
        if parse_error(response) is not None:
            return build_error(self.service, response, self.table, visible=False)
        kind = info.type if info else ""
        facts: dict[str, Any] = {"platform_code": kind or None, "http_status": response.status}
        facts["platform_message"] = clean_message(info.message if info else None, response.secrets)
        if info and kind == "ProcessingFailedError" and not info.retriable:
            return Rejected(f"{self.service} could not process the uploaded file", **facts)
        is_temporary = response.status in SERVER_ERROR or response.status in SUCCESS
        if info is None or is_temporary or info.retriable or kind in _PARTIAL:
            return Unavailable(f"{self.service} did not accept the whole upload", code=INTERRUPTED, **facts)
        if response.status == HTTPStatus.FORBIDDEN:
            return PermissionMissing(f"{self.service} refused the upload: a permission is missing", **facts)
        return AdapterError(f"{self.service} refused the upload for an unlisted reason", **facts)


def open_graph(
    http: HttpClient,
    settings: PlatformSettings,
    host: str,
    service: str,
    table: GraphErrorTable,
    credentials: Credentials | None,
) -> GraphClient:
    """Return a client of *host*; with credentials, one for calls that carry their token and its proof."""
    return GraphClient(
        http=http,
        service=service,
        base=f"{host}/{settings.version}",
        table=table,
        token="" if credentials is None else credentials.access_token.get_secret_value(),
        proof_secret=choose_proof_secret(settings, credentials),
    )


def send(client: HttpClient, service: str, method: str, url: str, *, visible: bool, **call: Any) -> Response:
    """Send one request and return the complete response; translate network failures into errors."""
    try:
        return client.call(method, url, visible=visible, **call)
    except NotSent:
        raise Unavailable(f"{service} could not be reached", code="platform_unreachable") from None
    except NoResponse:
        kind = OutcomeUnknown if visible else Unavailable
        raise kind(f"{service} did not respond") from None


def read_link(remote_id: str, read: Callable[[], str | None]) -> Published:
    """Return the published post with the link that *read* returns; without it, a later look fills it in."""
    try:
        return Published(remote_id=remote_id, url=read())
    except AdapterError as error:
        return Published(remote_id=remote_id, notes={"url_missing": error.code})


# --- the live check --------------------------------------------------------------------------------------------------


def check_usage(usage: Usage) -> Iterator[Finding]:
    """Yield how much of the call allowance is spent, where the response reports it."""
    if usage.percent:
        result = warn if usage.percent > FULL_USAGE else ok
        yield result("quota", f"{usage.percent:g} % of the call allowance used")


def rebase_url(url: str, base: str) -> str:
    """Return *url* on the configured host, so that no token goes to a host named in a response."""
    if url.startswith(f"{base.rstrip('/')}/"):
        return url
    parts = urlsplit(url)
    return f"{base.rstrip('/')}{parts.path}" + (f"?{parts.query}" if parts.query else "")
