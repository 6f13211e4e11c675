"""`fill`: the tensors of a checkpoint as JAX's arrays, each device's part made on its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import jax
from jax.sharding import Sharding
from numpy.typing import NDArray

from seedbed.errors import SpecError
from seedbed.recording import CODES, Contents, Origin, Ranges, cores, filled, opened
from seedbed.stream import Dtype

Shardings: TypeAlias = (
    Sharding | Mapping[str, Sharding] | Callable[[str, tuple[int, ...]], Sharding]
)

_NAMES = {code: name for name, code in CODES.items()}

_TOGETHER_BYTES = 1 << 26
"""Bytes of tensors that are made before they are given to JAX, at least one tensor."""


def fill(
    source: Origin,
    sharding: Shardings,
    *,
    seed: int | None = None,
    key: str | None = None,
    threads: int | None = None,
) -> dict[str, jax.Array]:
    """The tensors of a checkpoint by name, sharded; each process makes what its own devices hold.

    Elements are those of the file, whatever the mesh.

    Args:
        source: a recording, a spec (also as a dict, JSON text, or the path of a JSON file), the
            name of a preset, or the `http://…` of a service's checkpoint, of which the parts are
            fetched by ranges.
        sharding: of all tensors; or by name; or a function of name and shape.
        seed: instead of the source's own.
        key: an API key of the service.
        threads: that make them; by default as many as there are cores.

    Raises:
        SpecError: the source means no file, a sharding is missing or does not fit, or JAX lacks
            the dtype: 64 bits need `jax_enable_x64`.
        httpx.HTTPError: the service cannot be reached.
    """
    threads = threads or cores()
    contents = opened(source, seed, key, threads)
    try:
        dtypes = _dtypes(contents)
        chosen = _chosen(sharding, contents.shapes)
        for name, shape in contents.shapes.items():
            try:
                chosen[name].shard_shape(shape)
            except ValueError as error:  # an axis that the mesh does not divide
                raise SpecError(f"{name!r}: {error}", ("sharding",)) from error
        arrays: dict[str, jax.Array] = {}
        for names in _together(contents, dtypes):
            arrays |= _arrays(names, chosen, contents, dtypes, threads)
        return arrays
    finally:
        contents.close()


def _dtypes(contents: Contents) -> dict[str, Dtype]:
    """Of every tensor.

    Raises:
        SpecError: JAX lacks one.
    """
    dtypes: dict[str, Dtype] = {}
    for name, dtype in contents.dtypes.items():
        if dtype is None:
            raise SpecError(f"{name!r} has a dtype that is not known here", ("dtype",))
        if dtype.size_bytes == 8 and not jax.config.jax_enable_x64:
            raise SpecError(
                f"{name!r} is {dtype.code}; JAX has 64 bits only with jax_enable_x64", ("dtype",)
            )
        dtypes[name] = dtype
    return dtypes


def _chosen(sharding: Shardings, shapes: Mapping[str, tuple[int, ...]]) -> Mapping[str, Sharding]:
    """The sharding of each tensor."""
    if isinstance(sharding, Mapping):
        if differ := sorted(sharding.keys() ^ shapes.keys()):
            raise SpecError(f"shardings and tensors differ: {', '.join(differ[:8])}", ("sharding",))
        return sharding
    if isinstance(sharding, Sharding):
        return dict.fromkeys(shapes, sharding)
    return {name: sharding(name, shape) for name, shape in shapes.items()}


def _together(contents: Contents, dtypes: Mapping[str, Dtype]) -> Iterator[list[str]]:
    """Names of tensors in runs, each of some bytes."""
    run: list[str] = []
    size = 0
    for name, shape in contents.shapes.items():
        run.append(name)
        size += math.prod(shape) * dtypes[name].size_bytes
        if size >= _TOGETHER_BYTES:
            yield run
            run, size = [], 0
    yield run


def _arrays(
    names: list[str],
    chosen: Mapping[str, Sharding],
    contents: Contents,
    dtypes: Mapping[str, Dtype],
    threads: int,
) -> dict[str, jax.Array]:
    """Some tensors; devices that hold the same part share it."""
    wanted: dict[tuple[str, Ranges], tuple[str, Dtype, Ranges]] = {}
    for name in names:
        shape = contents.shapes[name]
        for index in chosen[name].addressable_devices_indices_map(shape).values():
            ranges = _ranges(index, shape)
            wanted[name, ranges] = (name, dtypes[name], ranges)
    made = dict(zip(wanted, filled(contents, [*wanted.values()], threads), strict=True))

    def array(name: str) -> jax.Array:
        shape, dtype = contents.shapes[name], jax.numpy.dtype(_NAMES[dtypes[name].code])

        def part(index: tuple[slice, ...] | None) -> NDArray[Any]:
            return made[name, _ranges(index, shape)].view(dtype)

        return jax.make_array_from_callback(shape, chosen[name], part, dtype=dtype)

    return {name: array(name) for name in names}


def _ranges(index: tuple[slice, ...] | None, shape: tuple[int, ...]) -> Ranges:
    """A device's part."""
    slices = index or ()
    return tuple(s.indices(n)[:2] for s, n in zip(slices, shape, strict=True))
