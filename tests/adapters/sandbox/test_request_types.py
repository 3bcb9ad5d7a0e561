"""Each vendor refuses another type, and an unknown name where its document does, for every row of its table."""

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
import requests

from adapters.sandbox.dialect import load_table
from tests.adapters.sandbox.clients import Facebook, Instagram
from tests.adapters.sandbox.process import Sandbox

Json = Mapping[str, Any]
UPLOAD = "youtube/upload/youtube/v3/videos?uploadType=resumable&part=snippet"
SOURCES = ("image_url", "multiple_image_urls", "video_id")
PATHS: Mapping[str, str] = {
    "pinterest PinCreate": "pinterest/v5/pins",
    "pinterest MediaUploadRequest": "pinterest/v5/media",
    **{f"pinterest {source}": f"pinterest/v5/pins media_source={source}" for source in SOURCES},
    "youtube Video": UPLOAD,
    "youtube parameters": "GET youtube/youtube/v3/videos",
    "youtube videos.insert": "youtube/upload/youtube/v3/videos",
    "youtube videos.list": "GET youtube/youtube/v3/videos",
    "youtube channels.list": "GET youtube/youtube/v3/channels",
    "youtube playlistItems.list": "GET youtube/youtube/v3/playlistItems",
    "youtube playlistItems.insert": "youtube/youtube/v3/playlistItems",
    "youtube PlaylistItem": "youtube/youtube/v3/playlistItems?part=snippet",
    "youtube CommentThread": "youtube/youtube/v3/commentThreads?part=snippet",
    "youtube commentThreads.insert": "youtube/youtube/v3/commentThreads",
    "youtube commentThreads.list": "GET youtube/youtube/v3/commentThreads",
    "youtube thumbnails.set": "youtube/upload/youtube/v3/thumbnails/set",
    "facebook Page.create_photo": "facebook/v25.0/{id}/photos",
    "facebook Page.create_feed": "facebook/v25.0/{id}/feed",
    "facebook Page.create_video_reel": "facebook/v25.0/{id}/video_reels",
    "facebook Page.create_photo_story": "facebook/v25.0/{id}/photo_stories",
    "facebook Page.create_video_story": "facebook/v25.0/{id}/video_stories",
    "facebook Page.create_video": "facebook/v25.0/{id}/videos",
    "facebook Post.api_update": "facebook/v25.0/{post}",
    "facebook PagePost.create_comment": "facebook/v25.0/{post}/comments",
    "instagram IGUser.create_media": "instagram/v25.0/{id}/media",
    "instagram IGUser.create_media_publish": "instagram/v25.0/{id}/media_publish",
    "instagram IGMedia.create_comment": "instagram/v25.0/{media}/comments",
    "linkedin post": "linkedin/rest/posts",
    "linkedin comment": "linkedin/rest/socialActions/urn%3Ali%3Ashare%3A1/comments",
    "linkedin initializeUpload": "linkedin/rest/images?action=initializeUpload initializeUploadRequest",
    "linkedin initializeVideo": "linkedin/rest/videos?action=initializeUpload initializeUploadRequest",
    "linkedin finalizeUpload": "linkedin/rest/videos?action=finalizeUpload finalizeUploadRequest",
    "tiktok video/init": "tiktok/v2/post/publish/video/init/",
    "tiktok content/init": "tiktok/v2/post/publish/content/init/",
    "tiktok status/fetch": "tiktok/v2/post/publish/status/fetch/",
    "tiktok video/list": "tiktok/v2/video/list/?fields=id",
    "tiktok_business video/publish": "tiktok-business/open_api/v1.3/business/video/publish/",
    "tiktok_business photo/publish": "tiktok-business/open_api/v1.3/business/photo/publish/",
}
"""Path of each schema that is a body or a query, with the field of the body that holds it (and its source_type)."""
WRONG = {"integer": 2.5, "natural": 2.5, "boolean": "yes", "text_string": {"a": 1}}
"""A value of another type by kind, with `text_` or without; of every other kind a number is none."""


TARGET = "what comments are sent to"


@cache
def get_requests(platform: str) -> Json:
    found: Json = load_table(platform)["requests"]
    return load_table("facebook")["requests"] | found if platform == "instagram" else found


def list_schemas(name: str, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield a schema and the ones in it: platform, schema, and path with the fields that lead to it."""
    platform, schema = name.split()
    yield platform, schema, path
    schemas = get_requests(platform)["schemas"]
    for field, type_name in schemas[schema].items():
        if (inner := type_name.strip("[]")) in schemas and inner != "PinMediaSource":
            place = f"{path} {field}{' []' if inner != type_name else ''}"
            yield from list_schemas(f"{platform} {inner}", place)


CASES = [case for name, path in PATHS.items() for case in list_schemas(name, path)]


def send(sandbox: Sandbox, platform: str, way: str, values: dict[str, Any]) -> requests.Response:
    path, *fields = way.removeprefix("GET ").split()
    account = sandbox.account(platform)
    known = {"id": account.remote_id}
    if platform == "facebook":
        page = Facebook(sandbox=sandbox, account=account)
        reel = page.call_page("POST", "video_reels", {"upload_phase": "start"})
        known |= {"post": page.create_unpublished(), "video": reel.json()["video_id"]}
    if "{media}" in path:
        poster = Instagram(sandbox=sandbox, account=account)
        known |= {"media": poster.publish(poster.image(caption=TARGET)).json()["id"]}
    body: Any = values
    for field in reversed(fields):
        name, _, source = field.partition("=")
        body = [body] if field == "[]" else {name: {"source_type": source} | body if source else body}
    body |= {"business_id": account.remote_id} if platform == "tiktok_business" else {}
    headers = {"Authorization": f"Bearer {account.access_token}", "Access-Token": account.access_token}
    headers |= {"LinkedIn-Version": "202609", "X-Restli-Protocol-Version": "2.0.0"}
    method, url = "GET" if way.startswith("GET") else "POST", f"{sandbox.base}/{path.format(**known)}"
    is_query = "youtube" in path and "?" not in path
    sent: Any = {"params": values} if is_query else {"json": body}
    return requests.request(method, url, headers=headers, timeout=30, **sent)


@pytest.mark.parametrize(("platform", "schema", "way"), CASES)
def test_another_type_and_an_unknown_name_are_refused(
    quick: Sandbox, platform: str, schema: str, way: str
) -> None:
    table = get_requests(platform)
    types, schemas = table["schemas"][schema], table["schemas"]
    for name, type_name in types.items():
        outer = "list" if type_name[0] == "[" else "object" if type_name in schemas else type_name.rstrip("?")
        kind, shown = table["types"][outer]
        if type_name == "query string":
            continue
        wrong = WRONG.get(kind, WRONG.get(kind.removeprefix("text_"), 7))
        answer = send(quick, platform, way, {name: wrong})
        assert re.search(rf"{re.escape(name)}\b.*{re.escape(shown)}", answer.text), (name, answer.text)
    answer = send(quick, platform, way, {"hologram": 1})
    assert ("hologram" in answer.text) == (schema in table["closed"]), answer.text
    assert [line for line in quick.ledger() if line["caption"] != TARGET] == []


def test_every_schema_of_a_table_is_sent() -> None:
    sent = {(platform, schema) for platform, schema, _ in CASES} | {("pinterest", "PinMediaSource")}
    platforms = {platform for platform, _ in sent}
    assert sent == {(name, schema) for name in platforms for schema in get_requests(name)["schemas"]}


def test_youtubes_rows_are_those_of_googles_discovery_document() -> None:
    path = "discovery_cache/documents/youtube.v3.json"
    document = json.loads(files("googleapiclient").joinpath(path).read_text("utf-8"))
    schemas = get_requests("youtube")["schemas"]

    def name_type(rule: Json) -> str:
        if "items" in rule:
            return f"[{rule['items']['type']}]"
        return str(rule["type"] if "type" in rule else rule["$ref"] if rule["$ref"] in schemas else "object")

    for schema, types in schemas.items():
        if schema in document["schemas"]:
            rules = document["schemas"][schema]["properties"]
            assert {name: name_type(rule) for name, rule in rules.items()} == types, schema
            continue
        resource, _, method = schema.partition(".")
        owner = document["resources"][resource]["methods"][method] if method else document
        found = {
            name: f"query {rule.get('format', rule['type'])}" for name, rule in owner["parameters"].items()
        }
        assert found == types, schema


@pytest.mark.parametrize("platform", ["facebook", "instagram"])
def test_metas_rows_are_those_of_its_sdk(platform: str) -> None:
    for schema, types in get_requests(platform)["schemas"].items():
        owner, _, method = schema.partition(".")
        module = importlib.import_module(f"facebook_business.adobjects.{owner.lower()}")
        source = inspect.getsource(getattr(getattr(module, owner), method)).partition("enums = {")[0]
        known = dict(re.findall(r"'(\w+)': '([^']+)'", source))
        known = {name: re.sub(r"list<(.*)>", r"[\1]", kind) for name, kind in known.items()}
        known |= {name: "string" for name, kind in known.items() if kind.endswith("_enum")}
        known |= {"thumb_offset": "unsigned int"}  # an integer in the reference of ig-user/media
        assert types.items() <= known.items(), schema
