"""POST /imports, GET /imports and the plan: every row gets a verdict, and nothing else is changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipeline.domain.bulk_import import RowVerdict
from pipeline.imports.import_slice import CHUNK
from pipeline.imports.plan import extend_digest
from pipeline.store.auth.keys import create_key, revoke_key
from pipeline.store.imports.imports import JOBS
from pipeline.store.imports.rows import RowRecord
from pipeline.store.jobs import claim
from tests.pipeline.api.imports.importing import Importer, do_step, write_lines
from tests.pipeline.api.running_server import ABSENT


def test_a_file_is_planned_and_no_post_is_made(importer: Importer) -> None:
    found = importer.plan(importer.body(1), importer.body(2), importer.body(3, caption=""))
    assert found["state"] == "planned"
    assert found["counts"] == {"rows": 3, "accepted": 2, "duplicate": 0, "rejected": 1}
    plan = found["plan"]
    assert (plan["new"], plan["changed"], plan["duplicate"], plan["rejected"]) == (2, 0, 0, 1)
    assert len(plan["hash"]) == 64
    assert importer.posts() == []


def test_a_rejected_row_names_its_line_the_field_and_the_rule(importer: Importer) -> None:
    found = importer.plan(importer.body(1), importer.body(2, caption=""), "{not json")
    _, empty, broken = importer.records(found["id"])
    assert empty.line == 2
    [issue] = empty.issues
    assert (issue["code"], issue["path"], issue["message"]) == (
        "invalid_payload",
        "caption",
        "It has no visible character.",
    )
    assert broken.line == 3
    assert broken.source == "{not json"
    assert broken.issues[0]["code"] == "invalid_payload"


def test_a_row_that_breaks_a_rule_names_the_field_as_the_answer_to_the_same_post_does(
    importer: Importer,
) -> None:
    instagram = [{"id": importer.tenant.accounts["instagram"]}]
    for more, code, path in (
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, "validation_failed", "scheduled_at"),
        ({"accounts": [{"id": ABSENT}]}, "unknown_accounts", "accounts"),
        ({"accounts": instagram, "caption": "#tag " * 31}, "validation_failed", "caption"),
    ):
        body = importer.body(1, **more)
        [row] = importer.records(importer.plan(body)["id"])
        [issue] = row.issues
        assert (issue["code"], issue["path"]) == (code, path)
        answer = importer.server.post(body, importer.tenant.key).json()
        assert (answer["error_code"], [one["path"] for one in answer["issues"]]) == (code, [path])


def test_an_account_of_another_workspace_is_rejected_like_one_that_does_not_exist(importer: Importer) -> None:
    foreign = importer.server.tenant().accounts["tiktok"]
    found = importer.plan(
        importer.body(1, accounts=[{"id": foreign}]),
        importer.body(2, accounts=[{"id": ABSENT}]),
        importer.body(3, accounts=[{"account": "tiktok:nobody"}]),
        importer.body(4, accounts=[{"account": "TikTok:tiktok_user"}]),
    )
    verdicts = [(r.verdict, r.issues and r.issues[0]["code"]) for r in importer.records(found["id"])]
    assert verdicts == [("rejected", "unknown_accounts")] * 3 + [("accepted", None)]


def test_a_key_that_is_bound_to_accounts_imports_for_these_only(importer: Importer) -> None:
    mine = importer.tenant.accounts["tiktok"]
    importer.tenant.key = importer.server.key(importer.tenant, accounts=[UUID(mine)])
    found = importer.plan(
        importer.body(1, accounts=[{"id": importer.tenant.accounts["instagram"]}]),
        importer.body(2, accounts=[{"account": "instagram:instagram_user"}]),
        importer.body(3),
    )
    assert [r.verdict for r in importer.records(found["id"])] == ["rejected", "rejected", "accepted"]
    other = importer.server.key(importer.tenant, accounts=[UUID(mine)])
    assert importer.server.get(f"/imports/{found['id']}", other).status_code == 404
    assert importer.server.get("/imports", other).json()["data"]["imports"] == []


def test_rows_with_an_external_id_are_compared_with_posts_and_with_earlier_rows(importer: Importer) -> None:
    server, key = importer.server, importer.tenant.key
    known = importer.body(0, external_id="a")
    post = server.post(known, key).json()["data"]["id"]
    found = importer.plan(
        known,
        {**known, "caption": "Other"},
        importer.body(1, external_id="b"),
        importer.body(1, external_id="b"),
        importer.body(2, external_id="b"),
    )
    rows = importer.records(found["id"])
    assert [r.verdict for r in rows] == ["duplicate", "rejected", "accepted", "duplicate", "rejected"]
    assert str(rows[0].post_id) == post
    assert [rows[n].issues[0]["code"] for n in (1, 4)] == ["create_failed", "create_failed"]
    assert "row 3" in rows[4].issues[0]["message"]


def test_occurrences_and_external_ids_are_counted_over_chunks(importer: Importer) -> None:
    same, named = importer.body(1), importer.body(2, external_id="x")
    bodies = [importer.body(10 + n) for n in range(CHUNK)]
    bodies[0], bodies[1] = same, named
    found = importer.plan(*bodies, same, named)
    assert found["counts"] == {"rows": CHUNK + 2, "accepted": CHUNK + 1, "duplicate": 1, "rejected": 0}
    assert [r.occurrence for r in importer.records(found["id"])[-2:]] == [2, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": b"other"},
        {"accounts": [UUID(ABSENT)]},
        {"verdict": RowVerdict.DUPLICATE},
        {"action": "update"},
        {"number": 9},
        {"post_id": UUID(ABSENT)},
        {"fingerprint": None, "source": "{"},
    ],
    ids=str,
)
def test_the_hash_covers_each_row_by_all_that_applying_it_does(change: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"verdict": RowVerdict.ACCEPTED, "action": "create", "identity": "id:x"}
    row = RowRecord(
        number=1,
        line=1,
        fingerprint=b"body",
        accounts=[UUID(int=1)],
        body={"caption": "c"},
        **facts,
    )
    after = RowRecord(number=CHUNK + 2, line=1, fingerprint=b"after", **facts)
    digest = extend_digest(b"", [row, after])
    assert extend_digest(b"", [replace(row, **change), after]) != digest
    assert extend_digest(extend_digest(b"", [row]), [after]) == digest, "chunks do not count"


def test_the_hash_of_another_import_applies_nothing(importer: Importer) -> None:
    """Not of other captions and accounts under the same external ids, and not of another workspace."""
    mine = importer.plan(importer.body(1, external_id="a"))
    accounts = [{"id": importer.tenant.accounts["instagram"]}]
    stranger = Importer(server=importer.server, tenant=importer.server.tenant())
    others = [
        importer.plan(importer.body(2, external_id="a")),
        importer.plan(importer.body(1, external_id="a", accounts=accounts)),
        importer.plan(importer.body(1, external_id="a")),
        stranger.plan(stranger.body(1, external_id="a")),
    ]
    hashes = {one["plan"]["hash"] for one in (mine, *others)}
    assert len(hashes) == 5
    for other in hashes - {mine["plan"]["hash"]}:
        answer = importer.act(mine["id"], "apply", {"plan": other})
        assert (answer.status_code, answer.json()["error_code"]) == (409, "plan_changed")
        assert mine["plan"]["hash"] in answer.json()["message"]
    assert (importer.posts(), stranger.posts()) == ([], [])
    assert importer.act(mine["id"], "apply", {"plan": mine["plan"]["hash"]}).status_code == 202


def test_the_same_key_and_file_with_other_options_is_another_request(importer: Importer) -> None:
    data, key = write_lines(importer.body(1)), {"Idempotency-Key": "march"}
    assert importer.send(data, **key).status_code == 202
    assert importer.send(data, **key).json()["data"]["duplicate"] is True
    assert importer.send(data, "?strict=true", **key).json()["error_code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("?strict=maybe", "strict"),
        ("?time_zone=Mars/Base", "time_zone"),
        ("?format=pdf", "format"),
        ("?stict=true", "stict"),
    ],
)
def test_a_wrong_value_of_the_query_is_named(importer: Importer, query: str, path: str) -> None:
    answer = importer.send(write_lines(importer.body()), query)
    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json()["issues"]] == [path]


def test_an_empty_file_is_refused(importer: Importer) -> None:
    answer = importer.send(b"")
    assert (answer.status_code, answer.json()["message"]) == (400, "The file is empty.")
    assert importer.server.get("/imports", importer.tenant.key).json()["data"]["imports"] == []


def test_a_text_with_nul_or_half_a_character_is_rejected_and_kept(importer: Importer) -> None:
    found = importer.plan(importer.body(1, caption="a\0b"), importer.body(2, caption="\ud800"))
    assert found["counts"]["rejected"] == 2
    assert all(r.source for r in importer.records(found["id"]))


def test_imports_are_listed_newest_first_in_pages(importer: Importer) -> None:
    made = [str(importer.upload(write_lines(importer.body(n)))) for n in range(3)]
    first = importer.server.get("/imports?limit=2", importer.tenant.key).json()["data"]
    rest = importer.server.get(f"/imports?limit=2&cursor={first['next_cursor']}", importer.tenant.key).json()
    assert [one["id"] for one in first["imports"] + rest["data"]["imports"]] == made[::-1]
    assert rest["data"]["next_cursor"] is None


def test_an_import_of_another_workspace_does_not_exist(importer: Importer) -> None:
    identity = importer.upload(write_lines(importer.body(1)))
    stranger = importer.server.tenant().key
    for name in (identity, uuid4(), "x"):
        assert importer.server.get(f"/imports/{name}", stranger).status_code == 404


def test_the_import_of_a_revoked_key_fails_and_says_so(importer: Importer) -> None:
    identity = importer.upload(write_lines(importer.body()))
    with importer.server.context.database.begin() as c:
        assert revoke_key(c, importer.tenant.key)
        importer.tenant.key = create_key(c, importer.tenant.workspace, "another")
    assert importer.work(identity)["error"]["code"] == "invalid_token"


def test_a_step_that_another_worker_has_is_left_alone(importer: Importer) -> None:
    identity = importer.upload(write_lines(importer.body()))
    with importer.server.context.database.begin() as c:
        assert claim(c, JOBS, identity, timedelta(minutes=1))
    do_step(importer.server.context, identity)
    assert importer.get(identity)["counts"]["rows"] == 0


def test_rows_are_told_of_stored_posts_and_of_earlier_rows(importer: Importer) -> None:
    stored = importer.server.post(importer.body(caption="Same"), importer.tenant.key).json()["data"]["id"]
    other = {"type": "video", "url": "https://cdn.example.com/other.mp4"}
    found = importer.plan(
        importer.body(caption="Same", scheduled_at="2031-05-04T12:00:00Z", media=other),
        importer.body(caption="Row", scheduled_at="2031-05-04T14:00:00Z", media=other),
        importer.body(caption="Row", scheduled_at="2031-05-04T14:59:00Z", external_id="a"),
        importer.body(caption="Row", scheduled_at="2031-05-05T15:00:00Z"),
        importer.body(caption="Row", scheduled_at=None, draft=True, external_id="b"),
    )
    told = [
        [(w["code"], w["path"], w["message"].split(": ", 1)[1].split(" ", 2)[:2]) for w in r.warnings or ()]
        for r in importer.records(found["id"])
    ]
    assert told == [
        [("SAME_CAPTION", "caption", ["post", f"{stored},"])],
        [("SAME_MEDIA", "media", ["row", "1,"])],
        [
            ("POSTS_TOO_CLOSE", "scheduled_at", ["row", "2"]),
            ("SAME_CAPTION", "caption", ["row", "2,"]),
            ("SAME_MEDIA", "media", ["post", f"{stored},"]),
        ],
        [],
        [],
    ]
    assert found["plan"]["warnings"] == 3
