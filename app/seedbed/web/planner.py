"""A process that plans for the service, and can be killed.

Run as a module, with a socket's number, and the name of a module whose `prepare` loads what its
jobs need if that is more than plans do.

It imports what planning needs, once, and then forks a child for each job, which takes a few
milliseconds and leaves nothing behind. A job comes with a socket of its own. Its child has so much
memory, so many CPU seconds and so much time, which the system itself watches over; and it ends when
the other side of its socket is closed, since nobody waits for the answer any more. This process
ends when the service does, however that ends: then its own socket is at its end.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from seedbed.errors import SeedbedError

_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)

HEAD = struct.Struct("<cQ")
"""Before each message: its kind, and its length in bytes."""

BEGUN, PART, DONE, REFUSED, OUT_OF_MEMORY, FAILED = b"b", b"p", b"d", b"r", b"m", b"f"
"""Kinds of messages: the job is begun; a part of the answer; that was all; a pickled error of the
request; no memory left; the text of a failure."""

_GRACE_SECONDS = 5.0

_LONG_SECONDS = 1.0
_NICER = 5
"""A job that has had the processor for so long goes on more slowly than those who draw."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done, and what it may take.

    Attributes:
        function: gives the answer in parts.
        arguments: of that.
        memory_bytes: of data, beside what this process has anyway.
        cpu_seconds: of processor.
        seconds: by the clock.
    """

    function: Callable[..., Iterator[bytes]]
    arguments: tuple[Any, ...]
    memory_bytes: int
    cpu_seconds: int
    seconds: float


def main(control: socket.socket, module: str = "") -> None:
    """Fork a child for each pair of sockets that comes over this one, until it ends.

    A child works over the first. Over the second whoever waits is told how the child ended: in one
    byte, the number of the signal that ended it, or 0.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the service
    wake, woken = socket.socketpair()
    wake.settimeout(0)
    woken.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    _preload(module)
    endings: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_endings(endings)
        if control not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not message:
            return
        if len(descriptors) == 2:
            with contextlib.suppress(OSError):  # no room for a child: whoever waits sees the end
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (*endings.values(), descriptors[1]):
                        os.close(descriptor)
                    for other in (control, wake, woken):
                        other.close()
                    _be_child(socket.socket(fileno=descriptors[0]))
                endings[pid] = descriptors.pop()
        for descriptor in descriptors:
            os.close(descriptor)


def _tell_endings(endings: dict[int, int]) -> None:
    """Say of each child that has ended how it did, and forget it."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            descriptor = endings.pop(pid)
            with contextlib.suppress(OSError):  # nobody waits
                os.write(descriptor, bytes([os.WTERMSIG(status)]))
            os.close(descriptor)


def _preload(module: str) -> None:
    """Have everything in memory that a job needs, to be shared by all children."""
    from seedbed.models import catalogue_types, presets  # noqa: PLC0415
    from seedbed.web import jobs  # noqa: F401, PLC0415

    if module:
        importlib.import_module(module).prepare()
    else:
        presets()
        catalogue_types()
    gc.collect()
    gc.freeze()  # else looking for garbage would copy every page


def _be_child(connection: socket.socket) -> None:
    """Do the one job that comes over a socket, and end."""
    code = 1
    gc.disable()  # it ends after one job, and looking for garbage takes a third of planning's time
    try:
        send(connection, BEGUN)
        (job,) = (pickle.loads(part) for _, part in _read(connection))  # noqa: S301  # from our own service
        _limit(job)
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        _do(job, connection)
        code = 0
    except OSError:  # nobody listens
        pass
    finally:
        os._exit(code)


def _do(job: Job, connection: socket.socket) -> None:
    try:
        for part in job.function(*job.arguments):
            send(connection, PART, part)
    except SeedbedError as error:
        send(connection, REFUSED, pickle.dumps(error, 5))
    except MemoryError:
        send(connection, OUT_OF_MEMORY)
    except OSError:
        raise
    except Exception:  # noqa: BLE001  # which the service logs
        send(connection, FAILED, traceback.format_exc().encode())
    else:
        send(connection, DONE)


def _limit(job: Job) -> None:
    """Have the system end this process when it takes more than it may."""
    data = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    room = _data_bytes() + job.memory_bytes
    with contextlib.suppress(ValueError, OSError):  # a lower limit is set already
        resource.setrlimit(data, (room, room))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_seconds, job.cpu_seconds + 1))  # SIGXCPU
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # By SIGALRM, if nobody has ended it before.
    signal.setitimer(signal.ITIMER_REAL, job.seconds + _GRACE_SECONDS)


def _data_bytes() -> int:
    """Memory that this process has for data, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123
            kilobytes = next(line for line in lines if line.startswith("VmData"))
        return int(kilobytes.split()[1]) << 10
    except (OSError, StopIteration):
        return 1 << 28


def _end_with(connection: socket.socket) -> None:
    """End this process when the other side has closed its socket; and have it be patient."""
    with contextlib.suppress(OSError):
        while not select.select([connection], [], [], _LONG_SECONDS)[0]:
            if time.process_time() > _LONG_SECONDS:
                os.setpriority(os.PRIO_PROCESS, os.getpid(), _NICENESS + _NICER)
    os._exit(1)


def send(connection: socket.socket, kind: bytes, message: bytes = b"") -> None:
    """Send a message."""
    connection.sendall(HEAD.pack(kind, len(message)) + message)


def _read(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """The next message, if there is one."""
    head = _exactly(connection, HEAD.size)
    kind, size = HEAD.unpack(head)
    yield kind, _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    room = bytearray(size)
    view = memoryview(room)
    while view:
        if not (count := connection.recv_into(view)):
            raise ConnectionError("the service has gone")
        view = view[count:]
    return bytes(room)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:])
