"""Chaos run (`make chaos`): publish posts while every component fails, and check the sandbox's ledger afterwards."""
