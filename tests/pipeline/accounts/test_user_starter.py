"""A sign-in that a user of the dashboard began: the person sees who, and a disabled user's is refused."""

from __future__ import annotations

import os
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.accounts.authorize import finish_authorization
from pipeline.api.accounts.oauth_pages import render_confirmation
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.oauth_sessions import UserStarter
from pipeline.store.auth.users import create_user, set_disabled
from tests.pipeline.accounts.consent_page import OAuthWorkspace, confirm_all

TIKTOK = Platform.TIKTOK


@pytest.fixture
def user(home: OAuthWorkspace) -> tuple[UUID, str]:
    login = f"ann-{os.urandom(4).hex()}"
    with home.stack.context.database.begin() as c:
        return create_user(c, login, "x"), login


def test_the_person_sees_which_user_began_it(home: OAuthWorkspace, user: tuple[UUID, str]) -> None:
    identity, login = user
    ann = home.add_person("tiktok")
    opened = home.start(TIKTOK, UserStarter(identity))
    pending = finish_authorization(home.stack.context, TIKTOK, opened.state, home.create_code("tiktok", ann))
    assert (pending.origin.user, pending.origin.key) == (login, None)
    page = bytes(render_confirmation("tiktok", pending, "choice", is_begun_here=False).body).decode()
    assert f"not begun in this browser but by <bdi>{login}</bdi>, a user of the dashboard" in page
    assert "command line" not in page
    assert [one.username for one in confirm_all(home.stack, TIKTOK, pending)] == [ann]


def test_a_user_who_is_disabled_meanwhile_connects_nothing(
    home: OAuthWorkspace, user: tuple[UUID, str]
) -> None:
    identity, login = user
    ann = home.add_person("tiktok")
    opened, other = (home.start(TIKTOK, UserStarter(identity)) for _ in range(2))
    with home.stack.context.database.begin() as c:
        set_disabled(c, identity, disabled=True)
    with pytest.raises(Refusal, match="or the user disabled") as refused:
        finish_authorization(home.stack.context, TIKTOK, opened.state, home.create_code("tiktok", ann))
    assert refused.value.status == 403
    home.sql("UPDATE grants SET expires_at = now() WHERE workspace_id = :w RETURNING id", w=home.workspace)
    with pytest.raises(Refusal, match=f"or ask {login} for a new link"):
        finish_authorization(home.stack.context, TIKTOK, other.state, home.create_code("tiktok", ann))
    assert home.accounts() == []
