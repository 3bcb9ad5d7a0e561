"""Which URLs are those of uploaded files, and which upload URLs are believed."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from pipeline.media.files.upload_urls import ENDINGS, Addresses, upload_keys

FILE = UUID("01a2106e-0000-7000-8000-000000000000")
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def addresses(public: str = "https://slipway.example.com", keys: str = OLD) -> Addresses:
    return Addresses(public=public, keys=upload_keys(keys))


@pytest.mark.parametrize(
    "url",
    [
        "https://slipway.example.com/files/name.mp4",
        "HTTPS://SLIPWAY.example.com/files/name.mp4",
        "https://slipway.example.com:443/files/name.mp4",
        "https://slipway.example.com./files/name.mp4",
    ],
)
def test_our_own_urls_are_known_however_they_are_spelled(url: str) -> None:
    assert addresses().name_in(url) == "name.mp4"


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.com/files/name.mp4",
        "http://slipway.example.com/files/name.mp4",
        "https://slipway.example.com:8443/files/name.mp4",
        "https://slipway.example.com/filesname.mp4",
        "https://slipway.example.com.evil.example/files/name.mp4",
        "https://u@slipway.example.com/files/name.mp4",
        "https://slipway.example.com/api/partner/v1/files/name.mp4",
        "nonsense",
        "https://[/files/x",
    ],
)
def test_others_are_not(url: str) -> None:
    assert addresses().name_in(url) is None


def test_a_public_url_may_have_a_path_a_port_and_a_bare_address() -> None:
    assert addresses("https://example.com/slipway").name_in("https://example.com/slipway/files/n") == "n"
    assert addresses("https://example.com/slipway").name_in("https://example.com/files/n") is None
    assert addresses("http://127.0.0.1:8000").name_in("http://127.0.0.1:8000/files/n") == "n"
    assert addresses("http://[::1]:8000").name_in("http://[::1]:8000/files/n") == "n"


@pytest.mark.parametrize("kind", ENDINGS)
def test_names_are_long_random_and_end_as_their_type_does(kind: str) -> None:
    one, other = (addresses().new_name(kind) for _ in range(2))
    assert one != other
    assert len(one.partition(".")[0]) == 43  # 256 bits
    assert one.endswith(f".{ENDINGS[kind]}")
    assert addresses().name_in(addresses().url_of(one)) == one


def judge(made: Addresses, query: str, file: UUID = FILE, now: float = 0) -> str:
    from urllib.parse import parse_qs

    given = {name: values[0] for name, values in parse_qs(query).items()}
    return made.judge(file, given["type"], int(given["expires"]), given["signature"], now)


def test_a_signature_holds_until_its_end_and_for_nothing_else() -> None:
    signed = addresses().signed(FILE, "image/png", 100)
    assert judge(addresses(), signed, now=100) == "good"
    assert judge(addresses(), signed, now=101) == "late"
    assert judge(addresses(), signed, file=UUID(int=1)) == "forged"
    assert judge(addresses(), signed.replace("png", "gif")) == "forged"
    assert judge(addresses(), signed.replace("100", "101")) == "forged"
    assert addresses().judge(FILE, "image/png", 100, "", 0) == "forged"
    assert addresses().judge(FILE, "image/png", 100, "ü\ud800", 0) == "forged"


def test_a_new_vault_key_signs_and_the_old_one_is_still_believed() -> None:
    signed = addresses(keys=OLD).signed(FILE, "image/png", 100)
    both = addresses(keys=f"{NEW}, {OLD}")
    assert judge(both, signed) == "good"
    assert judge(addresses(keys=NEW), signed) == "forged"
    assert judge(addresses(keys=NEW), both.signed(FILE, "image/png", 100)) == "good"


def test_the_key_is_not_the_vaults_and_shows_nowhere() -> None:
    made = addresses()
    assert OLD.encode() not in made.keys
    assert repr(made) == repr(replace(made, keys=[]))
