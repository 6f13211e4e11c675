"""Which tensors a spec names, and what fills each of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.errors import ParameterError, ShapeError, SpecError
from seedbed.init.dense import Dense
from seedbed.init.fills import Fill
from seedbed.init.limits import Limits
from seedbed.init.schemes import Init, Scheme, Shape
from seedbed.stream import DTYPES, Dtype, DtypeCode, FloatCode, ParameterProblem

DIMENSION_MAX = 2**63 - 1

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def sound_text(text: str) -> str:
    """Text that every JSON writer and file format can carry.

    Raises:
        PydanticCustomError: it has control characters or halves of surrogate pairs.
    """
    if found := _CONTROL.search(text):
        raise PydanticCustomError(
            "control_character",
            "control character U+{code} at position {position} is not allowed",
            {"code": f"{ord(found[0]):04X}", "position": found.start()},
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PydanticCustomError(
                "lone_surrogate",
                "half of a surrogate pair at position {position} is not a character",
                {"position": error.start},
            ) from error
    return text


def _tensor_name(name: str) -> str:
    if name == "__metadata__":
        raise PydanticCustomError(
            "reserved_name", "__metadata__ is the format's own key and cannot name a tensor"
        )
    return sound_text(name)


TensorName = Annotated[str, Field(min_length=1), AfterValidator(_tensor_name)]
Text = Annotated[str, AfterValidator(sound_text)]
Dimension = Annotated[int, Field(ge=0, le=DIMENSION_MAX)]


class TensorSpec(BaseModel):
    """One tensor: name, shape, and how to fill it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: TensorName = Field(description="Unique name; it takes part in the random stream.")
    shape: Annotated[tuple[Dimension, ...], FailFast(), Field(strict=False)] = Field(
        description="Dimensions in PyTorch's order, (out, in, *kernel); [] is a scalar."
    )
    init: Init | None = Field(
        None, description="Scheme name or object; may be left to a rule that matches the name."
    )
    dtype: DtypeCode | None = Field(
        None, description="Overrides the checkpoint's dtype. Integers and BOOL hold constants only."
    )


class Rule(BaseModel):
    """A change to every tensor whose name matches a glob; of several rules the last one wins."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    match: Text = Field(
        min_length=1,
        max_length=1024,
        description="Glob on the whole tensor name, case-sensitive: * ? [set] [!set].",
    )
    init: Init | None = Field(None, description="Scheme for the tensors that match.")
    dtype: DtypeCode | None = Field(None, description="Dtype for the tensors that match.")

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.init is None and self.dtype is None:
            raise PydanticCustomError("empty_rule", "a rule needs init or dtype, or both")
        return self


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of the file, decided.

    Attributes:
        name: unique in the file.
        shape: in PyTorch's order.
        dtype: of the elements.
        scheme: that was asked for.
        fill: that it came to.
        elements: product of the shape.
    """

    name: str
    shape: Shape
    dtype: Dtype
    scheme: Scheme
    fill: Fill
    elements: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all elements."""
        return self.elements * self.dtype.size_bytes


def count_elements(shape: Shape) -> int:
    """Product of the dimensions.

    Raises:
        ShapeError: it overflows 63 bits, also where a later 0 would make it 0: readers multiply
            from the left and refuse such a file.
    """
    count, bound = 1, 1
    for dimension in shape:
        count *= dimension
        bound *= max(dimension, 1)
    if bound > DIMENSION_MAX:
        raise ShapeError(f"shape {list(shape)} has more elements than 63 bits count", ("shape",))
    return count


class _Rules:
    """The rules of a spec, compiled: what the last match says of a name."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [
            (re.compile(fnmatch.translate(rule.match)).match, rule) for rule in reversed(rules)
        ]

    def apply(self, tensor: TensorSpec) -> tuple[Scheme | None, str | None]:
        """Scheme and dtype of a tensor."""
        init = dtype = None
        for match, rule in self._rules:
            if match(tensor.name):
                init = init or rule.init
                dtype = dtype or rule.dtype
                if init and dtype:
                    break
        return init or tensor.init, dtype or tensor.dtype

    def source(self, tensor: TensorSpec, field: str | int) -> int | None:
        """Index of the rule that decided a tensor's `init` or `dtype`, if any did."""
        for i, (match, rule) in enumerate(self._rules, 1):
            if getattr(rule, str(field), None) is not None and match(tensor.name):
                return len(self._rules) - i
        return None


def plan(
    tensors: Sequence[TensorSpec],
    rules: Sequence[Rule],
    dtype: FloatCode,
    limits: Limits,
) -> tuple[TensorPlan, ...]:
    """Decide every tensor, in the order given.

    Raises:
        SpecError: with the place in the spec: `("tensors", 0, "shape")`, `("rules", 0, "init")`.
        LimitError: too many tensors or dimensions, or too long a name.
    """
    limits.require("max_tensors", len(tensors), "tensors")
    limits.require("max_rules", len(rules), "rules")
    applied = _Rules(rules)
    fills: dict[tuple[str, Shape, str], Fill] = {}
    places: dict[str, int] = {}
    plans = []
    for i, tensor in enumerate(tensors):
        try:
            if (first := places.setdefault(tensor.name, i)) != i:
                raise SpecError(f"{tensor.name!r} also names tensor {first}", ("name",))
            limits.require("max_rank", len(tensor.shape), "dimensions")
            limits.require("max_name_bytes", len(tensor.name.encode()), "bytes of tensor name")
            elements = count_elements(tensor.shape)
            scheme, code = applied.apply(tensor)
            if scheme is None:
                raise SpecError(
                    f"nothing says how to fill {tensor.name!r}: it has no init and no rule with "
                    "an init matches it",
                    ("init",),
                )
            decided = DTYPES[code or dtype]
            key = (scheme.spelling, tensor.shape, decided.code)
            if (fill := fills.get(key)) is None:
                fill = fills[key] = _fill(scheme, tensor.shape, decided)
                if isinstance(fill, Dense):
                    limits.require("max_dense_elements", fill.elements, "elements made as a whole")
        except SpecError as error:
            raise _placed(error, i, tensor, applied) from error
        plans.append(TensorPlan(tensor.name, tensor.shape, decided, scheme, fill, elements))
    return tuple(plans)


def _fill(scheme: Scheme, shape: Shape, dtype: Dtype) -> Fill:
    """The fill of a scheme for a shape, once it is known that the dtype can hold it."""
    try:
        fill = scheme.fill(shape)
    except ParameterProblem as problem:
        if problem.parameter in type(scheme).model_fields:
            raise ParameterError(problem.message, ("init", problem.parameter)) from problem
        raise ParameterError(
            f"{scheme.scheme} makes no draws for shape {list(shape)}: {problem.message}", ("init",)
        ) from problem
    fill.check(dtype)
    return fill


def _placed(error: SpecError, index: int, tensor: TensorSpec, rules: _Rules) -> SpecError:
    """An error of one tensor, seen from the spec: in the tensor, or in the rule that decided."""
    rule = rules.source(tensor, error.path[0])
    if rule is None:
        return error.within("tensors", index)
    named = type(error)(f"{error.message} ({tensor.name!r})", error.path, error.allowed)
    return named.within("rules", rule)
