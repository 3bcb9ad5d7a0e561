"""Terms of API keys, and rotation of their secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from pipeline.domain.account import SERVER_DEFAULT
from pipeline.store.auth.keys import (
    Caller,
    OutsideWorkspace,
    Terms,
    create_key,
    find_caller,
    list_keys,
    revoke_key,
    rotate_key,
)
from pipeline.store.database import new_id
from pipeline.store.files import files
from tests.pipeline.store.ledger import Ledger

DAY = timedelta(days=1)


def made(ledger: Ledger, workspace: UUID, **terms: Any) -> str:
    return ledger.do(create_key, workspace, "tests", Terms(**terms))


def find(ledger: Ledger, token: str) -> Caller | None:
    return ledger.do(find_caller, token)


def rotated(ledger: Ledger, token: str, overlap: timedelta = DAY) -> str:
    new = ledger.do(rotate_key, token.partition(".")[0], overlap)
    assert new is not None
    return new


def later(ledger: Ledger, token: str, by: timedelta) -> None:
    """As if so much time had passed since the key was made or rotated."""
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            "UPDATE keys SET expires_at = expires_at - %(by)s, earlier_until = earlier_until - %(by)s"
            " WHERE public_id = %(public)s",
            {"by": by, "public": token.partition(".")[0]},
        )


def test_a_key_is_for_everything_unless_it_was_made_for_less(shared: Ledger) -> None:
    workspace = shared.workspace()
    accounts = [shared.account(workspace), shared.account(workspace)]
    whole = find(shared, made(shared, workspace))
    assert whole is not None
    assert (whole.read_only, whole.accounts, whole.bulk, whole.realm) == (False, None, False, "")
    less = find(shared, made(shared, workspace, read_only=True, accounts=[*accounts, accounts[0]], bulk=True))
    assert less is not None
    assert (less.read_only, less.accounts, less.bulk) == (True, tuple(sorted(accounts)), True)


def test_a_key_without_limits_follows_the_server(shared: Ledger) -> None:
    """A key without limits of its own has no rate where the server sets none."""
    token, workspace = f"slw_live_{new_id().hex}.secret", shared.workspace()
    with shared.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO keys (id, workspace_id, public_id, secret_sha256, name, read_only, accounts, bulk)
               VALUES (%(id)s, %(workspace)s, %(public)s, sha256('secret'), '', false, NULL, false)""",
            {"id": new_id(), "workspace": workspace, "public": token.partition(".")[0]},
        )
    caller = find(shared, token)
    assert caller is not None
    assert caller.limits == SERVER_DEFAULT


def test_keys_that_see_the_same_share_their_external_ids_and_others_do_not(shared: Ledger) -> None:
    workspace = shared.workspace()
    one, two = shared.account(workspace), shared.account(workspace)
    realms = [
        caller.realm
        for accounts in ([one, two], [two, one], [one], [two], None)
        if (caller := find(shared, made(shared, workspace, accounts=accounts)))
    ]
    assert realms[0] == realms[1]
    assert len(set(realms)) == 4


def test_a_bound_key_lists_and_counts_its_own_files_and_others_all(shared: Ledger) -> None:
    workspace = shared.workspace()
    accounts = [shared.account(workspace)]
    whole, mine, twin = [
        find(shared, made(shared, workspace, accounts=bound)) for bound in (None, accounts, accounts)
    ]
    assert whole
    assert mine
    assert twin
    for n, caller in enumerate((whole, mine, twin)):
        _uploaded(shared, caller, f"{workspace}-{n}")

    def listed(caller: Caller) -> tuple[list[str], int]:
        found, total = shared.do(files.list_files, caller, kind=None, limit=10, offset=0)
        return [file.name.removeprefix(f"{workspace}-") for file in found], total

    assert [listed(caller) for caller in (whole, mine, twin)] == [
        (["2", "1", "0"], 3),
        (["1"], 1),
        (["2"], 1),
    ]


def _uploaded(ledger: Ledger, caller: Caller, name: str) -> None:
    with ledger.database.begin() as c:
        files.open_file(
            c,
            workspace=caller.workspace_id,
            key=caller.key_id,
            name=name,
            url=f"https://f.example.com/{name}",
            content_type="image/png",
            filename=None,
        )
        c.exec_driver_sql(
            "UPDATE files SET object = name, size = 1, sha256 = sha256(name::bytea), stored_at = now()"
            " WHERE name = %(name)s",
            {"name": name},
        )


def test_a_key_stops_when_its_time_is_over(shared: Ledger) -> None:
    token = made(shared, shared.workspace(), expires_at=datetime.now(UTC) + DAY)
    assert find(shared, token) is not None
    later(shared, token, DAY)
    assert find(shared, token) is None
    assert shared.do(rotate_key, token.partition(".")[0], DAY) is None


def test_a_key_is_bound_to_accounts_of_its_own_workspace_or_not_made(shared: Ledger) -> None:
    workspace, stranger = shared.workspace(), shared.account(shared.workspace())
    with pytest.raises(OutsideWorkspace, match=str(stranger)):
        made(shared, workspace, accounts=[shared.account(workspace), stranger])
    with pytest.raises(IntegrityError, match="keys_accounts_check"):
        made(shared, workspace, accounts=[])


def test_both_secrets_work_while_they_overlap_and_then_the_new_one(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    old = made(shared, workspace, accounts=[account], read_only=True)
    new = rotated(shared, old)
    before, after = find(shared, old), find(shared, new)
    assert before == after is not None
    assert (after.accounts, after.read_only) == ((account,), True)
    later(shared, old, DAY)
    assert find(shared, old) is None
    assert find(shared, new) is not None


def test_rotated_again_two_secrets_work_never_three(shared: Ledger) -> None:
    first = made(shared, shared.workspace())
    second = rotated(shared, first)
    third = rotated(shared, second)
    assert [find(shared, token) is not None for token in (first, second, third)] == [False, True, True]
    fourth = rotated(shared, third, timedelta(0))
    assert [find(shared, token) is not None for token in (second, third, fourth)] == [False, False, True]


def test_a_revoked_key_has_no_secret_that_works(shared: Ledger) -> None:
    workspace = shared.workspace()
    old = made(shared, workspace)
    new = rotated(shared, old)
    with shared.database.begin() as c:
        assert revoke_key(c, old)
        assert rotate_key(c, new, DAY) is None
        [listed] = list_keys(c, workspace)
    assert find(shared, old) is find(shared, new) is None
    for token in (old, new):
        assert token.partition(".")[2] not in repr(listed)
