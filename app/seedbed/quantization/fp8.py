"""Fine-grained FP8, as DeepSeek-V3 and transformers store it: `quant_method` fp8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seedbed.errors import SpecError
from seedbed.init import TensorPlan
from seedbed.quantization.base import WithExclusions
from seedbed.quantization.modules import Match, transformers_patterns
from seedbed.quantization.scales import scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import DTYPES

_Block = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]


class FineGrainedFP8(WithExclusions):
    """E4M3 with a scale for each block of rows and columns."""

    name: ClassVar = "fp8"
    about: ClassVar = "bound / 448, rounded up, in every block"

    quant_method: Literal["fp8"] = "fp8"
    activation_scheme: Literal["dynamic", "static"] = "dynamic"
    fmt: Literal["e4m3", "float8_e4m3fn"] = "e4m3"
    weight_block_size: _Block | None = Field(default_factory=lambda: [128, 128])
    scale_fmt: Literal["float", "ue8m0"] | None = None
    expert_dtype: Literal["fp8"] = "fp8"
    ignored_layers: list[str] | None = None
    dequantize: Literal[False] = False
    modules_to_convert: Annotated[list[str], Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        lists = self.modules_to_not_convert, self.ignored_layers
        if None not in lists and lists[0] != lists[1]:
            raise SpecError(
                "ignored_layers and modules_to_not_convert are one list by two names, and differ",
                ("ignored_layers",),
            )
        return self

    def expressions(self) -> Iterator[str]:
        """Of either list."""
        return iter(self.modules_to_not_convert or self.ignored_layers or ())

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:
        """As of transformers, in which `ignored_layers` is another name of the list."""
        if self.modules_to_not_convert is None and self.ignored_layers is not None:
            excluded = transformers_patterns(tuple(self.ignored_layers), "ignored_layers")
            return lambda module: not excluded(module)
        return super().chooser(plans)

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """`weight`, `weight_scale_inv`, and a scale of activations where that is static."""
        grid = DTYPES["F8_E4M3"]
        scale = scale_up(
            weight.bound / grid.highest, "F8_E8M0" if self.scale_fmt == "ue8m0" else "F32"
        )
        yield weight.coded("weight", "F8_E4M3", scale.value, grid)
        shape: tuple[int, ...] = ()
        if self.weight_block_size is not None:
            tall, wide = self.weight_block_size
            shape = (-(-weight.rows // tall), -(-weight.columns // wide))
        yield weight.scale("weight_scale_inv", shape, scale)
        if self.activation_scheme == "static":
            yield weight.constant("activation_scale", "F32", (), 1.0)
