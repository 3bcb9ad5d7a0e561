"""Forbids nearly all system calls to the calling process, permanently; it can still read, write and allocate memory.

Linux on x86-64 and arm64 only. Elsewhere this does nothing, and the process is confined by its other limits alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h: LD|W|ABS, JMP|JEQ|K, RET|K
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_ARCHITECTURES = {
    "x86_64": (0xC000003E, 1),
    "aarch64": (0xC00000B7, 2),
}  # AUDIT_ARCH (linux/audit.h), column below
# The calls that remain allowed, with their numbers on x86-64 and arm64 (syscall_64.tbl, asm-generic/unistd.h).
_ALLOWED: tuple[tuple[str, int, int], ...] = (
    ("read", 0, 63),
    ("write", 1, 64),
    ("close", 3, 57),
    ("fstat", 5, 80),
    ("lseek", 8, 62),
    ("mmap", 9, 222),
    ("mprotect", 10, 226),
    ("munmap", 11, 215),
    ("brk", 12, 214),
    ("rt_sigaction", 13, 134),
    ("rt_sigprocmask", 14, 135),
    ("rt_sigreturn", 15, 139),
    ("mremap", 25, 216),
    ("madvise", 28, 233),
    ("sched_yield", 24, 124),
    ("getpid", 39, 172),
    ("exit", 60, 93),
    ("gettimeofday", 96, 169),
    ("getrusage", 98, 165),
    ("sysinfo", 99, 179),
    ("sigaltstack", 131, 132),
    ("gettid", 186, 178),
    ("futex", 202, 98),
    ("clock_gettime", 228, 113),
    ("exit_group", 231, 94),
    ("getrandom", 318, 278),
)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def no_new_privileges() -> None:
    """Set PR_SET_NO_NEW_PRIVS: no exec can raise privileges (setuid programs). Raises OSError if the kernel refuses."""
    if sys.platform == "linux":
        _prctl(_NO_NEW_PRIVS, 1)


def restrict() -> bool:
    """Make every other system call fail with EPERM. Return False if this platform is not supported."""
    known = _ARCHITECTURES.get(platform.machine()) if sys.platform == "linux" else None
    if known is None:
        return False
    arch, column = known
    steps = _build_filter(arch, [int(row[column]) for row in _ALLOWED])
    code = ctypes.create_string_buffer(steps, len(steps))
    program = _Program(len(steps) // 8, ctypes.cast(code, ctypes.c_void_p))
    _prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program))
    return True


def _build_filter(arch: int, calls: Sequence[int]) -> bytes:
    steps = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for index, call in enumerate(calls):
        steps.append((_JUMP_IF_EQUAL, len(calls) - index, 0, call))
    steps += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _prctl(*arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if libc.prctl(*numbers, *[ctypes.c_ulong(0)] * (5 - len(numbers))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
