"""The table of tools. Each calls what its twin of the HTTP API calls, with the same rights, limits and threads."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mcp_types import Tool, ToolAnnotations
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.requests import Request

from pipeline.api.accounts.key import KeyFacts, read_key
from pipeline.api.accounts.routes import AccountList, AccountQuery, read_accounts
from pipeline.api.events import EventList, EventsQuery, read_event_list
from pipeline.api.files.routes import FileBody, StoredFile
from pipeline.api.files.upload import store_bytes
from pipeline.api.http.dependencies import Call, authenticate_publisher, authenticate_reader
from pipeline.api.http.validation import Body, build_invalid_payload, validate_body
from pipeline.api.openapi.operation import list_parameters
from pipeline.api.posts.action_response_models import ValidationReport
from pipeline.api.posts.action_routes import run_validation
from pipeline.api.posts.explanation_models import PostExplanation
from pipeline.api.posts.field_types import EntityId
from pipeline.api.posts.pagination import PostQuery
from pipeline.api.posts.response_models import Post, PostPage
from pipeline.api.posts.routes import find_explanation, find_post, read_posts
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.domain.validation_issue import build_issue
from pipeline.mcp import plans
from pipeline.mcp.untrusted import mark, mark_schema, slim

MAX_RESULT = 11_000
"""Bytes of the JSON of a page, which is in a result twice."""
PAGE, SMALLEST = 10, 2
"""Items of a page, where no number is asked for, and of the smallest."""
Arguments = Mapping[str, Any]
BodyT = TypeVar("BodyT", bound=Body)
PageT = TypeVar("PageT", bound=BaseModel)


class PostArguments(Body):
    """One post."""

    post_id: EntityId


class UploadArguments(FileBody):
    """A file to upload."""

    data: str = Field(description="The bytes, in base64: 700 kB at most. Larger files: POST /files.")


_FILTERS = {p["name"]: {**p["schema"], "description": p["description"]} for p in list_parameters(PostQuery)}


async def _fit(arguments: Arguments, model: type[BodyT], read: Callable[[BodyT], Awaitable[PageT]]) -> PageT:
    """Return the page that the arguments ask for, with fewer items if it would be too large. Raises Refusal 422."""
    asked = {"limit": PAGE, **{name: value for name, value in arguments.items() if value is not None}}
    page = await read(validate_body(model, asked))
    while len(to_json(mark(page.model_dump(mode="json")))) > MAX_RESULT and int(asked["limit"]) > SMALLEST:
        asked["limit"] = max(SMALLEST, int(asked["limit"]) // 2)
        page = await read(validate_body(model, asked))
    return page


async def whoami(call: Call, _arguments: Arguments) -> KeyFacts:
    """Return what this key may do: rights, accounts, mandate, and what is left of its limits."""
    return await read_key(call)


async def list_accounts(call: Call, arguments: Arguments) -> AccountList:
    """List the accounts to post to. With include=capabilities: kinds of posts, options, daily limits."""
    read = partial(call.read, read_accounts, call.app_state.context, call.caller)
    return await _fit(arguments, AccountQuery, read)


async def list_posts(call: Call, arguments: Arguments) -> PostPage:
    """List posts by their filters, the newest first."""
    given = {name: value for name, value in arguments.items() if value != ""}
    return await _fit(given, PostQuery, partial(read_posts, call))


async def get_post(call: Call, arguments: Arguments) -> Post:
    """Return a post with its state at each account."""
    return Post.from_view(await find_post(call, validate_body(PostArguments, arguments).post_id))


async def explain_post(call: Call, arguments: Arguments) -> PostExplanation:
    """Explain why a post stands where it stands, whose turn it is, and what is next."""
    return await find_explanation(call, validate_body(PostArguments, arguments).post_id)


async def list_events(call: Call, arguments: Arguments) -> EventList:
    """List what became of posts since the place `after`: keep next_cursor, and ask again with it."""
    read = partial(call.read, read_event_list, call.app_state.cursor_seal, call.caller)
    return await _fit(arguments, EventsQuery, read)


async def validate_post(call: Call, arguments: Arguments) -> ValidationReport:
    """Report everything that would be refused or warned about. Stores no post."""
    await call.app_state.charge_rate_limit(call.request, call.caller)
    post = read_post(arguments, call.app_state.rules)
    return ValidationReport.from_result(await run_validation(call, post), post, call.caller)


async def upload_file(call: Call, arguments: Arguments) -> StoredFile:
    """Store an image, a video or a PDF. Its url is used as media of a post."""
    asked = validate_body(UploadArguments, arguments)
    try:
        content = base64.b64decode(asked.data, validate=True)
    except ValueError:
        raise build_invalid_payload([build_issue(("data",), "It is not base64.", "value_error")]) from None
    body = FileBody(contentType=asked.contentType, filename=asked.filename)
    with call.app_state.uploads.slot(call.caller.workspace_id):
        work = partial(store_bytes, call.app_state, call.caller, body, content)
        return StoredFile.from_file(await call.app_state.transfer_bulkhead.run(work, call.caller.key_id))


READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
STORES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
COMMITS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
Run = Callable[[Call, Arguments], Awaitable[BaseModel]]
Authenticate = Callable[[Request], Awaitable[Call]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A tool: what runs, by which right, and how it is described."""

    run: Run
    authenticate: Authenticate
    tool: Tool


def _enter(
    run: Run,
    arguments: type[BaseModel] | Mapping[str, Any],
    hints: ToolAnnotations = READS,
    authenticate: Authenticate = authenticate_reader,
) -> tuple[str, Entry]:
    """Return a tool by its name. *arguments*: their model, or their schemas by name."""
    given = {"type": "object", "properties": arguments, "additionalProperties": False}
    schema = slim(arguments.model_json_schema()) if isinstance(arguments, type) else given
    returns = run.__annotations__["return"]
    model = globals().get(returns) or getattr(plans, returns)
    tool = Tool(
        name=run.__name__,
        description=run.__doc__,
        input_schema=schema,
        output_schema=mark_schema(slim(model.model_json_schema(mode="serialization"))),
        annotations=hints,
    )
    return run.__name__, Entry(run=run, authenticate=authenticate, tool=tool)


TOOLS: Mapping[str, Entry] = dict(
    (
        _enter(whoami, {}),
        _enter(list_accounts, AccountQuery),
        _enter(list_posts, _FILTERS),
        _enter(get_post, PostArguments),
        _enter(explain_post, PostArguments),
        _enter(list_events, EventsQuery),
        _enter(validate_post, PostBody, READS, authenticate_publisher),
        _enter(upload_file, UploadArguments, STORES, authenticate_publisher),
        _enter(plans.plan_post, PostBody, READS, authenticate_publisher),
        _enter(plans.plan_change, plans.ChangeArguments),
        _enter(plans.plan_import, plans.ImportArguments, STORES, authenticate_publisher),
        _enter(plans.commit, plans.CommitArguments, COMMITS),
    )
)
"""By name."""
