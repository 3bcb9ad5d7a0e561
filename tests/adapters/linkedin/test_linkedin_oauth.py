"""Consent, codes, refreshes, and account discovery; no secret in logs or reprs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.contract import Credentials
from adapters.errors import Rejected
from adapters.http import HttpClient
from adapters.linkedin import client
from adapters.linkedin.adapter import LinkedIn
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import Reply, ScriptedServer


def granted(*scopes: str) -> Credentials:
    return replace(m.account().credentials, scopes=scopes)


ROLES = (
    '{"elements":[{"role":"ADMINISTRATOR","organization":"urn:li:organization:1","state":"APPROVED"},'
    '{"role":"CONTENT_ADMIN","organization":"urn:li:organization:2","state":"APPROVED"},'
    '{"role":"ANALYST","organization":"urn:li:organization:3","state":"APPROVED"},'
    '{"role":"ADMINISTRATOR","organization":"urn:li:organization:4","state":"REQUESTED"},'
    '{"role":"DIRECT_SPONSORED_CONTENT_POSTER","organization":"urn:li:organization:1","state":"APPROVED"}]}'
)


def test_discover_finds_the_member(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue('{"sub":"8675309","name":"Ada Casa","email":"ada@example.com"}')
    (found,) = linkedin.discover(granted("openid", "profile", "w_member_social"))
    assert (found.remote_id, found.display_name, found.connection) == (m.MEMBER, "Ada Casa", "person")
    assert server.calls == ["GET /api/v2/userinfo"]


def test_discover_finds_the_organizations_that_may_be_posted_for(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.enqueue(
        ROLES, '{"localizedName":"Casa Inc","vanityName":"casa"}', Reply(status=403, body=m.DENIED)
    )
    one, two = linkedin.discover(
        granted("w_organization_social", "r_organization_social", "rw_organization_admin")
    )
    assert (one.remote_id, one.username, one.display_name) == ("urn:li:organization:1", "casa", "Casa Inc")
    assert (two.remote_id, two.username, two.connection) == ("urn:li:organization:2", "2", "organization")
    assert server.calls == [
        "GET /api/rest/organizationAcls",
        "GET /api/rest/organizations/1",
        "GET /api/rest/organizations/2",
    ]
    query = {"q": "roleAssignee", "state": "APPROVED", "start": "0", "count": "100"}
    assert server.requests[0].query == query


def test_discover_reads_every_page_of_roles_and_refuses_more_than_it_reads(
    server: ScriptedServer, linkedin: LinkedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (
        f'{{"elements":[{{"organization":"urn:li:organization:{n}","role":"ADMINISTRATOR"}}],"paging":{{"total":2}}}}'
        for n in (1, 2)
    )
    grant = granted("rw_organization_admin")
    server.enqueue(first, second, '{"localizedName":"One"}', '{"localizedName":"Two"}')
    assert [found.display_name for found in linkedin.discover(grant)] == ["One", "Two"]
    assert server.requests[1].query["start"] == "1"
    monkeypatch.setattr(client, "_MAX_ROLE_PAGES", 1)
    server.enqueue(first)
    with pytest.raises(Rejected, match="none was taken"):
        linkedin.discover(grant)


def test_discover_finds_both_behind_one_grant(server: ScriptedServer, linkedin: LinkedIn) -> None:
    profile = '{"id":"8675309","localizedFirstName":"Ada","localizedLastName":"Casa"}'
    server.enqueue(profile, ROLES, '{"localizedName":"Casa Inc"}', Reply(status=403, body=m.DENIED))
    found = linkedin.discover(granted("r_basicprofile", "w_member_social", "rw_organization_admin"))
    assert [(a.connection, a.display_name) for a in found] == [
        ("person", "Ada Casa"),
        ("organization", "Casa Inc"),
        ("organization", "2"),
    ]
    assert found[0].remote_id == m.MEMBER
    assert server.calls[0] == "GET /api/v2/me"


def test_discover_without_known_scopes_goes_by_what_was_asked(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.enqueue('{"sub":"8675309"}', '{"elements":[]}', '{"elements":[]}')
    assert [found.connection for found in linkedin.discover(granted())] == ["person"]
    asks = LinkedIn(HttpClient(), m.build_settings(server.url, connection="organization"))
    assert asks.discover(granted()) == ()


# --- secrets ---------------------------------------------------------------------------------------------------------
