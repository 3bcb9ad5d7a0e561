"""PATCH /accounts/{id}/posting-times over HTTP: what it changes, refuses and records."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.posting_times import DAYS
from pipeline.store.auth.keys import Terms, create_key
from pipeline.store.database import rows
from tests.pipeline.api.running_server import Server, Tenant, ask, code

USUAL = {day: ["09:00", "12:00", "18:00"] for day in DAYS}
NONE: dict[str, list[str]] = {day: [] for day in DAYS}


def change(
    server: Server, tenant: Tenant, body: Any, account: str | None = None, key: str | None = None
) -> Any:
    path = f"/accounts/{account or tenant.accounts['tiktok']}/posting-times"
    return ask(server, key or tenant.key, "PATCH", path, body)


def test_fields_that_are_not_sent_stay_and_null_is_usual(server: Server) -> None:
    tenant = server.tenant()
    sent = {"times": {"monday": ["18:00", "9:00"]}, "time_zone": "europe/berlin"}
    first = change(server, tenant, sent)
    assert (first.status_code, first.json()["message"]) == (200, "Posting times updated")
    assert first.json()["data"] == {
        "account_id": tenant.accounts["tiktok"],
        "time_zone": "Europe/Berlin",
        "times": {**NONE, "monday": ["09:00", "18:00"]},
        "most_a_day": None,
        "least_gap_minutes": 60,
    }
    second = change(server, tenant, {"most_a_day": 2, "least_gap_minutes": 0, "times": None}).json()["data"]
    assert (second["times"], second["most_a_day"], second["least_gap_minutes"]) == (USUAL, 2, 0)
    assert second["time_zone"] == "Europe/Berlin"
    third = change(server, tenant, {"time_zone": None}).json()["data"]
    assert (third["time_zone"], third["most_a_day"]) == ("UTC", 2)


def test_a_change_is_recorded_with_what_it_was(server: Server) -> None:
    tenant = server.tenant()
    change(server, tenant, {"most_a_day": 3})
    with server.context.database.begin() as c:
        sql = "SELECT before, after, actor_kind FROM audit WHERE verb = 'set posting times' AND workspace_id = :w"
        [found] = rows(c, sql, w=tenant.workspace)
    assert (found.before, found.after) == ({"most_a_day": None}, {"most_a_day": 3})
    assert found.actor_kind == "key"


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({}, "", "Name at least one of times, time_zone, most_a_day, least_gap_minutes."),
        ({"times": {"monday": ["25:00"]}}, "times.monday", "'25:00' is no time of day"),
        ({"times": {"mondy": []}}, "times.mondy", "monday"),
        ({"time_zone": "Europe/Berln"}, "time_zone", "did you mean Europe/Berlin?"),
    ],
)
def test_what_cannot_be_is_refused_by_field_and_rule(
    server: Server, tenant: Tenant, body: Any, path: str, words: str
) -> None:
    answer = change(server, tenant, body)
    assert code(answer) == (422, "invalid_payload")
    [issue] = answer.json()["issues"]
    assert issue["path"] == path
    assert words in issue["message"]


def test_an_account_that_the_key_does_not_see_is_not_there(server: Server) -> None:
    tenant, other = server.tenant(), server.tenant()
    with server.context.database.begin() as c:
        accounts = [UUID(tenant.accounts["instagram"])]
        bound = create_key(c, tenant.workspace, "less", Terms(accounts=accounts))
    for key, account in ((other.key, None), (bound, None), (tenant.key, "no-id")):
        answer = change(server, tenant, {"most_a_day": 3}, account, key)
        assert code(answer) == (404, "not_found")
    assert change(server, tenant, {"most_a_day": 3}, tenant.accounts["instagram"], bound).status_code == 200
