"""Work on specs that is not surely short, in processes that can be killed.

A parser holds Python's lock for as long as it parses, and a plan of many tensors takes seconds and
hundreds of megabytes. So whoever sends such a spec has it planned by a process of its own, within
so much memory and time, while the service goes on; and only for as long as the client is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import structlog

from seedbed.errors import REVIVERS, BusyError, EngineError, LimitError, SeedbedError
from seedbed.memory import Claim, MemoryBudget
from seedbed.web import planner
from seedbed.web.planner import Job

_SMALL_BYTES = 96 << 20
"""Memory that a job may take at first: enough for most. One that needs more begins again."""

_LARGE_BODY_BYTES = 1 << 20
"""Arguments beyond this size need more than that."""

_START_SECONDS = 180.0
"""For a process to be there: it imports for a second, a library of models for ten, on a busy
machine for several times as long."""

_PAUSE_SECONDS = 0.1
"""Before a template that has died is replaced; twice as long each time in a row."""

_PAUSE_MOST_SECONDS = 10.0

log = structlog.get_logger("seedbed.planning")


class _Ended(Exception):
    """A process has ended without an answer."""


class Template:
    """The process that has imported everything, and forks one for each job.

    Args:
        module: that loads what its jobs need, if that is more than plans do.
        environment: variables of it beside our own.
        idle_seconds: after how long without a job it ends; 0 is never.
    """

    def __init__(
        self,
        module: str = "",
        environment: Mapping[str, str] | None = None,
        idle_seconds: float = 0,
    ) -> None:
        self._module = [module] if module else []
        self._environment = environment or {}
        self._idle_seconds = idle_seconds
        self._idle: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._failures = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Have it running, unless it has died a moment ago.

        Raises:
            _Ended: it has.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            now = time.monotonic()
            if self._process is not None:
                log.warning("the planner has ended", code=self._process.returncode)
                self._forget()
                self._failures += 1
                pause = min(_PAUSE_SECONDS * 2**self._failures, _PAUSE_MOST_SECONDS)
                self._not_before = now + pause
            if now < self._not_before:
                raise _Ended
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603
                    [
                        sys.executable,
                        "-m",
                        "seedbed.web.planner",
                        str(theirs.fileno()),
                        *self._module,
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={
                        **os.environ,
                        "OPENBLAS_NUM_THREADS": "1",
                        "MALLOC_ARENA_MAX": "1",
                        **self._environment,
                    },
                )

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A socket to a new process that waits for a job, and one that tells how it has ended.

        Raises:
            _Ended: there is none to be had now.
        """
        self.start()
        connection, theirs = socket.socketpair()
        ending, told = socket.socketpair()
        with theirs, told:
            try:
                assert self._control is not None  # noqa: S101  # it has been started
                socket.send_fds(self._control, [b"j"], [theirs.fileno(), told.fileno()])
            except OSError:
                connection.close()
                ending.close()
                raise _Ended from None
        connection.settimeout(0)
        ending.settimeout(0)
        return connection, ending

    def works(self) -> None:
        """Told that a job was begun: the process is sound."""
        self._failures = 0

    def rests(self) -> None:
        """Told that there is no job now: if none comes for a while, it ends."""
        if self._idle_seconds:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_seconds, self.close)

    def wakes(self) -> None:
        """Told that there is a job."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def close(self) -> None:
        """End it, and all that it has forked."""
        self.wakes()
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()  # it only waits; its children look after themselves
            self._process.wait()
        self._process = self._control = None


class Planners:
    """Runs jobs in processes of their own; one for the service.

    Args:
        slots: jobs at the same time. One client has at most all but one of them.
        queue: jobs that may wait.
        patience_seconds: how long one may wait.
        memory_bytes: of one job, at most.
        cpu_seconds: of one job.
        retry_seconds: what a refused client is told.
        memory: the budget from which a job's memory is taken.
        clock: seconds by the clock that a job has for each of processor, which others need too.
        template: that forks the processes.
        work: what they do, and the beginning of the names of the settings that limit it.
    """

    def __init__(
        self,
        *,
        slots: int,
        queue: int,
        patience_seconds: float,
        memory_bytes: int,
        cpu_seconds: int,
        retry_seconds: int,
        memory: MemoryBudget,
        clock: int = 3,
        template: Template | None = None,
        work: tuple[str, str] = ("plan", "planner"),
    ) -> None:
        self.template = template or Template()
        self._work, self._limit = work
        doing = "planning {} large specs" if self._limit == "planner" else "recording {} configs"
        self._turns = Turns(slots, queue, patience_seconds, retry_seconds, doing)
        self._memory_bytes = memory_bytes
        self._cpu_seconds = cpu_seconds
        self._retry_seconds = retry_seconds
        self._memory = memory
        self._seconds = clock * cpu_seconds

    @property
    def active(self) -> int:
        """Jobs that are running."""
        return self._turns.active

    def close(self) -> None:
        """End all processes."""
        self.template.close()

    async def run(
        self, client: str, function: Callable[..., Iterator[bytes]], *arguments: Any
    ) -> AsyncGenerator[bytes]:
        """What a function answers, part by part.

        To leave, or to be cancelled, ends the process.

        Args:
            client: who wants it, so that nobody takes all turns.
            function: of `jobs`.
            arguments: of that.

        Raises:
            SeedbedError: what the function raised.
            LimitError: it takes more memory or time than it may.
            BusyError: nobody is free, or there is no room.
            EngineError: it failed.
        """
        size = sum(len(text) for text in _texts(arguments))
        rooms = [self._memory_bytes]
        is_plan = self._limit == "planner"
        if is_plan and size <= _LARGE_BODY_BYTES and self._memory_bytes > _SMALL_BYTES:
            rooms.insert(0, _SMALL_BYTES)
        async with self._turns.turn(client), self._awake():
            for room in rooms:
                job = Job(function, arguments, room, self._cpu_seconds, self._seconds)
                claim = Claim(self._memory, room, "planning")
                begun = False
                try:
                    async with contextlib.aclosing(self._attempt(job)) as parts:
                        async for part in parts:
                            begun = True
                            yield part
                except MemoryError:
                    if begun or room == rooms[-1]:
                        raise LimitError(
                            f"{self._limit}_bytes", room + 1, room,
                            f"bytes to {self._work} this, or more,",
                        ) from None  # fmt: skip
                else:
                    return
                finally:
                    claim.end()

    @contextlib.asynccontextmanager
    async def _awake(self) -> AsyncIterator[None]:
        self.template.wakes()
        try:
            yield
        finally:
            if self.active <= 1:  # this one, whose turn ends now
                self.template.rests()

    async def _attempt(self, job: Job) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            connection, ending = await self._connect()
        except (_Ended, TimeoutError):
            raise BusyError(
                f"no process is there to {self._work} this; try again in {self._retry_seconds} "
                "seconds",
                self._retry_seconds,
            ) from None
        with connection, ending:
            try:
                async with asyncio.timeout(job.seconds):
                    message = pickle.dumps(job, 5)
                    head = planner.HEAD.pack(planner.PART, len(message))
                    await loop.sock_sendall(connection, head + message)
                    del message
                    while True:
                        kind, content = await _receive(connection)
                        if kind == planner.DONE:
                            return
                        if kind == planner.PART:
                            yield content
                            del content
                            continue
                        self._refuse(kind, content)
            except TimeoutError:
                raise BusyError(
                    f"to {self._work} this takes longer than {job.seconds:g} seconds on a machine "
                    f"as busy as this one is now; try again in {self._retry_seconds} seconds",
                    self._retry_seconds,
                ) from None
            except _Ended:
                if await _signal_of(ending) == signal.SIGXCPU:
                    raise LimitError(
                        f"{self._limit}_seconds",
                        job.cpu_seconds + 1,
                        job.cpu_seconds,
                        f"seconds of processor to {self._work} this, or more,",
                    ) from None
                raise MemoryError from None  # the parser's library ends the process then

    async def _connect(self) -> tuple[socket.socket, socket.socket]:
        """Connections to a process that has said that it is there, and to who tells of its end."""
        connection, ending = await asyncio.to_thread(self.template.connect)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _receive(connection)
        except BaseException:
            connection.close()
            ending.close()
            raise
        self.template.works()
        return connection, ending

    @staticmethod
    def _refuse(kind: bytes, content: bytes) -> None:
        if kind == planner.REFUSED:
            try:
                error = _Refusal(io.BytesIO(content)).load()
            except (pickle.UnpicklingError, EOFError, IndexError) as unsound:
                raise EngineError(f"planning failed: {unsound}") from unsound
            raise error
        if kind == planner.OUT_OF_MEMORY:
            raise MemoryError
        raise EngineError(f"planning failed:\n{content.decode('utf-8', 'replace')}")


class _Refusal(pickle.Unpickler):
    """Reads an error, and nothing else: a process that was taken over takes over no other."""

    def find_class(self, module: str, name: str) -> Any:
        """An error of ours, or what one holds.

        Raises:
            UnpicklingError: it is something else.
        """
        if module.startswith("seedbed.") and name.isidentifier():
            kind = getattr(importlib.import_module(module), name, None)
            if kind in REVIVERS or (isinstance(kind, type) and issubclass(kind, SeedbedError)):
                return kind
        raise pickle.UnpicklingError(f"{module}.{name} is no error")


class Turns:
    """Who may run a job: so many at the same time, no client all of them, first come first served.

    Args:
        slots: jobs at the same time.
        queue: jobs that may wait.
        patience_seconds: how long one may wait.
        retry_seconds: what a refused client is told.
        work: what they are about.
    """

    def __init__(
        self,
        slots: int,
        queue: int,
        patience_seconds: float,
        retry_seconds: int,
        work: str = "planning {} large specs",
    ) -> None:
        self._work = work
        self._slots = slots
        self._queue = queue
        self._patience_seconds = patience_seconds
        self._retry_seconds = retry_seconds
        self._running: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    @property
    def active(self) -> int:
        """Jobs that have their turn."""
        return self._running.total()

    @contextlib.asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Have a turn, after waiting for it if need be.

        Raises:
            BusyError: too many wait, or it takes too long.
        """
        if self._may(client) and not any(self._may(other) for other, _ in self._waiting):
            self._running[client] += 1
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._end(client)

    async def _wait(self, client: str) -> None:
        if len(self._waiting) >= self._queue:
            raise self._refusal(f"{len(self._waiting)} wait for that already")
        mine = client, asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            async with asyncio.timeout(self._patience_seconds):
                await mine[1]
        except BaseException as error:
            if mine in self._waiting:
                self._waiting.remove(mine)
            elif mine[1].done() and not mine[1].cancelled():
                self._end(client)  # the turn came at the same moment
            if isinstance(error, TimeoutError):
                said = f"none of them ended within {self._patience_seconds:g} seconds"
                raise self._refusal(said) from error
            raise

    def _may(self, client: str) -> bool:
        mine = max(self._slots - 1, 1)
        return self.active < self._slots and self._running[client] < mine

    def _end(self, client: str) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        for waiter in tuple(self._waiting):
            other, future = waiter
            if future.done():  # cancelled a moment ago
                self._waiting.remove(waiter)
            elif self._may(other):
                self._waiting.remove(waiter)
                self._running[other] += 1
                future.set_result(None)

    def _refusal(self, why: str) -> BusyError:
        return BusyError(
            f"the service is {self._work.format(self.active)}, and {why}; try again in "
            f"{self._retry_seconds} seconds",
            self._retry_seconds,
        )


def _texts(arguments: Any) -> Iterator[bytes]:
    """The texts among the arguments of a job."""
    for argument in arguments:
        text = getattr(argument, "text", argument)
        if isinstance(text, bytes):
            yield text


async def _signal_of(ending: socket.socket) -> int:
    """The signal that ended a process; 0 if there was none, or nobody tells."""
    with contextlib.suppress(_Ended, TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            return (await _exactly(ending, 1))[0]
    return 0


async def _receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """The next message of a process.

    Raises:
        _Ended: there is none.
    """
    head = await _exactly(connection, planner.HEAD.size)
    kind, size = planner.HEAD.unpack(head)
    return kind, bytes(await _exactly(connection, size)) if size else b""


async def _exactly(connection: socket.socket, size: int) -> bytearray:
    loop = asyncio.get_running_loop()
    room = bytearray(size)
    at = 0
    with memoryview(room) as view:
        while at < size:
            try:
                count = await loop.sock_recv_into(connection, view[at : at + (1 << 18)])
            except OSError:
                raise _Ended from None
            if not count:
                raise _Ended
            at += count
    return room
