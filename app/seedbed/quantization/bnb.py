"""bitsandbytes, as transformers saves it: `quant_method` bitsandbytes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from seedbed.errors import SpecError
from seedbed.init import Packed, TensorPlan
from seedbed.quantization.base import Method, outputs
from seedbed.quantization.modules import Match, transformers_patterns
from seedbed.quantization.scales import scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import Levels, Whole

_BLOCK, _NESTED_BLOCK = 64, 256

NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
"""Levels of NF4, in the order of their codes (Dettmers et al. 2023, QLoRA, appendix E)."""

_FP4_MAGNITUDES = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
FP4 = tuple(
    float(np.float32(sign * value) / np.float32(12.0))
    for sign in (1.0, -1.0)
    for value in _FP4_MAGNITUDES
)
"""Levels of bitsandbytes' own FP4, in the order of their codes."""

_TORCH = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}


class BitsAndBytes(Method):
    """Rows of int8, or blocks of 64 in 4 bits."""

    name: ClassVar = "bitsandbytes"
    about: ClassVar = "the bound, rounded up to float32, in every row or block"
    inert: ClassVar = frozenset(
        {"bnb_4bit_compute_dtype", "llm_int8_threshold", "llm_int8_enable_fp32_cpu_offload"}
    )

    quant_method: Literal["bitsandbytes"] = "bitsandbytes"
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "fp4"
    bnb_4bit_use_double_quant: bool = False
    bnb_4bit_quant_storage: Literal["uint8"] = "uint8"
    llm_int8_has_fp16_weight: Literal[False] = False
    llm_int8_skip_modules: list[str] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.load_in_4bit == self.load_in_8bit:
            raise SpecError("load_in_4bit or load_in_8bit, one of them, is true", ("load_in_4bit",))
        return self

    def expressions(self) -> Iterator[str]:
        """Of the list."""
        return iter(self.llm_int8_skip_modules or ())

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:
        """As of transformers."""
        kept = outputs(plans)
        if self.llm_int8_skip_modules is None:
            return lambda module: module not in kept
        named = tuple(self.llm_int8_skip_modules)
        excluded = transformers_patterns(named, "llm_int8_skip_modules")
        return lambda module: not excluded(module)

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`weight` with its state beside it."""
        largest = scale_up(weight.bound, "F32")
        if self.load_in_8bit:
            last = 127
            scale = float(np.float32(largest.value) / np.float32(last))
            while scale * last < weight.bound:
                scale = float(np.nextafter(np.float32(scale), np.float32(np.inf)))
            yield weight.coded("weight", "I8", scale, Whole(-last, last))
            yield weight.scale("SCB", (weight.rows,), largest)
            yield weight.constant("weight_format", "U8", (), 0)
            return
        levels = NF4 if self.bnb_4bit_quant_type == "nf4" else FP4
        order = sorted(range(len(levels)), key=lambda code: (levels[code], code))
        distinct = [code for code in order if code == 0 or levels[code] != 0 or levels is NF4]
        grid = Levels(tuple(levels[code] for code in distinct), tuple(distinct))
        count = math.prod(weight.shape)
        weight.require_multiple(count, 2, "codes in one byte")
        shape = (count // 2, 1)
        codes = weight.codes(largest.value, grid)
        yield weight.codes_in("weight", "U8", shape, Packed(codes, shape, (2, 1), (1, 0), 4))
        blocks = -(-count // _BLOCK)
        state: dict[str, Any] = {
            "quant_type": self.bnb_4bit_quant_type,
            "blocksize": _BLOCK,
            "dtype": _TORCH.get(weight.dtype, "float32"),
            "shape": list(weight.shape),
        }
        if self.bnb_4bit_use_double_quant:
            yield weight.constant("weight.absmax", "U8", (blocks,), _NESTED_BLOCK - 1)
            nested = -(-blocks // _NESTED_BLOCK)
            yield weight.scale("weight.nested_absmax", (nested,), largest)
            table = [(2 * code - 255) / 255 for code in range(_NESTED_BLOCK)]
            yield weight.numbers("weight.nested_quant_map", "F32", table)
            state |= {
                "nested_blocksize": _NESTED_BLOCK,
                "nested_dtype": "float32",
                "nested_offset": 0.0,
            }
        else:
            yield weight.scale("weight.absmax", (blocks,), largest)
        yield weight.numbers("weight.quant_map", "F32", levels)
        text = json.dumps(state).encode()
        name = f"weight.quant_state.bitsandbytes__{self.bnb_4bit_quant_type}"
        yield weight.numbers(name, "U8", list(text))
