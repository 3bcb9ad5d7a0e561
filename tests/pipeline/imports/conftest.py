"""Reads a file as an import does: converted to its plain form, then row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.api.posts.schema import PostBody
from pipeline.imports.columns import Format, ImportRow, ReadLimits, build_columns
from pipeline.imports.convert import convert_file
from pipeline.imports.read import open_rows

COLUMNS = build_columns(PostBody)
Read = Callable[..., list[ImportRow]]


class Files:
    """Sends files, and reads them; ``notes`` are those of the last."""

    def __init__(self, folder: Path) -> None:
        self.source, self.plain = folder / "sent", folder / "plain"
        self.notes: Sequence[str] = ()

    def convert(
        self,
        data: bytes | str,
        form: Format = Format.CSV,
        limits: ReadLimits | None = None,
        encoding: str | None = None,
    ) -> None:
        self.source.write_bytes(data.encode() if isinstance(data, str) else data)
        self.notes = convert_file(
            self.source, self.plain, form, limits or ReadLimits(), COLUMNS, content_encoding=encoding
        )

    def open(self, form: Format, limits: ReadLimits | None = None, **place: Any) -> list[ImportRow]:
        return list(open_rows(self.plain, form, limits or ReadLimits(), columns=COLUMNS, **place))

    def read(
        self,
        data: bytes | str,
        form: Format = Format.CSV,
        *,
        limits: ReadLimits | None = None,
        encoding: str | None = None,
        time_zone: str | None = None,
    ) -> list[ImportRow]:
        self.convert(data, form, limits, encoding)
        return self.open(form, limits, time_zone=time_zone)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
