"""Every sentence by which the server refuses a request has its rule in the document, at the field it is about."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import pytest

from adapters.contract import Platform
from pipeline.api.app import OPERATIONS, create_app
from pipeline.api.openapi.codes import CODES
from pipeline.api.openapi.document import DOCUMENTS, describe
from pipeline.api.openapi.rules import NUMBERS, REPEATS, RULES, find_place
from tests.pipeline.api.openapi.refusal_sentences import Sentence, find_sentences, list_sources
from tests.pipeline.api.openapi.test_document import ELSEWHERE, FOR_PEOPLE

OF_FIELDS = {
    "validation_failed",
    "invalid_payload",
    "create_failed",
    "unknown_accounts",
    "missing_accounts",
    "invalid_music_url",
    "media_unreachable",
    "batch_refused",
}
"""Codes that many rules share, each at its field. Any other code has one rule: its meaning, at each operation."""
WRAPPED = "the sentence of an inner refusal, which is found where it is made"
OF_SCHEMA = "made of the field's schema, where the rule stands as maxLength, minimum, enum or pattern"
OF_PLATFORM = (
    "what a platform answered to a sent post or a login: `ACCOUNT_ERRORS` and the pages of OAuth have it"
)
NO_REQUEST = "a fault of the caller in this code: no request leads there"
CONVERTED = "a warning: the post goes out all the same"
EXCUSES: Mapping[str, str] = {
    # warnings that are made by the same functions
    "{} documents images of {} width:height; this one has {}, which third parties report to be taken. "
    "It is sent as it is.": CONVERTED,
    "YouTube takes no < and > in texts; the {} in youtube.{} become typographic.": CONVERTED,
    "YouTube takes no < and > in texts; the {} in this caption become typographic.": CONVERTED,
    "YouTube takes descriptions of at most {} bytes; this caption has {}.": CONVERTED,
    "YouTube takes tags of at most {} characters in all; the first {} of {} hashtags become tags.": CONVERTED,
    # not said to a client
    "too long": "the template of a custom error, which validation_issue.py writes again from its numbers",
    "Must be one of {names}.": OF_SCHEMA,
    "Must be {}.": OF_SCHEMA,
    "Must be {}, not {}.": OF_SCHEMA,
    "{}: {}": WRAPPED,
    "{}: {}: {}": WRAPPED,
    "{}{}{}": WRAPPED,
}
"""Sentences without a rule of their own, with the reason."""
EXCUSED_EXPRESSIONS: Mapping[str, str] = {
    "adapters/post_options.py:fault": "`_find_host_fault`, whose sentences are literals: see LITERALS",
    "adapters/post_options.py:message": WRAPPED,
    "pipeline/accounts/authorize.py:error.message": OF_PLATFORM,
    "pipeline/api/accounts/posting_times.py:str(error)": WRAPPED,
    "pipeline/api/posts/account_entries.py:conflict.message": WRAPPED,
    "pipeline/imports/cells.py:str(message)": "what the maker of an NDJSON file says of its own row",
    "pipeline/imports/local_time.py:str(error)": WRAPPED,
    "pipeline/api/http/rate_limit.py:limits": "no sentence: the limiter's own refusal takes the limits",
    "pipeline/api/imports/models.py:str(error)": WRAPPED,
    "pipeline/api/posts/field_types.py:str(error)": WRAPPED,
    "pipeline/api/http/validation.py:str(error)": WRAPPED,
    "pipeline/api/posts/schema.py:conflict.message": WRAPPED,
    "pipeline/domain/validation_issue.py:message": OF_SCHEMA,
    "pipeline/imports/apply.py:refusal": WRAPPED,
    "pipeline/imports/apply.py:error": WRAPPED,
    "pipeline/imports/apply.py:result": WRAPPED,
    "pipeline/imports/cells.py:NO_TIME.replace(', or local_time and time_zone', '')": WRAPPED,
    "pipeline/imports/local_time.py:message": "a local time that exists twice: `AmbiguousTime` has the sentence",
    "pipeline/imports/local_time.py:str(self)": WRAPPED,
    "pipeline/imports/read.py:message": WRAPPED,
    "pipeline/imports/upload.py:problem.message": WRAPPED,
    "pipeline/imports/validate.py:str(row.issues[0]['message'])": WRAPPED,
    "pipeline/stages/media_checks.py:url": "the address, whose sentence `_build_refusal` makes",
    "pipeline/stages/media_checks.py:check.url": "the address, whose sentence `_build_refusal` makes",
    "pipeline/stages/post_rules.py:message": WRAPPED,
    "pipeline/stages/post_rules.py:conflict.message": WRAPPED,
    "pipeline/stages/post_rules.py:' '.join((m.sentence for m in refused))": WRAPPED,
    "pipeline/stages/post_rules.py:m.sentence": WRAPPED,
    "pipeline/stages/replay.py:replay": WRAPPED,
    "pipeline/webhooks/webhooks.py:refused.reason": "the policy of URLs, one text for all: `url: {}.` has the rule",
}
"""Messages that are no text in the source, by file and expression, with the reason."""
EXCUSED_PLACES: Mapping[str, str] = {
    "pipeline/accounts/authorize.py:_to_refusal": OF_PLATFORM,
    "pipeline/media/": NO_REQUEST,
    "pipeline/webhooks/notices.py": "of the command line: no request leads there",
    "pipeline/domain/account.py:parse_limit": "of the command line and the page of keys: no request leads there",
    "pipeline/store/schema_version.py": NO_REQUEST,
    "pipeline/stages/derived_images.py": NO_REQUEST,
    "pipeline/api/server/http_protocol.py": "no sentence: the codes of refusals of the protocol",
    "pipeline/actions/post_changes.py:refuse_due": "of an undo in the dashboard; by HTTP it is a receipt's reason",
    "pipeline/stages/posting_times.py:refuse_taken": "of a plan of the dashboard: no field of a request asks for it",
}
"""Places whose sentences no client reads, with the reason."""
Spec = dict[str, Any]


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    """Every sentence that refuses, of which the sources are read for these tests only."""
    return sorted(find_sentences())


@pytest.fixture(scope="module")
def specs() -> list[Spec]:
    app = create_app()
    return [describe(app, document, OPERATIONS) for document in DOCUMENTS]


def is_of_people(code: str) -> bool:
    """Return True for a code of the OAuth pages, which a browser shows to a person."""
    return bool(FOR_PEOPLE.fullmatch(code)) or code in ELSEWHERE or code.startswith("state_")


def find_excuse(sentence: Sentence) -> str | None:
    place = f"{sentence.file}:{sentence.function}"
    named = next((why for start, why in EXCUSED_PLACES.items() if place.startswith(start)), None)
    return (
        named
        or EXCUSES.get(sentence.text)
        or EXCUSED_EXPRESSIONS.get(f"{sentence.file}:{sentence.expression}")
    )


def has_rule(sentence: Sentence) -> bool:
    if any(sentence.text in rule.says for rule in RULES):
        return True
    is_of_code = sentence.code in CODES and sentence.code not in OF_FIELDS
    return is_of_code or is_of_people(sentence.code)


def test_every_sentence_that_refuses_has_a_rule_in_the_document_or_an_excuse(
    sentences: list[Sentence],
) -> None:
    assert len(sentences) > 250
    missing = [one for one in sentences if not has_rule(one) and not find_excuse(one)]
    assert not missing, "\n".join(
        ["Add each to `says` of its rule in pipeline/api/openapi/rules.toml, or of a new one at its field:"]
        + [f"{one.file} {one.function}: {one.text or one.expression}" for one in missing]
    )


def test_no_rule_and_no_excuse_names_what_the_source_does_not_say(sentences: list[Sentence]) -> None:
    texts = {one.text for one in sentences}
    literals = {
        node.value
        for path in list_sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    said = {text for rule in RULES for text in rule.says}
    assert said <= texts | literals, said - texts - literals
    assert set(EXCUSES) <= texts, set(EXCUSES) - texts
    expressions = {f"{one.file}:{one.expression}" for one in sentences if one.expression}
    assert set(EXCUSED_EXPRESSIONS) <= expressions, set(EXCUSED_EXPRESSIONS) - expressions
    places = {f"{one.file}:{one.function}" for one in sentences}
    assert all(any(place.startswith(start) for place in places) for start in EXCUSED_PLACES)


def list_places(specs: list[Spec], place: str) -> list[str]:
    """Return the texts that documents or reference have at a place."""
    kind, _, name = place.partition(":")
    if kind == "error":
        return [CODES[name].cause]
    if kind == "platform":
        return [rule.rule for rule in RULES if place in rule.at] if name in set(Platform) else []
    found = [part for spec in specs if (part := find_place(spec, place)) is not None]
    return [part["description"] for part in found]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.at[0])
def test_each_place_of_a_rule_says_it_and_what_it_refuses(specs: list[Spec], rule: Any) -> None:
    for place in rule.at:
        texts = list_places(specs, place)
        assert len(texts) == 1, place
        assert rule.rule in texts[0], place
        for sentence in rule.says:
            assert share_words(sentence, f"{place} {texts[0]}"), (place, sentence)


def test_a_sentence_of_a_code_with_one_rule_is_about_its_rule(sentences: list[Sentence]) -> None:
    found = [one for one in sentences if one.text and one.code in CODES and one.code not in OF_FIELDS]
    assert found
    astray = [one for one in found if not one.text.startswith("There is no ") and not is_about_its_rule(one)]
    assert not astray, "\n".join(f"{one.code}: {one.text}" for one in astray)


def is_about_its_rule(sentence: Sentence) -> bool:
    advice = CODES[sentence.code]
    about = " ".join((sentence.code.replace("_", " "), advice.meaning, advice.cause, advice.action))
    return any(sentence.text in rule.says for rule in RULES) or share_words(sentence.text, about)


def share_words(sentence: str, text: str) -> bool:
    """Return True if the text has a fifth of the words of the sentence: a rule about something else has none."""
    words = list_stems(sentence)
    return len(words & list_stems(text)) >= len(words) / 5


def list_stems(text: str) -> set[str]:
    return {word.lower()[:4] for word in re.findall(r"[A-Za-z]{3,}", text)} - {"must", "this", "the", "and"}


def test_every_operation_says_how_it_is_repeated(specs: list[Spec]) -> None:
    found = {o["operationId"]: o for spec in specs for item in spec["paths"].values() for o in item.values()}
    assert set(REPEATS) <= set(found)
    for name, operation in found.items():
        assert operation["x-repeat"].endswith("."), name


def test_the_numbers_of_rules_are_those_of_the_code() -> None:
    texts = " ".join(rule.rule for rule in RULES)
    assert all(number in texts for number in NUMBERS.values())
    assert "$" not in texts


def test_no_schema_takes_or_returns_anything(specs: list[Spec]) -> None:
    for spec in specs:
        for name, schema in spec["components"]["schemas"].items():
            for field, part in schema.get("properties", {}).items():
                assert is_typed(part), (name, field)
        for item in spec["paths"].values():
            for operation in item.values():
                for parameter in operation.get("parameters", ()):
                    assert is_typed(parameter["schema"]), (operation["operationId"], parameter["name"])


def is_typed(part: Any) -> bool:
    """Return True if the schema says what it takes, in each of its alternatives and items."""
    kinds = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
    inner = [*part.get("anyOf", ()), *part.get("oneOf", ())] + ([part["items"]] if "items" in part else [])
    return bool(kinds & set(part)) and all(map(is_typed, inner))


def test_alternatives_have_titles(specs: list[Spec]) -> None:
    found = 0
    for spec in specs:
        schemas = spec["components"]["schemas"]
        for name, schema in schemas.items():
            for branch in list_alternatives(schema):
                one = schemas[branch["$ref"].rpartition("/")[2]] if "$ref" in branch else branch
                assert one.get("title"), (name, branch)
                found += 1
    assert found > 5


def list_alternatives(part: Any) -> list[Any]:
    """Return the branches of every oneOf in a schema, however deep."""
    if isinstance(part, list):
        return [branch for item in part for branch in list_alternatives(item)]
    if not isinstance(part, dict):
        return []
    return [*part.get("oneOf", ()), *(b for item in part.values() for b in list_alternatives(item))]
