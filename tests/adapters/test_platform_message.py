"""A platform's own sentence: what is kept of it, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.platform_message import MOST, REDACTED, clean_message, compose_message, find_secrets

PLAIN = [
    "We blocked this link because it may lead to spam.",
    "(#368) The action attempted has been deemed abusive; see https://www.facebook.com/help/1234567890",
    "Content is a duplicate of urn:li:share:7212345678901234567",
    "ERROR :: /author :: urn:li:image:C4E10AQFoyyAjHPMQuQ is not owned by urn:li:organization:5515715",
    "Media upload has failed with error code 2207026",
    "Invalid token: it has expired. Use a video of 540 x 960, e.g. my-holiday-video-2026-final-cut-v2.mp4",
    "Die Überschrift ist zu lang: höchstens 100 Zeichen (gefunden: 120) 🙂",
]
SECRET_SENTENCES = {
    "EAAGm0PX4ZCpsBAKZBQ8w9": "Malformed access token EAAGm0PX4ZCpsBAKZBQ8w9",
    "act.exampletoken12345": "access_token act.exampletoken12345 is invalid",
    "ya29.a0AfH6SMBx": "Invalid credentials: ya29.a0AfH6SMBx",
    "pina_AMAX4567SECRET": "Authentication failed for pina_AMAX4567SECRET",
    "0dcaabb2b5c1f86b47a5": 'bad request: {"client_secret": "0dcaabb2b5c1f86b47a5"}',
    "s3cr3t-value-9": "Authorization: Bearer s3cr3t-value-9 was refused",
    "AKIA5XAMPLE": "Could not fetch https://bucket.s3.amazonaws.com/v.mp4?X-Amz-Credential=AKIA5XAMPLE&X-Amz-Signature=ab",
    "hunter2": "Could not fetch https://ann:hunter2@files.example.com/v.mp4",
    "Xza123": "upload to https://open-upload.tiktokapis.com/video/?upload_id=67890&upload_token=Xza123 failed",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b": "signature 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b does not match",
    "AQXNnd2kXITHELmWblJigbHEuoFdfRhOwGA0QNnumBI8X": "token AQXNnd2kXITHELmWblJigbHEuoFdfRhOwGA0QNnumBI8X revoked",
}


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_sentence_is_kept_as_it_is(text: str) -> None:
    assert clean_message(text) == text


@pytest.mark.parametrize(("secret", "text"), SECRET_SENTENCES.items())
def test_what_looks_like_a_secret_is_redacted(secret: str, text: str) -> None:
    found = clean_message(text)
    assert found is not None
    assert secret not in found
    assert REDACTED in found


def test_the_secrets_that_were_sent_are_redacted_whatever_they_look_like() -> None:
    headers = {"Authorization": "Bearer swordfish", "Content-Type": "application/json"}
    sent = find_secrets(headers, {"client_secret": "opensesame", "q": "author"}, None, {"app_secret": "a"})
    assert sent == ("swordfish", "opensesame")
    assert clean_message("got opensesame, author, swordfish", sent) == f"got {REDACTED}, author, {REDACTED}"


def test_control_characters_and_line_breaks_go() -> None:
    hostile = "one\x00\x1b[31m\r\ntwo\u202e\u200b three\ud800 \u2028four"
    found = clean_message(hostile)
    assert found == "one[31m two three four"
    json.dumps(found).encode()


def test_it_is_cut_to_three_hundred_characters_after_the_redaction() -> None:
    token = "EAA" + "x9Z" * 60
    found = clean_message("a" * 280 + f" {token} " + "word " * 2000)
    assert found is not None
    assert len(found) <= MOST
    assert "EAA" not in found
    assert found.endswith("…")


@pytest.mark.parametrize("nothing", [None, "", "  \n", "\x00\u200b"])
def test_no_sentence_is_none(nothing: str | None) -> None:
    assert clean_message(nothing) is None


@given(
    st.integers(0, MOST),
    st.text(max_size=20),
    st.text(alphabet="abcXYZ0189_-.", min_size=6, max_size=60),
    st.text(max_size=20),
)
def test_a_secret_that_was_sent_never_remains(filler: int, before: str, secret: str, after: str) -> None:
    """Wherever it stands, also where the sentence is cut."""
    found = clean_message(f"{'~' * filler}{before} {secret} {after}", [secret])
    assert found is None or (secret not in found.replace(REDACTED, "") and len(found) <= MOST)


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("Link blocked", "We blocked it.", "Link blocked: We blocked it."),
        ("We blocked it", "We blocked it.", "We blocked it."),
        (None, "We blocked it.", "We blocked it."),
        ("Link blocked", "", "Link blocked"),
        (None, None, None),
    ],
)
def test_a_title_stands_before_the_sentence(title: Any, text: Any, expected: str | None) -> None:
    assert compose_message(title, text) == expected
