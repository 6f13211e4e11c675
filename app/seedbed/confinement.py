"""What a process gives up before it runs a library on what anybody has sent.

No sockets, no programs and no other process's memory, by the kernel where that is Linux, so that
compiled code is held to it as well; and by Python's own audit hooks everywhere, which also let no
file be opened for writing. What is done here cannot be undone: it is for a process that does one
thing and ends.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Any

from seedbed.errors import SpecError

_REFUSED_EVENTS = frozenset({
    "ctypes.dlopen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
    "shutil.copyfile", "socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo",
    "subprocess.Popen", "urllib.Request", "os.remove", "os.rename", "os.mkdir", "os.rmdir",
})  # fmt: skip

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_ARCHITECTURES = {
    # AUDIT_ARCH_* of linux/audit.h; numbers of socket, execve and execveat; of ptrace and
    # process_vm_writev, which reach into other processes; of io_uring_setup, by which sockets open
    "x86_64": (0xC000003E, (41, 59, 322, 101, 311, 425)),
    "aarch64": (0xC00000B7, (198, 221, 281, 117, 271, 425)),
}

_OTHER_ABI = 0x40000000
"""From here on x86-64 has the same calls again, under numbers of x32."""

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("count", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine() -> bool:
    """Give it up; whether the kernel sees to it too."""
    by_kernel = sys.platform == "linux" and _by_kernel()
    sys.addaudithook(_refuse)
    return by_kernel


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what no building of a model needs.

    Raises:
        SpecError: it was tried.
    """
    if event == "open":
        _, mode, flags = arguments
        writes = set(mode) & set("wax+") if isinstance(mode, str) else flags & _WRITES
        if not writes or arguments[0] == os.devnull:
            return
    elif event not in _REFUSED_EVENTS:
        return
    raise SpecError(
        "to build this, the library would use the network, a program or a file, which it must not "
        f"({event})"
    )


def _by_kernel() -> bool:
    """Have seccomp refuse calls that open sockets, start programs or reach into other processes."""
    architecture, calls = _ARCHITECTURES.get(platform.machine(), (0, ()))
    if not calls:
        return False
    steps = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _REFUSE)]
    steps.append((_LOAD, 0, 0, 0))
    tests = [(_JUMP_IF_AT_LEAST, _OTHER_ABI), *((_JUMP_IF_EQUAL, call) for call in calls)]
    for place, (test, number) in enumerate(tests):
        steps.append((test, len(tests) - place, 0, number))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    text = b"".join(struct.pack("HBBI", *step) for step in steps)
    room = ctypes.create_string_buffer(text)
    program = _Program(len(steps), ctypes.addressof(room))
    control = ctypes.CDLL(None, use_errno=True).prctl
    if control(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return not control(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)
