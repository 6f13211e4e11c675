"""GPTQ, as AutoGPTQ and GPTQModel store it: `quant_method` gptq.

Codes run down the inputs: a word of `qweight` (in / codes of a word, out) has those of one output.
Zero points are stored less one in version 1, whose kernels add it again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seedbed.init import Packed, TensorPlan
from seedbed.quantization.base import GroupSize, Method
from seedbed.quantization.integers import affine
from seedbed.quantization.modules import OUTPUT, Match
from seedbed.quantization.weights import Weight

_WORD_BITS = 32
_IN_BLOCK = re.compile(r"\.\d+\.")


class Gptq(Method):
    """Codes of 2, 3, 4 or 8 bits in groups of inputs."""

    name: ClassVar = "gptq"
    about: ClassVar = "bound ÷ (2^(bits − 1) − 1), rounded up to float16, in every group"
    inert: ClassVar = frozenset(
        {
            "damp_percent", "damp_auto_increment", "true_sequential", "model_name_or_path",
            "model_file_base_name", "meta", "static_groups", "dataset", "tokenizer", "backend",
            "use_exllama", "exllama_config", "max_input_length", "cache_block_outputs",
            "batch_size", "pad_token_id", "use_cuda_fp16", "block_name_to_quantize",
            "module_name_preceding_first_block", "model_seqlen", "disable_exllama",
            "act_group_aware", "mse", "quantizer", "desc_act", "offload_to_disk",
        }
    )  # fmt: skip

    quant_method: Literal["gptq"] = "gptq"
    bits: Literal[2, 3, 4, 8] = 4
    group_size: GroupSize = 128
    sym: bool = True
    checkpoint_format: Literal["gptq", "gptq_v2"] | None = None
    format: Literal["gptq", "gptq_v2"] | None = None
    is_marlin_format: Literal[False] = False
    pack_dtype: Literal["int32"] = "int32"
    lm_head: bool = False
    modules_in_block_to_quantize: list[list[str] | str] | None = None
    modules_to_not_convert: Annotated[list[str], Field(max_length=0)] | None = None
    dynamic: Annotated[dict[str, Any], Field(max_length=0)] | None = None

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:  # noqa: ARG002
        """Linear modules of the blocks, and the output where that is said."""
        listed = self.modules_in_block_to_quantize
        ends: tuple[str, ...] | None = None
        if listed is not None:
            flat = [name for part in listed for name in ([part] if isinstance(part, str) else part)]
            ends = tuple(f".{name}" for name in flat)

        def chosen(module: str) -> bool:
            if OUTPUT.search(module):
                return self.lm_head
            return bool(_IN_BLOCK.search(module)) and (ends is None or module.endswith(ends))

        return chosen

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`qweight`, `qzeros`, `scales` and `g_idx`."""
        size = self.group_size if self.group_size > 0 else weight.columns
        each = _WORD_BITS // math.gcd(_WORD_BITS, self.bits)  # that whole words hold
        weight.require_multiple(weight.columns, each, "codes in whole words")
        weight.require_multiple(weight.columns, size, "the size of a group")
        groups = weight.columns // size
        levels = affine(weight, self.bits, "F16", symmetric=self.sym)
        codes = weight.codes(levels.scale.value, levels.grid())
        if each == _WORD_BITS:
            yield weight.straddling("qweight", codes, self.bits, weight.rows)
        else:
            shape = (weight.columns // each, weight.rows)
            strides = (each, weight.columns)
            fill = Packed(codes, shape, strides, tuple(range(each)), self.bits)
            yield weight.codes_in("qweight", "I32", shape, fill)
        second = "gptq_v2" in (self.checkpoint_format, self.format)
        zero = levels.zero if second else (levels.zero - 1) % (1 << self.bits)
        yield weight.zeros("qzeros", zero, self.bits, groups)
        yield weight.scale("scales", (groups, weight.rows), levels.scale)
        yield weight.groups("g_idx", weight.columns, size)
