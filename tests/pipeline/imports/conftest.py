"""Reads a file as an import does: converted to its plain form, then row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from config.groups import Imports
from pipeline.api.posts.schema import PostBody
from pipeline.imports.columns import Format, ImportRow, build_columns
from pipeline.imports.convert import convert_file
from pipeline.imports.read import open_rows

COLUMNS = build_columns(PostBody)
Read = Callable[..., list[ImportRow]]


class Files:
    """Sends files, and reads them; ``notes`` are those of the last."""

    def __init__(self, folder: Path) -> None:
        self.source, self.plain = folder / "sent", folder / "plain"
        self.notes: Sequence[str] = ()
        self.columns = COLUMNS

    def convert(
        self,
        data: bytes | str,
        form: Format = Format.CSV,
        limits: Imports | None = None,
        encoding: str | None = None,
        renamed: Mapping[str, str] | None = None,
        text_encoding: str | None = None,
        dates: str | None = None,
    ) -> None:
        self.source.write_bytes(data.encode() if isinstance(data, str) else data)
        self.columns = COLUMNS.rename(renamed or {})
        self.staged = convert_file(
            self.source,
            self.plain,
            form,
            limits or Imports(),
            self.columns,
            content_encoding=encoding,
            encoding=text_encoding,
            dates=dates,
        )
        self.notes = self.staged.notes

    def open(self, form: Format, limits: Imports | None = None, **place: Any) -> list[ImportRow]:
        return list(open_rows(self.plain, form, limits or Imports(), columns=self.columns, **place))

    def read(
        self,
        data: bytes | str,
        form: Format = Format.CSV,
        *,
        limits: Imports | None = None,
        encoding: str | None = None,
        time_zone: str | None = None,
        **said: Any,
    ) -> list[ImportRow]:
        self.convert(data, form, limits, encoding, **said)
        return self.open(form, limits, time_zone=time_zone)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
