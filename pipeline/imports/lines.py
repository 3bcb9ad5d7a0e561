"""Reads the physical lines of a plain file, bounded, and keeps the place of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.domain.validation_issue import build_issue
from pipeline.imports.columns import Cells, ImportRow, ReadLimits, build_too_large

_LINE_BITS = 25
_MAX_LINE = (1 << _LINE_BITS) - 1
"""Line numbers beyond 33 million are not kept when reading resumes; 38 bits remain for the offset."""


@dataclass
class Place:
    """Where reading is: the offset and number of the next physical line, and the number of the last row."""

    offset: int
    line: int
    number: int
    first_line: int = 0
    """The first physical line of the last row."""
    blank: int = 0
    """Blank rows so far. They are no rows, and reading on through billions of them would be no use."""

    @classmethod
    def unpack(cls, position: int, number: int) -> Place:
        """Return the place behind row ``number``, whose ``next_position`` this is; 0 is the start of the file."""
        return cls(position >> _LINE_BITS, (position & _MAX_LINE) or 1, number)

    def begin_after_header(self, file: BinaryIO) -> None:
        """Go on where the last row ended, or behind the header, which has just been read."""
        if self.offset:
            file.seek(self.offset)
        else:
            self.offset, self.line = file.tell(), self.line + 1

    def count_blank(self, limits: ReadLimits) -> None:
        """Count a blank row. Raises FileProblem over the limit."""
        self.blank += 1
        if self.blank > 2 * limits.max_rows:
            raise build_too_large(f"The file has more than {2 * limits.max_rows:,} blank rows.")

    def build_row(
        self,
        source: Cells | str,
        body: Mapping[str, Any],
        post_id: str | None,
        issues: Sequence[Mapping[str, Any]],
        *,
        line: int | None = None,
    ) -> ImportRow:
        """Return the row that ends here; its body only if there are no issues."""
        return ImportRow(
            number=self.number,
            line=self.first_line if line is None else line,
            body=None if issues else body,
            issues=issues,
            source=source,
            next_position=self.offset << _LINE_BITS | min(self.line, _MAX_LINE),
            post_id=post_id,
        )

    def reject(self, issue: Mapping[str, Any], source: Cells | str) -> ImportRow:
        """Return the row that ends here as one that cannot be read."""
        return self.build_row(source, {}, None, (issue,))


def build_too_long(limits: ReadLimits) -> dict[str, Any]:
    """Return the issue of a row that is over the limit."""
    return build_issue(
        (), f"The row has more than {limits.max_row_bytes:,} bytes, which is the maximum.", "too_long"
    )


def read_lines(file: BinaryIO, place: Place, limits: ReadLimits) -> Iterator[tuple[bytes | None, bytes]]:
    """Yield each line that is not blank, and its first bytes; None for one of more bytes than a row may have.

    ``place`` is then behind the line. No more of the line is held than a row may have.
    """
    most = limits.max_row_bytes
    while raw := file.readline(most + 2):
        place.first_line, head, is_long = place.line, raw[:1000], len(raw.rstrip(b"\r\n")) > most
        place.offset += len(raw)
        while not raw.endswith(b"\n") and (rest := file.readline(most + 2)):
            place.offset, raw, is_long = place.offset + len(rest), rest, True
        place.line += 1
        if is_long:
            yield None, head
        elif raw.strip():
            yield raw, head
        else:
            place.count_blank(limits)
