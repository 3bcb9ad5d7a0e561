"""Check every request against the discovery document of Google's own client, and the upload with that client."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.contract import Credentials
from adapters.http import HttpClient
from adapters.youtube import limits, wire
from adapters.youtube.adapter import YouTube
from adapters.youtube.comments import YouTubeComments
from adapters.youtube.errors import FAILURES, PROCESSING_FAILURES, REJECTIONS
from adapters.youtube.oauth import MANAGE_SCOPE, SCOPES
from tests.adapters.drafts import ARMED
from tests.adapters.scripted_server import ReceivedRequest, Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import (
    BIG,
    TOKEN,
    account,
    build_settings,
    prepare_until_ready,
    slideshow_image,
    video,
)
from tests.adapters.youtube.upload_session import Session

Make = Callable[..., YouTube]
Json = Mapping[str, Any]
UPLOAD = "/youtube/upload/youtube/v3/videos"
THREADS = "/youtube/youtube/v3/commentThreads"
THUMBNAIL = "/youtube/upload/youtube/v3/thumbnails/set"
DOCUMENT = "discovery_cache/documents/youtube.v3.json"
PROTOCOL = {"POST", "GET"}
"""PUT belongs to the upload protocol, which no discovery document describes."""


@pytest.fixture(scope="module")
def document() -> Json:
    text = files("googleapiclient").joinpath(DOCUMENT).read_text(encoding="utf-8")
    parsed: Json = json.loads(text)
    return parsed


@pytest.fixture
def requests(
    server: ScriptedServer, youtube: Make, session: Callable[[int], Session]
) -> list[ReceivedRequest]:
    """Return every request of the adapter: OAuth, a whole upload, a status, and a search over two pages."""
    session(BIG)
    server.on("GET", "/youtube/youtube/v3/channels", examples.channels())
    server.on("GET", "/youtube/youtube/v3/videos", examples.status("processed"))
    now = "2099-01-01T00:00:00Z"
    pages = examples.playlist(("a", now), following="p2"), examples.playlist(("b", now))
    server.on("GET", "/youtube/youtube/v3/playlistItems", *pages)
    youtube().discover(Credentials(access_token=SecretStr(TOKEN)))
    draft = video(bytes=BIG)
    ready = prepare_until_ready(youtube, draft)
    done = youtube().finalize(draft, account(), ready)
    youtube().look(draft, account(), done.checkpoint, ARMED, frozenset())  # type: ignore[union-attr]
    server.on("POST", THUMBNAIL, '{"kind":"youtube#thumbnailSetResponse","items":[]}')
    youtube().set_cover(account(), "dQw4w9WgXcQ", slideshow_image())
    server.on("GET", "/youtube/youtube/v3/playlistItems", '{"items":[]}')
    server.on("POST", "/youtube/youtube/v3/playlistItems", '{"kind":"youtube#playlistItem","id":"UExh"}')
    youtube().add_to_playlist(account(), "dQw4w9WgXcQ", "PLabc")
    server.on("POST", THREADS, '{"kind":"youtube#commentThread","id":"Ugx"}')
    server.on("GET", THREADS, '{"items":[],"nextPageToken":"p2"}', '{"items":[]}')
    commented = replace(draft, comment_on="dQw4w9WgXcQ")
    adapter = YouTubeComments(HttpClient(), build_settings(server.url))
    adapter.finalize(commented, account(), {})
    adapter.look(commented, account(), {}, ARMED, frozenset())
    server.on("PUT", UPLOAD, Reply(status=404))
    youtube().look(draft, account(), ready, ARMED, frozenset())
    return server.requests


def methods(resources: Json) -> Iterator[Json]:
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from methods(resource.get("resources", {}))


def method_of(document: Json, seen: ReceivedRequest) -> Json:
    """Return the method of a request; the path of an upload is the media protocol's."""
    path = seen.path.removeprefix("/youtube/")
    for method in methods(document["resources"]):
        upload = method.get("mediaUpload", {}).get("protocols", {}).get("simple", {}).get("path", "")
        if method["httpMethod"] == seen.method and path in {method["flatPath"], upload.lstrip("/")}:
            return method
    raise AssertionError(f"no such method: {seen.method} {seen.path}")


def test_the_document_is_the_one_that_limits_are_from(document: Json) -> None:
    assert document["revision"] >= "20261104"
    insert = document["resources"]["videos"]["methods"]["insert"]["mediaUpload"]
    assert int(insert["maxSize"]) == limits.VIDEO_BYTES
    assert insert["accept"] == ["video/*", "application/octet-stream"]
    thumbnail = document["resources"]["thumbnails"]["methods"]["set"]["mediaUpload"]
    assert int(thumbnail["maxSize"]) == limits.COVER_BYTES
    assert {*limits.COVER_TYPES} <= {*thumbnail["accept"]}


def test_every_kind_of_request_was_made(document: Json, requests: list[ReceivedRequest]) -> None:
    made = {method_of(document, seen)["id"] for seen in requests if seen.method in PROTOCOL}
    assert made == {
        "youtube.channels.list",
        "youtube.commentThreads.insert",
        "youtube.commentThreads.list",
        "youtube.playlistItems.list",
        "youtube.playlistItems.insert",
        "youtube.thumbnails.set",
        "youtube.videos.insert",
        "youtube.videos.list",
    }


def test_every_query_parameter_exists_and_fits(document: Json, requests: list[ReceivedRequest]) -> None:
    for seen in (one for one in requests if one.method in PROTOCOL):
        method = method_of(document, seen)
        known = {**document["parameters"], **method["parameters"]}
        assert set(seen.query) <= set(known), seen.query
        required = {name for name, rule in method["parameters"].items() if rule.get("required")}
        assert required <= set(seen.query)
        for name, value in seen.query.items():
            check_parameter(known[name], value)


def check_parameter(rule: Json, value: str) -> None:
    if rule["type"] == "integer":
        assert int(rule["minimum"]) <= int(value) <= int(rule["maximum"])
    if rule["type"] == "boolean":
        assert value in {"true", "false"}
    if "enum" in rule:
        assert value in rule["enum"]
    if not rule.get("repeated"):
        assert "," not in value


def test_every_part_is_one_of_the_resource(document: Json, requests: list[ReceivedRequest]) -> None:
    for seen in (one for one in requests if one.method in PROTOCOL and one.path != THUMBNAIL):
        schema = resource_schema(document, method_of(document, seen))
        assert set(seen.query["part"].split(",")) <= set(schema["properties"])


def resource_schema(document: Json, method: Json) -> Json:
    answer: Json = document["schemas"][method["response"]["$ref"]]
    items = answer["properties"].get("items")
    listed: Json = document["schemas"][items["items"]["$ref"]] if items else answer
    return listed


@pytest.mark.parametrize("path", [UPLOAD, THREADS])
def test_the_body_of_an_insert_fits_its_schema(
    document: Json, requests: list[ReceivedRequest], path: str
) -> None:
    (seen,) = [one for one in requests if one.method == "POST" and one.path == path]
    body = seen.json()
    check_value(document, {"$ref": method_of(document, seen)["request"]["$ref"]}, body)
    assert set(body) == set(seen.query["part"].split(",")), (
        "a part that is sent but not named would be dropped"
    )


def check_value(document: Json, rule: Json, value: Any) -> None:
    """Check a value by a schema: known fields only, the right types, listed enums."""
    rule = document["schemas"][rule["$ref"]] if "$ref" in rule else rule
    kinds = {"object": "dict", "array": "list", "string": "str", "boolean": "bool", "integer": "int"}
    assert type(value).__name__ == kinds[rule["type"]]
    if rule["type"] == "object":
        for name, inner in value.items():
            assert name in rule["properties"], name
            check_value(document, rule["properties"][name], inner)
    if rule["type"] == "array":
        for inner in value:
            check_value(document, rule["items"], inner)
    if "enum" in rule:
        assert value in rule["enum"]


def test_our_scopes_exist_and_allow_every_request(document: Json, requests: list[ReceivedRequest]) -> None:
    assert set(SCOPES) <= set(document["auth"]["oauth2"]["scopes"])
    for seen in (one for one in requests if one.method in PROTOCOL):
        method = method_of(document, seen)
        is_managed = method["id"] == "youtube.playlistItems.insert" or "commentThreads" in method["id"]
        ours = {MANAGE_SCOPE} if is_managed else set(SCOPES)
        assert ours & set(method["scopes"])


MODELS = [
    wire.VideoListResponse,
    wire.ChannelListResponse,
    wire.PlaylistItemListResponse,
    wire.CommentThreadListResponse,
    wire.CommentThread,
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_we_read_exists(document: Json, model: type[wire.Wire]) -> None:
    check_model(document, model, document["schemas"][model.__name__])


def check_model(document: Json, model: type[wire.Wire], schema: Json) -> None:
    for name, info in model.model_fields.items():
        rule = schema["properties"][info.alias or name]
        while "$ref" in rule or "items" in rule:
            rule = document["schemas"][rule["$ref"]] if "$ref" in rule else rule["items"]
        for inner in models_in(info.annotation):
            check_model(document, inner, rule)


def models_in(annotation: Any) -> Iterator[type[wire.Wire]]:
    if inspect.isclass(annotation) and issubclass(annotation, wire.Wire):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


@pytest.mark.parametrize(
    ("schema", "field", "table"),
    [
        ("VideoStatus", "failureReason", FAILURES),
        ("VideoStatus", "rejectionReason", REJECTIONS),
        ("VideoProcessingDetails", "processingFailureReason", PROCESSING_FAILURES),
    ],
)
def test_the_tables_of_ends_are_total(document: Json, schema: str, field: str, table: Json) -> None:
    assert set(document["schemas"][schema]["properties"][field]["enum"]) == set(table)


def test_the_states_we_know_are_all_there_are(document: Json) -> None:
    status = document["schemas"]["VideoStatus"]["properties"]["uploadStatus"]["enum"]
    assert status == ["uploaded", "processed", "failed", "rejected", "deleted"]
    processing = document["schemas"]["VideoProcessingDetails"]["properties"]["processingStatus"]["enum"]
    assert processing == ["processing", "succeeded", "failed", "terminated"]


# --- Google's own uploader against the same server -------------------------------------------------------------------
