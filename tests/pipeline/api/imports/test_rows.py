"""GET /imports/{id}/rows: receipts as NDJSON, and the original columns with the error as CSV."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from pipeline.api.imports.downloads import PAGE
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.running_server import BASE


def fetch(importer: Importer, identity: str, query: str = "") -> Any:
    url = f"{importer.server.url}{BASE}/imports/{identity}/rows{query}"
    return importer.server.http.get(url, headers=importer.tenant.headers, timeout=30)


def test_every_row_has_a_receipt(importer: Importer) -> None:
    bodies = [importer.body(1), importer.body(2, caption=""), importer.body(3)]
    found = importer.plan(*bodies)
    importer.act(found["id"], "apply", {"plan": found["plan"]["hash"]})
    importer.work(UUID(found["id"]))
    answer = fetch(importer, found["id"])
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    receipts = [json.loads(line) for line in answer.text.splitlines()]
    assert [(r["row"], r["line"], r["verdict"]) for r in receipts] == [
        (1, 1, "accepted"),
        (2, 2, "rejected"),
        (3, 3, "accepted"),
    ]
    assert [r["source"] for r in receipts] == [bodies[0], json.dumps(bodies[1]), bodies[2]]
    assert [r["post_id"] for r in receipts if r["post_id"]] == [str(p.id) for p in importer.posts()]
    assert receipts[1]["error"] == "line 2: caption: It has no visible character."
    rejected = fetch(importer, found["id"], "?verdict=rejected").text.splitlines()
    assert [json.loads(line)["row"] for line in rejected] == [2]


def test_more_rows_than_are_read_at_once_are_all_there(importer: Importer) -> None:
    found = importer.plan(*[importer.body(n) for n in range(2 * PAGE)])
    lines = fetch(importer, found["id"]).text.splitlines()
    assert [json.loads(line)["row"] for line in lines] == list(range(1, 2 * PAGE + 1))


def test_what_is_wrong_with_the_query_is_said(importer: Importer) -> None:
    found = importer.plan(importer.body(1))
    assert fetch(importer, found["id"], "?verdict=good").json()["issues"][0]["path"] == "verdict"
    assert fetch(importer, found["id"], "?format=csv").json()["error_code"] == "validation_failed"
    importer.tenant.key = importer.server.tenant().key
    assert fetch(importer, found["id"]).status_code == 404
