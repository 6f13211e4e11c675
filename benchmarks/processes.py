"""Processes that are measured from outside: time, processor time, peak memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_POLL_SECONDS = 0.004


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took.

    Attributes:
        seconds: from start to end.
        cpu_seconds: of all its threads.
        peak_bytes: of memory.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def peak_rss(pid: int) -> int:
    """Most memory that a process has had resident, in bytes; 0 if it has none any more."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def reset_peak_rss(pid: int) -> None:
    """Let the peak start again from what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far."""
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


class Others:
    """What processes other than this one and its descendants take of the machine, from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def share(self) -> tuple[float, float]:
        """Their share of all cores, and the seconds that have passed."""
        seconds = time.perf_counter() - self._began
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(others, 0.0) / seconds / (os.cpu_count() or 1), seconds


def _busy_seconds() -> float:
    """Of all cores, what processes and the hypervisor have taken, but not interrupts."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.steal)


def _own_seconds() -> float:
    """Of this process, of those below it, and of those below them that have ended."""
    total = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end.

    The peak is polled: what the kernel tells after the end (`ru_maxrss`) counts this process too,
    from which the command was forked.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, peak_rss(process.pid))
        time.sleep(_POLL_SECONDS)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    with process:
        if process.returncode:
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
            raise RuntimeError(f"{command[0]} failed: {said[-2000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak)
