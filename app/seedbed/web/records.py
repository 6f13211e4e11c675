"""The library's own word on configs: recorded by a process of its own, kept, and found again.

A record is asked for by the config and the library's release. It is looked for in memory, then in
the registry, where replicas share it, and made if the release is installed here; however many ask
for one at the same time, it is made once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import aclosing, suppress
from importlib.metadata import PackageNotFoundError, version

import structlog

from seedbed.errors import NotRecordedError, UnavailableError
from seedbed.memory import MemoryBudget
from seedbed.models import LIBRARY, Record
from seedbed.registry import Registry, SpecStore
from seedbed.web import jobs
from seedbed.web.planning import Planners, Template
from seedbed.web.settings import Settings
from seedbed.web.shared import Shared

log = structlog.get_logger("seedbed.records")

RECORDER = "seedbed.recorder"
"""The module that has the library, of whose names nothing is imported here."""

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "OMP_NUM_THREADS": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "USE_HUB_KERNELS": "0",
}

_KEPT_BYTES = 1 << 24
"""Of records in memory: most have a few KB."""


class Records:
    """Those of one service.

    Args:
        settings: its limits.
        memory: the budget from which recording takes.
        registry: where records are kept, if there is one.
    """

    def __init__(self, settings: Settings, memory: MemoryBudget, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._kept: OrderedDict[tuple[str, str | None], Record] = OrderedDict()
        self._bytes = 0
        self._work = Shared[Record]()
        self.version = installed() if settings.recorders else None
        self.planners = Planners(
            slots=settings.recorders,
            queue=settings.max_planning_queued,
            patience_seconds=max(settings.queue_seconds, settings.recorder_seconds),
            memory_bytes=settings.recorder_bytes,
            cpu_seconds=settings.recorder_seconds,
            retry_seconds=settings.retry_after_seconds,
            memory=memory,
            template=Template(RECORDER, _OFFLINE, settings.recorder_idle_seconds),
            work=("record", "recorder"),
        )

    def close(self) -> None:
        """End all processes."""
        self.planners.close()

    async def of(self, client: str, config: str) -> Record:
        """What the release that is installed here makes of a config.

        Args:
            client: who wants it.
            config: canonical JSON.

        Raises:
            SeedbedError: it makes nothing of it, takes too much, or nobody is free.
        """
        if self.version is None:
            raise ValueError("nothing is recorded here")
        return await self._of(client, config, self.version, None)

    async def meant(self, client: str, error: NotRecordedError) -> Record:
        """The record that a spec means.

        Raises:
            NotRecordedError: it is not here, nor is the release.
            SeedbedError: as above.
        """
        try:
            return await self._of(client, error.config, error.version, error.digest)
        except _Missing:
            raise error from None

    async def _of(self, client: str, config: str, release: str, digest: str | None) -> Record:
        key = _key(config, release)
        if (record := self._kept.get((key, digest))) is not None:
            self._kept.move_to_end((key, digest))
            return record
        return await self._work.share(
            (key, digest), lambda: self._find(client, config, release, key, digest)
        )

    async def _find(
        self, client: str, config: str, release: str, key: str, digest: str | None
    ) -> Record:
        """A record from the registry, else made here."""
        if self._registry.exists:
            with suppress(UnavailableError):
                found = await self._registry.ask(SpecStore.record, key, digest)
                if found is not None:
                    return self._keep(key, digest, Record(release, *found))
        if release != self.version:
            raise _Missing
        record = await self._make(client, config)
        if self._registry.exists:
            with suppress(UnavailableError):
                await self._registry.ask(SpecStore.put_record, key, record.digest, record.packed)
        return self._keep(key, digest, record)

    async def _make(self, client: str, config: str) -> Record:
        limits = self._settings
        run = self.planners.run(
            client, jobs.record, config, limits.max_recorded_tensors,
            limits.max_recorded_elements, RECORDER,
        )  # fmt: skip
        async with aclosing(run) as parts:
            digest, packed = [part async for part in parts]
        assert self.version is not None  # noqa: S101  # it was asked for
        record = Record(self.version, packed, digest.decode("ascii"))
        log.info("config recorded", release=record.version, digest=record.digest)
        return record

    def _keep(self, key: str, digest: str | None, record: Record) -> Record:
        """Remember a record, under its own digest and as asked for."""
        for name in {(key, digest), (key, record.digest)}:
            if name not in self._kept:
                self._kept[name] = record
                self._bytes += len(record.packed)
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old.packed)
        return record


class _Missing(Exception):
    """There is no such record, and none can be made."""


def installed() -> str | None:
    """The release of the library that is installed with all that recording needs."""
    try:
        version("torch")
        return version(LIBRARY)
    except PackageNotFoundError:
        return None


def _key(config: str, release: str) -> str:
    """What a record is kept under: 64 hexadecimal digits."""
    return hashlib.sha256(f"seedbed/record/1\n{LIBRARY} {release}\n{config}".encode()).hexdigest()
