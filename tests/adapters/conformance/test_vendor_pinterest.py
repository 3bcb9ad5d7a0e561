"""Pinterest's own generated client, run against the Pinterest sandbox: its types check the sandbox's responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
from openapi_generated.pinterest_client import ApiClient, Configuration  # type: ignore[import-untyped]
from openapi_generated.pinterest_client.api.boards_api import BoardsApi  # type: ignore[import-untyped]
from openapi_generated.pinterest_client.api.media_api import MediaApi  # type: ignore[import-untyped]
from openapi_generated.pinterest_client.api.pins_api import PinsApi  # type: ignore[import-untyped]
from openapi_generated.pinterest_client.api.user_account_api import (  # type: ignore[import-untyped]
    UserAccountApi,
)
from openapi_generated.pinterest_client.exceptions import (  # type: ignore[import-untyped]
    NotFoundException,
    UnauthorizedException,
)
from openapi_generated.pinterest_client.model.media_upload_request import (  # type: ignore[import-untyped]
    MediaUploadRequest,
)
from openapi_generated.pinterest_client.model.pin_create import PinCreate  # type: ignore[import-untyped]
from openapi_generated.pinterest_client.model_utils import model_to_dict  # type: ignore[import-untyped]

from adapters.contract import Account
from adapters.pinterest import payload
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import POST_CASES, PostCase

IMAGE, CAROUSEL, VIDEO = (
    next(s for s in POST_CASES if s.name == f"pinterest {kind}, with a link")
    for kind in ("image", "carousel", "video")
)


@pytest.fixture
def account(environment: Environment) -> Account:
    return environment.create_account(IMAGE)


@pytest.fixture
def client(environment: Environment, account: Account) -> Iterator[Any]:
    """The client, with only the API's host changed."""
    where = Configuration(
        host=f"{environment.base}/pinterest/v5",
        access_token=account.credentials.access_token.get_secret_value(),
    )
    with ApiClient(where) as made:
        yield made


def _build_body(
    environment: Environment, post_case: PostCase, account: Account, media_id: str | None = None
) -> Mapping[str, Any]:
    """Return the body that the adapter sends."""
    return payload.build_pin(environment.make_draft(post_case), account.settings["default_board"], media_id)


def _create_pin(client: Any, body: Mapping[str, Any]) -> Any:
    return PinsApi(client).pins_create(PinCreate(**body))


@pytest.mark.parametrize("post_case", [IMAGE, CAROUSEL], ids=["image", "carousel"])
def test_it_sends_what_we_would_send_and_reads_the_answer(
    environment: Environment, account: Account, client: Any, post_case: PostCase
) -> None:
    body = _build_body(environment, post_case, account)
    made = _create_pin(client, body)
    [line] = environment.list_live(account)
    assert (line["remote_id"], line["caption"]) == (made.id, body["description"])
    read = PinsApi(client).pins_get(made.id)
    assert (read.id, read.title, read.link) == (made.id, body["title"], body["link"])
    listed = BoardsApi(client).boards_list_pins(account.settings["default_board"])
    assert [found["id"] for found in listed["items"]] == [made.id]


def test_its_way_of_a_video(environment: Environment, account: Account, client: Any) -> None:
    registered = MediaApi(client).media_create(MediaUploadRequest(media_type="video"))
    fields = model_to_dict(registered.upload_parameters, serialize=True)
    with (environment.folder / "media" / VIDEO.files[0]).open("rb") as file:
        sent = requests.post(registered.upload_url, data=fields, files={"file": file}, timeout=60)
    assert sent.status_code == 204, sent.text
    status = MediaApi(client).media_get(registered.media_id)
    assert (status.media_id, status.status) == (registered.media_id, "succeeded")
    made = _create_pin(client, _build_body(environment, VIDEO, account, registered.media_id))
    [line] = environment.list_live(account)
    assert (line["remote_id"], line["kind"]) == (made.id, "video")


def test_who_it_is_and_which_boards_there_are(account: Account, client: Any) -> None:
    assert UserAccountApi(client).user_account_get().username == account.username
    boards = BoardsApi(client).boards_list()["items"]
    assert account.settings["default_board"] in {board["id"] for board in boards}


def test_it_understands_our_refusals(environment: Environment, account: Account, client: Any) -> None:
    with pytest.raises(NotFoundException) as missing:
        PinsApi(client).pins_get("123456789012345678")
    assert missing.value.status == 404
    body = {"platform": "pinterest", "remote_id": account.remote_id, "state": "revoked"}
    environment.control("POST", "tokens", body)
    with pytest.raises(UnauthorizedException) as revoked:
        _create_pin(client, _build_body(environment, IMAGE, account))
    assert revoked.value.status == 401
