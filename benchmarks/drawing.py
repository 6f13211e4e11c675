"""The rivals in process: each fills one tensor, as its own users would have it do.

Runs in a worker process that is bound to some cores before it imports any library, since thread
pools are sized when they are made.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

from benchmarks.processes import peak_rss

SEEDBED, REUSING, TORCH, JAX, KERAS = "Seedbed", "Seedbed, buffers reused", "torch", "JAX", "Keras"
NUMPY = ("PCG64DXSM", "SFC64", "Philox")
"""NumPy's bit generators under its `Generator`."""

HE_NORMAL, HE_UNIFORM, GLOROT_UNIFORM, TRUNCATED, TRUNCATED_FAR, CONSTANT = (
    "he_normal", "he_uniform", "glorot_uniform", "truncated at ±2 σ", "truncated at ±2", "constant",
)  # fmt: skip
STD = 0.02
"""Of the truncated normals. torch's own default is to cut at ±2, here a hundred of them."""

_KEPT = 8
"""Draws that are kept ready, each with its tensor: one case of all rivals."""

Draw = Callable[[], object]


def worker(cores: int) -> ProcessPoolExecutor:
    """A process for the functions below, bound to so many cores."""
    return ProcessPoolExecutor(1, get_context("spawn"), _bind, (cores,))


def _bind(cores: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["KERAS_BACKEND"] = "jax"


def in_worker(
    process: ProcessPoolExecutor,
    rival: str,
    scheme: str,
    dtype: str,
    elements: int,
    repeats: int = 1,
) -> Callable[[], float]:
    """`seconds`, measured in that process."""
    return lambda: process.submit(seconds, rival, scheme, dtype, elements, repeats).result()


def can_draw(rival: str, scheme: str) -> bool:
    """Whether a rival has such a scheme."""
    if scheme == TRUNCATED_FAR:
        return rival in (SEEDBED, REUSING, TORCH)
    return not (scheme == TRUNCATED and rival in NUMPY)


def seconds(rival: str, scheme: str, dtype: str, elements: int, repeats: int) -> float:
    """How long one draw takes, all that is made once having been made; the mean of so many."""
    draw = _prepared(rival, scheme, dtype, elements)
    began = time.perf_counter()
    for _ in range(repeats):
        draw()
    return (time.perf_counter() - began) / repeats


def peak_bytes(rival: str, scheme: str, dtype: str, elements: int) -> int:
    """Peak memory of this process after one draw."""
    _prepared(rival, scheme, dtype, elements)()
    return peak_rss(os.getpid())


@lru_cache(_KEPT)
def _prepared(rival: str, scheme: str, dtype: str, elements: int) -> Draw:
    """A draw that was made once already, so that its memory is there and its code compiled."""
    shape = (elements >> 12, 1 << 12)
    cores = len(os.sched_getaffinity(0))
    draw = {
        SEEDBED: _seedbed,
        REUSING: _seedbed_reusing,
        TORCH: _torch,
        JAX: _jax,
        KERAS: _keras,
    }.get(rival)
    made = draw(scheme, dtype, shape, cores) if draw else _numpy(rival, scheme, dtype, shape, cores)
    made()
    return made


def _seedbed_file(scheme: str, dtype: str, shape: tuple[int, int]) -> Any:
    from seedbed.files import CheckpointSpec, VirtualFile

    init: object = scheme
    if scheme in (TRUNCATED, TRUNCATED_FAR):
        bounds = "sigma" if scheme == TRUNCATED else "absolute"
        init = {"scheme": "truncated_normal", "std": STD, "bounds": bounds}
    elif scheme == CONSTANT:
        init = {"scheme": "constant", "value": 1}
    tensor = {"name": "weight", "shape": shape, "init": init}
    return VirtualFile(CheckpointSpec.model_validate({"dtype": dtype, "tensors": [tensor]}))


def _seedbed(scheme: str, dtype: str, shape: tuple[int, int], cores: int) -> Draw:
    """Chunks of one tensor, drawn into their places in it by as many threads as cores."""
    from seedbed.files import CHUNK_BYTES, split

    file = _seedbed_file(scheme, dtype, shape)
    head = len(file.header)
    out = memoryview(bytearray(file.size - head))
    chunks = list(split(0, len(out), CHUNK_BYTES))
    return _on_cores(cores, lambda c: file.read_into(head + c[0], out[c[0] : c[1]]), chunks)


def _seedbed_reusing(scheme: str, dtype: str, shape: tuple[int, int], cores: int) -> Draw:
    """Chunks drawn each into the buffer of its thread, which stays in cache: as when serving."""
    from seedbed.files import CHUNK_BYTES, split

    file = _seedbed_file(scheme, dtype, shape)
    room = threading.local()

    def draw(chunk: tuple[int, int]) -> None:
        if not hasattr(room, "view"):
            room.view = memoryview(bytearray(CHUNK_BYTES))
        file.read_into(chunk[0], room.view[: chunk[1] - chunk[0]])

    return _on_cores(cores, draw, list(split(0, file.size, CHUNK_BYTES)))


def _on_cores(cores: int, work: Callable[[Any], object], parts: Sequence[Any]) -> Draw:
    """All parts, by a thread for each core."""
    if cores == 1:
        return lambda: [work(part) for part in parts]
    pool = ThreadPoolExecutor(cores)
    return lambda: list(pool.map(work, parts))


def _torch(scheme: str, dtype: str, shape: tuple[int, int], cores: int) -> Draw:
    """`torch.nn.init`, in place."""
    import torch
    from torch.nn import init

    torch.set_num_threads(cores)
    kind = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}[dtype]
    out = torch.empty(shape, dtype=kind)
    far = 2.0 if scheme == TRUNCATED_FAR else 2 * STD
    draws: dict[str, Draw] = {
        HE_NORMAL: lambda: init.kaiming_normal_(out),
        HE_UNIFORM: lambda: init.kaiming_uniform_(out),
        GLOROT_UNIFORM: lambda: init.xavier_uniform_(out),
    }
    return draws.get(scheme, lambda: init.trunc_normal_(out, std=STD, a=-far, b=far))


def _jax(scheme: str, dtype: str, shape: tuple[int, int], cores: int) -> Draw:
    """`jax.nn.initializers`, jitted; on JAX's own default generator, Threefry."""
    del cores  # of those that the process is bound to
    import jax

    init = {
        HE_NORMAL: jax.nn.initializers.he_normal,
        HE_UNIFORM: jax.nn.initializers.he_uniform,
        GLOROT_UNIFORM: jax.nn.initializers.glorot_uniform,
        TRUNCATED: lambda: jax.nn.initializers.truncated_normal(STD),
    }[scheme]()
    kind = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}[dtype]
    draw = jax.jit(lambda key: init(key, shape, kind))
    key = jax.random.key(0)
    return lambda: draw(key).block_until_ready()


def _keras(scheme: str, dtype: str, shape: tuple[int, int], cores: int) -> Draw:
    """`keras.initializers` on JAX, called as layers call them."""
    del cores
    import keras

    init = {
        HE_NORMAL: keras.initializers.HeNormal(0),
        HE_UNIFORM: keras.initializers.HeUniform(0),
        GLOROT_UNIFORM: keras.initializers.GlorotUniform(0),
        TRUNCATED: keras.initializers.TruncatedNormal(stddev=STD, seed=0),
    }[scheme]
    kind = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}[dtype]
    return lambda: init(shape, dtype=kind).block_until_ready()


def _numpy(rival: str, scheme: str, dtype: str, shape: tuple[int, int], cores: int) -> Draw:
    """A `Generator` for each core, each with its part of the tensor."""
    import ml_dtypes
    import numpy as np

    kind = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16}[dtype]
    out = np.zeros(shape, kind)
    draws = out if kind is np.float32 else np.zeros(shape, np.float32)
    fans = sum(shape) / 2 if scheme == GLOROT_UNIFORM else shape[1]
    scale = np.float32((2 / fans) ** 0.5 if scheme == HE_NORMAL else (6 / fans) ** 0.5)
    bits = getattr(np.random, rival)
    generators = [
        np.random.Generator(bits(seed)) for seed in np.random.SeedSequence(0).spawn(cores)
    ]
    parts = list(
        zip(generators, np.array_split(draws, cores), np.array_split(out, cores), strict=True)
    )

    def fill(part: tuple[Any, Any, Any]) -> None:
        generator, room, target = part
        if scheme == HE_NORMAL:
            generator.standard_normal(dtype=np.float32, out=room)
            room *= scale
        else:
            generator.random(dtype=np.float32, out=room)
            room *= 2 * scale
            room -= scale
        if target.dtype != np.float32:
            target[:] = room

    return _on_cores(cores, fill, parts)
