"""MXFP4 as gpt-oss stores its experts: `quant_method` mxfp4.

A stack of experts is (experts, in, out) in the library and (experts, out, blocks of 32 inputs, 16
bytes) in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from seedbed.init import Packed, TensorPlan
from seedbed.quantization.base import WithExclusions
from seedbed.quantization.floats import microscaled
from seedbed.quantization.modules import transformers_patterns
from seedbed.quantization.weights import Weight

_BLOCK = 32
_STACK = 3


class Mxfp4(WithExclusions):
    """Experts in E2M1, with a power of two for each 32 inputs."""

    name: ClassVar = "mxfp4"
    about: ClassVar = "the least power of two not below bound / 6, in every block of 32"

    quant_method: Literal["mxfp4"] = "mxfp4"
    dequantize: Literal[False] = False

    def weights(self, plans: Sequence[TensorPlan]) -> Iterator[tuple[TensorPlan, Weight | None]]:
        """Stacks called `experts.gate_up_proj` and `experts.down_proj`."""
        named = tuple(self.modules_to_not_convert or ())
        excluded = transformers_patterns(named, "modules_to_not_convert")
        for plan in plans:
            module, _, last = plan.name.rpartition(".")
            stack = last in ("gate_up_proj", "down_proj") and module.endswith("experts")
            chosen = stack and len(plan.shape) == _STACK and not excluded(module)
            yield plan, Weight(plan, module, plan.name) if chosen else None

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`…_blocks` and `…_scales`."""
        experts, inputs, outputs = weight.shape
        weight.require_multiple(inputs, _BLOCK, "the size of a block")
        scaled = microscaled(weight)
        blocks = (experts, outputs, inputs // _BLOCK, _BLOCK // 2)
        strides = (inputs * outputs, 1, _BLOCK * outputs, 2 * outputs)
        fill = Packed(scaled.codes, blocks, strides, (0, outputs), 4)
        yield weight.codes_in("_blocks", "U8", blocks, fill)
        yield weight.constant("_scales", "U8", blocks[:-1], scaled.exponent)
