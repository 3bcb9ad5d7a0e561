"""Step 1: a member of ``contract.Platform``; a real platform is a line there, which an exercise must not add."""

from __future__ import annotations

from adapters.contract import Platform

MAMMOTH = str.__new__(Platform, "mammoth")
MAMMOTH._name_, MAMMOTH._value_ = "MAMMOTH", "mammoth"
