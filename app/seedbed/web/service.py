"""What the endpoints share: settings, the engine, remembered plans, and the sender of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from dataclasses import fields
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from seedbed.compare import CompareRequest, Comparison
from seedbed.errors import SpecError, TokenError
from seedbed.files import (
    FILE_NAME,
    Checkpoint,
    CheckpointSpec,
    File,
    VirtualFile,
    spec_from_token,
)
from seedbed.init import MatrixCache
from seedbed.memory import MemoryBudget
from seedbed.models import presets
from seedbed.registry import Registry, RegistryLimits
from seedbed.stream import get_engine
from seedbed.web.admission import Admission
from seedbed.web.comparing import Comparisons
from seedbed.web.observability import Metrics
from seedbed.web.problems import RequestProblem
from seedbed.web.requests import PlanCache, read_spec, refuse_query
from seedbed.web.responses import CACHE_CONTROL, FileResponse
from seedbed.web.settings import Settings
from seedbed.web.streaming import Streamer
from seedbed.web.sums import Sums

_Work = TypeVar("_Work")

_MANY_TENSORS = 200
"""Specs with more tensors are planned in a thread, so that the event loop goes on."""

_LAYER_TENSORS = 16
"""What a layer may come to, for that purpose."""

_LONG_TOKEN_CHARS = 512
"""So are links with longer tokens, which may hold as many."""

_LISTED_FILES = 12
"""Names that an error lists."""


class Service:
    """One for each application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admission = Admission(
            settings.max_streams,
            settings.max_queued,
            settings.queue_seconds,
            settings.retry_after_seconds,
            settings.client_share,
        )
        self.comparisons = Comparisons(settings.max_comparisons, settings.retry_after_seconds)
        engine = get_engine(settings.engine)
        self.metrics = Metrics(self.admission, engine.name)
        self.engine = self.metrics.counted(engine)
        self.cache = PlanCache(settings.cache_bytes, self.metrics.lookups("plans"))
        self.matrices = MatrixCache(
            settings.matrix_cache_bytes,
            settings.worker_threads,
            self.metrics.lookups("matrices"),
            MemoryBudget(settings.max_dense_bytes, "max_dense_bytes", settings.retry_after_seconds),
            settings.max_queued,
            settings.retry_after_seconds,
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
            retry_seconds=settings.retry_after_seconds,
        )
        self.sums = Sums(
            settings.max_hash_bytes, settings.max_client_hash_bytes, settings.retry_after_seconds
        )
        self.started = False
        self.ready = False

    async def plan(self, request: Request) -> tuple[Checkpoint, str | None]:
        """The checkpoint of the spec in a request's body, and a link if a URL can hold one."""
        settings = self.settings
        spec = await read_spec(request, settings)

        def work() -> tuple[Checkpoint, str | None]:
            checkpoint = self.plan_checkpoint(spec)
            _ = checkpoint.whole  # here, since the header of many tensors takes long as well
            return checkpoint, self.link(request, spec)

        return await _run(work, in_thread=_is_long(spec))

    async def check(self, spec: CheckpointSpec) -> None:
        """Make sure that a spec means files, and what they are.

        Raises:
            SpecError: it means none.
            LimitError: they would be larger than a limit allows.
        """

        def work() -> None:
            for _ in self.plan_checkpoint(spec).files():
                pass
            _ = spec.digest

        await _run(work, in_thread=_is_long(spec))

    async def file_of_token(self, request: Request, token: str, name: str) -> File:
        """The file that a link leads to.

        Raises:
            RequestProblem: 404, the link has no such file.
            TokenError: the token is damaged, or spells no file.
            ParameterError: the request has a query.
        """
        refuse_query(request, "the link itself says everything, the seed included")
        try:
            return await self.file_of(
                token,
                len(token),
                name,
                lambda: spec_from_token(token, self.settings.max_token_bytes),
                in_thread=len(token) > _LONG_TOKEN_CHARS,
            )
        except TokenError as error:
            raise error.within("token") from error
        except SpecError as error:
            place = "/".join(map(str, error.path))
            raise TokenError(
                f"the token spells no file: {place}: {error.message}", ("token",), error.allowed
            ) from error

    async def file_of(
        self,
        key: Hashable,
        key_bytes: int,
        name: str,
        make: Callable[[], CheckpointSpec],
        *,
        in_thread: bool = False,
    ) -> File:
        """A file of a checkpoint, planned at most once while it is remembered.

        Args:
            key: tells the checkpoint from all others.
            key_bytes: its size.
            name: of the file.
            make: gives the spec.
            in_thread: whether even that takes long.

        Raises:
            RequestProblem: 404, the checkpoint has no such file.
            SpecError: the spec means no file.
        """
        checkpoint = await self.checkpoint_of(key, key_bytes, make, in_thread=in_thread)
        file = await _run(lambda: checkpoint.file(name), in_thread=_is_long(checkpoint.spec))
        if file is None:
            raise no_such_file(name, checkpoint)
        return file

    async def checkpoint_of(
        self,
        key: Hashable,
        key_bytes: int,
        make: Callable[[], CheckpointSpec],
        *,
        in_thread: bool = False,
    ) -> Checkpoint:
        """A checkpoint, planned at most once while it is remembered; see `file_of`."""
        found = self.cache.find(key)
        if isinstance(found, Checkpoint):
            return found
        spec = await _run(make, in_thread=in_thread)
        planned = await _run(lambda: self.plan_checkpoint(spec), in_thread=_is_long(spec))
        return self.cache.keep(key, planned, key_bytes)

    def remembered(
        self, key: tuple[str | bytes, ...], make: Callable[[], CheckpointSpec]
    ) -> VirtualFile:
        """The small file of this key, planned at most once while it is remembered."""
        if isinstance(file := self.cache.find(key), VirtualFile):
            return file
        file = VirtualFile(make(), self.settings.limits, self.engine, matrices=self.matrices)
        return self.cache.keep(key, file, sum(map(len, key)))

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
        """
        settings = self.settings
        return Comparison(wanted, settings.budget, settings.limits, self.engine, self.matrices)

    def link(self, request: Request, spec: CheckpointSpec) -> str | None:
        """The path of a GET link that this service would take back."""
        settings = self.settings
        # The seed, up to 29 bytes, is in the token beside the canonical JSON.
        if len(spec.canonical_json.encode()) + 29 > settings.max_token_bytes:
            return None
        if len(spec.token) > settings.max_url_token_chars:
            return None
        return f"{request.scope.get('root_path', '')}/v1/checkpoints/{spec.token}/{FILE_NAME}"


async def load_presets() -> None:
    """Have the presets imported: by whoever asks for one first, and not in the event loop."""
    if not presets.cache_info().currsize:
        await asyncio.to_thread(presets)


def no_such_file(name: str, checkpoint: Checkpoint) -> RequestProblem:
    """The answer to a file that a checkpoint does not have."""
    there = ", ".join(sorted({FILE_NAME, *checkpoint.names[:_LISTED_FILES]}))
    return RequestProblem(404, "not-found", f"There is no file {name[:100]!r} here, but {there}.")


def _is_long(spec: CheckpointSpec) -> bool:
    """Whether planning takes long enough for a thread of its own."""
    tensors = len(spec.tensors) + _LAYER_TENSORS * len(spec.layers)
    return spec.model is not None or tensors > _MANY_TENSORS


async def _run(work: Callable[[], _Work], *, in_thread: bool) -> _Work:
    return await asyncio.to_thread(work) if in_thread else work()


async def _service(request: Request) -> Service:  # not def: that would take a thread
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
"""The application's service, as an endpoint's argument."""
