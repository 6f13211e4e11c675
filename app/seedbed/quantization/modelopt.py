"""NVIDIA's ModelOpt: `quant_method` modelopt, or no more than a `quant_algo`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import translate
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from seedbed.init import TensorPlan
from seedbed.quantization.base import Method
from seedbed.quantization.compressed import cache_scales
from seedbed.quantization.floats import nvidia
from seedbed.quantization.modules import Match, modelopt_patterns
from seedbed.quantization.scales import scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import DTYPES

_NVFP4_GROUP = 16


class Cache(BaseModel):
    """How keys and values are cached: as compressed-tensors would say FP8 by tensor."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    num_bits: Literal[8]
    type: Literal["float"]
    dynamic: Literal[False] = False


class ModelOpt(Method):
    """FP8 by tensor, or NVFP4."""

    name: ClassVar = "modelopt"
    about: ClassVar = "bound / 448 for FP8; block scales of 448 and bound / 2688 for NVFP4"
    inert: ClassVar = frozenset({"config_groups", "producer"})

    quant_method: Literal["modelopt"] = "modelopt"
    quant_algo: Literal["FP8", "NVFP4"]
    ignore: list[str] | None = None
    exclude_modules: list[str] | None = None
    kv_cache_scheme: Cache | Literal["FP8"] | None = None
    kv_cache_quant_algo: Literal["FP8"] | None = None
    group_size: Literal[16] | None = None

    def expressions(self) -> Iterator[str]:
        """Globs, as Python translates them."""
        return map(translate, (*(self.ignore or ()), *(self.exclude_modules or ())))

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:  # noqa: ARG002
        """All linear modules that neither list names."""
        excluded = modelopt_patterns((*(self.ignore or ()), *(self.exclude_modules or ())))
        return lambda module: not excluded(module)

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`weight`, `weight_scale`, `weight_scale_2` of NVFP4, and `input_scale`."""
        if self.quant_algo == "FP8":
            grid = DTYPES["F8_E4M3"]
            scale = scale_up(weight.bound / grid.highest, "F32")
            yield weight.coded("weight", "F8_E4M3", scale.value, grid)
            yield weight.scale("weight_scale", (), scale)
        else:
            weight.require_multiple(weight.columns, _NVFP4_GROUP, "the size of a block")
            scaled = nvidia(weight, multiplied=True)
            yield weight.packed_along("weight", "U8", scaled.codes, 4)
            shape = (weight.rows, weight.columns // _NVFP4_GROUP)
            yield weight.constant("weight_scale", "F8_E4M3", shape, scaled.block_scale)
            yield weight.constant("weight_scale_2", "F32", (), scaled.factor)
        yield weight.constant("input_scale", "F32", (), 1.0)

    def beside(self, plan: TensorPlan) -> Iterator[TensorPlan]:
        """Scales of the cache of keys and values, 1, beside their projections."""
        if self.kv_cache_scheme or self.kv_cache_quant_algo:
            yield from cache_scales(plan, ".", "F32", ())
