"""What the endpoints share: settings, the engine, remembered plans, and the sender of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from seedbed.errors import SpecError, TokenError
from seedbed.files import FILE_NAME, CheckpointSpec, VirtualFile, spec_from_token
from seedbed.init import MatrixCache
from seedbed.stream import get_engine
from seedbed.web.admission import Admission
from seedbed.web.observability import Metrics
from seedbed.web.problems import RequestProblem
from seedbed.web.requests import FileCache, read_spec, refuse_query
from seedbed.web.responses import VirtualFileResponse
from seedbed.web.settings import Settings
from seedbed.web.streaming import Streamer

_Work = TypeVar("_Work")

_MANY_TENSORS = 200
"""Specs with more tensors are planned in a thread, so that the event loop goes on."""

_LAYER_TENSORS = 16
"""What a layer may come to, for that purpose."""

_LONG_TOKEN_CHARS = 512
"""So are links with longer tokens, which may hold as many."""


class Service:
    """One for each application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = get_engine(settings.engine)
        self.cache = FileCache(settings.cache_bytes)
        self.admission = Admission(
            settings.max_streams,
            settings.max_queued,
            settings.queue_seconds,
            settings.retry_after_seconds,
        )
        self._matrices = MatrixCache(settings.matrix_cache_bytes, settings.worker_threads)
        self.metrics = Metrics(self.admission)
        self.streamer = Streamer(
            settings.worker_threads, settings.chunk_bytes, settings.chunks_ahead, self.admission
        )
        self.ready = False

    async def plan(self, request: Request) -> tuple[VirtualFile, str | None]:
        """The file of the spec in a request's body, and a link to it if a URL can hold one."""
        settings = self.settings
        spec = await read_spec(request, settings.max_body_bytes, settings.body_seconds)

        def work() -> tuple[VirtualFile, str | None]:
            return self._plan(spec), self._link(request, spec)

        tensors = len(spec.tensors) + _LAYER_TENSORS * len(spec.layers)
        return await _run(work, in_thread=tensors > _MANY_TENSORS)

    async def file_of_token(self, request: Request, token: str, name: str) -> VirtualFile:
        """The file that a link leads to.

        Raises:
            RequestProblem: 404, the link has no such file.
            TokenError: the token is damaged, or spells no file.
            ParameterError: the request has a query.
        """
        refuse_query(request, "the link itself says everything, the seed included")
        if name != FILE_NAME:
            raise RequestProblem(
                404, "not-found", f"This link has no file {name[:100]!r}, only {FILE_NAME}."
            )
        if (file := self.cache.find(token)) is not None:
            return file
        file = await _run(lambda: self._decode(token), in_thread=len(token) > _LONG_TOKEN_CHARS)
        return self.cache.keep(token, file, len(token))

    def remembered(
        self, key: tuple[str | bytes, ...], make: Callable[[], CheckpointSpec]
    ) -> VirtualFile:
        """The small file of this key, planned at most once while it is remembered."""
        if (file := self.cache.find(key)) is not None:
            return file
        return self.cache.keep(key, self._plan(make()), sum(map(len, key)))

    def respond(
        self,
        request: Request,
        file: VirtualFile,
        download_name: str = FILE_NAME,
        location: str | None = None,
    ) -> VirtualFileResponse:
        """A file, as the request wants it."""
        return VirtualFileResponse(
            request,
            file,
            self.streamer,
            download_name=download_name,
            max_ranges=self.settings.max_ranges,
            location=location,
        )

    def _plan(self, spec: CheckpointSpec) -> VirtualFile:
        return VirtualFile(spec, self.settings.limits, self.engine, matrices=self._matrices)

    def _decode(self, token: str) -> VirtualFile:
        try:
            return self._plan(spec_from_token(token, self.settings.max_token_bytes))
        except TokenError as error:
            raise error.within("token") from error
        except SpecError as error:
            place = "/".join(map(str, error.path))
            raise TokenError(
                f"the token spells no file: {place}: {error.message}", ("token",), error.allowed
            ) from error

    def _link(self, request: Request, spec: CheckpointSpec) -> str | None:
        """The path of a GET link that this service would take back."""
        settings = self.settings
        # The seed, up to 29 bytes, is in the token beside the canonical JSON.
        if len(spec.canonical_json.encode()) + 29 > settings.max_token_bytes:
            return None
        if len(spec.token) > settings.max_url_token_chars:
            return None
        return f"{request.scope.get('root_path', '')}/v1/checkpoints/{spec.token}/{FILE_NAME}"


async def _run(work: Callable[[], _Work], *, in_thread: bool) -> _Work:
    return await asyncio.to_thread(work) if in_thread else work()


async def _service(request: Request) -> Service:  # not def: that would take a thread
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
"""The application's service, as an endpoint's argument."""
