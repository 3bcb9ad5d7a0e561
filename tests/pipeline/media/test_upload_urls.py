"""Which URLs are those of uploaded files, and which upload URLs verify."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from pipeline.media.uploads import ENDINGS, UploadUrls, derive_upload_keys

FILE = UUID("01a2106e-0000-7000-8000-000000000000")
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def addresses(public: str = "https://slipway.example.com", keys: str = OLD) -> UploadUrls:
    return UploadUrls(public=public, keys=derive_upload_keys(keys))


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
    assert addresses().parse_name(url) == "name.mp4"


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
    assert addresses().parse_name(url) is None


def test_a_public_url_may_have_a_path_a_port_and_a_bare_address() -> None:
    assert addresses("https://example.com/slipway").parse_name("https://example.com/slipway/files/n") == "n"
    assert addresses("https://example.com/slipway").parse_name("https://example.com/files/n") is None
    assert addresses("http://127.0.0.1:8000").parse_name("http://127.0.0.1:8000/files/n") == "n"
    assert addresses("http://[::1]:8000").parse_name("http://[::1]:8000/files/n") == "n"


@pytest.mark.parametrize("kind", ENDINGS)
def test_names_are_long_random_and_end_as_their_type_does(kind: str) -> None:
    one, other = (addresses().create_name(kind) for _ in range(2))
    assert one != other
    assert len(one.partition(".")[0]) == 43  # 256 bits
    assert one.endswith(f".{ENDINGS[kind]}")
    assert addresses().parse_name(addresses().public_url(one)) == one


def verify(made: UploadUrls, query: str, file: UUID = FILE, now: float = 0) -> str:
    from urllib.parse import parse_qs

    given = {name: values[0] for name, values in parse_qs(query).items()}
    return made.verify(file, given["type"], int(given["expires"]), given["signature"], now)


def test_a_signature_holds_until_its_end_and_for_nothing_else() -> None:
    query = addresses().sign_query(FILE, "image/png", 100)
    assert verify(addresses(), query, now=100) == "good"
    assert verify(addresses(), query, now=101) == "late"
    assert verify(addresses(), query, file=UUID(int=1)) == "forged"
    assert verify(addresses(), query.replace("png", "gif")) == "forged"
    assert verify(addresses(), query.replace("100", "101")) == "forged"
    assert addresses().verify(FILE, "image/png", 100, "", 0) == "forged"
    assert addresses().verify(FILE, "image/png", 100, "ü\ud800", 0) == "forged"


def test_a_new_vault_key_signs_and_the_old_one_is_still_believed() -> None:
    query = addresses(keys=OLD).sign_query(FILE, "image/png", 100)
    both = addresses(keys=f"{NEW}, {OLD}")
    assert verify(both, query) == "good"
    assert verify(addresses(keys=NEW), query) == "forged"
    assert verify(addresses(keys=NEW), both.sign_query(FILE, "image/png", 100)) == "good"


def test_the_key_is_not_the_vaults_and_shows_nowhere() -> None:
    made = addresses()
    assert OLD.encode() not in made.keys
    assert repr(made) == repr(replace(made, keys=[]))
