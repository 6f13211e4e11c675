"""A weight on its way into a quantised file, and the tensors that it becomes.

Methods say scale, grid and order of words; what all of them need of the unquantised weight is here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from seedbed.errors import SpecError
from seedbed.init import (
    Constant,
    Fill,
    Named,
    Packed,
    Quantised,
    Scheme,
    Shape,
    Straddling,
    TensorPlan,
    scheme,
)
from seedbed.quantization.scales import Scale, bound_of
from seedbed.stream import DTYPES, DtypeCode, Grid, Scaled


@dataclass(frozen=True, slots=True)
class Weight:
    """The weight of a linear module, or of a stack of them.

    Attributes:
        plan: of the unquantised tensor.
        module: name of the module that it is of.
        prefix: of the tensors that stand in its place: its module's name and a dot.
    """

    plan: TensorPlan
    module: str
    prefix: str

    @property
    def shape(self) -> Shape:
        """(out, in), as PyTorch has it, perhaps with a stack before."""
        return self.plan.shape

    @property
    def rows(self) -> int:
        """Outputs."""
        return self.plan.shape[-2]

    @property
    def columns(self) -> int:
        """Inputs."""
        return self.plan.shape[-1]

    @property
    def dtype(self) -> DtypeCode:
        """That the unquantised weight has."""
        return self.plan.dtype.code

    @property
    def bound(self) -> float:
        """The greatest magnitude that is drawn."""
        return bound_of(self.plan.fill, self.plan.name)

    def require_multiple(self, number: int, of: int, what: str) -> None:
        """Refuse a shape that does not divide.

        Raises:
            SpecError: with both numbers, and where.
        """
        if of < 1 or number % of:
            raise SpecError(
                f"{self.plan.name!r} has the shape {list(self.shape)}, whose {number} is no "
                f"multiple of {of}, {what}",
                ("quantization",),
            )

    def codes(self, scale: float, grid: Grid) -> Fill:
        """The weight as codes of a scale, in its own order, a byte each."""
        return Quantised(Named(self.plan.fill, self.plan.name), Scaled(scale, grid))

    def codes_in(self, name: str, dtype: DtypeCode, shape: Sequence[int], fill: Fill) -> TensorPlan:
        """A tensor of the weight's codes, which stand for draws of its scheme.

        Args:
            name: behind the module's.
            dtype: of the file.
            shape: likewise.
            fill: of that shape.
        """
        plan = replace(
            self.plan,
            name=f"{self.prefix}{name}",
            dtype=DTYPES[dtype],
            shape=tuple(shape),
            fill=fill,
            elements=math.prod(shape),
            known_fans=self.plan.fans,
            view_of=self.plan.view_of or self.plan.name,
        )
        fill.check(plan.dtype)
        return plan

    def known(self, name: str, dtype: DtypeCode, shape: Sequence[int], init: Scheme) -> TensorPlan:
        """A tensor beside the codes, whose numbers are known: nothing of it is drawn."""
        plan = self.codes_in(name, dtype, shape, init.fill(tuple(shape)))
        return replace(plan, scheme=init, origin=None, known_fans=None, same_as=None)

    def coded(self, suffix: str, dtype: DtypeCode, scale: float, grid: Grid) -> TensorPlan:
        """The weight in its own shape, an element a code."""
        return self.codes_in(suffix, dtype, self.shape, self.codes(scale, grid))

    def scale(self, suffix: str, shape: Sequence[int], scale: Scale) -> TensorPlan:
        """A tensor of one scale throughout."""
        return self.constant(suffix, scale.dtype.code, shape, scale.value)

    def constant(
        self, suffix: str, dtype: DtypeCode, shape: Sequence[int], value: float
    ) -> TensorPlan:
        """A tensor of one number throughout."""
        return self.known(suffix, dtype, shape, _constant(value))

    def numbers(self, suffix: str, dtype: DtypeCode, values: Sequence[int | float]) -> TensorPlan:
        """A vector of these numbers."""
        return self.known(suffix, dtype, (len(values),), _literal(tuple(values)))

    def groups(self, suffix: str, count: int, size: int) -> TensorPlan:
        """The index of the group of each of so many columns, as I32."""
        return self.known(suffix, "I32", (count,), _repeated_arange(size))

    def packed_along(self, suffix: str, dtype: DtypeCode, codes: Fill, bits: int) -> TensorPlan:
        """Codes put together along the last axis, the first in the lowest bits."""
        if DTYPES[dtype].bits % bits:
            return self.straddling(suffix, codes, bits, 1)
        each = DTYPES[dtype].bits // bits
        self.require_multiple(self.columns, each, f"codes of {bits} bits in one {dtype}")
        shape = (*self.shape[:-1], self.columns // each)
        strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(shape))]
        strides[-1] = each
        return self.codes_in(
            suffix, dtype, shape, Packed(codes, shape, tuple(strides), tuple(range(each)), bits)
        )

    def straddling(self, suffix: str, codes: Fill, bits: int, across: int) -> TensorPlan:
        """32 codes in as many words of 32 bits as they have bits, along rows.

        Args:
            suffix: behind the module's name.
            codes: of the weight.
            bits: of each.
            across: 1 if words follow each other as the codes do, the number of rows if words of
                different rows do.
        """
        rows, columns = self.shape
        self.require_multiple(columns, 32, f"codes of {bits} bits in {bits} words")
        words = columns // 32 * bits
        shape = (rows, words) if across == 1 else (words, rows)
        strides = (32, 0) if across == 1 else (32, columns)
        return self.codes_in(suffix, "I32", shape, Straddling(codes, across, strides, bits))

    def zeros(
        self, suffix: str, code: int, bits: int, groups: int, *, down: bool = False
    ) -> TensorPlan:
        """The code of 0 of every group and row, packed: (groups, words of all rows).

        Args:
            suffix: behind the module's name.
            code: the same everywhere.
            bits: of it.
            groups: of a row.
            down: whether the tensor is (words of all rows, groups).
        """
        whole = 32 // math.gcd(32, bits)
        self.require_multiple(self.rows, whole, "zero points in whole words")
        words = self.rows * bits // 32
        shape = (words, groups) if down else (groups, words)
        if 32 % bits == 0:
            return self.constant(suffix, "I32", shape, repeated(code, bits))
        fill = Straddling(Constant(code), groups if down else 1, (0, 0), bits)
        plan = self.codes_in(suffix, "I32", shape, fill)
        init = _constant(code)
        return replace(plan, scheme=init, origin=None, known_fans=None, same_as=None)


def repeated(code: int, bits: int) -> int:
    """A signed 32-bit word of one code in every place."""
    word = sum(code << shift for shift in range(0, 32, bits))
    return word - (1 << 32) if word >> 31 else word


@lru_cache(maxsize=4096)
def _constant(value: float) -> Scheme:
    """One object for many weights: there are few values."""
    return scheme("constant", value=value)


@lru_cache(maxsize=64)
def _literal(values: tuple[int | float, ...]) -> Scheme:
    return scheme("literal", values=values)


@lru_cache(maxsize=64)
def _repeated_arange(repeat: int) -> Scheme:
    return scheme("arange", repeat=repeat)
