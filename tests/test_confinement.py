from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import processes

TRIES = {
    "socket": "import socket; socket.socket()",
    "name": "import socket; socket.getaddrinfo('localhost', 80)",
    "program": "import subprocess, sys; subprocess.run([sys.executable, '--version'])",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "shell": "import os; os.system('true')",
    "write": "open(place, 'w')",
    "append": "import os; os.open(place, os.O_APPEND | os.O_WRONLY)",
    "fork": "import os; os.fork()",
}


@pytest.mark.parametrize("name", TRIES)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    """No socket, no program, no file to write, however it is tried; reading goes on."""
    place = tmp_path / "file"
    place.write_text("as it was")
    code = f"""
import subprocess, socket
from seedbed.confinement import confine
from seedbed.errors import SpecError
place = {str(place)!r}
confine()
assert open(place).read() == "as it was"
try:
    {TRIES[name]}
except SpecError as error:
    assert "must not" in str(error)
else:
    raise SystemExit("it was let do that")
"""
    done = processes.run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert place.read_text() == "as it was"


def test_the_kernel_refuses_too() -> None:
    """Compiled code gets no socket either, where the kernel is Linux."""
    code = """
import ctypes, os, sys
library = ctypes.CDLL(None, use_errno=True)
from seedbed.confinement import confine
assert confine() == (sys.platform == "linux")
if sys.platform == "linux":
    assert library.socket(2, 1, 0) == -1 and ctypes.get_errno() == 13
    calls = {"x86_64": (101, 311, 425, 0x40000000 + 41), "aarch64": (117, 271, 425)}
    for call in calls[os.uname().machine]:  # ptrace, process_vm_writev, io_uring; x32's socket
        assert library.syscall(call, 0, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 13, call
    assert library.getpid() == os.getpid()
assert os.read(os.open("/dev/zero", os.O_RDONLY), 1)
"""
    done = processes.run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
