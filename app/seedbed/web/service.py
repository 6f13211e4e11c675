"""What the endpoints share: settings, the engine, remembered plans, and the sender of bytes."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import fields, replace
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from seedbed.compare import CompareRequest, Comparison
from seedbed.errors import (
    EngineError,
    NotRecordedError,
    SpecError,
    TokenError,
    UnstudiedError,
    said,
)
from seedbed.files import (
    FILE_NAME,
    Checkpoint,
    CheckpointSpec,
    File,
    Packed,
    SpecIdentity,
    VirtualFile,
    is_short,
    json_of_token,
    seed_of,
    spec_of_one,
)
from seedbed.init import MatrixCache, TensorPlan
from seedbed.memory import Claim, MemoryBudget
from seedbed.models import presets
from seedbed.registry import Registry, RegistryLimits
from seedbed.stream import get_engine
from seedbed.web import jobs
from seedbed.web.admission import Admission
from seedbed.web.bodies import Body, read_body
from seedbed.web.clients import client_of
from seedbed.web.commits import Commits
from seedbed.web.comparisons import Comparisons
from seedbed.web.digests import Digests
from seedbed.web.jobs import LinkLimits, Source
from seedbed.web.observability import Metrics
from seedbed.web.plan_cache import PlanCache, weight_of
from seedbed.web.planning import Planners
from seedbed.web.problems import RequestProblem
from seedbed.web.queries import refuse_query
from seedbed.web.records import Records
from seedbed.web.responses import CACHE_CONTROL, FileResponse
from seedbed.web.schemas import described
from seedbed.web.settings import Settings
from seedbed.web.shared import Shared, while_connected
from seedbed.web.streaming import Streamer

_Work = TypeVar("_Work")

_MANY_TENSORS = 200
"""Specs with more tensors are planned in a process of their own."""

_SHORT_BYTES = 1 << 14
"""Texts up to this size are parsed where they arrive, in a few milliseconds."""

_SHORT_WORK = 1 << 20
"""So are specs planned whose rules have no more than this to look at."""

_LISTED_FILES = 12
"""Names that an error lists."""


class Service:
    """One for each application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        retry_seconds = settings.retry_after_seconds
        self.memory = MemoryBudget(settings.memory_bytes, "memory_bytes", retry_seconds)
        self._bodies = MemoryBudget(
            settings.memory_bytes // 4, "memory_bytes", retry_seconds, self.memory
        )
        self.admission = Admission(
            settings.max_streams,
            settings.max_queued,
            settings.queue_seconds,
            retry_seconds,
            settings.client_share,
        )
        self.comparisons = Comparisons(settings.max_comparisons, retry_seconds)
        engine = get_engine(settings.engine)
        self.metrics = Metrics(self.admission, engine.name)
        self.engine = self.metrics.counted(engine)
        self.cache = PlanCache(settings.cache_bytes, self.metrics.lookups("plans"), self.memory)
        self.matrices = MatrixCache(
            settings.matrix_cache_bytes,
            settings.worker_threads,
            self.metrics.lookups("matrices"),
            MemoryBudget(settings.max_dense_bytes, "max_dense_bytes", retry_seconds, self.memory),
            settings.max_queued,
            retry_seconds,
        )
        self.streamer = Streamer(
            settings.worker_threads, settings.chunk_bytes, settings.chunks_ahead, self.admission
        )
        self.registry = Registry(
            settings.registry_url,
            RegistryLimits(**{f.name: getattr(settings, f.name) for f in fields(RegistryLimits)}),
            connections=settings.registry_connections,
            queued=settings.registry_queued,
            seconds=settings.registry_seconds,
            retry_seconds=retry_seconds,
        )
        self.digests = Digests(
            settings.max_hash_bytes, settings.max_client_hash_bytes, retry_seconds
        )
        self.commits = Commits()
        self._plans = Shared[Checkpoint]()
        self._links = LinkLimits(settings.max_token_bytes, settings.max_url_token_chars)
        self.planners = Planners(
            slots=settings.planners,
            queue=settings.max_planning_queued,
            patience_seconds=settings.queue_seconds,
            memory_bytes=settings.planner_bytes,
            cpu_seconds=settings.planner_seconds,
            retry_seconds=retry_seconds,
            memory=self.memory,
        )
        self.records = Records(settings, self.memory, self.registry)
        self.started = False
        self.ready = False

    def close(self) -> None:
        """Begin nothing more, and end all processes."""
        self.streamer.close()
        self.matrices.close()
        self.digests.close()
        self.comparisons.close()
        self.registry.close()
        self.planners.close()
        self.records.close()

    async def body(
        self, request: Request, limit: str = "max_body_bytes", also: str | None = None
    ) -> Body:
        """The body of a request; see `read_body`."""
        return await read_body(request, self.settings, self._bodies, limit, also)

    async def plan(self, request: Request) -> tuple[Checkpoint, str | None]:
        """The checkpoint of the spec in a request's body, and a link if a URL can hold one."""
        body = await self.body(request)
        root = request.scope.get("root_path", "")
        if (spec := self._short(Source(body.text))) is not None:
            return self._hold(self.plan_checkpoint(spec)), self._links.link(spec, root)
        source = Source(body.text)
        client = client_of(request.scope)
        return await self._with_record(
            request,
            source,
            lambda one: while_connected(request, self._unpack(client, one, self._links, root)),
        )

    async def describe(self, request: Request, offset: int, limit: int) -> bytes:
        """The JSON of what the spec in a request's body means, with a page of its tensors."""
        body = await self.body(request)
        root = request.scope.get("root_path", "")
        if (spec := self._short(Source(body.text))) is not None:
            checkpoint = self.plan_checkpoint(spec)
            return b"".join(
                described(checkpoint, spec, self._links.link(spec, root), offset, limit)
            )
        page = (offset, limit)
        return await self._with_record(
            request,
            Source(body.text),
            lambda source: self.elsewhere(
                request, jobs.describe, source, self.settings.text_limits, self._links, root, page
            ),
        )

    async def check(self, request: Request, text: bytes) -> tuple[SpecIdentity, bytes]:
        """Make sure that a spec means files, and what they are; and a text of it to be stored.

        That is the text itself, unless a library was asked: then the text says so, with its
        release and the digest of what was recorded, so that it always means the same.

        Raises:
            SeedbedError: it is none, or they would be larger than a limit allows.
        """
        if (spec := self._short(Source(text))) is not None:
            for _ in self.plan_checkpoint(spec).files():
                pass
            return SpecIdentity.of(spec), text
        pickled = await self._with_record(
            request,
            Source(text),
            lambda one: self.elsewhere(request, jobs.check, one, self.settings.text_limits),
        )
        checked: tuple[SpecIdentity, bytes] = pickle.loads(pickled)  # noqa: S301  # our process's
        return checked

    async def elsewhere(
        self, request: Request, job: Callable[..., Iterator[bytes]], *arguments: Any
    ) -> bytes:
        """The whole answer of a job in a process of its own, for as long as the client is there.

        Raises:
            ClientDisconnect: it is not.
            SeedbedError: the job raised it, or takes too much, or nobody is free.
        """
        parts: list[bytes] = []
        claim = Claim(self.memory, 0, "answers")

        async def work() -> bytes:
            async with aclosing(
                self.planners.run(client_of(request.scope), job, *arguments)
            ) as run:
                async for part in run:
                    claim.grow(2 * len(part))  # for a moment, when they are joined
                    parts.append(part)
            return b"".join(parts)

        return await while_connected(request, work())

    async def _with_record(
        self, request: Request, source: Source, work: Callable[[Source], Awaitable[_Work]]
    ) -> _Work:
        """What some work on a spec comes to, with what a library says of its config if need be.

        What a body says is as its author means it: if the catalogue does not know the config, and
        the library is here, it is the library's. A link or a stored spec says which it is.
        """
        client = client_of(request.scope)
        try:
            return await work(source)
        except NotRecordedError as error:
            record = await while_connected(request, self.records.meant(client, error))
        except UnstudiedError as error:
            if self.records.version is None:
                raise
            try:
                record = await while_connected(request, self.records.of(client, error.config))
            except SpecError as refusal:
                known = error.unadvised
                refusal.others = (*refusal.others, known, *known.others)
                raise refusal from error
        return await work(replace(source, record=record))

    async def _unpack(
        self, client: str, source: Source, links: LinkLimits | None = None, root: str = ""
    ) -> tuple[Checkpoint, str | None]:
        packed: Packed | None = None
        link: str | None = None
        tensors: list[TensorPlan] = []
        run = self.planners.run(client, jobs.plan, source, self.settings.text_limits, links, root)
        async with aclosing(run) as parts:
            async for part in parts:
                loaded = pickle.loads(part)  # noqa: S301  # from our own process
                if packed is None:
                    packed, link = loaded
                    claim = Claim(self.memory, packed.size_bytes, "plans")
                else:
                    tensors += loaded
                    await asyncio.sleep(0)  # for others, since parts may come without a pause
        if packed is None:
            raise EngineError("a plan came without its beginning")

        def unpack() -> Checkpoint:
            return Checkpoint.unpacked(
                packed, tuple(tensors), self.settings.limits, self.engine, self.matrices
            )

        checkpoint = await _run(unpack, in_thread=len(tensors) > _MANY_TENSORS)
        checkpoint.held = claim
        return checkpoint, link

    def _short(self, source: Source) -> CheckpointSpec | None:
        """The spec of a source, if all of it surely takes a few milliseconds.

        Raises:
            SeedbedError: it is short, and no spec.
        """
        if source.preset or len(source.text) > _SHORT_BYTES:
            return None
        spec = source.spec(self.settings.text_limits)
        return spec if is_short(spec, _MANY_TENSORS, _SHORT_WORK) else None

    def _hold(self, checkpoint: Checkpoint) -> Checkpoint:
        """A checkpoint that was planned here, with room for as long as it is there."""
        checkpoint.held = Claim(self.memory, weight_of(checkpoint), "plans")
        return checkpoint

    async def file_of_token(self, request: Request, token: str, name: str) -> File:
        """The file that a link leads to.

        Raises:
            RequestProblem: 404, the link has no such file.
            TokenError: the token is damaged, or spells no file.
            ParameterError: the request has a query.
        """
        refuse_query(request, "the link itself says everything, the seed included")

        def source() -> Source:
            return Source(json_of_token(token, self.settings.max_token_bytes), is_token=True)

        try:
            return await self.file_of(request, token, len(token), name, source)
        except TokenError as error:
            raise error.within("token") from error
        except SpecError as error:
            raise TokenError(
                f"the token spells no file: {said(error)}", ("token",), error.allowed
            ) from error

    async def file_of(
        self,
        request: Request,
        key: Hashable,
        key_bytes: int,
        name: str,
        source: Callable[[], Source],
    ) -> File:
        """A file of a checkpoint, planned at most once while it is remembered.

        Args:
            request: for which it is planned.
            key: tells the checkpoint from all others.
            key_bytes: its size.
            name: of the file.
            source: gives the spec.

        Raises:
            RequestProblem: 404, the checkpoint has no such file.
            SpecError: the spec means no file.
        """
        return await self.file_in(await self.checkpoint_of(request, key, key_bytes, source), name)

    async def file_in(self, checkpoint: Checkpoint, name: str) -> File:
        """The file of this name in a checkpoint.

        Raises:
            RequestProblem: 404, it has no such file.
        """
        many = len(checkpoint.tensors) > _MANY_TENSORS
        file = await _run(lambda: checkpoint.file(name), in_thread=many)
        if file is None:
            raise no_such_file(name, checkpoint)
        return file

    async def checkpoint_of(
        self, request: Request, key: Hashable, key_bytes: int, source: Callable[[], Source]
    ) -> Checkpoint:
        """A checkpoint, planned at most once while it is remembered; see `file_of`."""
        remembered = self.cache.find(key)
        if isinstance(remembered, Checkpoint):
            return remembered
        wanted = source()
        if (spec := self._short(wanted)) is not None:
            return self.cache.keep(key, self._hold(self.plan_checkpoint(spec)), key_bytes)

        async def plan() -> Checkpoint:
            client = client_of(request.scope)
            try:
                planned, _ = await self._unpack(client, wanted)
            except NotRecordedError as error:
                record = await self.records.meant(client, error)
                planned, _ = await self._unpack(client, replace(wanted, record=record))
            return self.cache.keep(key, planned, key_bytes)

        return await while_connected(request, self._plans.share(key, plan))

    def one_tensor(self, scheme: str, shape: str, options: Mapping[str, str]) -> VirtualFile:
        """The file of one tensor, planned once for all seeds while it is remembered.

        Raises:
            SpecError: the words name none.
        """
        others = sorted(item for item in options.items() if item[0] != "seed")
        key = (scheme, shape, *others)
        planned = self.cache.find(key)
        if isinstance(planned, VirtualFile):
            seed = seed_of(options)
            return planned if seed == planned.spec.seed else planned.with_seed(seed)
        spec = spec_of_one(scheme, shape, options)
        file = VirtualFile(spec, self.settings.limits, self.engine, matrices=self.matrices)
        words = sum(len(name) + len(value) for name, value in others)
        return self.cache.keep(key, file, len(scheme) + len(shape) + words)

    def respond(
        self,
        request: Request,
        file: File,
        download_name: str = FILE_NAME,
        location: str | None = None,
        cache_control: str = CACHE_CONTROL,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> FileResponse:
        """A file, as the request wants it."""
        return FileResponse(
            request,
            file,
            self.streamer,
            download_name=download_name,
            max_ranges=self.settings.max_ranges,
            location=location,
            cache_control=cache_control,
            headers=headers,
        )

    def plan_checkpoint(self, spec: CheckpointSpec) -> Checkpoint:
        """All files of a spec. Takes long for many tensors: not for the event loop.

        Raises:
            SpecError: it means no file.
        """
        return Checkpoint(spec, self.settings.limits, self.engine, self.matrices)

    def plan_comparison(self, wanted: CompareRequest) -> Comparison:
        """A comparison within the limits.

        Raises:
            SpecError: it cannot be made.
            LimitError: it may not.
            BusyError: there is no room for it now.
        """
        settings = self.settings
        comparison = Comparison(
            wanted, settings.budget, settings.limits, self.engine, self.matrices
        )
        comparison.held = Claim(self.memory, comparison.size_bytes, "comparisons")
        return comparison

    def link(self, request: Request, spec: CheckpointSpec) -> str | None:
        """The path of a GET link that this service would take back."""
        return self._links.link(spec, request.scope.get("root_path", ""))


async def load_presets() -> None:
    """Have the presets imported: by whoever asks for one first, and not in the event loop."""
    if not presets.cache_info().currsize:
        await asyncio.to_thread(presets)
        gc.freeze()  # they are no garbage either


def no_such_file(name: str, checkpoint: Checkpoint) -> RequestProblem:
    """The answer to a file that a checkpoint does not have."""
    there = ", ".join(sorted({FILE_NAME, *checkpoint.names[:_LISTED_FILES]}))
    return RequestProblem(404, "not-found", f"There is no file {name[:100]!r} here, but {there}.")


async def _run(work: Callable[[], _Work], *, in_thread: bool) -> _Work:
    return await asyncio.to_thread(work) if in_thread else work()


async def _service(request: Request) -> Service:  # not def: that would take a thread
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
"""The application's service, as an endpoint's argument."""
