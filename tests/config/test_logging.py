"""No log line, in either format, shows a secret; and lines stay readable."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from errno import ENOSPC

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.groups import Log
from config.logging import (
    PATTERNS,
    BatchHandler,
    Json,
    Redactor,
    Text,
    list_secrets,
    log_event,
    set_up_logging,
)
from config.settings import load
from tests.waiting import until

KEY = Fernet.generate_key().decode()
SECRET_LINES = [
    ("Authorization: Bearer abc123DEF456ghi", "abc123DEF456ghi"),
    ("{'Authorization': 'Basic b3BlcmF0b3I6c2VjcmV0'}", "b3BlcmF0b3I6c2VjcmV0"),
    ('{"authorization": "raw-token-9f8e7d"}', "raw-token-9f8e7d"),
    ("GET https://graph.instagram.com/me?fields=id&access_token=IGQWRP9abcdef&x=1", "IGQWRP9abcdef"),
    ('{"access_token":"short1","refresh_token":"short2"}', "short1"),
    ('{"access_token":"short1","refresh_token":"short2"}', "short2"),
    ("client_secret=s3cr3t&grant_type=authorization_code", "s3cr3t"),
    ("{'password': 'hunter2hunter2'}", "hunter2hunter2"),
    ("postgresql+psycopg://slipway:pa55word@db/slipway", "pa55word"),
    ("redis://:pa55word@broker:6379/0", "pa55word"),
    ("the key slw_live_0011223344556677.AbC-dEf_123 was refused", "AbC-dEf_123"),
    ("token EAAGm0PX4ZCpsBAKZCdeadbeef0123456789", "Gm0PX4ZCpsBAKZCdeadbeef0123456789"),
    ("ya29.a0AfH6SMBdeadbeef0123456789_-xyz", "a0AfH6SMBdeadbeef0123456789_-xyz"),
    ("act.example12345Example12345Example", "example12345Example12345Example"),
    ("pina_AEADEADBEEF0123456789AAAAAAAA", "AEADEADBEEF0123456789AAAAAAAA"),
    (f"SLIPWAY_VAULT__KEYS={KEY}", KEY),
    (f"the vault opened with {KEY} today", KEY),
]
HARMLESS = [
    "delivery 01a21022-c821-7a1b-a372-0a9a396aab50 moved from queued to publishing",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "The token of account 7 has expired; it is refreshed.",
    "basic checks passed for 12 posts",
    "GET http://127.0.0.1:8000/api/partner/v1/posts?limit=20&offset=0 200",
]


@pytest.mark.parametrize(("line", "secret"), SECRET_LINES, ids=range(len(SECRET_LINES)))
@pytest.mark.parametrize("formatter", [Text(), Json()], ids=["text", "json"])
def test_a_secret_is_in_no_line(formatter: logging.Formatter, line: str, secret: str) -> None:
    record = logging.LogRecord("pipeline", logging.INFO, __file__, 1, "said %s", (line,), None)
    record.about = line
    assert secret not in formatter.format(record)


@pytest.mark.parametrize("formatter", [Text(), Json()], ids=["text", "json"])
def test_a_secret_in_an_exception_is_in_no_line(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("Bearer abc123DEF456ghi")
    except ValueError:
        record = logging.LogRecord("pipeline", logging.ERROR, __file__, 1, "broke", (), sys.exc_info())
    line = formatter.format(record)
    assert "abc123DEF456ghi" not in line
    assert "ValueError" in line


@pytest.mark.parametrize("line", HARMLESS)
def test_an_ordinary_line_is_left_alone(line: str) -> None:
    assert Redactor()(line) == line


def test_the_secrets_among_the_settings_are_hidden_whatever_they_look_like() -> None:
    settings = load(
        {
            "SLIPWAY_FLOWER__PASSWORD": "correct horse battery",
            "SLIPWAY_VAULT__KEYS": f"{KEY},other-key-value",
            "SLIPWAY_DASHBOARD__OIDC__CLIENT_SECRET": "of a group in a group",
        }
    )
    redact = Redactor(list_secrets(settings))
    assert redact("said correct horse battery and other-key-value") == "said … and …"
    assert redact("said it of a group in a group") == "said it …"


def test_a_json_line_is_one_object_with_what_was_given_beside_the_message() -> None:
    record = logging.LogRecord("pipeline.stages", logging.INFO, __file__, 1, "two\nlines", (), None)
    record.delivery, record.seconds = "01a21022", 0.25
    line = Json().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "at": json.loads(line)["at"],
        "level": "INFO",
        "logger": "pipeline.stages",
        "message": "two\nlines",
        "delivery": "01a21022",
        "seconds": 0.25,
    }


def test_set_up_takes_level_and_format_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level, stream = root.handlers[:], root.level, io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        set_up_logging(Log(level="WARNING", format="json"), ["a-known-secret"])
        logging.getLogger("x").info("not shown")
        logging.getLogger("x").warning("shown a-known-secret")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["shown …"]


@pytest.fixture
def batched() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger that writes in batches, to a text."""
    stream, log = io.StringIO(), logging.getLogger("tests.batched")
    handler = BatchHandler(stream, Text(["a-known-secret"]))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield log, stream
    log.removeHandler(handler)
    handler.close()


def test_lines_are_written_in_their_order_and_as_they_were_logged(
    batched: tuple[logging.Logger, io.StringIO],
) -> None:
    log, stream = batched
    changed = ["a-known-secret"]
    log.info("first %s", changed)
    changed.append("later")
    log_event(log, logging.INFO, "second", {"n": 1})
    log.info("third")
    until(lambda: "third" in stream.getvalue(), 20)
    lines = [line.partition("tests.batched  ")[2] for line in stream.getvalue().splitlines()]
    assert lines == ["first ['…']", "second n=1", "third"]
    log.info("fourth")
    until(lambda: "fourth" in stream.getvalue(), 20)


def test_a_warning_is_written_at_once_with_the_lines_before_it(
    batched: tuple[logging.Logger, io.StringIO],
) -> None:
    log, stream = batched
    log.info("first")
    log.warning("second")
    assert [line[-6:] for line in stream.getvalue().splitlines()] == [" first", "second"]


def test_a_full_disk_raises_nothing_and_later_lines_are_written(
    batched: tuple[logging.Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(ENOSPC, "No space left on device")

    log, stream = batched
    monkeypatch.setattr(stream, "flush", fail)
    log.warning("first")
    log.info("second")
    monkeypatch.undo()
    log.info("third")
    until(lambda: "third" in stream.getvalue(), 20)


def test_a_line_that_cannot_be_formatted_does_not_keep_the_others_back(
    batched: tuple[logging.Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise IndexError

    log, stream = batched
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log_event(log, logging.INFO, "request", {"broken": Broken()})
    log.warning("second")
    assert stream.getvalue().endswith("second\n")


def test_a_value_cannot_be_read_as_another_field_or_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fields = {"code": "a\nb c", "post": None, "n": 3, "said": "é\u2028", "request_id": "x-1"}
    log_event(logging.getLogger("tests"), logging.INFO, "request", fields)
    [record] = caplog.records
    assert record.getMessage() == r'request code="a\nb c" post=- n=3 said="\u00e9\u2028" request_id=x-1'
    assert json.loads(Json().format(record))["code"] == "a\nb c"


def test_an_event_is_a_line_for_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    each: list[dict[str, object]] = [{"post": 1, "delivery": ["a", "b"]}, {"post": "x y"}]
    log_event(logging.getLogger("tests"), logging.INFO, "request", {"route": "/a b"}, each)
    log_event(logging.getLogger("tests"), logging.INFO, "refusal", {"route": "/a"}, [])
    [record] = caplog.records
    texts = ['request route="/a b" post=1 delivery=a,b', 'request route="/a b" post="x y"']
    assert [line.partition("tests  ")[2] for line in Text().format(record).splitlines()] == texts
    found = [json.loads(line) for line in Json().format(record).splitlines()]
    assert [(line["message"], line["route"], line["post"]) for line in found] == [
        (texts[0], "/a b", 1),
        (texts[1], "/a b", "x y"),
    ]


@pytest.mark.parametrize(
    ("may_match", "pattern", "_"), PATTERNS, ids=lambda value: getattr(value, "pattern", "")
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_no_line_is_passed_over_that_a_pattern_changes(
    may_match: Callable[[str, str], bool], pattern: re.Pattern[str], _: str, data: st.DataObject
) -> None:
    found = data.draw(st.from_regex(pattern))
    assert may_match(found, found.casefold())
