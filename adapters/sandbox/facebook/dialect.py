"""How the Facebook stand-in answers: usage headers, chosen fields, and whose Page a request speaks of."""

from dataclasses import replace

from aiohttp import web

from adapters.sandbox import graph_dialect as graph_voice
from adapters.sandbox import graph_node
from adapters.sandbox.endpoint import Call
from adapters.sandbox.graph_dialect import arguments, error_response, read_token, refuse
from adapters.sandbox.responses import Refused, encode, json_response
from adapters.sandbox.store import Record

PLATFORM = "facebook"
USER = "user"
"""The role of a person's token; it lists Pages, but most edges of a Page insist on the Page's own."""
PUBLISH_SCOPE = "pages_manage_posts"
TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")

DIALECT = replace(
    graph_voice.DIALECT,
    spam_blocked=lambda: error_response(
        368, 1390008, "The action attempted has been deemed abusive or is disallowed."
    ),
)


def ok(body: object, account: Record | None = None) -> web.Response:
    """A yes; with an account also what of its business use case limit is used (option `usage`, percent)."""
    headers = dict(graph_voice.USAGE)
    if account is not None:
        used = int(account["options"].get("usage", 1))
        limit: Record = {"type": "pages", "call_count": used, "total_cputime": 1, "total_time": 1}
        limit["estimated_time_to_regain_access"] = 0
        headers["X-Business-Use-Case-Usage"] = encode({account["remote_id"]: [limit]})
    return json_response(body, 200, headers)


def exhausted(_: Call) -> web.Response:
    """The day's limit of a Page is reached."""
    return error_response(32, None, "Page request limit reached")


def page(call: Call, *scopes: str) -> Record:
    """The Page of the token, whatever node the path names; raises Refused."""
    text = read_token(call)
    token = None if text is None else call.context.accounts.find_token(PLATFORM, text)
    if token is not None and token["role"] == USER:
        raise refuse(190, 2069032, "User access token is not supported: a Page access token is required.")
    return call.authenticate(*scopes)


def own_page(call: Call, *scopes: str) -> Record:
    """The Page of the token, if the path names it (or says `me`)."""
    account = page(call, *scopes)
    node = graph_node.get_node_id(call.request)
    if node not in ("me", account["remote_id"]):
        raise graph_node.unknown_node(node)
    return account


def writable_page(call: Call) -> Record:
    """The same for an edge that makes something, which needs the task CREATE_CONTENT."""
    return _writer(own_page(call, PUBLISH_SCOPE))


def writer(call: Call) -> Record:
    """The Page of a token that may change what is on it."""
    return _writer(page(call, PUBLISH_SCOPE))


def _writer(account: Record) -> Record:
    if "CREATE_CONTENT" not in account["options"].get("tasks", TASKS):
        raise Refused(
            error_response(200, None, "Permissions error: the task CREATE_CONTENT is missing.", status=403)
        )
    return account


def is_true(given: Record, name: str, *, otherwise: bool) -> bool:
    """A flag of the request, as JSON or as text."""
    value = given.get(name)
    return otherwise if value in (None, "") else str(value).lower() in ("true", "1")


def chosen(call: Call, known: Record, otherwise: str) -> Record:
    """Those of the `known` fields that `fields` names; `id` always."""
    names = _names(str(arguments(call).get("fields") or otherwise))
    for name in names:
        if name not in known:
            raise refuse(100, None, f"(#100) Tried accessing nonexisting field ({name})")
    return {name: known[name] for name in names if known[name] is not None} | {"id": known["id"]}


def _names(fields: str) -> list[str]:
    """The names of `a,b{c,d},e.limit(2)`, without what is inside of them."""
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


def paged(call: Call, rows: list[Record], otherwise: str, most: int = 100) -> Record:
    """One page of a list: `limit` rows behind the id `after`, with cursors."""
    given = arguments(call)
    limit = min(number(given, "limit") or 25, most)
    ids = [row["id"] for row in rows]
    after = given.get("after")
    start = ids.index(after) + 1 if after in ids else 0
    shown = rows[start : start + limit]
    body: Record = {"data": [chosen(call, row, otherwise) for row in shown]}
    if shown:
        cursors = {"before": shown[0]["id"], "after": shown[-1]["id"]}
        body["paging"] = {"cursors": cursors}
        if start + limit < len(rows):
            body["paging"]["next"] = str(call.request.url.update_query(after=cursors["after"]))
    return body


def number(given: Record, name: str) -> int | None:
    """A whole number of the request; None when it is not given."""
    value = given.get(name)
    if value is None:
        return None
    if not str(value).isdecimal():
        raise refuse(100, None, f"(#100) Param {name} must be an integer")
    return int(value)
