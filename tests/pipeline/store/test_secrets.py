"""Secrets of the vault, of keys and of accounts are sealed or hashed, and open only for their owner."""

from __future__ import annotations

import hashlib
import traceback
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.contract import Credentials, Platform, RemoteAccount
from pipeline.domain.account import AccountStatus, Plan, Subscription, WorkspaceKind
from pipeline.store.accounts import accounts
from pipeline.store.auth.keys import Caller, create_key, find_caller, list_keys, revoke_key, touch_key
from pipeline.store.auth.workspaces import (
    NoSuchWorkspace,
    create_workspace,
    find_workspace,
    list_workspaces,
    set_plan,
)
from pipeline.store.database import new_id
from pipeline.store.vault import Vault, VaultError, rotate
from tests.actors import TESTER
from tests.pipeline.store.ledger import Ledger, credentials, together

SECRET = {"token": "s3cret-value"}
ME, OTHER = UUID(int=1), UUID(int=2)
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


# --- vault -----------------------------------------------------------------------------------------------------------


def test_a_vault_without_keys_is_refused_or_where_it_is_accepted_its_use_is() -> None:
    with pytest.raises(VaultError, match="SLIPWAY_VAULT__KEYS is empty"):
        Vault(" , ")
    empty, sealed = Vault("", may_be_empty=True), Vault(NEW).seal(SECRET, ME)
    for use in (lambda: empty.seal(SECRET, ME), lambda: empty.open(sealed, ME), lambda: empty.rotate(sealed)):
        with pytest.raises(VaultError, match="works without SLIPWAY_VAULT__KEYS"):
            use()


def test_what_is_sealed_opens_for_its_owner_only() -> None:
    vault = Vault(NEW)
    sealed = vault.seal(SECRET, ME)
    assert vault.open(sealed, ME) == SECRET
    with pytest.raises(VaultError, match="belongs to another row"):
        vault.open(sealed, OTHER)


def test_the_same_value_is_sealed_differently_each_time() -> None:
    vault = Vault(NEW)
    assert vault.seal(SECRET, ME) != vault.seal(SECRET, ME)


def test_an_old_key_opens_until_it_is_thrown_away_and_rotating_moves_to_the_newest() -> None:
    sealed = Vault(OLD).seal(SECRET, ME)
    both = Vault(f"{NEW}, {OLD}")
    assert both.open(sealed, ME) == SECRET
    with pytest.raises(VaultError, match="does not open"):
        Vault(NEW).open(sealed, ME)
    assert Vault(NEW).open(both.rotate(sealed), ME) == SECRET
    assert Vault(NEW).open(both.seal(SECRET, ME), ME) == SECRET
    with pytest.raises(VaultError):
        Vault(NEW).rotate(sealed)


@pytest.mark.parametrize("spoilt", [b"", b"x", b"\xff" * 40])
def test_damage_is_noticed(spoilt: bytes) -> None:
    vault = Vault(NEW)
    sealed = bytearray(vault.seal(SECRET, ME))
    sealed[30] ^= 1
    for bad in (bytes(sealed), spoilt, bytes(sealed[:-5])):
        with pytest.raises(VaultError):
            vault.open(bad, ME)


@pytest.mark.parametrize(
    "keys",
    ["", " , ", "not-a-key", "é", NEW[:-3], f"{NEW},x"],
    ids=["none", "blank", "word", "accent", "cut", "spoilt"],
)
def test_unusable_keys_are_refused_without_saying_them(keys: str) -> None:
    with pytest.raises(VaultError) as caught:
        Vault(keys)
    assert NEW not in "".join(traceback.format_exception(caught.value))


def test_no_secret_is_in_a_repr_or_an_error() -> None:
    vault = Vault(f"{NEW},{OLD}")
    assert NEW not in repr(vault)
    assert "Vault(" in repr(vault)
    sealed = vault.seal(SECRET, ME)
    for owner, opener in ((OTHER, vault), (ME, Vault(Fernet.generate_key().decode()))):
        with pytest.raises(VaultError) as caught:
            opener.open(sealed, owner)
        said = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert "s3cret" not in said
        assert sealed.decode() not in said


def test_every_secret_at_rest_moves_to_the_newest_key(ledger: Ledger, vault_key: str) -> None:
    held = ledger.armed(ledger.fresh())
    newest = Fernet.generate_key().decode()
    for expected in (1, 0):
        counts = {
            c.what: c
            for c in rotate(ledger.database, TESTER, f"{newest},{vault_key}", lambda _: None, batch=1)
        }
        assert [counts[w].sealed_again for w in ("credentials", "checkpoints")] == [expected, expected]
        assert all(not c.unopened for c in counts.values())
    ledger.vault = Vault(newest)
    assert ledger.read_claimed(held.id).checkpoint == {"handle": "first"}
    opened, _, _ = ledger.do(accounts.read_account, Vault(newest), held.account_id)
    assert opened.credentials.access_token.get_secret_value() == "token-1"


# --- keys ------------------------------------------------------------------------------------------------------------


def find(ledger: Ledger, token: str) -> Caller | None:
    return ledger.do(find_caller, token)


def test_only_a_hash_of_a_key_is_kept(shared: Ledger) -> None:
    workspace = shared.workspace()
    with shared.database.begin() as c:
        token = create_key(c, workspace, "mine")
        [kept] = c.exec_driver_sql("SELECT * FROM keys WHERE workspace_id = %(w)s", {"w": workspace}).all()
    public, _, secret = token.partition(".")
    assert kept.public_id == public
    assert bytes(kept.secret_sha256) == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(kept)
    assert len(secret) >= 43, "256 random bits"
    [listed] = shared.do(list_keys, workspace)
    assert secret not in repr(listed)


def test_a_key_speaks_for_its_workspace_until_it_is_revoked(shared: Ledger) -> None:
    with shared.database.begin() as c:
        workspace = create_workspace(
            c, name="P", kind=WorkspaceKind.PERSONAL, plan=Plan.CREATOR, time_zone="Asia/Tokyo"
        )
        token, second = create_key(c, workspace, "a"), create_key(c, workspace, "b")
    caller = find(shared, token)
    assert caller is not None
    assert (caller.workspace_id, caller.kind, caller.plan) == (
        workspace,
        WorkspaceKind.PERSONAL,
        Plan.CREATOR,
    )
    assert caller.owner_user_id is not None
    assert caller.time_zone == "Asia/Tokyo"
    shared.do(set_plan, workspace, Plan.SCHEDULER, Subscription.PAST_DUE)
    changed = find(shared, token)
    assert changed is not None
    assert (changed.plan, changed.subscription) == (Plan.SCHEDULER, Subscription.PAST_DUE)
    with shared.database.begin() as c:
        assert revoke_key(c, token), "the whole token may be given: only its public half is used"
        assert not revoke_key(c, token.partition(".")[0])
    assert find(shared, token) is None
    assert find(shared, second) is not None


def test_anything_else_is_nobody(shared: Ledger) -> None:
    with shared.database.begin() as c:
        token = create_key(c, shared.workspace(), "a")
        other = create_key(c, shared.workspace(), "b")
    public, _, secret = token.partition(".")
    wrong = [
        "",
        ".",
        public,
        public + ".",
        "." + secret,
        f"{public}.{secret}x",
        f"{public}.{secret[:-1]}",
        f"{public}.{other.partition('.')[2]}",
        f"{public} .{secret}",
        f"{public}\0.{secret}",
        f"{public}.\ud800",
        f"{public}.é",
        "x" * 300,
        f"{public}.{'y' * 300}",
        token.upper(),
        "%s.%s",
        "'; --.x",
    ]
    for attempt in wrong:
        assert find(shared, attempt) is None, attempt


def test_the_use_of_a_key_is_noted_once_a_minute(shared: Ledger) -> None:
    workspace = shared.workspace()
    with shared.database.begin() as c:
        caller = find_caller(c, create_key(c, workspace, "a"))
        assert caller is not None
        assert list_keys(c, workspace)[0].last_used_at is None
        touch_key(c, caller.key_id)
        first = list_keys(c, workspace)[0].last_used_at
    with shared.database.begin() as c:
        touch_key(c, caller.key_id)
        assert list_keys(c, workspace)[0].last_used_at == first is not None


# --- workspaces ------------------------------------------------------------------------------------------------------


def test_a_workspace_is_found_by_id_or_by_a_name_only_it_has(shared: Ledger) -> None:
    with shared.database.begin() as c:
        one = create_workspace(c, name="Only one")
        for _ in range(2):
            create_workspace(c, name="Two of them")
        assert find_workspace(c, "Only one").id == find_workspace(c, str(one)).id == one
        with pytest.raises(NoSuchWorkspace, match="Several"):
            find_workspace(c, "Two of them")
        with pytest.raises(NoSuchWorkspace, match="no workspace"):
            find_workspace(c, "nobody")
        with pytest.raises(NoSuchWorkspace):
            set_plan(c, new_id(), Plan.BUSINESS, Subscription.ACTIVE)
        assert one in [w.id for w in list_workspaces(c)]


# --- accounts --------------------------------------------------------------------------------------------------------


def version(ledger: Ledger, account: UUID) -> tuple[str, int, AccountStatus]:
    opened, number, status = ledger.do(accounts.read_account, ledger.vault, account)
    return opened.credentials.access_token.get_secret_value(), number, status


def test_credentials_come_back_whole_and_are_sealed_in_the_row(shared: Ledger) -> None:
    workspace = shared.workspace()
    end = datetime(2027, 1, 1, tzinfo=UTC)
    given = Credentials(
        access_token=SecretStr("acc-1"),
        refresh_token=SecretStr("ref-1"),
        expires_at=end,
        refresh_expires_at=end + timedelta(days=9),
        scopes=("a", "b"),
    )
    with shared.database.begin() as c:
        remote = RemoteAccount(
            connection="creator",
            remote_id="r",
            username="u",
            display_name="d",
            credentials=given,
            settings={"k": 1},
        )
        account = accounts.add_account(c, shared.vault, workspace, Platform.TIKTOK, remote)
        opened, number, status = accounts.read_account(c, shared.vault, account)
        [raw] = c.exec_driver_sql("SELECT * FROM accounts WHERE id = %(id)s", {"id": account}).all()
    assert opened.credentials == given
    assert (number, status) == (1, AccountStatus.ACTIVE)
    assert "acc-1" not in repr(opened)
    assert b"acc-1" not in bytes(raw.credentials)
    assert raw.expires_at == end


def test_a_row_copied_onto_another_account_does_not_open(shared: Ledger) -> None:
    workspace = shared.workspace()
    mine, theirs = shared.account(workspace), shared.account(workspace)
    with shared.database.begin() as c:
        c.exec_driver_sql(
            "UPDATE accounts SET credentials = (SELECT credentials FROM accounts WHERE id = %(a)s) WHERE id = %(b)s",
            {"a": mine, "b": theirs},
        )
        with pytest.raises(VaultError, match="another row"):
            accounts.read_account(c, shared.vault, theirs)
        with pytest.raises(LookupError):
            accounts.read_account(c, shared.vault, new_id())


def test_connecting_again_refreshes_the_account_that_is_there(shared: Ledger) -> None:
    workspace = shared.workspace()

    def connect(token: str, **settings: str) -> UUID:
        with shared.database.begin() as c:
            remote = RemoteAccount(
                connection="oauth",
                remote_id="r",
                username="u",
                display_name="d",
                credentials=credentials(token),
                settings=settings,
            )
            return accounts.add_account(c, shared.vault, workspace, Platform.PINTEREST, remote)

    account = connect("one", board="b", country="JP")
    shared.do(accounts.require_reconnect, account, {"code": "reconnect_required"}, 1)
    assert version(shared, account)[2] is AccountStatus.RECONNECT
    assert connect("two", board="c") == account
    assert version(shared, account) == ("two", 2, AccountStatus.ACTIVE)
    with shared.database.begin() as c:
        [found] = accounts.find_accounts(c, workspace)
        assert (found.settings, found.error) == ({"board": "c", "country": "JP"}, None)
        assert accounts.find_accounts(c, shared.workspace(), [account]) == [], "not of this workspace"
        assert accounts.find_accounts(c, workspace, []) == []


def test_of_sixteen_workers_one_refreshes(shared: Ledger) -> None:
    account = shared.account(shared.workspace())

    def claim(number: int = 1) -> bool:
        return shared.do(accounts.claim_refresh, account, number, timedelta(minutes=1))

    assert sum(together(*[claim] * 16)) == 1
    shared.do(accounts.end_refresh, account)
    assert claim()
    assert shared.do(accounts.store_credentials, shared.vault, account, credentials("two"), 1)
    assert not claim(), "another worker has refreshed this version"
    assert claim(2)


def test_a_slow_refresh_never_overwrites_what_a_person_connected_meanwhile(shared: Ledger) -> None:
    account = shared.account(shared.workspace())
    with shared.database.begin() as c:
        assert accounts.claim_refresh(c, account, 1, timedelta(minutes=1))
        assert accounts.store_credentials(c, shared.vault, account, credentials("by hand"))
    with shared.database.begin() as c:
        assert not accounts.store_credentials(c, shared.vault, account, credentials("slow"), 1)
        accounts.require_reconnect(c, account, {"code": "reconnect_required"}, 1)
    assert version(shared, account) == ("by hand", 2, AccountStatus.ACTIVE)
