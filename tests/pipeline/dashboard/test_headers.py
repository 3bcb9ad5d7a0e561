"""What every response of the dashboard tells the browser to refuse."""

from __future__ import annotations

import pytest
import requests

from tests.pipeline.dashboard.site import HOME, LOGIN, Client, Site

UNSAFE = ("unsafe-inline", "unsafe-eval", "unsafe-hashes", "http:", "https:", "*")


@pytest.mark.parametrize(
    "path", [HOME, LOGIN, HOME + "nothing", HOME + "static/x/dashboard.css", HOME + "sessions"]
)
def test_every_response_has_the_security_headers(site: Site, path: str) -> None:
    answer = site.open().get(path, allow_redirects=False)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert [word for word in UNSAFE for value in policy.values() if word in value.split()] == []
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_a_page_is_never_stored_and_names_nothing_of_another_host(http: Client) -> None:
    answer = http.get(HOME)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Encoding" not in answer.headers  # compressed, a token could be guessed by its length
    for attribute in ('src="', 'href="', 'action="'):
        addresses = [part.partition('"')[0] for part in answer.text.split(attribute)[1:]]
        assert all(a.startswith(("/dashboard/", "#")) for a in addresses), addresses
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert " on" not in [word[:3] for word in answer.text.split("<")]


def test_the_api_beside_it_has_no_cors_for_pages_and_no_part_of_the_dashboard(site: Site) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = requests.options(site.url + LOGIN, headers=asked, timeout=30)
    assert "Access-Control-Allow-Origin" not in answer.headers
    described = requests.get(site.url + "/openapi.json", timeout=30).json()
    assert [path for path in described["paths"] if "dashboard" in path] == []


def test_requests_are_counted_by_the_route_of_the_page(site: Site, http: Client) -> None:
    http.get(HOME + "sessions?unknown=1")
    http.get(HOME + "no-such-page")
    metrics = requests.get(site.url + "/metrics", timeout=30).text
    counted = {
        line.partition('route="')[2].partition('"')[0] for line in metrics.splitlines() if "route=" in line
    }
    assert {"/dashboard/sessions", "/dashboard/login"} <= counted
    assert not [route for route in counted if "no-such-page" in route]
