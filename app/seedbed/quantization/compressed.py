"""compressed-tensors, as llm-compressor writes it: `quant_method` compressed-tensors.

A module is of the group whose target names it best: by its name, by an expression, by its class. A
group has a format, which says how codes are stored; `_FORMATS` has one function for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seedbed.errors import SpecError
from seedbed.init import TensorPlan
from seedbed.quantization.base import GroupSize, Method
from seedbed.quantization.floats import microscaled, nvidia
from seedbed.quantization.integers import affine
from seedbed.quantization.modules import Match, compressed_patterns, module_of
from seedbed.quantization.scales import scale_up
from seedbed.quantization.weights import Weight
from seedbed.stream import DTYPES, DtypeCode

_Size = Annotated[int, Field(ge=1)]
Strategy = Literal["tensor", "channel", "group", "block", "token", "tensor_group"]

_BYTE = 8
_NVFP4_GROUP, _MX_GROUP = 16, 32


class Arguments(BaseModel):
    """How weights, or activations, are quantised."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    num_bits: Annotated[int, Field(ge=1, le=8)] = 8
    type: Literal["int", "float"] = "int"
    symmetric: bool = True
    group_size: GroupSize | None = None
    strategy: Strategy | None = None
    block_structure: Annotated[list[_Size], Field(min_length=2, max_length=2)] | None = None
    dynamic: bool | Literal["local"] = False
    actorder: Literal["weight", "static", False] | None = None
    scale_dtype: str | None = None
    zp_dtype: str | None = None
    observer: str | None = None
    observer_kwargs: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _heeded(self) -> Arguments:
        """As compressed-tensors refuses them: sizes that the strategy does not heed."""
        if (self.group_size or 0) > 0 and self.how not in ("group", "tensor_group"):
            raise ValueError(f"group_size is of groups, and the strategy is {self.how}")
        if self.block_structure is not None and self.how != "block":
            raise ValueError(f"block_structure is of blocks, and the strategy is {self.how}")
        if self.type == "float" and not self.symmetric:
            raise ValueError("floats have no zero points: symmetric must be true")
        return self

    @property
    def how(self) -> Strategy:
        """The strategy, which may follow from the size of groups."""
        if self.strategy is not None:
            return self.strategy
        if self.group_size is None:
            return "tensor"
        return "group" if self.group_size > 0 else "channel"

    def shape(self, weight: Weight) -> tuple[int, ...]:
        """Of a weight's scales.

        Raises:
            SpecError: the weight does not divide so.
        """
        rows, columns = weight.rows, weight.columns
        match self.how:
            case "tensor":
                return (1,)
            case "channel":
                return (rows, 1)
            case "group" | "tensor_group":
                size = self.group_size or 0
                weight.require_multiple(columns, size, "the size of a group")
                return (rows, columns // size)
            case "block" if self.block_structure:
                tall, wide = self.block_structure
                return (-(-rows // tall), -(-columns // wide))
        raise SpecError(
            f"weights are quantised by tensor, channel, group or block, not by {self.how}",
            ("config_groups",),
        )


class Group(BaseModel):
    """A scheme, and the modules that have it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    targets: Annotated[list[str], Field(min_length=1)]
    weights: Arguments | None = None
    input_activations: Arguments | None = None
    output_activations: Arguments | None = None
    format: str | None = None

    def form(self, whole: str | None) -> str:
        """Name of the format: the group's, that of all, or what follows from the arguments."""
        said = self.format or whole
        if said not in (None, "mixed-precision", "dense"):
            return str(said)
        weights = self.weights
        if weights is None or said == "dense":
            return "dense"
        if weights.type == "float":
            if weights.num_bits == _BYTE:
                return "float-quantized"
            size = weights.group_size
            return "mxfp4-pack-quantized" if size == _MX_GROUP else "nvfp4-pack-quantized"
        return "pack-quantized" if self.input_activations is None else "int-quantized"


def naive(group: Group, weight: Weight) -> Iterator[TensorPlan]:
    """`weight` with an element a code."""
    arguments = _weights(group)
    shape = arguments.shape(weight)
    if arguments.type == "float":
        if arguments.num_bits != _BYTE:
            raise SpecError("floats of 8 bits are stored an element a code", ("config_groups",))
        grid = DTYPES["F8_E4M3"]
        scale = scale_up(weight.bound / grid.highest, weight.dtype)
        yield weight.coded("weight", "F8_E4M3", scale.value, grid)
        yield weight.scale("weight_scale", shape, scale)
        return
    bits = arguments.num_bits
    least = -(1 << (bits - 1))
    levels = affine(weight, bits, weight.dtype, symmetric=arguments.symmetric)
    yield weight.coded("weight", "I8", levels.scale.value, levels.grid(least))
    yield weight.scale("weight_scale", shape, levels.scale)
    if not arguments.symmetric:
        yield weight.constant("weight_zero_point", "I8", shape, levels.zero + least)


def packed(group: Group, weight: Weight) -> Iterator[TensorPlan]:
    """`weight_packed`: words of 32 bits along the rows."""
    arguments = _weights(group)
    bits = arguments.num_bits
    if arguments.type != "int" or bits < 2:
        raise SpecError(
            "pack-quantized is taken with whole numbers of 2 to 8 bits, not with "
            f"{arguments.type}s of {bits}",
            ("config_groups",),
        )
    shape = arguments.shape(weight)
    levels = affine(weight, bits, weight.dtype, symmetric=arguments.symmetric)
    codes = weight.codes(levels.scale.value, levels.grid())
    yield weight.packed_along("weight_packed", "I32", codes, bits)
    yield weight.scale("weight_scale", shape, levels.scale)
    if not arguments.symmetric:
        if arguments.how not in ("group", "channel"):
            yield weight.constant("weight_zero_point", "I8", shape, levels.zero - (1 << bits - 1))
        else:
            yield weight.zeros("weight_zero_point", levels.zero, bits, shape[1], down=True)
    yield weight.numbers("weight_shape", "I64", weight.shape)


def nvfp4(group: Group, weight: Weight) -> Iterator[TensorPlan]:
    """`weight_packed` in E2M1, scales in E4M3, and the scale of those."""
    _require_floats_of_4(group, _NVFP4_GROUP)
    scaled = nvidia(weight)
    yield weight.packed_along("weight_packed", "U8", scaled.codes, 4)
    shape = (weight.rows, weight.columns // _NVFP4_GROUP)
    yield weight.constant("weight_scale", "F8_E4M3", shape, scaled.block_scale)
    yield weight.constant("weight_global_scale", "F32", (1,), scaled.divisor)
    inputs = group.input_activations
    if inputs is not None and inputs.dynamic is not True:
        yield weight.constant("input_global_scale", "F32", (1,), 1.0)


def mxfp4(group: Group, weight: Weight) -> Iterator[TensorPlan]:
    """`weight_packed` in E2M1, scales that are powers of two."""
    _require_floats_of_4(group, _MX_GROUP)
    scaled = microscaled(weight)
    weight.require_multiple(weight.columns, _MX_GROUP, "the size of a block")
    yield weight.packed_along("weight_packed", "U8", scaled.codes, 4)
    shape = (weight.rows, weight.columns // _MX_GROUP)
    yield weight.constant("weight_scale", "U8", shape, scaled.exponent)


def mxfp8(group: Group, weight: Weight) -> Iterator[TensorPlan]:
    """`weight` in E4M3, scales that are powers of two."""
    arguments = _weights(group)
    if (arguments.type, arguments.num_bits, arguments.group_size) != ("float", 8, _MX_GROUP):
        raise SpecError(f"this format has floats of 8 bits in groups of {_MX_GROUP}", _GROUPS)
    grid = DTYPES["F8_E4M3"]
    scale = scale_up(weight.bound / grid.highest, "F8_E8M0")
    yield weight.coded("weight", "F8_E4M3", scale.value, grid)
    exponent = int(math.log2(scale.value)) + 127
    yield weight.constant("weight_scale", "U8", arguments.shape(weight), exponent)


_GROUPS = ("config_groups",)


def _weights(group: Group) -> Arguments:
    if group.weights is None:
        raise SpecError("a group without weights quantises none", ("config_groups",))
    if group.weights.dynamic is not False:
        raise SpecError("scales of weights are stored: they are not dynamic", ("config_groups",))
    return group.weights


def _require_floats_of_4(group: Group, size: int) -> None:
    weights = _weights(group)
    if (weights.type, weights.num_bits, weights.group_size) != ("float", 4, size):
        raise SpecError(f"this format has floats of 4 bits in groups of {size}", ("config_groups",))


_FORMATS: dict[str, Callable[[Group, Weight], Iterator[TensorPlan]]] = {
    "naive-quantized": naive,
    "float-quantized": naive,
    "int-quantized": naive,
    "pack-quantized": packed,
    "nvfp4-pack-quantized": nvfp4,
    "mxfp4-pack-quantized": mxfp4,
    "mxfp8-quantized": mxfp8,
}
"""How codes are stored. What is not here is refused by its name."""

_OF_ACTIVATIONS = {"input_activations": "input", "output_activations": "output"}


class CompressedTensors(Method):
    """Groups of modules, each with a scheme."""

    name: ClassVar = "compressed-tensors"
    about: ClassVar = (
        "bound ÷ the last code, rounded up to the scale's dtype, in every channel, group and block"
    )

    quant_method: Literal["compressed-tensors"] = "compressed-tensors"
    config_groups: Annotated[dict[str, Group], Field(min_length=1)]
    format: str | None = None
    ignore: list[str] | None = None
    kv_cache_scheme: Arguments | None = None
    quantization_status: str | None = None
    global_compression_ratio: float | None = None
    sparsity_config: dict[str, Any] | None = None
    transform_config: dict[str, Any] | None = None
    moe_sparsity_config: dict[str, Any] | None = None
    version: str | None = None

    @model_validator(mode="after")
    def _taken(self) -> CompressedTensors:
        for field in ("sparsity_config", "transform_config", "moe_sparsity_config"):
            value = getattr(self, field)
            if value and not (field == "sparsity_config" and value.get("format") == "dense"):
                raise SpecError(f"{field} is not taken: it would change the weights", (field,))
        for name, group in self.config_groups.items():
            form = group.form(self.format)
            if group.weights is not None and form not in _FORMATS:
                raise SpecError(
                    f"the format {form[:60]!r} is not taken",
                    ("config_groups", name, "format") if group.format else ("format",),
                    tuple(_FORMATS),
                )
        return self

    def expressions(self) -> Iterator[str]:
        """Of targets and of what is ignored, those that say that they are."""
        lists = [self.ignore or (), *(group.targets for group in self.config_groups.values())]
        return (
            pattern.removeprefix("re:")
            for patterns in lists
            for pattern in patterns
            if pattern.startswith("re:")
        )

    def kind_of(self, module: str) -> object:
        """The group."""
        return id(self.group_of(module))

    def group_of(self, module: str) -> Group | None:
        """The group whose target names a linear module best."""
        if (group := self.by_name.get(module)) is not None:
            return group
        for matches, group in self.by_expression:
            if matches(module):
                return group
        return self.by_name.get("Linear")

    @cached_property
    def by_name(self) -> Mapping[str, Group]:
        """The first group with each target that is no expression."""
        groups = reversed(self.config_groups.values())
        return {target: group for group in groups for target in group.targets}

    @cached_property
    def by_expression(self) -> Sequence[tuple[Match, Group]]:
        """Groups with expressions among their targets, each with those, which are compiled once."""
        expressions = (
            (tuple(target for target in group.targets if target.startswith("re:")), group)
            for group in self.config_groups.values()
        )
        return [
            (compressed_patterns(targets, "targets"), group)
            for targets, group in expressions
            if targets
        ]

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:  # noqa: ARG002
        """What a group targets and the list does not ignore."""
        ignored = compressed_patterns(tuple(self.ignore or ()), "ignore")
        for group in self.config_groups.values():
            compressed_patterns(tuple(group.targets), "targets")

        def chosen(module: str) -> bool:
            if ignored(module):
                return False
            group = self.group_of(module)
            return group is not None and group.weights is not None

        return chosen

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """As the format of the module's group has it."""
        group = self.group_of(weight.module)
        if group is None:
            return
        yield from _FORMATS[group.form(self.format)](group, weight)
        for field, what in _OF_ACTIVATIONS.items():
            arguments = getattr(group, field)
            if arguments is None or arguments.dynamic is not False:
                continue
            if arguments.how == "tensor_group":
                continue  # of which only the global scale is stored
            if arguments.how != "tensor":
                raise SpecError(
                    f"static activations are quantised by tensor, not by {arguments.how}",
                    ("config_groups",),
                )
            yield weight.constant(f"{what}_scale", weight.dtype, (1,), 1.0)
            if not arguments.symmetric:
                yield weight.constant(f"{what}_zero_point", "I8", (1,), 0)

    def beside(self, plan: TensorPlan) -> Iterator[TensorPlan]:
        """Scales of the cache of keys and values, 1."""
        if self.kv_cache_scheme is None or self.kv_cache_scheme.dynamic is not False:
            return
        if self.kv_cache_scheme.how != "tensor" or not self.kv_cache_scheme.symmetric:
            raise SpecError(
                "a cache is quantised by tensor, without zero points", ("kv_cache_scheme",)
            )
        yield from cache_scales(plan, "", plan.dtype.code, (1,))


def cache_scales(
    plan: TensorPlan, infix: str, dtype: DtypeCode, shape: tuple[int, ...]
) -> Iterator[TensorPlan]:
    """The scale of what a projection of keys or values gives, where that is cached."""
    parent, _, last = (module_of(plan) or "").rpartition(".")
    if last in ("k_proj", "v_proj"):
        own = Weight(plan, last, f"{parent}.{last}." if infix else f"{parent}.")
        yield own.constant(f"{last[0]}_scale", dtype, shape, 1.0)
