"""Receipts and their chain: intact as written, broken by any change."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.receipt import (
    MAX_LINE_BYTES,
    BrokenChain,
    Flaw,
    Head,
    InvalidHead,
    InvalidReceipt,
    content_sha256,
    issue,
    read,
    verify,
)

ACME, OTHER = UUID(int=1), UUID(int=2)
FACTS = {
    "outcome": "published",
    "at": datetime(2027, 1, 31, 12, tzinfo=UTC),
    "delivery": UUID(int=7),
    "url": None,
}


def chain(n: int, workspace: UUID = ACME, **facts: Any) -> list[bytes]:
    head, lines = None, []
    for number in range(n):
        line, head = issue(workspace, head, {**FACTS, "remote_id": f"r{number}", **facts})
        lines.append(f"{line}\n".encode())
    return lines


def head_of(line: bytes) -> Head:
    return read(line).head


def forged(line: bytes, **changes: Any) -> bytes:
    """Change a line and recompute its hash."""
    body = json.loads(line) | changes
    del body["hash"]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    body["hash"] = hashlib.sha256(text.encode()).hexdigest()
    return (json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def broken(lines: list[bytes], **kept: Any) -> BrokenChain:
    with pytest.raises(BrokenChain) as caught:
        verify(lines, **kept)
    return caught.value


def test_a_line_is_canonical_json_whose_hash_anybody_can_make() -> None:
    [line] = chain(1, caption_like='Grüße\u2028\t"x"', count=3)
    body = json.loads(line)
    assert body["at"] == "2027-01-31T12:00:00.000Z"
    assert (body["sequence"], body["previous"], body["workspace"]) == (1, None, str(ACME))
    assert forged(line) == line, "sorted keys, no blanks, UTF-8, SHA-256 of all but the hash"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is nine hours ahead of UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "EAST-9")
        time.tzset()
        yield
    time.tzset()


def test_times_are_told_in_utc_wherever_the_machine_stands(elsewhere: None) -> None:
    assert time.timezone == -9 * 3600
    for at in (FACTS["at"], datetime(2027, 1, 31, 7, tzinfo=timezone(timedelta(hours=-5)))):
        assert b'"at":"2027-01-31T12:00:00.000Z"' in chain(1, at=at)[0]


@given(st.text(), st.integers(-(2**53) + 1, 2**53 - 1), st.lists(st.text()))
def test_a_line_is_what_the_standard_makes_of_it(text: str, number: int, texts: list[str]) -> None:
    line, _ = issue(ACME, None, {**FACTS, "remote_id": text, "attempts": number, "texts": texts})
    assert rfc8785.dumps(json.loads(line)) == line.encode()


def test_what_a_post_says_is_hashed_as_anybody_can() -> None:
    media = {"url": "https://cdn.example/ü.mp4", "type": "video"}
    told = '{"caption":"Grüße \\"x\\"","media":{"type":"video","url":"https://cdn.example/ü.mp4"}}'
    assert content_sha256('Grüße "x"', media) == hashlib.sha256(told.encode()).hexdigest()


def test_a_whole_chain_holds_and_tells_its_head() -> None:
    lines = chain(5)
    found = verify(lines, head=head_of(lines[2]))
    assert (found.workspace, found.first, found.receipts) == (str(ACME), 1, 5)
    assert found.head == head_of(lines[4])
    assert verify([line.replace(b"\n", b"\r\n") for line in lines]) == found, (
        "a file that went through Windows"
    )


def test_a_later_part_holds_and_follows_the_head_that_was_kept() -> None:
    lines = chain(5)
    found = verify(lines[2:], after=head_of(lines[1]), head=head_of(lines[4]))
    assert (found.first, found.receipts) == (3, 3)
    kept = head_of(lines[1])
    other = Head(sequence=2, hash="0" * 64)
    for some, after, sentence in (
        (lines[3:], kept, "line 1 is missing: receipt 3 should come first"),
        (lines[1:], kept, "line 1 is reordered: it is receipt 2, and 3 should come first"),
        (
            lines[2:],
            other,
            "line 1 is not the chain of that head: it does not follow receipt 2 as it was kept",
        ),
    ):
        assert str(broken(some, after=after)) == sentence


ALTERED = "its hash is not that of its content"
FORM = "it is not one JSON object in canonical form (RFC 8785)"
LACKS = "it lacks workspace, sequence, previous or hash"
TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a fact": (lambda x: [*x[:2], x[2].replace(b"r2", b"r9"), *x[3:]], f"line 3 is altered: {ALTERED}"),
    "a fact, hashed anew": (
        lambda x: [*x[:2], forged(x[2], remote_id="r9"), *x[3:]],
        "line 4 is altered: it was not written after receipt 3 as it stands here: one of both was replaced",
    ),
    "blanks": (lambda x: [*x[:2], x[2].replace(b":", b": ", 1), *x[3:]], f"line 3 is altered: {FORM}"),
    "a key twice": (
        lambda x: [*x[:2], x[2].replace(b"{", b'{"url":null,', 1), *x[3:]],
        f"line 3 is altered: {FORM}",
    ),
    "one taken out": (lambda x: [*x[:2], *x[3:]], "line 3 is missing: receipt 3 should come before it"),
    "two taken out": (lambda x: [x[0], *x[3:]], "line 2 is missing: receipts 2 to 3 should come before it"),
    "two exchanged": (
        lambda x: [x[0], x[2], x[1], *x[3:]],
        "line 2 is reordered: receipt 2 should stand here, and stands on line 3",
    ),
    "one moved to the end": (
        lambda x: [*x[:1], *x[2:], x[1]],
        "line 2 is reordered: receipt 2 should stand here, and stands on line 5",
    ),
    "one moved behind a damaged one": (
        lambda x: [x[0], x[2], b"no JSON", x[1], x[4]],
        "line 2 is reordered: receipt 2 should stand here, and stands on line 4",
    ),
    "one taken out for that of another workspace": (
        lambda x: [x[0], x[2], chain(2, OTHER)[1]],
        "line 2 is missing: receipt 2 should come before it",
    ),
    "one twice": (
        lambda x: [*x[:3], x[2], *x[3:]],
        "line 4 is reordered: it is receipt 3, and 4 should stand here",
    ),
    "one of another workspace": (
        lambda x: [*x[:2], chain(5, OTHER)[2], *x[3:]],
        f"line 3 is from another workspace: it belongs to {OTHER}, the others to {ACME}",
    ),
    "the first one, hashed anew": (
        lambda x: [forged(x[0], previous="0" * 64), *x[1:]],
        "line 1 is altered: a chain's first receipt, and no other, follows nothing",
    ),
    "a later one that follows nothing": (
        lambda x: [forged(x[1], previous=None)],
        "line 1 is altered: a chain's first receipt, and no other, follows nothing",
    ),
    "a blank line": (lambda x: [*x[:2], b"\n", *x[2:]], "line 3 is altered: it is not JSON"),
    "no JSON": (lambda x: [*x[:2], b"\xff\xfe", *x[3:]], "line 3 is altered: it is not JSON"),
    "another object": (lambda x: [*x[:2], b'{"a":1}\n', *x[3:]], f"line 3 is altered: {LACKS}"),
    "a list": (lambda x: [*x[:2], b"[]\n", *x[3:]], f"line 3 is altered: {FORM}"),
    "a number that is none": (
        lambda x: [*x[:2], forged(x[2], sequence=True), *x[3:]],
        f"line 3 is altered: {LACKS}",
    ),
    "a number before the first": (lambda x: [forged(x[0], sequence=0)], f"line 1 is altered: {LACKS}"),
    "brackets without end": (
        lambda x: [*x[:2], b"[" * MAX_LINE_BYTES, *x[3:]],
        "line 3 is altered: it is not JSON",
    ),
    "a line without end": (
        lambda x: [*x[:2], b"9" * (MAX_LINE_BYTES + 1), *x[3:]],
        "line 3 is altered: it is longer than any receipt",
    ),
    "nothing left": (lambda _: [], "empty: there is no receipt in it"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_of_each_kind_is_caught_at_its_line(what: str) -> None:
    tamper, sentence = TAMPERED[what]
    lines = chain(5)
    found = broken(tamper(lines))
    assert str(found) == sentence
    where = "" if found.line is None else f"line {found.line} is "
    assert f"{where}{found.flaw}: {found.why}" == sentence
    assert verify(lines).receipts == 5


def test_only_a_head_that_was_kept_tells_of_a_cut_and_of_a_chain_made_anew() -> None:
    lines = chain(5)
    kept = head_of(lines[4])
    assert verify(lines[:3]).receipts == 3
    assert str(broken(lines[:3], head=kept)) == (
        "missing: it ends with receipt 3; receipts 4 to 5 should follow"
    )
    anew = chain(5, url="https://elsewhere.example")
    assert verify(anew).receipts == 5
    assert str(broken(anew, head=kept)) == (
        "line 5 is not the chain of that head: receipt 5 has another hash than the head that was kept"
    )
    assert str(broken(lines[3:], head=head_of(lines[1]))) == (
        "missing: it begins with receipt 4, after the head that was kept"
    )
    assert verify(lines[3:], head=head_of(lines[3])).first == 4


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 3))
def test_no_byte_of_a_line_can_be_another(place: int, flip: int, number: int) -> None:
    lines = chain(4)
    data = bytearray(lines[number])
    data[place % (len(data) - 1)] ^= flip  # all but its line break
    lines[number] = bytes(data)
    assert broken(lines).line == number + 1


@given(st.permutations(range(4)))
def test_no_other_order_holds(order: list[int]) -> None:
    lines = chain(4)
    moved = [lines[n] for n in order]
    if moved == lines:
        assert verify(moved).receipts == 4
    else:
        assert broken(moved).flaw in (Flaw.REORDERED, Flaw.MISSING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0:" + "a" * 64,
        "1:" + "A" * 64,
        "x:" + "a" * 64,
        "1:" + "a" * 63,
        "\u0661:" + "a" * 64,
        "1\u0661:" + "a" * 64,
    ],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InvalidHead, match="slipway receipts head"):
        Head.parse(text)


def test_a_head_reads_as_it_is_written() -> None:
    head = head_of(chain(3)[2])
    assert Head.parse(str(head)) == head


def test_a_line_that_was_cut_is_no_receipt() -> None:
    with pytest.raises(InvalidReceipt):
        read(chain(1)[0][:-10])
