"""GET /imports/template.csv and .xlsx: every column of an import, read back by the reader of spreadsheets."""

from __future__ import annotations

import csv
import io

import pytest
from python_calamine import CalamineWorkbook

from pipeline.api.posts.schema import PostBody
from pipeline.imports.columns import build_columns
from tests.pipeline.api.running_server import Server, Tenant

COLUMNS = list(build_columns(PostBody).names)


def read(form: str, body: bytes) -> list[list[str]]:
    if form == "csv":
        return list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    book = CalamineWorkbook.from_filelike(io.BytesIO(body))
    return [[str(cell) for cell in row] for row in book.get_sheet_by_index(0).to_python()]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_template_has_every_column_and_an_example(server: Server, tenant: Tenant, form: str) -> None:
    answer = server.get(f"/imports/template.{form}", tenant.key)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="template.{form}"'
    head, example = read(form, answer.content)
    assert head == COLUMNS
    assert "tiktok:username" in example
    assert server.get(f"/imports/template.{form}", tenant.key).headers["ETag"] == answer.headers["ETag"]


def test_other_formats_and_callers_are_refused(server: Server, tenant: Tenant) -> None:
    assert server.get("/imports/template.ods", tenant.key).status_code == 404
    assert server.get("/imports/template.csv", "slw_live_unknown").status_code == 401
