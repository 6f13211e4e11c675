"""What the system knows of a connection, and asyncio does not say."""

from __future__ import annotations

import array
import asyncio
import contextlib
import select
import socket
import struct

try:
    import fcntl
    import termios
except ImportError:  # not POSIX: what the system has not sent yet is then not counted
    fcntl = None  # type: ignore[assignment]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, and for no time."""


def owed_bytes(transport: asyncio.Transport) -> int:
    """Bytes that were to be sent and have not arrived, those in the system's hands included."""
    owed = transport.get_write_buffer_size()
    connection: socket.socket | None = transport.get_extra_info("socket")
    if fcntl is not None and connection is not None:
        unsent = array.array("i", [0])
        with contextlib.suppress(OSError, ValueError):  # closed by now
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unsent)
            owed += unsent[0]
    return owed


def is_reset(transport: asyncio.Transport) -> bool:
    """Whether the other side has answered what was sent by a reset."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None or not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(connection.fileno(), 0)  # errors are told of in any case
    return bool(asked.poll(0))


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other side sees that it has not got all."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
