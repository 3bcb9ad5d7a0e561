"""Answers of a real server, recorded by a test: the examples of the OpenAPI document and of the reference.

``tests/pipeline/api/reference/test_recorded_answers.py`` compares them with what the server answers now, and writes
``recorded.json`` again with ``SLIPWAY_RECORD=1``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("recorded.json")


class Recorded(BaseModel):
    """What was recorded in one run, so that the ids in it belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Mapping[str, str]
    """Ids and times of the requests, by the names that ``sample_requests.py`` uses."""
    answers: Mapping[str, Mapping[str, Any]]
    """Bodies of successful responses, and of refusals that only one operation gives, by operation id and status."""
    errors: Mapping[str, Any]
    """Bodies of refusals, by status and error code: ``400 invalid_json``."""


@cache
def read_recorded() -> Recorded:
    """Return what was recorded."""
    return Recorded.model_validate(json.loads(FILE.read_text()))
