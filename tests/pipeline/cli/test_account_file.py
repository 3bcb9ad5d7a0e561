"""A CSV file of accounts: each problem names line, column, rule and value, and none shows a token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import account_file
from pipeline.cli.account_file import Problem, find_repeated, read_accounts

TOKEN = "act.3rQz8Vb1Yt7LmN5pKs2Wd4Xc6"
HEAD = "platform,connection,remote_id,username,access_token"
GOOD = f"tiktok,creator,_1,ann,{TOKEN}"


def read(*lines: str, workspace: str | None = "Acme") -> list[Problem]:
    return read_accounts("\n".join(lines).encode(), workspace)[1]


def test_a_row_has_tokens_times_scopes_and_settings() -> None:
    content = (
        "\ufeffplatform,connection,remote_id,username,access_token,refresh_token,expires_in,scopes,"
        "workspace,setting.default_board,setting.long_lived\r\n"
        f'pinterest,user,7,"Ann, and ""Bob""",{TOKEN},rft,60,"pins:read, pins:write",Other,123,true\r\n\r\n'
    )
    [one], problems = read_accounts(content.encode(), "Acme")
    assert problems == []
    assert (one.line, one.fields.username, one.fields.workspace) == (2, 'Ann, and "Bob"', "Other")
    assert one.settings == {"default_board": "123", "long_lived": True}
    credentials = one.fields.to_credentials()
    assert credentials.access_token.get_secret_value() == TOKEN
    assert credentials.scopes == ("pins:read", "pins:write")
    assert credentials.expires_at is not None


@pytest.mark.parametrize(
    ("row", "column", "rule", "value"),
    [
        (f"tiktk,creator,_1,ann,{TOKEN}", "platform", "'tiktok'", "tiktk"),
        (f"tiktok,creator,,ann,{TOKEN}", "remote_id", "it is required", None),
        ("tiktok,creator,_1,ann,", "access_token", "it is required", None),
        (f"tiktok,creator,_1,a\x07n,{TOKEN}", "username", "control character", "an"),
        (f"tiktok,creator,_1,{'x' * 201},{TOKEN}", "username", "at most 200", "x" * 40 + "…"),
        (f"{TOKEN},creator,_1,ann,{TOKEN}", "platform", "'tiktok'", "[redacted]"),
        (f"tiktok,creator,_1,{TOKEN}", "", "it has 4 columns, the first line 5", None),
        (f'tiktok,creator,"_1,ann,{TOKEN}', "", "it is not CSV", None),
    ],
)
def test_a_bad_row_is_a_problem(row: str, column: str, rule: str, value: str | None) -> None:
    [problem] = read(HEAD, GOOD, row)
    assert (problem.line, problem.column, problem.value) == (3, column, value)
    assert rule in problem.rule
    assert TOKEN not in repr(problem)


@pytest.mark.parametrize(
    ("cells", "column", "rule"),
    [
        ("soon,", "expires_in", "valid integer"),
        ("-1,", "expires_in", "greater than 0"),
        (",2027-01-01T00:00:00", "expires_at", "timezone"),
        ("5,2027-01-01T00:00:00Z", "expires_in", "contradict each other"),
    ],
)
def test_a_bad_time_is_a_problem(cells: str, column: str, rule: str) -> None:
    [problem] = read(f"{HEAD},expires_in,expires_at", f"{GOOD},{cells}")
    assert (problem.line, problem.column) == (2, column)
    assert rule in problem.rule


@pytest.mark.parametrize(
    ("header", "column", "rule"),
    [
        (f"{HEAD},refresh_tokn", "column 6", "did you mean refresh_token?"),
        (f"{HEAD},{TOKEN}", "column 6", "it is one of access_token"),
        (f"{HEAD},platform", "column 6", "two columns have this name"),
        ("platform,connection,remote_id,username", "access_token", "has to name this column"),
    ],
)
def test_a_bad_header_is_a_problem_without_its_text(header: str, column: str, rule: str) -> None:
    [problem] = read(header, GOOD)
    assert (problem.line, problem.column, problem.value) == (1, column, None)
    assert rule in problem.rule
    assert TOKEN not in problem.rule


def test_a_setting_that_the_database_refuses_is_a_problem() -> None:
    [problem] = read(f"{HEAD},setting.board", f"{GOOD},1\0002")
    assert (problem.line, problem.column, problem.value) == (2, "setting.board", "12")
    assert "control character" in problem.rule
    assert [p.column for p in read(f"{HEAD},setting.\0", f"{GOOD},1")] == ["column 6"]


def test_a_file_without_a_header_shows_none_of_its_tokens() -> None:
    problems = read(GOOD)
    assert {problem.line for problem in problems} == {1}
    assert TOKEN not in repr(problems)


def test_every_problem_of_a_file_is_reported_at_once() -> None:
    problems = read(HEAD, f"tiktk,creator,,ann,{TOKEN}", GOOD, "x")
    assert [(p.line, p.column) for p in problems] == [(2, "platform"), (2, "remote_id"), (4, "")]


def test_a_row_without_a_workspace_needs_the_option() -> None:
    [problem] = read(HEAD, GOOD, workspace=None)
    assert (problem.column, problem.rule) == ("workspace", "it is required")


def test_one_account_twice_is_a_problem_whatever_its_workspace_is_called() -> None:
    content = "\n".join((f"{HEAD},workspace", f"{GOOD},Acme", f"{GOOD},7", f"{GOOD},Other")).encode()
    accounts, problems = read_accounts(content, None)
    assert problems == []
    [problem] = find_repeated(accounts, {"Acme": 7, "7": 7, "Other": 8})
    assert (problem.line, problem.column, problem.value) == (3, "remote_id", "_1")
    assert "line 2" in problem.rule


def test_a_file_has_a_largest_number_of_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_file, "MOST_ROWS", 2)
    assert read(HEAD, GOOD, GOOD) == []
    [problem] = read(HEAD, GOOD, GOOD, GOOD)
    assert problem.rule == "a file has at most 2 accounts: split it"


def test_bytes_that_are_no_text_are_named_by_their_line() -> None:
    [problem] = read_accounts(f"{HEAD}\n{GOOD}\n".encode() + b"\xff\n", "Acme")[1]
    assert (problem.line, problem.rule) == (3, "the file has to be UTF-8")


@given(st.binary(max_size=200), st.booleans())
def test_no_file_crashes_the_reader_or_shows_the_token(noise: bytes, first: bool) -> None:
    lines = [HEAD.encode(), noise, GOOD.encode()] if first else [noise, HEAD.encode(), GOOD.encode()]
    accounts, problems = read_accounts(b"\n".join(lines), "Acme")
    assert accounts or problems
    assert TOKEN not in repr(problems) + repr(accounts)
