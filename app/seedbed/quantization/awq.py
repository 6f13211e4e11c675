"""AWQ, as AutoAWQ stores it for its GEMM kernels: `quant_method` awq.

Codes run along the outputs, of a weight that is stored (in, out), and in an order of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from seedbed.init import Packed, TensorPlan
from seedbed.quantization.base import GroupSize, WithExclusions
from seedbed.quantization.integers import affine
from seedbed.quantization.weights import Weight

_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which output of eight each place of a word has, from its lowest bits up."""

_BITS = 4


class Awq(WithExclusions):
    """Codes of 4 bits in groups of inputs, with zero points."""

    name: ClassVar = "awq"
    about: ClassVar = "reach ÷ 14, rounded up to float16, in every group"
    inert: ClassVar = frozenset(
        {
            "backend", "fuse_max_seq_len", "modules_to_fuse", "do_fuse", "exllama_config",
            "desc_act", "sym", "dataset", "tokenizer", "damp_percent", "true_sequential",
            "model_seqlen",
        }
    )  # fmt: skip

    quant_method: Literal["awq"] = "awq"
    bits: Literal[4] = 4
    group_size: GroupSize = 128
    zero_point: Literal[True] = True
    version: Literal["gemm", "GEMM"] = "gemm"
    format: Literal["gemm"] | None = None

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`qweight`, `qzeros` and `scales`."""
        each = len(_ORDER)
        size = self.group_size if self.group_size > 0 else weight.columns
        weight.require_multiple(weight.rows, each, "codes in one word")
        weight.require_multiple(weight.columns, size, "the size of a group")
        groups = weight.columns // size
        levels = affine(weight, _BITS, "F16", symmetric=False)
        shape = (weight.columns, weight.rows // each)
        fill = Packed(
            weight.codes(levels.scale.value, levels.grid()),
            shape,
            (1, each * weight.columns),
            tuple(place * weight.columns for place in _ORDER),
            _BITS,
        )
        yield weight.codes_in("qweight", "I32", shape, fill)
        yield weight.zeros("qzeros", levels.zero, _BITS, groups)
        yield weight.scale("scales", (groups, weight.rows), levels.scale)
