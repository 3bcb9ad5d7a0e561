"""Step 1: the platform's word. A real platform gets a line in ``contract.Platform``; an exercise must not change it."""

from __future__ import annotations

from adapters.contract import Platform

MAMMOTH = str.__new__(Platform, "mammoth")
MAMMOTH._name_, MAMMOTH._value_ = "MAMMOTH", "mammoth"
