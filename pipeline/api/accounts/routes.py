"""GET /accounts, GET /accounts/{id} and GET /subscription: the accounts and the plan of a key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, WithJsonSchema
from sqlalchemy import Connection
from typing_extensions import TypeAliasType

from adapters.contract import DailyPer, Platform, PostForm
from adapters.post_options import PostOptions
from pipeline.accounts.capabilities import AccountAbilities, CountedDay, read_abilities
from pipeline.api.http.auth import find_plan_refusal
from pipeline.api.http.dependencies import Reader, path_id
from pipeline.api.http.envelope import SuccessResponse, refuse_unknown, success
from pipeline.api.http.response_models import ResponseModel, Timestamp, is_empty, one_of
from pipeline.api.http.validation import Query
from pipeline.api.imports.models import Cursor
from pipeline.api.openapi.introduction import SCOPE
from pipeline.api.openapi.operation import KEY_ERRORS, Routes, error_responses
from pipeline.api.posts.field_types import check_one_of
from pipeline.api.posts.pagination import DEFAULT_LIMIT, MAX_LIMIT, cut_page, write_cursor
from pipeline.domain import account as domain
from pipeline.runtime.context import Context
from pipeline.store.accounts.health import AccountStanding, Health, list_standings
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.ownership import restrict_accounts

_INCLUDED = ("capabilities",)


class KeyScope(ResponseModel):
    """The scope of the key: one workspace, or one person."""

    scope: domain.WorkspaceKind
    owner_user_id: UUID | None
    workspace_id: UUID | None


def describe_scope(caller: Caller) -> KeyScope:
    """Return the scope of a key as the API shows it."""
    personal = caller.kind is domain.WorkspaceKind.PERSONAL
    return KeyScope(
        scope=caller.kind,
        owner_user_id=caller.owner_user_id if personal else None,
        workspace_id=None if personal else caller.workspace_id,
    )


AccountHealth = TypeAliasType("AccountHealth", Annotated[str, one_of([*Health])])


class PostKind(ResponseModel):
    """The post that media of a form become at the account."""

    media: PostForm = Field(description="image: a slideshow of one image; images: of several.")
    kind: str = Field(description="In the platform's words.")


class AccountDay(ResponseModel):
    """A daily limit of the platform, in any 24 hours, and what the account has used of it."""

    counts: Literal["posts", "drafts"] = Field(description="drafts: those that wait in the app's inbox.")
    limit: int
    used: int = Field(description="Sent by this account in the last 24 hours.")
    per: DailyPer = Field(description="app: this server's accounts at the platform share the limit.")

    @classmethod
    def from_counted(cls, day: CountedDay) -> Self:
        """Return the limit as the API shows it."""
        counts: Literal["posts", "drafts"] = "drafts" if day.quota.drafts else "posts"
        return cls(counts=counts, limit=day.quota.allowed, used=day.used, per=day.quota.per)


@cache
def _describe_options(section: type[PostOptions]) -> dict[str, Any]:
    return section.model_json_schema()


class AccountCapabilities(ResponseModel):
    """What the account takes, and has left today."""

    kinds: list[PostKind]
    options: Annotated[dict[str, Any], WithJsonSchema({"type": "object"})] | None = Field(
        description="JSON Schema of the platform's section of a post. null: it has none."
    )
    today: list[AccountDay] = Field(description="Daily limits; empty: none is known.")
    next_posting_time: Timestamp | None = Field(
        description="The next of the account's posting times that no post has taken. null: none within a year."
    )

    @classmethod
    def from_abilities(cls, found: AccountAbilities) -> Self:
        """Return the capabilities as the API shows them."""
        return cls(
            kinds=[PostKind(media=media, kind=kind) for media, kind in found.kinds.items()],
            options=None if found.section is None else _describe_options(found.section),
            today=[*map(AccountDay.from_counted, found.today)],
            next_posting_time=found.next_free_at,
        )


class Account(ResponseModel):
    """An account to publish to. ``byo``: the customer's own; ``hosted`` ones do not exist here."""

    id: UUID
    platform: Platform
    type: Literal["byo", "hosted"]
    username: str
    display_name: str
    status: domain.AccountStatus
    workspace_id: UUID | None
    health: AccountHealth = Field(
        description="ok; ending: its grant ends within days, or has ended; paused: an operator holds its posts; "
        "reconnect: its posts wait until somebody connects it again; inactive: new posts are refused."
    )
    grant_ends_at: Timestamp | None = Field(
        description="When it has to be connected again, unless its grant is renewed. null: never."
    )
    capabilities: AccountCapabilities | None = Field(
        default=None, exclude_if=is_empty, description="Of GET /accounts/{id}, or with include=capabilities."
    )

    @classmethod
    def from_standing(
        cls, one: AccountStanding, workspace: UUID | None, abilities: AccountAbilities | None
    ) -> Self:
        """Return the account as a key with this scope sees it."""
        shown = None if abilities is None else AccountCapabilities.from_abilities(abilities)
        more = {"type": "byo", "workspace_id": workspace, "grant_ends_at": one.ends_at}
        return cls.from_rows(one, one.account, **more, capabilities=shown)


class AccountList(KeyScope):
    """The active accounts of the key's scope, the oldest first."""

    accounts: list[Account]
    next_cursor: str | None = Field(
        default=None,
        exclude_if=is_empty,
        description="Of a page (limit or cursor) that is not the last. Without both, all accounts are listed.",
    )


class AccountQuery(Query):
    """The accounts that are listed, and with what."""

    include: Annotated[str, check_one_of(_INCLUDED), one_of(_INCLUDED)] | None = Field(
        None, description="capabilities: what each account takes, and has left today."
    )
    limit: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description=f"Accounts of a page. With a cursor alone: {DEFAULT_LIMIT}."
    )
    cursor: Cursor | None = Field(None, description="next_cursor of the previous page.")


class SubscriptionPlan(ResponseModel):
    """The plan and whether it is paid for."""

    tier: domain.Plan
    status: domain.Subscription


class KeySubscription(KeyScope):
    """The plan behind the key."""

    subscription: SubscriptionPlan

    @classmethod
    def from_caller(cls, caller: Caller) -> Self:
        """Return the plan of the key's workspace."""
        return cls(
            **dict(describe_scope(caller)),
            subscription=SubscriptionPlan(tier=caller.plan, status=caller.subscription),
        )


class AuthorizationLink(ResponseModel):
    """The address of the platform's consent page, to open in the person's browser."""

    url: str = Field(examples=["https://www.example.com/oauth?client_id=1&state=abc"])
    expires_in: int = Field(description="Seconds until the address expires.")


routes = Routes(tag=SCOPE, path="")


@routes.add("GET", "/accounts", "The accounts.")
async def list_accounts(call: Reader, query: AccountQuery) -> SuccessResponse[AccountList]:
    """List the active accounts of the key's scope: all, or a page of them."""
    found = await call.read(read_accounts, call.app_state.context, call.caller, query)
    return success("Accounts retrieved", found)


def read_accounts(c: Connection, context: Context, caller: Caller, query: AccountQuery) -> AccountList:
    """Return the accounts of the query."""
    is_page = query.limit is not None or query.cursor is not None
    limit = query.limit or DEFAULT_LIMIT
    found = list_standings(
        c,
        caller.workspace_id,
        caller.accounts,
        is_active=True,
        after=query.cursor,
        limit=limit + 1 if is_page else None,
    )
    most = limit if is_page else len(found)
    shown, cursor = cut_page(found, most, lambda last: write_cursor((last.created_at, last.account.id)))
    return AccountList(
        **dict(describe_scope(caller)),
        accounts=_to_models(c, context, caller, shown, with_abilities=query.include is not None),
        next_cursor=cursor,
    )


def _to_models(
    c: Connection, context: Context, caller: Caller, found: Sequence[AccountStanding], *, with_abilities: bool
) -> list[Account]:
    rows = [one.account for one in found] if with_abilities else []
    abilities = read_abilities(context, c, rows, caller.time_zone)
    scope = describe_scope(caller).workspace_id
    return [Account.from_standing(one, scope, abilities.get(one.account.id)) for one in found]


@routes.add("GET", "/accounts/{account_id}", "The account.")
async def get_account(
    call: Reader, account_id: Annotated[UUID, path_id("account_id", "account")]
) -> SuccessResponse[Account]:
    """Return one account, active or not, with its capabilities."""
    found = await call.read(_read_account, call.app_state.context, call.caller, account_id)
    return success("Account retrieved", found)


def _read_account(c: Connection, context: Context, caller: Caller, account: UUID) -> Account:
    found = list_standings(c, caller.workspace_id, restrict_accounts([account], caller.accounts))
    if not found:
        raise refuse_unknown("account")
    return _to_models(c, context, caller, found, with_abilities=True)[0]


@routes.add(
    "GET", "/subscription", "The subscription.", errors=error_responses(*KEY_ERRORS, "internal_error")
)
async def get_subscription(call: Reader) -> SuccessResponse[KeySubscription]:
    """Return the plan. It needs no active plan, and the message says why a plan does not publish."""
    refusal = find_plan_refusal(call.caller)
    message = "Subscription retrieved" if refusal is None else refusal.message
    return success(message, KeySubscription.from_caller(call.caller))
