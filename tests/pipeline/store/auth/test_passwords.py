from __future__ import annotations

from argon2 import PasswordHasher, extract_parameters

from pipeline.store.auth.users import (
    _make_decoy,
    generate_password,
    hash_password,
    is_outdated,
    verify_password,
)

PASSWORD = "caf\u00e9 and a long night"


def test_a_password_opens_its_hash_however_the_keyboard_writes_an_accent() -> None:
    stored = hash_password(PASSWORD)
    assert stored != hash_password(PASSWORD), "each hash has a salt of its own"
    assert verify_password(stored, PASSWORD)
    assert verify_password(stored, "cafe\u0301 and a long night")
    assert not verify_password(stored, "cafe and a long night")
    assert not verify_password(stored, "")


def test_without_a_user_the_same_work_is_done_and_nothing_opens() -> None:
    assert not verify_password(None, PASSWORD)
    assert extract_parameters(_make_decoy()) == extract_parameters(hash_password(PASSWORD))


def test_a_hash_with_other_parameters_is_outdated() -> None:
    assert is_outdated(PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("x"))
    assert not is_outdated(hash_password("x"))


def test_generated_passwords_differ_and_are_long() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    assert {len(password) for password in made} == {24}
