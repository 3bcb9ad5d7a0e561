"""Parts that the platforms on Meta's Graph API share: error envelope, parameters, and the routing of their paths.

A path is `/<version>/<node>/<edge>`; the platform that owns the node answers.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sandbox.dialect import Dialect, Refused, encode, json_response, load_table
from adapters.sandbox.endpoint import Call, Endpoint, Route, read_routes
from adapters.sandbox.oauth import list_apps
from adapters.sandbox.store import LivePost, Record, to_iso
from adapters.sandbox.uploads import parse_fields

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

USAGE = {"X-App-Usage": '{"call_count":1,"total_time":1,"total_cputime":1}'}
"""Header of every response."""

_NESTED = re.compile(r"\{[^{}]*\}|\([^()]*\)")
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


def read_parameters(call: Call) -> Record:
    """Return query, form and JSON body as one mapping; the body wins. Files of a multipart form are bytes."""
    if call.parameters is None:
        call.parameters = dict(call.request.query) | _parse_body(call)
    return call.parameters


def read_typed(call: Call, schema: str) -> Record:
    """Return the parameters of a method of the SDK; raises Refused for one of another type."""
    given = read_parameters(call)
    call.endpoint.dialect.check_types(schema, given)
    return given


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
        raise DIALECT.refuse("wrong_proof")
    if not given and any(app["requires_proof"] for app in apps):
        raise DIALECT.refuse("no_proof")


def get_node_id(request: web.Request) -> str:
    """Return the first path segment after the version."""
    parts = request.path.split("/")
    return parts[3] if len(parts) > 3 and parts[2].startswith("v") else parts[2]  # noqa: PLR2004


def get_own(call: Call, account: Record, kind: str) -> Record:
    """Return the record that the path names. Raises Refused unless it belongs to the account."""
    node = get_node_id(call.request)
    return call.get_own(kind, node, account, "unknown_node", node=node)


def check_node(call: Call, account: Record) -> Record:
    """Return the account. Raises Refused unless the path names it, or `me`."""
    node = get_node_id(call.request)
    if node not in ("me", account["remote_id"]):
        raise unknown_node(node)
    return account


def unknown_node(node: str) -> Refused:
    """Return the exception for a node that does not exist or that the token may not see."""
    return DIALECT.refuse("unknown_node", node=node)


def is_true(given: Record, name: str, *, default: bool) -> bool:
    """Return a boolean parameter, given as JSON or text; `default` if it is absent."""
    value = given.get(name)
    return default if value in (None, "") else str(value).lower() in ("true", "1")


TABLE = load_table("facebook")
DIALECT = Dialect(error_response, TABLE["errors"], read_token)


def select_fields(call: Call, known: Record, default: str) -> Record:
    """Return the fields that the parameter `fields` names, or else the fields in `default`; `id` always.

    Raises:
        Refused: a field is not in `known`.
    """
    names = _parse_field_names(str(read_parameters(call).get("fields") or default))
    for name in names:
        if name not in known:
            raise DIALECT.refuse("unknown_field", name=name)
    return {name: known[name] for name in names if known[name] is not None} | {"id": known["id"]}


def _parse_field_names(fields: str) -> list[str]:
    """Return the top-level names of a field list such as `a,b{c,d},e.limit(2)`."""
    while (outer := _NESTED.sub("", fields)) != fields:
        fields = outer
    names = (name.partition(".")[0].strip() for name in fields.split(","))
    return [name for name in names if name]


def list_live(call: Call, account: Record) -> list[LivePost]:
    """Return the posts of an account that listings show now, from `since` to `until`, newest first."""
    given = read_parameters(call)
    since, until = parse_int(given, "since"), parse_int(given, "until")
    return [
        live
        for live in call.list_live(account["remote_id"])
        if (since is None or live.created_at >= since) and (until is None or live.created_at <= until)
    ]


def paginate(call: Call, rows: list[Record], default: str, most: int = 100) -> Record:
    """Return one page: at most `limit` rows after the id `after`, with cursors."""
    given = read_parameters(call)
    limit = min(parse_int(given, "limit") or 25, most)
    ids = [row["id"] for row in rows]
    after = given.get("after")
    start = ids.index(after) + 1 if after in ids else 0
    shown = rows[start : start + limit]
    body: Record = {"data": [select_fields(call, row, default) for row in shown]}
    if shown:
        cursors = {"before": shown[0]["id"], "after": shown[-1]["id"]}
        body["paging"] = {"cursors": cursors}
        if start + limit < len(rows):
            body["paging"]["next"] = str(call.request.url.update_query(after=cursors["after"]))
    return body


def to_time(instant: float) -> str:
    """Return Unix seconds as Meta writes times."""
    return to_iso(instant)[:19] + "+0000"


def parse_int(given: Record, name: str) -> int | None:
    """Return an integer parameter, or None if it is absent. Raises Refused if it is malformed."""
    value = given.get(name)
    if value is None:
        return None
    if not str(value).isdecimal():
        raise DIALECT.refuse("no_integer", name=name)
    return int(value)


def is_me(node: str, request: web.Request, context: SandboxContext, platform: str) -> bool:
    """Return whether the node is `me` for a token of the platform."""
    return node == "me" and context.accounts.find_token(platform, read_url_token(request)) is not None


_VERSION = re.compile(r"v\d+\.\d+\Z")
_SERVED = tuple(f"v{number}.0" for number in range(21, 28))
"""Versions of developers.facebook.com/docs/graph-api/changelog, read 2026-11-27, and v27.0 of 2026-11-04; no others."""

Owns: TypeAlias = Callable[[str, web.Request], bool]
"""Return whether a platform owns a node: "me", an id, or the first segment of paths like /refresh_access_token."""


def match_name(name: str) -> Owns:
    """Return the owner test of a path that is no node but a name, such as /debug_token."""
    return lambda node, _: node == name


def match_record(context: SandboxContext, kind: str) -> Owns:
    """Return the owner test of the nodes that are records of a kind."""
    return lambda node, _: context.store.get(kind, node) is not None


def read_rows(rows: Iterable[Any], owners: Mapping[str, Owns], **modules: object) -> list[tuple[Owns, Route]]:
    """Return the rows of a table whose owner of the node is in `owners`: as of `read_routes`, after the owner."""
    known = [row for row in rows if row[0] in owners]
    routes = read_routes((row[1:] for row in known), **modules)
    return [(owners[row[0]], route) for row, route in zip(known, routes, strict=True)]


class GraphRouter:
    """Dispatch a request to the platform that owns its node."""

    def __init__(self, context: SandboxContext) -> None:
        """Serve the endpoints of `context`."""
        self._context = context
        self._endpoints: dict[tuple[str, str, str], list[tuple[Owns, Endpoint]]] = {}
        self._hosts: set[str] = set()

    def mount(self, app: web.Application, host: str) -> None:
        """Serve everything under `/<host>/`; a second call for a host does nothing."""
        if host in self._hosts:
            return
        self._hosts.add(host)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(host, request)

        app.router.add_route("*", f"/{host}/{{path:.*}}", answer)

    def add_routes(
        self, host: str, platform: str, dialect: Dialect, rows: Iterable[tuple[Owns, Route]]
    ) -> None:
        """Serve a table: who owns the node, and the endpoint, whose path is the edge ("" = the node itself)."""
        for owns, route in rows:
            endpoint = Endpoint(route, platform, route.dialect or dialect)
            for method in route.method.split():
                self._endpoints.setdefault((host, method, route.path), []).append((owns, endpoint))

    async def _answer(self, host: str, request: web.Request) -> web.StreamResponse:
        parts = request.match_info["path"].strip("/").split("/")
        if _VERSION.match(parts[0]):
            if parts[0] not in _SERVED and "dialog" not in parts:
                return _retired(parts[0], request)
            parts = parts[1:]
        node = parts[0] if parts else ""
        edge = "/".join(parts[1:])
        for owns, endpoint in self._endpoints.get((host, request.method, edge), ()):
            if owns(node, request):
                return await endpoint.serve(self._context, request)
        return _respond_unknown(request.method, node)


def _retired(version: str, request: web.Request) -> web.Response:
    is_old = float(version[1:]) < float(_SERVED[0][1:])
    row = "old_version" if is_old else "unknown_version"
    return DIALECT.respond(row, latest=_SERVED[-1], path=request.path)


def _respond_unknown(method: str, node: str) -> web.Response:
    return DIALECT.respond("unknown_object", method=method.lower(), node=node)
