"""The list of what needs an operator over HTTP: the operator's alone, and what three days of rate limits end in."""

from __future__ import annotations

from pipeline.api.http.response_models import Success
from pipeline.api.operator.models import AttentionList
from tests.pipeline.api.running_server import Server, Tenant, video

URL = "/api/operator/v1/attention"
TOKEN = "operator-of-the-tests-" + "0123456789"
SERVER_SETTINGS = {"SLIPWAY_API__OPERATOR_TOKEN": TOKEN}


def test_the_operator_reads_the_list_and_a_key_does_not(server: Server) -> None:
    tenant: Tenant = server.tenant()
    post = server.post(video(tenant), tenant.key).json()["data"]["id"]
    server.sql(
        "UPDATE deliveries SET state = 'blocked', reason = 'person_needed', error = CAST(:e AS jsonb) "
        "WHERE post_id = :p",
        p=post,
        e='{"class": "RateLimited", "code": "rate_limited"}',
    )
    answer = server.send("GET", URL, TOKEN)
    assert answer.status_code == 200, answer.text
    Success[AttentionList].model_validate_json(answer.content)
    [item] = [i for i in answer.json()["data"]["items"] if i["kind"] == "blocked"]
    assert (item["count"], item["count_capped"], item["platform"]) == (1, False, "tiktok")
    assert item["command"] == (
        "slipway dead-letter list --platform tiktok --error-class RateLimited --code rate_limited"
    )
    refused = server.send("GET", URL, tenant.key)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "insufficient_scope")
    assert server.send("GET", URL, "nonsense").status_code == 401
