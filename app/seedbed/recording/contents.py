"""Where the elements of a file's tensors come from: drawn here by a spec, or a service's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray
from pydantic import ValidationError

from seedbed.errors import InvalidError, SpecError
from seedbed.files import SPEC, CheckpointSpec, TextLimits, plan_of, read, spec_of_preset
from seedbed.init import Limits, MatrixCache
from seedbed.init import Source as Numbers
from seedbed.recording.recorded import Recorded
from seedbed.stream import Box, Dtype, get_engine

if TYPE_CHECKING:
    from seedbed.recording.fetching import Fetching

Origin = Recorded[Any] | CheckpointSpec | Mapping[str, Any] | os.PathLike[str] | str
"""What says how tensors start: also a spec as a dict, as JSON or in a file, a preset, a URL."""

_LIMITS = Limits(max_dense_elements=1 << 40, max_dense_bytes=1 << 46, max_literal_elements=1 << 32)
_TEXTS = TextLimits(_LIMITS, max_values=1 << 28, max_members=1 << 24)
"""A service bounds what strangers ask for; here people use what is theirs."""

_MATRIX_BYTES = 1 << 24


class Contents(Protocol):
    """A checkpoint whose tensors can be read by boxes."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of every tensor, in the order of the file or of the spec."""
        ...

    @property
    def dtypes(self) -> Mapping[str, Dtype | None]:
        """Of every tensor; `None` for one that Seedbed does not know."""
        ...

    def check(self, name: str, dtype: Dtype) -> None:
        """Refuse a tensor in a dtype that would not have its elements.

        Raises:
            SpecError: with the reason.
        """
        ...

    def write(self, name: str, dtype: Dtype, box: Box, out: NDArray[Any]) -> None:
        """Write a box of a tensor, of the dtype's storage; in any thread."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Drawing:
    """A checkpoint that is drawn in this process.

    Args:
        spec: of it.
        threads: that make one matrix.

    Raises:
        SpecError: the spec cannot mean a file.
    """

    def __init__(self, spec: CheckpointSpec, threads: int) -> None:
        self._seed = spec.seed
        self._plans = {tensor.name: tensor for tensor in plan_of(spec, _LIMITS)}
        self.shapes = {name: tensor.shape for name, tensor in self._plans.items()}
        self.dtypes = {name: tensor.dtype for name, tensor in self._plans.items()}
        largest = max((t.fill.dense_elements for t in self._plans.values()), default=0)
        kept = max(2 * 4 * largest, _MATRIX_BYTES)  # so that no matrix is made twice
        self._matrices = MatrixCache(kept, threads, max_waiting=1 << 30)

    def check(self, name: str, dtype: Dtype) -> None:
        """As a file of that dtype would be."""
        self._plans[name].fill.check(dtype)

    def write(self, name: str, dtype: Dtype, box: Box, out: NDArray[Any]) -> None:
        """Drawn straight into the memory."""
        numbers = Numbers(get_engine(), self._seed, name, dtype, self._matrices)
        self._plans[name].fill.write_box(numbers, box, out)

    def close(self) -> None:
        """End the threads that make matrices."""
        self._matrices.close()


def opened(
    source: Origin, seed: int | None, key: str | None, threads: int, *, framework: str = ""
) -> Contents:
    """The checkpoint that a source means.

    Args:
        source: a recording, a spec (also as a dict, as JSON or as the path of a JSON file), a
            preset's name, or the URL of a service's named spec, model, link or file.
        seed: instead of its own.
        key: an API key, for a URL.
        threads: that make one matrix.
        framework: whose names and layouts a spec must have.

    Raises:
        SpecError: it means no file.
        httpx.HTTPError: the service cannot be reached.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        from seedbed.recording.fetching import Fetching  # noqa: PLC0415  only this needs httpx

        return Fetching(source, seed, key)
    if key is not None:
        raise SpecError("only a URL takes a key", ("key",))
    spec = spec_of(source, seed)
    if framework and spec.framework != framework:
        raise SpecError(
            f"the spec has names and layouts of {spec.framework}", ("framework",), (framework,)
        )
    return Drawing(spec, threads)


def spec_of(origin: Origin, seed: int | None) -> CheckpointSpec:
    """The spec that is meant.

    Args:
        origin: not a URL.
        seed: instead of its own.

    Raises:
        SpecError: it is none, or there is no such preset, or no such seed.
        OSError: there is no such file.
    """
    try:
        spec = _spec_of(origin)
    except InvalidError as error:
        raise next(iter(error.findings), SpecError(error.message)) from error
    if seed is None:
        return spec
    try:
        return spec.with_seed(seed)
    except ValidationError as error:
        raise SpecError(error.errors(include_url=False)[0]["msg"], ("seed",)) from error


def _spec_of(origin: Origin) -> CheckpointSpec:
    match origin:
        case Recorded():
            return origin.spec
        case CheckpointSpec():
            return origin
        case Mapping():
            return read(SPEC, json.dumps(dict(origin)).encode(), _TEXTS)
        case os.PathLike():
            return read(SPEC, Path(origin).read_bytes(), _TEXTS)
        case str() if origin.lstrip().startswith("{"):
            return read(SPEC, origin.encode(), _TEXTS)
        case str():
            return spec_of_preset(origin, {})
    raise TypeError(f"a {type(origin).__name__} says no weights")


def fetched_from(url: str, seed: int | None = None, key: str | None = None) -> Fetching:
    """The checkpoint at an address, to be fetched by ranges; raises as `Fetching` does."""
    from seedbed.recording.fetching import Fetching  # noqa: PLC0415  only this needs httpx

    return Fetching(url, seed, key)
