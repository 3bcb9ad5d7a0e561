"""Responses of the Facebook sandbox: usage headers, field selection, paging; and authentication as a Page."""

from collections.abc import Callable

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia

PLATFORM = "facebook"
USER = "user"
"""The role of a user access token. It lists Pages, but most edges of a Page require a Page access token."""
PUBLISH_SCOPE = "pages_manage_posts"
_MAX_FETCHED_BYTES = 256 << 20
TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")

DIALECT = make_dialect(
    graph.error_response, graph.TABLE["errors"] | graph.TABLE["page_errors"], graph.read_token
)


def ok(body: object, account: Record | None = None) -> web.Response:
    """Return a success response; `account` adds the header with its usage in percent (option `usage`)."""
    headers = dict(graph.USAGE)
    if account is not None:
        used = int(account["options"].get("usage", 1))
        limit: Record = {"type": "pages", "call_count": used, "total_cputime": 1, "total_time": 1}
        limit["estimated_time_to_regain_access"] = 0
        headers["X-Business-Use-Case-Usage"] = encode({account["remote_id"]: [limit]})
    return json_response(body, 200, headers)


def quota_response(_: Call) -> web.Response:
    """Return the error of a Page that has reached its daily limit."""
    return graph.error_response(32, None, "Page request limit reached")


def authenticate_page(call: Call, *scopes: str) -> Record:
    """Return the Page of the token, whichever node the path names.

    Raises:
        Refused: the token is invalid, lacks a scope, or is a user access token.
    """
    text = graph.read_token(call)
    token = None if text is None else call.context.accounts.find_token(PLATFORM, text)
    if token is not None and token["role"] == USER:
        raise graph.refuse(
            190, 2069032, "User access token is not supported: a Page access token is required."
        )
    return call.authenticate(*scopes)


def authenticate_node_page(call: Call, *scopes: str) -> Record:
    """Return the Page of the token. Raises Refused unless the path names it, or `me`."""
    account = authenticate_page(call, *scopes)
    node = graph.get_node_id(call.request)
    if node not in ("me", account["remote_id"]):
        raise graph.unknown_node(node)
    return account


def authenticate_node_writer(call: Call) -> Record:
    """Return the Page that the path names. Raises Refused unless its token may create content."""
    return _check_may_write(authenticate_node_page(call, PUBLISH_SCOPE))


def authenticate_writer(call: Call) -> Record:
    """Return the Page of the token. Raises Refused unless the token may create content."""
    return _check_may_write(authenticate_page(call, PUBLISH_SCOPE))


def _check_may_write(account: Record) -> Record:
    if "CREATE_CONTENT" not in account["options"].get("tasks", TASKS):
        raise Refused(
            graph.error_response(
                200, None, "Permissions error: the task CREATE_CONTENT is missing.", status=403
            )
        )
    return account


def select_fields(call: Call, known: Record, default: str) -> Record:
    """Return the fields that the parameter `fields` names, or else the fields in `default`; `id` always.

    Raises:
        Refused: a field is not in `known`.
    """
    names = _parse_field_names(str(graph.read_parameters(call).get("fields") or default))
    for name in names:
        if name not in known:
            raise graph.refuse(100, None, f"(#100) Tried accessing nonexisting field ({name})")
    return {name: known[name] for name in names if known[name] is not None} | {"id": known["id"]}


def _parse_field_names(fields: str) -> list[str]:
    """Return the top-level names of a field list such as `a,b{c,d},e.limit(2)`."""
    names, depth, name = [], 0, ""
    for sign in fields + ",":
        if sign in "{(":
            depth += 1
        elif sign in "})":
            depth -= 1
        elif sign == "," and depth == 0:
            names.append(name.partition(".")[0].strip())
            name = ""
        elif depth == 0:
            name += sign
    return [name for name in names if name]


def paginate(call: Call, rows: list[Record], default: str, most: int = 100) -> Record:
    """Return one page: at most `limit` rows after the id `after`, with cursors."""
    given = graph.read_parameters(call)
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


def parse_int(given: Record, name: str) -> int | None:
    """Return an integer parameter, or None if it is absent. Raises Refused if it is malformed."""
    value = given.get(name)
    if value is None:
        return None
    if not str(value).isdecimal():
        raise graph.refuse(100, None, f"(#100) Param {name} must be an integer")
    return int(value)


def make_step(name: str, *, default: bool) -> Callable[[Call], str]:
    """Return the step of requests that are the visible call if the parameter `name` is true."""
    return lambda call: (
        "finalize" if graph.is_true(graph.read_parameters(call), name, default=default) else "prepare"
    )


def get_own(call: Call, account: Record, kind: str) -> Record:
    """Return the record that the path names. Raises Refused unless it belongs to the account."""
    node = graph.get_node_id(call.request)
    record = call.find_own(kind, node, account)
    if record is None:
        raise graph.unknown_node(node)
    return record


async def fetch_video(call: Call, url: str) -> FetchedMedia | None:
    """Return the video at a URL, or None if it cannot be fetched."""
    return await call.context.fetcher.fetch_video(PLATFORM, url, _MAX_FETCHED_BYTES)
