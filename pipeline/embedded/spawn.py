"""Starts one program so that it ends with its parent and, if the program refuses root, as another user.

Run as a script: ``python -I -S spawn.py PARENT_PID DEATH_SIGNAL USER PROGRAM ARGUMENT…`` (USER ``-``: the same user).
It requests DEATH_SIGNAL from the kernel for the parent's death (Linux only; elsewhere the next start stops processes
that are left), switches to USER and executes PROGRAM under the same process id.

PostgreSQL refuses to run as root. The wheel's own solution creates a system user and opens every folder above the data
to all users. Here the process switches to an existing user without rights (``nobody``) and keeps one capability,
CAP_DAC_OVERRIDE, so that the folders above (``/root``, ``.slipway``) stay private.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

# linux/prctl.h and linux/capability.h
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> None:
    """Execute the program; returns only by exception."""
    parent, death, user, *program = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if user != "-":
        switch_user(libc, user)
    if sys.platform == "linux":
        # After the change of user, which clears it.
        libc.prctl(PR_SET_PDEATHSIG, int(death), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("The parent process has ended.")
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.execv(program[0], program)  # noqa: S606 - the purpose of this file


def switch_user(libc: ctypes.CDLL, user: str) -> None:
    """Switch to `user` permanently, keeping CAP_DAC_OVERRIDE if the kernel allows it."""
    entry = pwd.getpwnam(user)
    linux = sys.platform == "linux"
    if linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if linux:
        kept = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)(
            kept, kept, kept, 0, 0, 0
        )  # effective, permitted, inheritable; then the high words
        if libc.capset(header, sets) == 0:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
