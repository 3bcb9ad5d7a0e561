"""Responses of Meta's Graph API: the error envelope that its platforms share."""

import hashlib
import hmac
import itertools
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.oauth import list_apps
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.upload_body import parse_fields
from adapters.sandbox.vendor_table import load_table

USAGE = {"X-App-Usage": '{"call_count":1,"total_time":1,"total_cputime":1}'}
"""Header of every response."""

_numbers = itertools.count()


def ok(body: object) -> web.Response:
    """Return a success response."""
    return json_response(body, 200, USAGE)


def error_response(
    code: int,
    subcode: int | None,
    message: str,
    *,
    status: int = 400,
    kind: str = "OAuthException",
    transient: bool = False,
    wait: int | None = None,
    data: Record | None = None,
) -> web.Response:
    """Return an error response; `data` is its `error_data`, `wait` the seconds until the limit is lifted."""
    error: Record = {"message": message, "type": kind, "code": code}
    if subcode:
        error["error_subcode"] = subcode
    if data is not None:
        error["error_data"] = data
    error |= {"is_transient": transient, "error_user_title": "Request refused", "error_user_msg": message}
    error["fbtrace_id"] = f"A{next(_numbers):022d}"
    headers = {} if wait is None else _make_limit_headers(wait)
    return json_response({"error": error}, status, USAGE | headers)


def _make_limit_headers(wait: int) -> dict[str, str]:
    minutes = max(1, -(-wait // 60))
    usage = encode({"1": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": minutes}]})
    return {"Retry-After": str(wait), "X-Business-Use-Case-Usage": usage}


def refuse(code: int, subcode: int | None, message: str) -> Refused:
    """Return the exception that responds with HTTP 400 and this error."""
    return Refused(error_response(code, subcode, message))


def read_parameters(call: Call) -> Record:
    """Return query, form and JSON body as one mapping; the body wins. Files of a multipart form are bytes."""
    if call.parameters is None:
        call.parameters = dict(call.request.query) | _parse_body(call)
    return call.parameters


def read_enum(given: Record, name: str) -> str | None:
    """Return an enum value in upper case: Meta takes either case, and its SDK specification has START and start."""
    value = given.get(name)
    return None if value is None else str(value).upper()


def _parse_body(call: Call) -> Record:
    if not call.body:
        return {}
    match call.request.content_type:
        case "application/json":
            return call.json()
        case "multipart/form-data":
            return parse_fields(call.request.headers["Content-Type"], call.body)
        case _:
            return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def read_url_token(request: web.Request) -> str:
    """Return the access token of header or query, before the body is read; empty if there is none."""
    return request.headers.get("Authorization", "").partition(" ")[2] or request.query.get("access_token", "")


def read_token(call: Call) -> str | None:
    """Return the access token: Bearer or OAuth header, or `access_token` in query or body."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    is_header = scheme in ("Bearer", "OAuth") and text
    token = text if is_header else read_parameters(call).get("access_token")
    if token and not call.request.path.startswith("/rupload/"):
        _check_proof(call, str(token))
    return token


def _check_proof(call: Call, token: str) -> None:
    """Raise Refused if `appsecret_proof` is wrong, or missing although the app requires it."""
    given = str(read_parameters(call).get("appsecret_proof") or "")
    apps = list_apps(call.context, call.endpoint.platform)
    proofs = {hmac.new(app["secret"].encode(), token.encode(), hashlib.sha256).hexdigest() for app in apps}
    if given and apps and given not in proofs:
        raise refuse(100, None, "Invalid appsecret_proof provided in the API argument")
    if not given and any(app["requires_proof"] for app in apps):
        raise refuse(100, None, "API calls from the server require an appsecret_proof argument")


def get_node_id(request: web.Request) -> str:
    """Return the first path segment after the version."""
    parts = request.path.split("/")
    return parts[3] if len(parts) > 3 and parts[2].startswith("v") else parts[2]  # noqa: PLR2004


def unknown_node(node: str) -> Refused:
    """Return the exception for a node that does not exist or that the token may not see."""
    return refuse(
        100,
        33,
        f"Unsupported request. Object with ID '{node}' does not exist, cannot be loaded due to missing permissions, "
        "or does not support this operation.",
    )


def is_true(given: Record, name: str, *, default: bool) -> bool:
    """Return a boolean parameter, given as JSON or text; `default` if it is absent."""
    value = given.get(name)
    return default if value in (None, "") else str(value).lower() in ("true", "1")


TABLE = load_table("facebook")
DIALECT = make_dialect(error_response, TABLE["errors"], read_token)
