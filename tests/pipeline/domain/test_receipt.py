"""A chain of receipts holds as it was written, and no other way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.receipt import LONGEST, Head, NoHead, NotAReceipt, content_sha256, issue, read
from pipeline.domain.receipt_chain import Broken, Flaw, verify

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
    """Changed, and its hash made right again."""
    body = json.loads(line) | changes
    del body["hash"]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    body["hash"] = hashlib.sha256(text.encode()).hexdigest()
    return (json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def broken(lines: list[bytes], **kept: Any) -> tuple[Flaw, int | None]:
    with pytest.raises(Broken) as caught:
        verify(lines, **kept)
    return caught.value.flaw, caught.value.line


def test_a_line_is_canonical_json_whose_hash_anybody_can_make() -> None:
    [line] = chain(1, caption_like='Grüße\u2028\t"x"', count=3)
    body = json.loads(line)
    assert body["at"] == "2027-01-31T12:00:00.000Z"
    assert (body["sequence"], body["previous"], body["workspace"]) == (1, None, str(ACME))
    assert forged(line) == line, "sorted keys, no blanks, UTF-8, SHA-256 of all but the hash"


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
    assert broken(lines[3:], after=head_of(lines[1])) == (Flaw.MISSING, 1)
    assert broken(lines[1:], after=head_of(lines[1])) == (Flaw.REORDERED, 1)
    assert broken(lines[2:], after=Head(sequence=2, hash="0" * 64)) == (Flaw.OTHER_CHAIN, 1)


TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], Flaw, int | None]] = {
    "a fact": (lambda x: [*x[:2], x[2].replace(b"r2", b"r9"), *x[3:]], Flaw.ALTERED, 3),
    "a fact, hashed anew": (lambda x: [*x[:2], forged(x[2], remote_id="r9"), *x[3:]], Flaw.ALTERED, 4),
    "blanks": (lambda x: [*x[:2], x[2].replace(b":", b": ", 1), *x[3:]], Flaw.ALTERED, 3),
    "a key twice": (lambda x: [*x[:2], x[2].replace(b"{", b'{"url":null,', 1), *x[3:]], Flaw.ALTERED, 3),
    "one taken out": (lambda x: [*x[:2], *x[3:]], Flaw.MISSING, 3),
    "two taken out": (lambda x: [x[0], *x[3:]], Flaw.MISSING, 2),
    "two exchanged": (lambda x: [x[0], x[2], x[1], *x[3:]], Flaw.REORDERED, 2),
    "one moved to the end": (lambda x: [*x[:1], *x[2:], x[1]], Flaw.REORDERED, 2),
    "one twice": (lambda x: [*x[:3], x[2], *x[3:]], Flaw.REORDERED, 4),
    "one of another workspace": (lambda x: [*x[:2], chain(5, OTHER)[2], *x[3:]], Flaw.OTHER_WORKSPACE, 3),
    "the first one, hashed anew": (lambda x: [forged(x[0], previous="0" * 64), *x[1:]], Flaw.ALTERED, 1),
    "a blank line": (lambda x: [*x[:2], b"\n", *x[2:]], Flaw.ALTERED, 3),
    "no JSON": (lambda x: [*x[:2], b"\xff\xfe", *x[3:]], Flaw.ALTERED, 3),
    "another object": (lambda x: [*x[:2], b'{"a":1}\n', *x[3:]], Flaw.ALTERED, 3),
    "a list": (lambda x: [*x[:2], b"[]\n", *x[3:]], Flaw.ALTERED, 3),
    "a number that is none": (lambda x: [*x[:2], forged(x[2], sequence=True), *x[3:]], Flaw.ALTERED, 3),
    "brackets without end": (lambda x: [*x[:2], b"[" * (LONGEST - 1), *x[3:]], Flaw.ALTERED, 3),
    "a line without end": (lambda x: [*x[:2], b"9" * (LONGEST + 1), *x[3:]], Flaw.ALTERED, 3),
    "nothing left": (lambda _: [], Flaw.EMPTY, None),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_of_each_kind_is_caught_at_its_line(what: str) -> None:
    tamper, flaw, line = TAMPERED[what]
    lines = chain(5)
    assert broken(tamper(lines)) == (flaw, line)
    assert verify(lines).receipts == 5


def test_only_a_head_that_was_kept_tells_of_a_cut_and_of_a_chain_made_anew() -> None:
    lines = chain(5)
    kept = head_of(lines[4])
    assert verify(lines[:3]).receipts == 3
    assert broken(lines[:3], head=kept) == (Flaw.MISSING, None)
    anew = chain(5, url="https://elsewhere.example")
    assert verify(anew).receipts == 5
    assert broken(anew, head=kept) == (Flaw.OTHER_CHAIN, 5)
    assert broken(lines[3:], head=head_of(lines[1])) == (Flaw.MISSING, None)


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 3))
def test_no_byte_of_a_line_can_be_another(place: int, flip: int, number: int) -> None:
    lines = chain(4)
    data = bytearray(lines[number])
    data[place % (len(data) - 1)] ^= flip  # all but its line break
    lines[number] = bytes(data)
    assert broken(lines)[1] == number + 1


@given(st.permutations(range(4)))
def test_no_other_order_holds(order: list[int]) -> None:
    lines = chain(4)
    moved = [lines[n] for n in order]
    if moved == lines:
        assert verify(moved).receipts == 4
    else:
        assert broken(moved)[0] in (Flaw.REORDERED, Flaw.MISSING)


@pytest.mark.parametrize(
    "text",
    ["", "1", "0:" + "a" * 64, "1:" + "A" * 64, "x:" + "a" * 64, "1:" + "a" * 63, "\u0661:" + "a" * 64],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(NoHead, match="slipway receipts head"):
        Head.read(text)


def test_a_head_reads_as_it_is_written() -> None:
    head = head_of(chain(3)[2])
    assert Head.read(str(head)) == head


def test_a_line_that_was_cut_is_no_receipt() -> None:
    with pytest.raises(NotAReceipt):
        read(chain(1)[0][:-10])
