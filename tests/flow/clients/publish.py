"""Upload, create, edit, read and publish with the generated Python client: URL KEY FILE ACCOUNT CAPTION."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar, assert_type
from uuid import UUID, uuid4

from slipway_partner_api_client import AuthenticatedClient, Client
from slipway_partner_api_client.api.files import create_file, put_file
from slipway_partner_api_client.api.posts import create_post, get_post, update_post
from slipway_partner_api_client.api.scope import list_accounts
from slipway_partner_api_client.models import (
    AccountListResponse,
    AccountRef,
    BadRequest,
    ContentType,
    CreatedPostResponse,
    DeliveredAs,
    Document,
    ErrorCode,
    Failure,
    FileBody,
    InvalidRequest,
    PatchBody,
    PinterestOptions,
    Post,
    PostBody,
    PostResponse,
    PostStatus,
    PostWarning,
    PrivacyLevel,
    Slideshow,
    State,
    StoredFileResponse,
    Text,
    TikTokOptions,
    UpdatedPostResponse,
    UploadResponse,
    Video,
    WarningCode,
    YouTubeOptions,
)
from slipway_partner_api_client.types import UNSET, File

T = TypeVar("T")


def expect(kind: type[T], found: object) -> T:
    assert isinstance(found, kind), found
    return found


def upload(client: AuthenticatedClient, url: str, file: Path) -> str:
    body = FileBody(content_type=ContentType.VIDEOMP4, filename=file.name)
    made = expect(UploadResponse, create_file.sync(client=client, body=body)).data
    with file.open("rb") as payload:
        stored = put_file.sync(
            made.parameters.file_id,
            client=Client(base_url=url),
            body=File(payload=payload),
            type_=made.parameters.type_,
            expires=made.parameters.expires,
            signature=made.parameters.signature,
        )
    assert expect(StoredFileResponse, stored).data.url == made.url
    return made.url


def create(client: AuthenticatedClient, account: UUID, media: str, caption: str) -> UUID:
    body = PostBody(
        caption=f"{caption}, first version",
        media=Video(type_="video", url=media),
        accounts=[AccountRef(id=account)],
        scheduled_at=datetime.now(UTC) + timedelta(days=1),
        tiktok=TikTokOptions(privacy_level=PrivacyLevel.SELF_ONLY),
    )
    made = expect(CreatedPostResponse, create_post.sync(client=client, body=body)).data
    assert made.status is PostStatus.SCHEDULED
    for warning in made.warnings or []:
        assert_type(warning, PostWarning)
        assert_type(warning.code, WarningCode)
    return made.id


def read(client: AuthenticatedClient, post: UUID) -> Post:
    return expect(PostResponse, get_post.sync(post, client=client)).data


def edit(client: AuthenticatedClient, post: UUID, caption: str) -> None:
    before = read(client, post)
    assert_type(before.media, Document | Slideshow | Text | Video)
    assert_type(before.tiktok, TikTokOptions | None)
    assert_type(before.pinterest, PinterestOptions | None)
    assert_type(before.youtube, YouTubeOptions | None)
    assert expect(TikTokOptions, before.tiktok).privacy_level is PrivacyLevel.SELF_ONLY
    assert expect(Video, before.media).duration_sec is UNSET
    body = PatchBody(caption=caption, tiktok=None)
    assert expect(UpdatedPostResponse, update_post.sync(post, client=client, body=body)).data.id == post
    after = read(client, post)
    assert (after.caption, after.tiktok) == (caption, None)


def publish(client: AuthenticatedClient, post: UUID) -> None:
    expect(UpdatedPostResponse, update_post.sync(post, client=client, body=PatchBody(scheduled_at=None)))
    end = time.monotonic() + 60
    while (found := read(client, post)).status is not PostStatus.POSTED:
        assert time.monotonic() < end, found
        time.sleep(0.2)
    [state] = found.accounts.states
    assert_type(state.state, State)
    assert_type(state.delivered_as, DeliveredAs | None)
    assert (state.state, state.delivered_as) == (State.PUBLISHED, DeliveredAs.POST)


def meet_errors(client: AuthenticatedClient, url: str, media: str) -> None:
    wrong = PostBody(caption="c", media=Video(type_="video", url=media), accounts=[AccountRef(id=uuid4())])
    refused = expect(BadRequest, create_post.sync(client=client, body=wrong))
    assert_type(refused.error_code, ErrorCode)
    assert refused.error_code is ErrorCode.UNKNOWN_ACCOUNTS
    wrong.caption = ""
    invalid = expect(InvalidRequest, create_post.sync(client=client, body=wrong))
    assert [issue.path for issue in invalid.issues] == ["caption"]
    absent = expect(Failure, get_post.sync(uuid4(), client=client))
    assert absent.error_code is ErrorCode.NOT_FOUND
    stranger = AuthenticatedClient(base_url=url, token="not.a-key")
    assert expect(Failure, list_accounts.sync(client=stranger)).error_code is ErrorCode.INVALID_TOKEN


def main(url: str, key: str, file: str, account: str, caption: str) -> None:
    client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
    accounts = expect(AccountListResponse, list_accounts.sync(client=client)).data.accounts
    assert UUID(account) in [known.id for known in accounts]
    media = upload(client, url, Path(file))
    post = create(client, UUID(account), media, caption)
    edit(client, post, caption)
    publish(client, post)
    meet_errors(client, url, media)
    print(post)


if __name__ == "__main__":
    main(*sys.argv[1:])
