"""Content of single accounts over HTTP: in new posts, edits, validation, reads, files and their errors."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.api.posts.action_response_models import ValidationReport
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import read_post
from pipeline.store.database import rows
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.posts.test_action_routes import (
    LATER,
    STILL_LATER,
    created,
    data_of,
    patch,
    put,
    steer,
)
from tests.pipeline.api.posts.test_steer import work
from tests.pipeline.api.running_server import Server, Tenant, code, read, video

EARLIER = "2098-12-31T00:00:00Z"
OTHER = {"type": "video", "url": "https://cdn.example.com/other.mp4"}
PICTURES = {"type": "slideshow", "urls": [f"https://cdn.example.com/{n}.jpg" for n in range(2)]}
NAMES = ("instagram", "youtube", "linkedin")


@pytest.fixture
def tenant(server: Server) -> Tenant:
    """A workspace with an account of each platform."""
    return server.tenant(platforms=tuple(Platform))


def at(time: str) -> str:
    """Return a time as answers have it."""
    return time.replace("00Z", "00.000Z")


def entries(tenant: Tenant, **own: dict[str, Any]) -> dict[str, Any]:
    return {"accounts": [{"id": tenant.accounts[name], **own.get(name, {})} for name in NAMES]}


def states(server: Server, tenant: Tenant, post: str) -> dict[str, dict[str, Any]]:
    """Return the states by platform."""
    return {one["platform"]: one for one in read(server, tenant, post)["accounts"]["states"]}


def generations(server: Server, post: str) -> dict[str, int]:
    found = server.sql("SELECT platform, generation FROM deliveries WHERE post_id = :id", id=UUID(post))
    return {r.platform: r.generation for r in found}


def shown(state: dict[str, Any]) -> dict[str, Any]:
    own = ("caption", "media", "scheduled_at", "options")
    return {name: state[name] for name in own if name in state}


INSTAGRAM = {
    "caption": "Only there",
    "media": PICTURES,
    "scheduled_at": EARLIER,
    "instagram": {"location_id": "112"},
}


def test_each_account_shows_only_what_is_its_own(server: Server, tenant: Tenant) -> None:
    body = video(tenant, scheduled_at=LATER) | entries(
        tenant, instagram=INSTAGRAM, youtube={"youtube": {"title": "T"}}
    )
    answer = server.post(body, tenant.key)
    assert answer.status_code == 201, answer.text
    post = answer.json()["data"]["id"]
    assert answer.json()["data"]["scheduled_at"] == at(EARLIER)
    whole = read(server, tenant, post)
    assert (whole["caption"], whole["scheduled_at"]) == (body["caption"], at(EARLIER))
    found = states(server, tenant, post)
    assert shown(found["instagram"]) == {
        "caption": "Only there",
        "media": PICTURES,
        "options": {"location_id": "112"},
    }
    assert shown(found["youtube"]) == {
        "options": {"title": "T"},
        "scheduled_at": at(LATER),
    }
    assert shown(found["linkedin"]) == {"scheduled_at": at(LATER)}
    assert server.post(body, tenant.key).json()["data"]["duplicate"] is True
    other = server.post(body | entries(tenant, instagram={**INSTAGRAM, "caption": "x"}), tenant.key)
    assert "duplicate" not in other.json()["data"]
    pending = {w["field"] for w in answer.json()["data"]["warnings"] if w["code"] == "REACHABILITY_PENDING"}
    where = f"accounts[{tenant.accounts['instagram']}].media.urls"
    assert pending == {"media.url", f"{where}[0]", f"{where}[1]"}


def test_an_entry_without_content_is_as_it_always_was(tenant: Tenant) -> None:
    body = video(tenant, scheduled_at=LATER)

    def fingerprint(**own: Any) -> bytes:
        return read_post(body | entries(tenant, **own), Rules()).fingerprint

    nothing = {"caption": None, "media": None, "scheduled_at": None, "instagram": None}
    assert fingerprint(instagram=nothing) == fingerprint()
    prints = {fingerprint(instagram={name: value}) for name, value in INSTAGRAM.items()}
    assert len(prints | {fingerprint()}) == len(INSTAGRAM) + 1


def test_the_caption_of_an_account_is_held_to_its_rules(server: Server, tenant: Tenant) -> None:
    slides = {"media": PICTURES}
    body = video(tenant, scheduled_at=LATER) | entries(tenant, youtube=slides)
    refused = server.post(body, tenant.key)
    assert code(refused) == (400, "validation_failed")
    [issue] = refused.json()["issues"]
    assert issue["path"].startswith(f"accounts[{tenant.accounts['youtube']}].media")
    report = data_of(steer(server, tenant, "validate", body), ValidationReport)
    assert [(one["account_id"], one["field"]) for one in report["refused"]] == [
        (tenant.accounts["youtube"], issue["path"])
    ]
    kinds = {one["platform"]: one["kind"] for one in report["accounts"]}
    assert kinds["youtube"] is None
    assert kinds["instagram"] is not None


@pytest.mark.parametrize(
    ("own", "path"),
    [
        ({"instagram": {"captoin": "x"}}, "accounts.0.captoin"),
        ({"instagram": {"media": {"type": "video"}}}, "accounts.0.media.url"),
        ({"instagram": {"instagram": {"location_id": "Berlin"}}}, "accounts.0.instagram.location_id"),
        ({"instagram": {"tiktok": {}}, "youtube": {"pinterest": {}}}, "accounts.0.tiktok"),
        ({"linkedin": {"expires_at": LATER}}, "accounts.2.expires_at"),
        (
            {
                key: {"media": {**PICTURES, "urls": [f"{PICTURES['urls'][0]}?{n}" for n in range(35)]}}
                for key in NAMES
            },
            "accounts",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(
    server: Server, tenant: Tenant, own: dict[str, Any], path: str
) -> None:
    refused = server.post(video(tenant) | entries(tenant, **own), tenant.key)
    assert code(refused) == (422, "invalid_payload")
    assert refused.json()["issues"][0]["path"] == path


def test_tiktok_and_pinterest_exclude_each_other_wherever_they_stand(server: Server, tenant: Tenant) -> None:
    def ask(post: dict[str, Any], **own: Any) -> tuple[int, str]:
        accounts = [{"id": tenant.accounts[name], name: {}} for name in own]
        refused = server.post(video(tenant, scheduled_at=LATER, accounts=accounts, **post), tenant.key)
        assert "cannot be sent together" in refused.json()["message"]
        return code(refused)

    expected = (422, "invalid_payload")
    assert ask({"tiktok": {}, "pinterest": {}}) == expected
    assert ask({"tiktok": {}}, pinterest=1) == expected
    assert ask({"pinterest": {"board_id": "1"}}, tiktok=1) == expected
    assert ask({}, tiktok=1, pinterest=1) == expected
    accounts = [
        {"id": tenant.accounts["tiktok"], "tiktok": {"title": "t"}},
        {"id": tenant.accounts["instagram"], "instagram": {"location_id": "112"}},
    ]
    accepted = server.post(video(tenant, scheduled_at=LATER, accounts=accounts), tenant.key)
    assert accepted.status_code == 201, accepted.text


def test_an_account_is_named_once_or_twice_alike(server: Server, tenant: Tenant) -> None:
    account = {"id": tenant.accounts["instagram"]}
    body = video(tenant, scheduled_at=LATER, accounts=[{**account, "caption": "a"}, account])
    refused = server.post(body, tenant.key)
    assert code(refused) == (422, "invalid_payload")
    assert refused.json()["issues"][0]["path"] == "accounts.1.id"
    twice = {**account, "caption": "a"}
    post = server.post({**body, "accounts": [twice, {**twice, "media": None}]}, tenant.key).json()["data"][
        "id"
    ]
    assert read(server, tenant, post)["accounts"]["total"] == 1


def test_a_section_is_of_the_accounts_platform(server: Server, tenant: Tenant) -> None:
    body = video(tenant, scheduled_at=LATER) | entries(tenant, instagram={"youtube": {"title": "t"}})
    refused = server.post(body, tenant.key)
    assert code(refused) == (400, "validation_failed")
    field = f"accounts[{tenant.accounts['instagram']}].youtube"
    assert refused.json()["message"].startswith(
        f"{field} is not of the account's platform: it is the instagram"
    )


def test_times_of_accounts_are_held_to_the_rules_of_times(server: Server, tenant: Tenant) -> None:
    past = entries(tenant, youtube={"scheduled_at": "2020-01-01T00:00:00Z"})
    refused = server.post(video(tenant, scheduled_at=LATER) | past, tenant.key)
    assert code(refused) == (400, "validation_failed")
    assert refused.json()["issues"][0]["path"] == f"accounts[{tenant.accounts['youtube']}].scheduled_at"
    late = entries(tenant, youtube={"scheduled_at": STILL_LATER})
    expiring = server.post(video(tenant, scheduled_at=EARLIER, expires_at=LATER) | late, tenant.key)
    assert code(expiring) == (422, "invalid_payload")
    now = entries(tenant, youtube={"scheduled_at": None}, instagram={"scheduled_at": LATER})
    assert server.post(video(tenant) | now, tenant.key).json()["data"]["status"] == "pending"
    all_later = {"accounts": [{"id": tenant.accounts["youtube"], "scheduled_at": LATER}]}
    assert server.post(video(tenant) | all_later, tenant.key).json()["data"]["status"] == "scheduled"


# --- edits -----------------------------------------------------------------------------------------------------------


def test_an_edit_of_one_account_leaves_the_others_untouched(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **entries(tenant, instagram=INSTAGRAM))
    before = states(server, tenant, post)
    for own in ({**INSTAGRAM, "caption": "Other words"}, {**INSTAGRAM, "media": OTHER}, {"caption": "x"}, {}):
        first = generations(server, post)
        answer = patch(server, tenant, post, entries(tenant, instagram=own))
        assert answer.status_code == 200, answer.text
        after = generations(server, post)
        assert {name for name in after if after[name] != first[name]} == {"instagram"}
        found = states(server, tenant, post)
        assert shown(found["instagram"]).get("caption") == own.get("caption")
        assert shown(found["instagram"]).get("media") == own.get("media")
    assert shown(states(server, tenant, post)["instagram"]) == {}
    assert read(server, tenant, post)["scheduled_at"] == at(LATER)
    assert states(server, tenant, post)["youtube"]["state"] == before["youtube"]["state"]
    again = generations(server, post)
    assert patch(server, tenant, post, entries(tenant)).status_code == 200
    assert generations(server, post) == again, "an edit that changes nothing"


def test_a_published_account_keeps_what_it_published(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **entries(tenant, instagram={"caption": "Live"}))
    with server.context.database.begin() as c:
        sql = """UPDATE deliveries SET state = 'published', published_at = now(), remote_id = 'x'
                 WHERE post_id = :id AND platform = 'instagram' RETURNING id"""
        assert rows(c, sql, id=UUID(post))
    before = generations(server, post)
    change = entries(tenant, instagram={"caption": "Too late"}, youtube={"caption": "In time"})
    answer = patch(server, tenant, post, change)
    assert answer.status_code == 200, answer.text
    assert "ALREADY_PUBLISHED" in {w["code"] for w in answer.json()["data"]["warnings"]}
    found, after = states(server, tenant, post), generations(server, post)
    assert (found["instagram"]["caption"], found["youtube"]["caption"]) == ("Live", "In time")
    assert {name for name in after if after[name] != before[name]} == {"youtube"}


def test_a_new_time_of_the_post_moves_the_accounts_without_one(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **entries(tenant, instagram={"scheduled_at": EARLIER}))
    answer = patch(server, tenant, post, {"scheduled_at": STILL_LATER})
    assert answer.json()["data"]["scheduled_at"] == at(EARLIER)
    found = states(server, tenant, post)
    assert "scheduled_at" not in found["instagram"]
    assert {found[name]["scheduled_at"] for name in ("youtube", "linkedin")} == {STILL_LATER}
    own = {"scheduled_at": EARLIER}
    everyone = entries(tenant, instagram=own, youtube=own, linkedin=own)
    assert patch(server, tenant, post, everyone).status_code == 200
    refused = patch(server, tenant, post, {"scheduled_at": LATER})
    assert code(refused) == (400, "validation_failed")
    assert "each has a time of its own" in refused.json()["message"]


def test_a_steering_shift_moves_each_account_by_the_same(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **entries(tenant, instagram={"scheduled_at": EARLIER}))

    def times() -> dict[str, str]:
        found = states(server, tenant, post)
        first = read(server, tenant, post)["scheduled_at"]
        return {name: found[name].get("scheduled_at", first) for name in found}

    before = times()
    filter_ = {"due_from": "2031-01-01T00:00:00Z"}
    body = {"verb": "reschedule", "filter": filter_, "shift_seconds": 86_400, "confirm": True}
    answer = steer(server, tenant, "steer", body)
    assert answer.status_code == 200, answer.text
    job = answer.json()["data"]["job"]["id"]
    work(server, tenant, job)
    assert times() == {
        "instagram": at(LATER),
        "youtube": STILL_LATER,
        "linkedin": STILL_LATER,
    }
    undone = steer(server, tenant, f"steer/{job}/undo", b"").json()["data"]["id"]
    work(server, tenant, undone)
    assert times() == before


def test_the_next_due_account_decides_whether_a_post_is_pending(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **entries(tenant, instagram={"scheduled_at": EARLIER}))
    put(server, post, "state = 'scheduled'")

    def listed(status: str) -> bool:
        found = server.get(f"/posts?status={status}", tenant.key).json()["data"]["posts"]
        return post in [one["id"] for one in found]

    server.sql(
        """WITH d AS (UPDATE deliveries SET due_at = now(), next_at = now() + interval '1 hour'
                          WHERE post_id = :id AND platform = 'instagram')
               UPDATE posts SET due_at = now() WHERE id = :id RETURNING id""",
        id=UUID(post),
    )
    assert (listed("pending"), listed("scheduled")) == (True, False)
    cancelled = steer(
        server, tenant, "cancel", {"post_ids": [post], "account_ids": [tenant.accounts["instagram"]]}
    )
    assert cancelled.json()["data"]["canceled"] == 1
    assert (listed("pending"), listed("scheduled")) == (False, True)
    assert read(server, tenant, post)["status"] == "scheduled"


# --- files -----------------------------------------------------------------------------------------------------------


CSV = {"Content-Type": "text/csv"}


def plan(server: Server, tenant: Tenant, data: bytes, **headers: str) -> tuple[Importer, dict[str, Any]]:
    """Plan a file; return the worker of its import, and the import."""
    importer = Importer(server=server, tenant=tenant)
    return importer, importer.work(importer.upload(data, **headers))


def test_an_exported_post_is_recognised_with_its_own_content(server: Server, tenant: Tenant) -> None:
    created(server, tenant, **entries(tenant, instagram=INSTAGRAM, youtube={"caption": "a|b,c"}))
    for form in ("ndjson", "csv"):
        exported = server.get(f"/posts/export?format={form}", tenant.key)
        _, job = plan(server, tenant, exported.content, **(CSV if form == "csv" else {}))
        assert job["counts"] == {"rows": 1, "accepted": 0, "duplicate": 1, "rejected": 0}, exported.text
    line = json.loads(server.get("/posts/export?format=ndjson", tenant.key).text)
    instagram = next(one for one in line["accounts"] if one["id"] == tenant.accounts["instagram"])
    assert instagram == {"id": tenant.accounts["instagram"], **INSTAGRAM}
    assert line["scheduled_at"] == LATER


def test_columns_of_a_platform_are_of_its_accounts(server: Server, tenant: Tenant) -> None:
    names = " ".join(tenant.accounts[name] + "|" for name in NAMES).replace(" ", "")[:-1]
    header = (
        "caption,media_urls,accounts,scheduled_at,caption:instagram,Media_URLs:Instagram,scheduled_at:youtube"
    )
    row = (
        f"All,https://cdn.example.com/v.mp4,{names},{LATER},Only there,{'|'.join(PICTURES['urls'])},{EARLIER}"
    )
    importer, job = plan(server, tenant, f"{header}\n{row}\n".encode(), **CSV)
    assert job["counts"]["accepted"] == 1, importer.records(job["id"])
    importer.act(job["id"], "apply", {"plan": job["plan"]["hash"]})
    importer.work(UUID(job["id"]))
    [post] = importer.posts()
    found = states(server, tenant, str(post.id))
    assert (found["instagram"]["caption"], found["instagram"]["media"]) == ("Only there", PICTURES)
    assert read(server, tenant, str(post.id))["scheduled_at"] == at(EARLIER)
    assert shown(found["linkedin"]) == {"scheduled_at": at(LATER)}
    forecast = server.get(f"/imports/{job['id']}/forecast", tenant.key)
    assert forecast.status_code == 200, forecast.text


def test_a_column_of_a_platform_without_an_account_is_refused(server: Server, tenant: Tenant) -> None:
    header = "caption,media_urls,accounts,scheduled_at,caption:facebook"
    row = f"All,https://cdn.example.com/v.mp4,{tenant.accounts['youtube']},{LATER},Nobody's"
    importer, job = plan(server, tenant, f"{header}\n{row}\n".encode(), **CSV)
    assert job["counts"]["rejected"] == 1
    [record] = importer.records(job["id"])
    assert (
        record.issues[0]["message"] == "No account of the row is on facebook, and a column of it is filled."
    )
