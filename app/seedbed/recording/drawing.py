"""The tensors of a spec drawn in this process, any box of any of them on its own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from seedbed.files import Checkpoint, CheckpointSpec, Seed
from seedbed.init import Limits, MatrixCache, Source, TensorPlan
from seedbed.recording.recorded import Recorded
from seedbed.stream import DTYPES, Box, DtypeCode, get_engine

Ranges = tuple[tuple[int, int], ...]
Origin = CheckpointSpec | Recorded[Any] | Mapping[str, Any]
"""A spec, also as a dict, or a recording of one."""

_SEED: TypeAdapter[int] = TypeAdapter(Seed)

_MATRICES = 1 << 30
"""Bytes of matrices that are made as wholes and kept for their next box."""


class Drawing:
    """The tensors of a spec.

    Args:
        origin: the spec.
        seed: instead of its own.
        limits: what it may ask for.

    Raises:
        SpecError: it means no file.
    """

    def __init__(self, origin: Origin, seed: int | None, limits: Limits | None) -> None:
        if isinstance(origin, Recorded):
            origin = origin.spec
        elif not isinstance(origin, CheckpointSpec):
            origin = CheckpointSpec.model_validate_json(json.dumps(origin))
        if seed is not None:
            origin = origin.model_copy(update={"seed": _SEED.validate_python(seed)})
        self.plans = Checkpoint(origin, limits or Limits()).tensors
        self._seed = origin.seed
        self._engine = get_engine()
        self._matrices = MatrixCache(_MATRICES, threads=1)

    def box(self, plan: TensorPlan, ranges: Ranges, code: DtypeCode | None = None) -> NDArray[Any]:
        """The elements of some ranges along the axes of a tensor, as its dtype is stored.

        Args:
            plan: of the tensor.
            ranges: one for each axis.
            code: of another dtype than its own.
        """
        dtype = DTYPES[code] if code else plan.dtype
        source = Source(self._engine, self._seed, plan.name, dtype, self._matrices)
        extents = tuple(stop - start for start, stop in ranges)
        strides = tuple(math.prod(plan.shape[axis + 1 :]) for axis in range(len(extents)))
        start = sum(low * stride for (low, _), stride in zip(ranges, strides, strict=True))
        out: NDArray[Any] = np.empty(extents, dtype.storage)
        if out.size and extents:
            plan.fill.write_box(source, Box(start, extents, strides), out)
        elif out.size:
            plan.fill.write_box(source, Box.run(0, 1), out.reshape(1))
        return out
