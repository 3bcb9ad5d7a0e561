"""The log of the API: one line for each POST and each refusal, with ids and codes and nothing that is private."""

from __future__ import annotations

import re
from uuid import uuid4

from tests.pipeline.api.running_server import BASE, Server, Tenant, ask, until, video


def read_lines(server: Server, request: str, count: int = 1) -> list[dict[str, str]]:
    """Return the fields of the lines of a request, once they are *count*: they are written after its answer."""

    def find() -> list[str]:
        return [x for x in server.log.read_text().splitlines() if f"request_id={request}" in x]

    until(lambda: len(find()) >= count, "the lines of the request")
    found = [re.findall(r"(\w+)=(\S+)", line) for line in find()]
    assert all(len(pairs) == len(dict(pairs)) for pairs in found), "a name stands twice in a line"
    return [*map(dict, found)]


def find_deliveries(server: Server, post: str) -> str:
    """Return the ids of a post's deliveries as a line names them."""
    with server.context.database.begin() as c:
        found = c.exec_driver_sql("SELECT id FROM deliveries WHERE post_id = %s ORDER BY id", (post,))
        return ",".join(map(str, found.scalars()))


def test_a_post_is_one_line_with_its_ids_and_nothing_of_its_content(server: Server, tenant: Tenant) -> None:
    body = video(tenant, scheduled_at="2040-01-01T00:00:00Z")
    answer = server.post(body, tenant.key, **{"X-Request-Id": (request := uuid4().hex)})
    post = answer.json()["data"]["id"]
    [line] = read_lines(server, request)
    assert (line["method"], line["route"], line["status"]) == ("POST", f"{BASE}/posts", "201")
    assert (line["post"], line["address"]) == (post, "127.0.0.1")
    assert line["delivery"] == find_deliveries(server, post)
    for private in (body["caption"], body["media"]["url"], tenant.key):
        assert private not in server.read_log()


def test_a_repeat_names_the_post_that_it_found(server: Server, tenant: Tenant) -> None:
    body = video(tenant, scheduled_at="2040-01-01T00:00:00Z")
    post = server.post(body, tenant.key).json()["data"]["id"]
    server.post(body, tenant.key, **{"X-Request-Id": (request := uuid4().hex)})
    [line] = read_lines(server, request)
    assert (line["status"], line["post"]) == ("200", post)


def test_a_batch_and_an_action_are_a_line_for_each_post(server: Server, tenant: Tenant) -> None:
    posts = [video(tenant, scheduled_at="2040-01-01T00:00:00Z") for _ in range(2)]
    request = uuid4().hex
    batch = {"posts": [*posts, {}]}
    answer = ask(server, tenant.key, "POST", "/posts/batch", batch, **{"X-Request-Id": request})
    made = [r["data"]["id"] for r in answer.json()["data"]["results"] if r["ok"]]
    *lines, refusal = read_lines(server, request, 3)
    assert [(line["post"], line["refused"]) for line in lines] == [(post, "1") for post in made]
    assert [line["delivery"] for line in lines] == [find_deliveries(server, post) for post in made]
    assert (refusal["position"], refusal["code"], refusal["status"]) == ("2", "invalid_payload", "422")
    assert "post" not in refusal
    request = uuid4().hex
    ask(server, tenant.key, "POST", "/posts/cancel", {"post_ids": made}, **{"X-Request-Id": request})
    assert [line["post"] for line in read_lines(server, request, 2)] == made


def test_each_refusal_is_one_line_with_its_code(server: Server, tenant: Tenant) -> None:
    cases = [
        ("POST", f"{BASE}/posts", tenant.key, b"{}", "422", "invalid_payload"),
        ("POST", f"{BASE}/posts", "wrong.key", b"{}", "401", "invalid_token"),
        ("GET", f"{BASE}/posts/{uuid4()}", tenant.key, None, "404", "not_found"),
        ("PATCH", f"{BASE}/posts/a%0Apost=b", tenant.key, b"{}", "422", "invalid_payload"),
    ]
    for method, path, key, body, status, code in cases:
        request = uuid4().hex
        server.send(method, path, key, body, **{"X-Request-Id": request, "Content-Type": "application/json"})
        [line] = read_lines(server, request)
        assert (line["method"], line["status"], line["code"]) == (method, status, code)
    assert "wrong.key" not in server.read_log()


def test_what_is_read_without_a_refusal_is_no_line(server: Server, tenant: Tenant) -> None:
    quiet = uuid4().hex
    server.send("GET", f"{BASE}/posts", tenant.key, None, **{"X-Request-Id": quiet})
    assert quiet not in server.read_log()
