"""Refusals of the visible call that do not prove that nothing was published: kept for when absence is proven."""

from __future__ import annotations

import json

import pytest
from requests.structures import CaseInsensitiveDict

from adapters.error_table import Phase
from adapters.errors import OutcomeUnknown, Unavailable
from adapters.facebook.errors import TABLE as FACEBOOK
from adapters.graph_errors import GraphErrorTable, build_error
from adapters.http import Response
from adapters.instagram.errors import TABLE as INSTAGRAM
from adapters.linkedin.errors import translate_error
from tests.adapters.instagram.graph_error import build_error as graph_body

FORBIDDEN = "Accessing this image resource is forbidden. Please check your permissions for this resource"


def respond(status: int, body: str) -> Response:
    return Response(status=status, headers=CaseInsensitiveDict(), body=body.encode())


@pytest.mark.parametrize(
    ("table", "code", "subcode", "reported"),
    [
        (INSTAGRAM, 4, 2207051, "blocked_by_policy"),
        (INSTAGRAM, 100, 2207081, "rejected"),
        (INSTAGRAM, 368, None, "blocked_by_policy"),
        (FACEBOOK, 100, 1349125, "rejected"),
        (FACEBOOK, 2, 1363047, "refused_for_now"),
        (FACEBOOK, 1, 1609010, "refused_for_now"),
    ],
)
def test_the_refusal_is_kept_under_its_own_code(
    table: GraphErrorTable, code: int, subcode: int | None, reported: str
) -> None:
    body = graph_body(code, subcode, transient=reported != "rejected")
    error = build_error("It", respond(400, body), table, visible=True)
    assert type(error) is OutcomeUnknown
    assert error.platform_code == (str(code) if subcode is None else f"{code}/{subcode}")
    assert error.refusal is not None
    assert error.refusal.code == reported
    assert error.refusal.next_action


@pytest.mark.parametrize("more", [{}, {"code": "ACCESS_DENIED", "serviceErrorCode": 100}])
def test_linkedins_forbidden_resource_is_retried_before_the_visible_call_only(
    more: dict[str, object],
) -> None:
    refused = respond(403, json.dumps({"status": 403, "message": FORBIDDEN, **more}))
    assert type(translate_error(refused, Phase.PREPARE)) is Unavailable
    after = translate_error(refused, Phase.FINALIZE)
    assert type(after) is OutcomeUnknown
    assert after.code == "outcome_unknown"
