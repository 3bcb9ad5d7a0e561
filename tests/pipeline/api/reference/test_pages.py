"""The pages for people: whole, found from one another, safe, and complete."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import requests

from adapters.contract import Platform
from pipeline.api.app import create_app
from pipeline.api.openapi.codes import ACCOUNT_ERRORS, CODES, WARNINGS
from pipeline.api.openapi.rules import RULES
from pipeline.api.reference.page import read_tasks
from pipeline.wiring import list_capabilities, list_post_options
from tests.config.test_alerts import ALERTS
from tests.pipeline.api.reference.scene import fail
from tests.pipeline.api.reference.source_codes import find_delivery_codes, find_warning_codes
from tests.pipeline.api.running_server import ABSENT, ROOT, Server, Tenant, video

VOID = {"meta", "br", "link", "input"}
PAGES = ("/", "/docs", "/reference", "/runbooks")
OWN = "/reference/"
"""Where the files of the reference are; the other pages have none."""
OF_OPERATORS = {"replayDeadLetters", "discardDeadLetters"}
"""Operations of the other document, which has no page."""
OF_PAGES = {"code_refused", "login_failed", "login_locked"}
"""Codes of the OAuth pages, and of lines in the log about logins, which no program reads."""


class Page(HTMLParser):
    """Parser that records tags, ids, links and words, and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.hrefs: list[str] = []
        self.words: list[str] = []
        self.labels: list[str] = []
        self.feed(text)
        assert not self.open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name == "style" or name.startswith("on")]
        assert given.get("src", OWN).startswith(OWN)  # type: ignore[union-attr]
        self.labels += [value for name, value in attrs if name == "aria-label" and value]
        self.tags.add(tag)
        self.open += [] if tag in VOID else [tag]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.hrefs += [value for name, value in attrs if name == "href" and value]
        if tag == "pre" or given.get("class") == "wide":
            assert given["tabindex"] == "0", "what scrolls is reached by the keyboard"
            assert given["aria-label"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def visit(server: Server, path: str) -> requests.Response:
    return server.http.get(server.url + path, timeout=30, allow_redirects=False)


@pytest.fixture(scope="module")
def reference(server: Server) -> Page:
    return Page(visit(server, "/reference").text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_and_loads_nothing(server: Server, path: str) -> None:
    answer = visit(server, path)
    assert answer.status_code == (307 if path == "/docs" else 200)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    own = r"style-src 'self'; script-src 'self'" if path == "/reference" else r"style-src 'sha256-[\w+/=]+'"
    assert re.fullmatch(
        rf"default-src 'none'; {own}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", policy
    )
    page = Page(answer.text)
    assert not page.tags & {"img", "iframe", "form"}
    if path != "/reference":
        assert not page.tags & {"script", "link", "input"}
        assert "prefers-color-scheme: dark" in answer.text
    assert len(page.ids) == len(set(page.ids))
    assert 'name="viewport"' in answer.text
    assert "<script>" not in answer.text


def test_every_link_leads_somewhere(server: Server, reference: Page) -> None:
    for path in PAGES:
        page = Page(visit(server, path).text)
        for href in page.hrefs:
            target, _, fragment = href.partition("#")
            if target:
                expected = (200, 303, 503)  # 303: the dashboard, to its login; 503: readyz without workers
                assert visit(server, target).status_code in expected, href
            if fragment and target in ("", "/reference"):
                assert fragment in (reference if target else page).ids, href


def test_the_start_page_says_what_this_is_and_leads_to_the_documents(server: Server) -> None:
    page = Page(visit(server, "/").text)
    assert {"/reference", "/openapi.json", "/healthz", "/readyz"} <= set(page.hrefs)
    for name in ("TikTok", "Instagram", "YouTube", "Pinterest", "LinkedIn", "Facebook"):
        assert name in page.text


def test_the_link_of_an_alert_opens_its_section(server: Server) -> None:
    page = Page(visit(server, "/runbooks").text)
    anchor = "{{ $externalLabels.runbooks }}#"
    links = [rule["annotations"]["runbook_url"] for rule in ALERTS.values()]
    assert [link.removeprefix(anchor) for link in links] == page.ids
    assert "slipway attention" in page.text


def test_docs_leads_to_the_reference_also_for_those_who_do_not_follow(server: Server) -> None:
    answer = visit(server, "/docs")
    assert answer.headers["Location"] == "/reference"
    assert Page(answer.text).hrefs == ["/reference"]
    assert server.http.get(server.url + "/docs", timeout=30).url == server.url + "/reference"


def test_the_reference_shows_the_whole_document(server: Server, reference: Page) -> None:
    spec: dict[str, Any] = visit(server, "/openapi.json").json()
    assert spec == create_app().openapi()
    assert all(release["version"] in reference.text for release in spec["info"]["x-changelog"])
    names = [o["operationId"] for item in spec["paths"].values() for o in item.values()]
    assert set(names) <= set(reference.ids)
    for name in [*names, *(task.title for task in read_tasks())]:
        for language in ("curl", "Python", "TypeScript"):
            assert f"{name}, {language}" in reference.labels
    for item in spec["paths"].values():
        for operation in item.values():
            assert all(
                f"{operation['operationId']}-{p['name']}" in reference.ids
                for p in operation.get("parameters", ())
            )
    for field in ("caption", "media-video-url", "media-slideshow-urls", "tiktok-post_mode", "external_id"):
        assert f"createPost-body-{field}" in reference.ids


def test_every_rule_and_what_it_refuses_are_shown(reference: Page) -> None:
    shown = strip(reference.text)
    for rule in RULES:
        if set(rule.at) <= OF_OPERATORS:
            continue
        assert strip(rule.rule) in shown, rule.rule
        if not rule.at[0].startswith(("error:", "platform:")):
            assert all(strip(one.replace("{}", "…")) in shown for one in rule.says), rule.says


def strip(text: str) -> str:
    """Return the letters of a text: Markdown and markup aside."""
    return re.sub(r"[\W_]+", "", text)


def test_the_reference_is_markdown_and_an_index_for_programs_too(server: Server, reference: Page) -> None:
    markdown, index = visit(server, "/reference.md"), visit(server, "/llms.txt")
    assert markdown.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert index.headers["Content-Type"] == "text/plain; charset=utf-8"
    spec: dict[str, Any] = visit(server, "/openapi.json").json()
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            assert f"### {operation['operationId']}: {method.upper()} {path}\n" in markdown.text
            assert operation["x-repeat"] in markdown.text
            assert f"({server.url}/reference#{operation['operationId']})" in index.text
    for task in read_tasks():
        assert all(
            f"```\n{text}\n```"
            in markdown.text.replace("```sh", "```").replace("```python", "```").replace("```ts", "```")
            for text in task.samples.values()
        )
        assert f"({server.url}/reference#{task.id})" in index.text
        assert task.id in reference.ids
    for code in (*CODES, *ACCOUNT_ERRORS, *WARNINGS):
        assert f"- `{code}`: " in markdown.text
    for link in re.findall(r"\]\((\S+)\)", index.text):
        target, _, fragment = link.removeprefix(server.url).partition("#")
        assert visit(server, target).status_code == 200
        assert not fragment or fragment in reference.ids


@pytest.mark.parametrize(
    ("address", "name", "kind"),
    [("/skill.md", "SKILL.md", "text/markdown"), ("/skill/slipway.sh", "slipway.sh", "text/x-shellscript")],
)
def test_the_skill_is_served_as_it_is_and_kept_by_its_tag(
    server: Server, address: str, name: str, kind: str
) -> None:
    answer = visit(server, address)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert answer.content == (ROOT / "pipeline" / "api" / "skill" / name).read_bytes()
    again = server.http.get(
        server.url + address, headers={"If-None-Match": answer.headers["ETag"]}, timeout=30
    )
    assert (again.status_code, again.content) == (304, b"")
    assert f"({server.url}{address})" in visit(server, "/llms.txt").text


# --- codes -----------------------------------------------------------------------------------------------------------


def test_every_error_code_has_a_cause_and_advice_at_its_address(reference: Page) -> None:
    assert find_delivery_codes() - set(CODES) - OF_PAGES == set(ACCOUNT_ERRORS) - {"no_answer"}
    for code in (*CODES, *ACCOUNT_ERRORS):
        assert f"error-{code}" in reference.ids


def test_every_warning_has_a_cause_and_advice_at_its_address(reference: Page) -> None:
    assert find_warning_codes() == set(WARNINGS)
    for code in WARNINGS:
        assert f"warning-{code.lower()}" in reference.ids


def test_advice_is_sentences(reference: Page) -> None:
    for code, advice in (*CODES.items(), *ACCOUNT_ERRORS.items(), *WARNINGS.items()):
        for text in (advice.cause, advice.action):
            assert text.endswith("."), code
            assert text.count("`") % 2 == 0, code
        assert code in reference.text


def test_the_icon_that_browsers_ask_for_is_there_and_kept(server: Server) -> None:
    answer = server.http.get(f"{server.url}/favicon.ico", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert answer.content.startswith(b"<svg")
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert server.send("HEAD", "/favicon.ico").status_code == 200


def test_each_failure_carries_the_address_of_its_code(
    server: Server, tenant: Tenant, reference: Page
) -> None:
    answers = [
        server.get(f"/posts/{ABSENT}", tenant.key),
        server.get("/posts", None),
        server.post({}, tenant.key),
        server.send("GET", "/nothing"),
        server.send("PUT", "/healthz"),
    ]
    for answer in answers:
        body = answer.json()
        assert body["help"] == f"{server.url}/reference#error-{body['error_code']}"
        assert body["help"].partition("#")[2] in reference.ids


def test_so_does_the_error_of_an_account(server: Server, tenant: Tenant, reference: Page) -> None:
    post = server.post(video(tenant, scheduled_at="2090-01-01T00:00:00Z"), tenant.key).json()["data"]["id"]
    fail(server, post)
    error = server.get(f"/posts/{post}", tenant.key).json()["data"]["accounts"]["states"][0]["error"]
    assert error["help"] == f"{server.url}/reference#error-rejected"
    explained = server.get(f"/posts/{post}/explain", tenant.key).json()["data"]["accounts"][0]
    assert explained["evidence"]["error"]["help"] == error["help"]
    assert "error-rejected" in reference.ids


# --- platforms -------------------------------------------------------------------------------------------------------


def test_the_tables_show_the_adapters_limits_and_options(reference: Page) -> None:
    assert set(list_capabilities()) == set(Platform)
    for platform, found in list_capabilities().items():
        assert f"platform-{platform}" in reference.ids
        assert found.limits
        for limit in found.limits:
            assert limit.rule in reference.text
            assert all(value in reference.text for value in limit.values)
    for options in list_post_options().values():
        assert set(options.model_fields) <= set(re.findall(r"\w+", reference.text))


@pytest.mark.parametrize(
    "shown",
    [
        "caption at most 2,200 characters any",  # Instagram
        "size at most 300 MiB any",  # Instagram
        "duration 3 s to 30 min any",  # LinkedIn
        "width : height 0.75 to 1.91 any",  # Instagram
        "duration of a Short at most 3 min (not enforced) any",
        "side at least 360 pixels business",  # TikTok
        "images of a carousel 2 to 5 any",  # Pinterest
    ],
)
def test_a_limit_reads_like_a_limit(reference: Page, shown: str) -> None:
    assert shown in reference.text


def test_a_task_has_samples_in_each_language() -> None:
    assert len(read_tasks()) >= 8
    for task in read_tasks():
        assert [*task.samples] == ["curl", "Python", "TypeScript"], task.title
    first = read_tasks()[0]
    assert all(len([line for line in text.splitlines() if line]) <= 10 for text in first.samples.values())
