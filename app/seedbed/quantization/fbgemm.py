"""FP8 by rows, as FBGEMM stores it: `quant_method` fbgemm_fp8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from seedbed.init import TensorPlan
from seedbed.quantization.base import WithExclusions
from seedbed.quantization.scales import scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import DTYPES


class FbgemmFP8(WithExclusions):
    """E4M3 with a scale for each row."""

    name: ClassVar = "fbgemm_fp8"
    about: ClassVar = "bound / 448, rounded up, in every row"

    quant_method: Literal["fbgemm_fp8"] = "fbgemm_fp8"
    activation_scale_ub: float = 1200.0

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`weight` and `weight_scale`."""
        grid = DTYPES["F8_E4M3"]
        scale = scale_up(weight.bound / grid.highest, "F32")
        yield weight.coded("weight", "F8_E4M3", scale.value, grid)
        yield weight.scale("weight_scale", (weight.rows, 1), scale)
