"""Writing by a Ray cluster: a task a file, with Ray's own placement and retries.

The driver holds no bytes, and a task holds what its upload does. A worker or a node that dies costs
the file it was at, which Ray starts again elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from seedbed.errors import SpecError, StoreError
from seedbed.files import Checkpoint, TextLimits, json_of_token, spec_of_token_json
from seedbed.init import Limits
from seedbed.materialise.run import EXPECTED, Execute, Failure, Results, Tally
from seedbed.materialise.targets import Done, Wish, make, open_target
from seedbed.stream import get_engine

RETRIES = 5
"""Of a task whose worker or node died, or whose store failed for longer than obstore tries."""

_TOLD_BYTES = 32 << 20
_POLL_SECONDS = 1.0
_MAX_TOKEN_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Job:
    """What a task needs to know, beside the name of its file.

    Attributes:
        token: of the spec.
        limits: that it is held to.
        texts: likewise.
        engine: who draws.
        url: of the target.
        wish: how to write.
    """

    token: str
    limits: Limits
    texts: TextLimits
    engine: str
    url: str
    wish: Wish


@functools.lru_cache(maxsize=2)
def _checkpoint(token: str, limits: Limits, texts: TextLimits, engine: str) -> Checkpoint:
    """Planned once in each worker, not once for each file."""
    spec = spec_of_token_json(json_of_token(token, _MAX_TOKEN_BYTES), texts)
    return Checkpoint(spec, limits, get_engine(engine))


def work(job: Job, name: str, tally: Any) -> Done:
    """Write one file, in a worker.

    Args:
        job: all but its name.
        name: of the file.
        tally: an actor that is told of progress.
    """
    file = _checkpoint(job.token, job.limits, job.texts, job.engine).file(name)
    if file is None:
        raise AssertionError("it is one of the checkpoint's own names")
    told = 0

    def at(done: int) -> None:
        nonlocal told
        if done - told >= _TOLD_BYTES or done == file.size or done < told:
            told = done
            tally.at.remote(name, done)

    return make(file, open_target(job.url, 1), job.wish, at)


def on_ray(address: str | None, job: Job, tally: Tally) -> Execute:
    """Who writes files of a checkpoint on a Ray cluster.

    Args:
        address: of the cluster; None for the one that Ray itself finds, or else a new one here.
        job: what each task needs to know.
        tally: told of progress.

    Raises:
        SpecError: Ray is not installed.
        StoreError: there is no such cluster.
    """
    ray = _ray()
    try:
        ray.init(address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise StoreError(f"there is no Ray cluster at {address}: {error}") from error
    here = ray.get_runtime_context().get_node_id()
    strategies = ray.util.scheduling_strategies
    told = ray.remote(num_cpus=0, max_restarts=-1)(Tally).options(
        scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(here, soft=True)
    )
    shared = told.remote()
    task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=[StoreError])(work)
    known = ray.put(job)

    def execute(names: Sequence[str]) -> Results:
        waiting = {
            task.options(name=f"seedbed:{name}").remote(known, name, shared): name for name in names
        }
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=_POLL_SECONDS)
            with suppress(ray.exceptions.RayError):  # it is told again
                tally.at("", ray.get(shared.total.remote(), timeout=_POLL_SECONDS))
            if not ready:
                yield None
            for reference in ready:
                yield _result(ray, reference, waiting.pop(reference))

    return execute


def _ray() -> Any:
    """Ray, if it is installed.

    Raises:
        SpecError: it is not.
    """
    try:
        import ray  # noqa: PLC0415  an extra
        import ray.util.scheduling_strategies  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise SpecError("--ray needs Ray: pip install 'seedbed[ray]'", ("ray",)) from error
    return ray


def _result(ray: Any, reference: Any, name: str) -> Done | Failure:
    """What became of a task that has ended, however often it was tried."""
    try:
        done: Done = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if not isinstance(error.cause, EXPECTED):
            raise
        return Failure(name, error.cause)
    except ray.exceptions.RayError as error:  # its worker or node died too often
        first = str(error).strip().partition("\n")[0]
        return Failure(name, StoreError(f"{type(error).__name__}: {first}"))
    return done
