"""`seedbed materialise`: what it plans, what it says while it writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from seedbed.errors import DamagedError
from seedbed.files import CHUNK_BYTES, Checkpoint, CheckpointSpec, File, TextLimits
from seedbed.init import Limits
from seedbed.materialise import (
    Done,
    Failure,
    Job,
    Plan,
    Run,
    Tally,
    Wish,
    kind_of,
    on_ray,
    on_this_machine,
    open_target,
    planned,
)

WHOLE, BROKEN, DAMAGED = 0, 1, 3
"""Exit codes; 2 is for whatever is refused before anything is written."""

_LINE_SECONDS = 10.0
_MEASURED_BYTES = 256 << 20
_MEASURED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for.

    Attributes:
        url: of the target.
        wish: how to write.
        ray: whether a cluster writes.
        address: of it; None for the one that Ray finds.
        as_json: lines of JSON on standard output.
        quiet: no progress.
        threads: of this machine.
        limits: of specs.
        texts: of their JSON.
        engine: who draws.
    """

    url: str
    wish: Wish
    ray: bool
    address: str | None
    as_json: bool
    quiet: bool
    threads: int
    limits: Limits
    texts: TextLimits
    engine: str


class _Shown(Protocol):
    """How progress is shown."""

    def at(self, done: int) -> None:
        """So many bytes are made in all."""
        ...

    def done(self, result: Done) -> None:
        """A file is there."""
        ...


class _Lines:
    """A line for each file, and one every ten seconds, for logs.

    Args:
        say: prints a line.
        total: bytes to be made.
        now: seconds of a clock.
    """

    def __init__(
        self, say: Callable[[str], None], total: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._total, self._now = say, total, now
        self._begun = self._last = now()

    def at(self, done: int) -> None:
        """Say bytes, rate and what remains, if it is time to."""
        now = self._now()
        if now - self._last < _LINE_SECONDS:
            return
        self._last = now
        rate = done / (now - self._begun)
        left = f", {(self._total - done) / rate:,.0f} s left" if rate else ""
        self._say(f"{_bytes(done)} of {_bytes(self._total)}, {_bytes(rate)}/s{left}")

    def done(self, result: Done) -> None:
        """Say what became of a file."""
        what = "written" if result.written else "there already"
        digest = f", read back, SHA-256 {result.sha256}" if result.sha256 else ""
        self._say(f"{result.name}: {result.size:,} bytes, {what}{digest}")


class _Json(_Lines):
    """The same as lines of JSON."""

    def at(self, done: int) -> None:
        """Say how far it is, if it is time to."""
        now = self._now()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            self._say(json.dumps({"event": "progress", "bytes": done, "of": self._total}))

    def done(self, result: Done) -> None:
        """Say what became of a file."""
        self._say(json.dumps({"event": "file", **asdict(result)}))


class _Bar:
    """A bar for a terminal."""

    def __init__(self, console: Console, total: int) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(),
            DownloadColumn(binary_units=False), TransferSpeedColumn(), TimeRemainingColumn(),
            console=console,
        )  # fmt: skip
        self._task = self.progress.add_task("", total=total)

    def at(self, done: int) -> None:
        """Move the bar."""
        self.progress.update(self._task, completed=done)

    def done(self, result: Done) -> None:
        """Name the file."""
        self.progress.update(self._task, description=result.name)


def materialise(
    checkpoint: Checkpoint,
    order: Order,
    console: Console,
    say: Callable[[str], None],
) -> int:
    """Write a checkpoint, or what of it is missing.

    Args:
        checkpoint: to be written.
        order: how and where to.
        console: for a bar.
        say: prints a line on standard error.

    Returns:
        The exit code.

    Raises:
        SeedbedError: nothing was written: the target has something else, cannot be reached, ….
    """
    planned(checkpoint, kind_of(order.url))
    out = _standard_output_alone() if order.ray else sys.stdout
    target = open_target(order.url, order.threads)
    run = Run(checkpoint, target, order.wish)
    total = sum(
        file.size for file in run.files() if order.wish.verify or file.name not in run.whole
    )
    tally = Tally()
    if order.ray:
        job = Job(
            _token(checkpoint), order.limits, order.texts, order.engine, order.url, order.wish
        )
        execute = on_ray(order.address, job, tally)
    else:
        execute = on_this_machine(checkpoint, target, order.wish, tally, order.threads)
    for name in run.removed:
        say(f"{name}: of another checkpoint, deleted")
    begun = time.monotonic()
    failures: list[Failure] = []
    done: list[Done] = []
    with (
        _interruptible(),
        _shown(order, total, console, say, out) as shown,
        closing(run.results(execute)) as results,
    ):
        for result in results:
            shown.at(tally.total())
            if result is None:
                continue
            if isinstance(result, Failure):
                failures.append(result)
                say(f"{result.name}: {result.error}")
            else:
                done.append(result)
                shown.done(result)
    return _ended(done, failures, time.monotonic() - begun, order, say, out)


def _ended(
    done: list[Done],
    failures: list[Failure],
    seconds: float,
    order: Order,
    say: Callable[[str], None],
    out: TextIO,
) -> int:
    """Say what it came to, and give the exit code."""
    written = [result for result in done if result.written]
    size = sum(result.size for result in written)
    code = _code(failures)
    if order.as_json:
        print_line(out, json.dumps({
            "event": "end", "whole": not failures, "exit_code": code, "target": order.url,
            "written": len(written), "kept": len(done) - len(written), "bytes_written": size,
            "seconds": round(seconds, 3),
            "failed": [{"name": f.name, "error": str(f.error)} for f in failures],
        }))  # fmt: skip
    elif failures:
        say(
            f"{len(failures):,} files are missing; the same command writes them and no others again"
        )
    elif not order.quiet:
        say(
            f"whole: {len(written):,} files and {_bytes(size)} written in {seconds:,.1f} s, "
            f"{len(done) - len(written):,} files were there"
        )
    return code


def _token(checkpoint: Checkpoint) -> str:
    """The spec as text, which a worker plans anew."""
    spec = checkpoint.spec
    if not isinstance(spec, CheckpointSpec):
        raise TypeError("a checkpoint that was planned elsewhere")
    return spec.token


def _code(failures: list[Failure]) -> int:
    if not failures:
        return WHOLE
    return DAMAGED if all(isinstance(f.error, DamagedError) for f in failures) else BROKEN


def _standard_output_alone() -> TextIO:
    """Standard output, to which nobody else in this process writes any more.

    Ray tells there of nodes that have died; that goes to standard error.
    """
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def print_line(out: TextIO, text: str) -> None:
    """Print a line at once."""
    out.write(f"{text}\n")
    out.flush()


@contextmanager
def _shown(
    order: Order, total: int, console: Console, say: Callable[[str], None], out: TextIO
) -> Iterator[_Shown]:
    if order.as_json:
        yield _Json(partial(print_line, out), total)
    elif order.quiet:
        yield _Lines(lambda _: None, total)
    elif console.is_terminal:
        bar = _Bar(console, total)
        with bar.progress:
            yield bar
    else:
        yield _Lines(say, total)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM end uploads as Ctrl-C does, so that none is left unfinished in the store."""

    def interrupt(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def dry_run(checkpoint: Checkpoint, order: Order, tell: Callable[[str], None]) -> None:
    """Say what writing would come to, without asking the target.

    Args:
        checkpoint: that would be written.
        order: how and where to.
        tell: prints a line on standard output.

    Raises:
        SpecError: the target would not take an object so large.
    """
    store = kind_of(order.url)
    plan = planned(checkpoint, store)
    rate = measured_rate(checkpoint.whole, order.threads)
    seconds = plan.size / rate
    if order.as_json:
        tell(json.dumps({
            "event": "plan", "target": order.url, "tasks": len(plan.files), "bytes": plan.size,
            "parts": plan.parts, "drawing_bytes_per_second": round(rate),
            "drawing_seconds": round(seconds, 1), "files": [asdict(file) for file in plan.files],
        }))  # fmt: skip
        return
    for line in _plan_lines(plan):
        tell(line)
    kind = f", {plan.parts:,} uploads of parts or small files" if store else ""
    tell(f"{len(plan.files):,} tasks, {plan.size:,} bytes{kind}")
    if store is not None:
        tell(
            f"{store.name} takes {store.parts:,} parts of {store.part_bytes >> 30} GiB, and "
            f"objects of {store.object_bytes >> 40} TiB"
        )
    tell(
        f"drawing takes {seconds:,.0f} s at {_bytes(rate)}/s, measured here with SEEDBED_THREADS="
        f"{order.threads}; the store may be slower"
    )


def _plan_lines(plan: Plan, most: int = 20) -> Iterator[str]:
    for file in plan.files[:most]:
        parts = (
            f" in {file.parts:,} parts of {file.part_bytes >> 20} MiB" if file.part_bytes else ""
        )
        yield f"{file.name}: {file.size:,} bytes{parts}"
    if len(plan.files) > most:
        yield f"… {len(plan.files) - most:,} more files"


def measured_rate(file: File, threads: int) -> float:
    """Bytes a second that this machine draws of a file, by a sample from its middle."""
    start = min(file.size // 2, max(file.size - _MEASURED_BYTES, 0))
    begun, drawn = time.perf_counter(), 0
    with ThreadPoolExecutor(threads) as pool:
        while True:
            stop = min(start + threads * CHUNK_BYTES, file.size)
            pieces = [(at, min(at + CHUNK_BYTES, stop)) for at in range(start, stop, CHUNK_BYTES)]
            drawn += sum(map(len, pool.map(lambda piece: file.read(*piece), pieces)))
            start, spent = stop, time.perf_counter() - begun
            if stop >= file.size or spent > _MEASURED_SECONDS:
                return drawn / max(spent, 1e-9)


def _bytes(number: float) -> str:
    """Bytes in decimal units, as disks and stores are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
