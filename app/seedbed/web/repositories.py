"""Repositories of the Hub and their revisions → checkpoints of this service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from fastapi import Request

from seedbed.errors import (
    IdError,
    InvalidError,
    SeedbedError,
    SpecError,
    UnknownSpecError,
    said,
)
from seedbed.files import Checkpoint, nearest
from seedbed.hub import (
    NAMESPACE,
    Revision,
    RevisionError,
    parse_revision,
    published_id,
    spec_of_published,
    split_variants,
)
from seedbed.models import presets
from seedbed.registry import SpecId, SpecStore, etag_of
from seedbed.web.jobs import Source
from seedbed.web.responses import CACHE_CONTROL
from seedbed.web.service import Service, load_presets

BRANCH_CONTROL = "no-cache"
"""A branch may come to mean other bytes, by a new version or a new spec; a commit never does."""


class HubError(SeedbedError):
    """What a Hub client can tell apart.

    Attributes:
        code: for `X-Error-Code`.
        message: for people.
        commit: of the revision, where that is known: then clients remember that a file is missing.
    """

    def __init__(self, code: str, message: str, commit: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.commit = commit


def no_repository(name: str, near: Sequence[str] = ()) -> HubError:
    """The answer to an id that is none, and those that may have been meant."""
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return HubError("RepoNotFound", f"There is no repository {name[:200]!r}{hint}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit of a repository.

    Attributes:
        repository: its id.
        checkpoint: that the commit is of.
        commit: 40 hexadecimal digits.
        pinned: whether the commit itself was asked for, whose files never change.
    """

    repository: str
    checkpoint: Checkpoint
    commit: str
    pinned: bool

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer about a file says."""
        return [
            (b"x-repo-commit", self.commit.encode()),
            (b"x-seedbed-weights", self.title.encode()),
        ]

    @property
    def title(self) -> str:
        """What the commit is, in words."""
        return f"Random weights, not trained: seed {self.checkpoint.spec.seed}"

    @property
    def cache_control(self) -> str:
        """How long a cache may keep a file."""
        return CACHE_CONTROL if self.pinned else BRANCH_CONTROL


async def find(
    request: Request, service: Service, namespace: str, name: str, revision: str
) -> Snapshot:
    """The commit that a revision of a repository means.

    Raises:
        HubError: there is no such repository, or it has no such revision.
    """
    repository = f"{namespace}/{name}" if namespace else name
    public = published_id(repository) if service.settings.published_ids else None
    if public is None and not namespace:
        raise no_repository(name)
    repository = public or repository
    templates = _templates(service, namespace, name, public)
    template = await anext(templates)  # an unknown repository is said before a wrong revision
    try:
        asked = parse_revision(revision)
    except RevisionError as error:
        raise HubError("RevisionNotFound", str(error)) from error
    while True:
        snapshot = await _try(request, service, repository, template, asked)
        if asked.digest is None or snapshot.commit == revision:
            return snapshot
        try:
            template = await anext(templates)
        except StopAsyncIteration:
            raise HubError("RevisionNotFound", f"{repository} has no commit {revision}.") from None


async def checkpoint_at(
    request: Request, service: Service, namespace: str, name: str, revision: str
) -> Checkpoint:
    """What a revision of a repository means; its commit is made only if it is asked for by that.

    Raises:
        HubError: there is no such repository, or it has no such revision.
    """
    try:
        asked = parse_revision(revision)
    except RevisionError as error:
        raise HubError("RevisionNotFound", str(error)) from error
    if asked.digest is not None:
        return (await find(request, service, namespace, name, revision)).checkpoint
    template = await anext(_templates(service, namespace, name))
    return await _planned(request, service, f"{namespace}/{name}", template, asked)


async def _try(
    request: Request, service: Service, repository: str, template: _Template, asked: Revision
) -> Snapshot:
    """What a revision means, if this is the spec of the repository."""
    checkpoint = await _planned(request, service, repository, template, asked)
    commit = await service.commits.of(request, checkpoint)
    return Snapshot(repository, checkpoint, commit, asked.digest is not None)


async def _planned(
    request: Request, service: Service, repository: str, template: _Template, asked: Revision
) -> Checkpoint:
    key = ("hub", repository, template.key, asked.seed, asked.dtype, asked.quantization)
    try:
        return await service.checkpoint_of(
            request, key, len(repository) + len(template.key), lambda: template.source_of(asked)
        )
    except (SpecError, InvalidError) as error:
        raise HubError("RepoNotFound", f"{repository} means no model: {said(error)}") from error


@dataclass(frozen=True, slots=True)
class _Template:
    """A repository's spec, but for what a revision says.

    Attributes:
        key: tells it from any other that the repository has had, its seed included.
        source: gives the spec.
    """

    key: str
    source: Source

    def source_of(self, asked: Revision) -> Source:
        """What gives the spec of a revision."""
        wanted = {"seed": asked.seed, "dtype": asked.dtype, "quantization": asked.quantization}
        changes = {key: value for key, value in wanted.items() if value is not None}
        return replace(self.source, changes=changes)


async def _templates(
    service: Service, namespace: str, name: str, public: str | None = None
) -> AsyncIterator[_Template]:
    """What a repository means, then what it meant earlier, the newest first.

    A spec that somebody has stored goes before the published id that it is called like.

    Args:
        service: that has it.
        namespace: of the repository.
        name: of the repository.
        public: its id on the Hub itself, if that is answered for.

    Raises:
        HubError: there is no such repository.
    """
    if namespace == NAMESPACE:
        await load_presets()
        if (parts := split_variants(name, presets())) is None:
            near = [f"{namespace}/{preset}" for preset in nearest(name, presets())]
            raise no_repository(f"{namespace}/{name}", near)
        preset, options = parts
        yield _Template("", Source(preset=preset, options=options))
        return
    try:
        spec_id = SpecId.of(*(public.split("/") if public else (namespace, name)))
        if not service.registry.exists:
            raise UnknownSpecError(str(spec_id))
        now = (await service.registry.ask(SpecStore.get, spec_id)).content
    except (IdError, UnknownSpecError) as error:
        if public is not None:
            yield _Template("published", Source(spec_of_published(public)))
            return
        raise no_repository(f"{namespace}/{name}") from error
    yield _Template(etag_of(now.text), Source(now.text))
    for content in await service.registry.ask(SpecStore.versions, spec_id):
        if content.digest != now.digest:
            yield _Template(etag_of(content.text), Source(content.text))
