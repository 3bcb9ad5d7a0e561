"""The live posts that could be a delivery which a restore left in doubt, as they are stored with its error. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Candidate = Mapping[str, Any]
"""A candidate as it is stored with the error."""
_WORDS = {False: "differs", None: "not shown"}


def split_candidates(error: Mapping[str, Any] | None) -> tuple[list[Candidate], list[Candidate]]:
    """Return the candidates of a stored error: posts that could be the delivery, and posts that differ from it."""
    found: Sequence[Candidate] = (error or {}).get("candidates", ())
    likely = [one for one in found if one.get("likely", True)]
    return likely, [one for one in found if one not in likely]


def describe_candidate(one: Candidate) -> str:
    """Return how a candidate compares with the delivery, in a few words."""
    parts = {name: one.get(f"same_{name}") for name in ("caption", "kind", "media", "time")}
    differences = [f"{name} {_WORDS[same]}" for name, same in parts.items() if same is not True]
    return ", ".join(differences) or "all agrees"
