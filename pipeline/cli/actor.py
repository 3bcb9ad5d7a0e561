"""Who types a command, for the audit."""

from __future__ import annotations

import os
import pwd
import socket

from pipeline.domain.audit import Actor


def find_actor() -> Actor:
    """Return the account of this process at this machine; under sudo, named by the account that called it."""
    account = _find_account()
    name = os.environ.get("SUDO_USER") or account
    return Actor(kind="command line", name=name, address=f"{account}@{socket.gethostname()}")


def _find_account() -> str:
    """Return the account's name, or its number where it has none, as in a container."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
