"""What the endpoints share: settings, the engine, remembered plans, and the sender of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Annotated

from fastapi import Depends, Request

from seedbed.files import FILE_NAME, CheckpointSpec, VirtualFile, spec_from_token
from seedbed.stream import get_engine
from seedbed.web.admission import Admission
from seedbed.web.observability import Metrics
from seedbed.web.problems import RequestProblem
from seedbed.web.requests import FileCache, read_spec
from seedbed.web.responses import Streamer, VirtualFileResponse
from seedbed.web.settings import Settings

_MANY_TENSORS = 500
"""Specs with more tensors are planned in a thread, so that the event loop goes on."""


class Service:
    """One for each application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = get_engine(settings.engine)
        self.cache = FileCache(settings.cached_tensors)
        self.admission = Admission(
            settings.max_streams,
            settings.max_queued,
            settings.queue_seconds,
            settings.retry_after_seconds,
        )
        self.metrics = Metrics(self.admission)
        self.streamer = Streamer(
            settings.worker_threads, settings.chunk_bytes, settings.chunks_ahead, self.admission
        )
        self.ready = False

    async def read_spec(self, request: Request) -> CheckpointSpec:
        """The spec in a request's body."""
        return await read_spec(request, self.settings.max_body_bytes, self.settings.body_seconds)

    async def plan(self, spec: CheckpointSpec, name: str = FILE_NAME) -> VirtualFile:
        """The file of a spec; a large one is planned in a thread."""
        if len(spec.tensors) <= _MANY_TENSORS:
            return self._plan(spec, name)
        return await asyncio.to_thread(self._plan, spec, name)

    async def file_of_token(self, token: str, name: str) -> VirtualFile:
        """The file that a link leads to.

        Raises:
            RequestProblem: 404, the link has no such file.
            TokenError: the token is damaged.
        """
        if name != FILE_NAME:
            raise RequestProblem(
                404, "not-found", f"This link has no file {name[:100]!r}, only {FILE_NAME}."
            )

        def make() -> VirtualFile:
            return self._plan(spec_from_token(token, self.settings.max_token_bytes), name)

        key = (token, name)
        if len(token) > _LONG_TOKEN and key not in self.cache:
            file = await asyncio.to_thread(make)
            return self.cache.get(key, lambda: file)
        return self.cache.get(key, make)

    def remembered(
        self, key: Hashable, make: Callable[[], CheckpointSpec], name: str
    ) -> VirtualFile:
        """The small file of this key, planned at most once while it is remembered."""
        return self.cache.get(key, lambda: self._plan(make(), name))

    def link(self, request: Request, spec: CheckpointSpec) -> str | None:
        """The path of a GET link to a spec's file, if a URL can hold it."""
        if len(spec.token) > self.settings.max_url_token_chars:
            return None
        return f"{request.scope.get('root_path', '')}/v1/checkpoints/{spec.token}/{FILE_NAME}"

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

    def _plan(self, spec: CheckpointSpec, name: str) -> VirtualFile:
        return VirtualFile(spec, self.settings.limits, self.engine, name)


_LONG_TOKEN = 4096


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
"""The application's service, as an endpoint's argument."""
