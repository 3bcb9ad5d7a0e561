"""Reads tokens of one account from standard input or a prompt, and accounts with their tokens from a CSV file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Self

import click
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from adapters.contract import Credentials, Platform, RemoteAccount
from adapters.platform_message import clean_message
from pipeline.domain.posting_times import LONGEST_GAP, MOST_A_DAY, parse_times
from pipeline.domain.time_zone import find_zone

CENTURY = 100 * 366 * 86_400
LARGEST_INPUT = 100_000
"""Characters of input; tokens are far smaller."""


class Tokens(BaseModel):
    """Tokens as a platform returns them. ``expires_in`` and ``refresh_expires_in`` are seconds from now."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = Field(default=None, min_length=1)
    expires_in: int | None = Field(default=None, gt=0, le=CENTURY)
    expires_at: AwareDatetime | None = None
    refresh_expires_in: int | None = Field(default=None, gt=0, le=CENTURY)
    scopes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _require_one_end(self) -> Self:
        if self.expires_in is not None and self.expires_at is not None:
            raise ValueError("expires_in and expires_at contradict each other; give one")
        return self

    def to_credentials(self) -> Credentials:
        """Convert to the contract's credentials; durations become points in time by this machine's clock."""
        return Credentials(
            access_token=self.access_token,
            refresh_token=self.refresh_token,
            expires_at=self.expires_at.astimezone(UTC) if self.expires_at else _after(self.expires_in),
            refresh_expires_at=_after(self.refresh_expires_in),
            scopes=self.scopes,
        )


def read_credentials() -> Credentials:
    """Read tokens as JSON from standard input, or ask at a terminal. Raises ClickException, without a token in it."""
    if sys.stdin.isatty():
        return _prompt()
    return _parse(sys.stdin.read(LARGEST_INPUT))


def _parse(text: str, what: str = "The tokens on standard input") -> Credentials:
    try:
        return Tokens.model_validate_json(text).to_credentials()
    except ValidationError as error:
        raise click.ClickException(f"{what} cannot be used: {_describe_first(error)}.") from None


def _prompt() -> Credentials:
    def ask(what: str, *, default: str | None = None, hide: bool = True) -> str:
        answer: str = click.prompt(what, default=default, hide_input=hide, show_default=False, err=True)
        return answer

    given = {
        "access_token": ask("Access token"),
        "refresh_token": ask("Refresh token (empty: none)", default=""),
    }
    given["expires_in"] = ask("Seconds until the access token ends (empty: never)", default="", hide=False)
    if given["refresh_token"]:
        given["refresh_expires_in"] = ask(
            "Seconds until the refresh token ends (empty: never)", default="", hide=False
        )
    return _parse(json.dumps({name: value for name, value in given.items() if value}), "These tokens")


def _describe_first(error: ValidationError) -> str:
    """The first error, without values. The name of an unknown field is left out: it may be a misplaced token."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return 'it is not JSON; send an object like {"access_token": "…", "expires_in": 86400}'
    if first["type"] == "extra_forbidden":
        return f"a field is not one of {', '.join(Tokens.model_fields)}"
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}" if where else message


def _after(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)


LARGEST = 20_000_000
"""Bytes of a file."""
MOST_ROWS = 10_000
SETTING = "setting."
"""Prefix of columns that are stored with the account: ``setting.default_board``."""
_SECRET = ("access_token", "refresh_token")
_SHOWN = 40
"""Most characters of a value that are shown."""


def _require_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds a control character")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_require_printable)]


def _parse_zone(text: str) -> str:
    return find_zone(text).key


class AccountFields(Tokens):
    """The columns of a row."""

    platform: Platform
    connection: Name
    remote_id: Name
    username: Name
    display_name: Name | None = None
    workspace: Name
    times: Annotated[Mapping[str, Sequence[str]] | None, BeforeValidator(parse_times)] = None
    time_zone: Annotated[str | None, AfterValidator(_parse_zone)] = None
    most_a_day: int | None = Field(default=None, ge=1, le=MOST_A_DAY)
    least_gap_minutes: int | None = Field(default=None, ge=0, le=LONGEST_GAP // timedelta(minutes=1))

    @property
    def posting_times(self) -> dict[str, Any]:
        """The fields of posting times that the row sets."""
        given = self.model_dump(include={"times", "time_zone", "most_a_day", "least_gap_minutes"})
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLine:
    """A row that can be used, and the line of the file it ends on."""

    line: int
    fields: AccountFields
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_remote_account(self) -> RemoteAccount:
        """Return the account as a platform would list it."""
        given = self.fields
        return RemoteAccount(
            remote_id=given.remote_id,
            username=given.username,
            display_name=given.display_name or given.username,
            connection=given.connection,
            credentials=given.to_credentials(),
            settings=self.settings,
        )

    def build_problem(self, column: str, rule: str) -> Problem:
        """Return a problem of a column, with its value unless that is a token."""
        value = show_value({column: getattr(self.fields, column)}, column)
        return Problem(line=self.line, column=column, rule=rule, value=value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One reason why the file is not imported. ``value``: None for a token, and where a cell's value is no matter."""

    line: int
    column: str
    rule: str
    value: str | None = None


def read_accounts(content: bytes, workspace: str | None) -> tuple[list[AccountLine], list[Problem]]:
    """Return the rows of a CSV file with a header line, and the problems. *workspace*: of rows that name none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [Problem(line=line, column="", rule="the file has to be UTF-8")]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    accounts: list[AccountLine] = []
    problems: list[Problem] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if problems := list(_check_header(header)):
            return [], problems
        for cells in reader:
            if not any(cells):
                continue
            if len(accounts) + len(problems) >= MOST_ROWS:
                rule = f"a file has at most {MOST_ROWS:,} accounts: split it"
                return [], [Problem(line=reader.line_num, column="", rule=rule)]
            one, found = _read_row(reader.line_num, header, cells, workspace)
            problems += found
            accounts += [one] if one else []
    except csv.Error as error:
        problems.append(Problem(line=reader.line_num, column="", rule=f"it is not CSV: {error}"))
    return accounts, problems


def _check_header(header: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with the names of the columns. A name is not shown: without a header it may be a token."""
    known = list(AccountFields.model_fields)
    for number, name in enumerate(header, 1):
        column = f"column {number}"
        if header.index(name) < number - 1:
            yield Problem(line=1, column=column, rule="two columns have this name")
        elif name not in known and not (name.startswith(SETTING) and name != SETTING and name.isprintable()):
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(known)}, {SETTING}NAME"
            yield Problem(line=1, column=column, rule=f"no column has this name: {hint}")
    for name in ("platform", "connection", "remote_id", "username", "access_token"):
        if name not in header:
            rule = "the first line has to name this column, and commas separate columns"
            yield Problem(line=1, column=name, rule=rule)


def _read_row(
    line: int, header: Sequence[str], cells: Sequence[str], workspace: str | None
) -> tuple[AccountLine | None, list[Problem]]:
    if len(cells) != len(header):
        rule = f"it has {len(cells)} columns, the first line {len(header)}"
        return None, [Problem(line=line, column="", rule=rule)]
    given = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    unfit = [name for name in given if name.startswith(SETTING) and not given[name].isprintable()]
    if unfit:
        rule = "it holds a control character"
        return None, [
            Problem(line=line, column=name, rule=rule, value=show_value(given, name)) for name in unfit
        ]
    settings = {
        name.removeprefix(SETTING): {"true": True, "false": False}.get(value, value)
        for name, value in given.items()
        if name.startswith(SETTING)
    }
    row: dict[str, Any] = {name: value for name, value in given.items() if not name.startswith(SETTING)}
    if workspace is not None:
        row.setdefault("workspace", workspace)
    if "scopes" in row:
        row["scopes"] = row["scopes"].replace(",", " ").split()
    try:
        fields = AccountFields.model_validate(row)
    except ValidationError as error:
        return None, list(_describe(line, given, error))
    return AccountLine(line=line, fields=fields, settings=settings), []


def _describe(line: int, given: Mapping[str, str], error: ValidationError) -> Iterator[Problem]:
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        column = str(one["loc"][0]) if one["loc"] else "expires_in"
        rule = "it is required" if one["type"] == "missing" else one["msg"].removeprefix("Value error, ")
        yield Problem(line=line, column=column, rule=rule, value=show_value(given, column))


def show_value(given: Mapping[str, str], column: str) -> str | None:
    """Return the value of a cell as it may be shown: no token, redacted, cut. A remote id may look like a token."""
    value = given.get(column)
    tokens = [given[name] for name in _SECRET if name in given]
    if value is None or column in _SECRET:
        return None
    shown = value if column == "remote_id" and value not in tokens else clean_message(value, tokens) or ""
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def find_repeated(accounts: Sequence[AccountLine], workspaces: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the rows whose account stands in an earlier row. *workspaces*: name or id as given -> the workspace."""
    first: dict[tuple[object, ...], int] = {}
    for one in accounts:
        given = one.fields
        workspace = workspaces.get(given.workspace, given.workspace)
        line = first.setdefault((workspace, given.platform, given.connection, given.remote_id), one.line)
        if line != one.line:
            yield one.build_problem("remote_id", f"line {line} has this account already")
