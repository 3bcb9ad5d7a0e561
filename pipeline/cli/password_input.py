"""Asks for a new password at a terminal, or generates one. Never from the command line: other users can read it."""

from __future__ import annotations

import sys

import click

SHOWN_ONCE = "This password is shown only once: pass it on now. It is stored as a hash."


def ask_password(login: str, *, generate: bool) -> tuple[str, bool]:
    """Return a new password, and whether it was generated: if *generate*, or without a terminal.

    Raises ClickException for one that breaks a rule.
    """
    from pipeline.domain.user import UnusablePassword, require_password
    from pipeline.store.auth.passwords import generate_password

    if generate or not sys.stdin.isatty():
        return generate_password(), True
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    try:
        return require_password(given, login), False
    except UnusablePassword as error:
        raise click.ClickException(str(error)) from None
