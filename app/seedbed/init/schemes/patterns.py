"""Schemes with a closed form: an element follows from its index alone, and nothing is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from seedbed.errors import ParameterError
from seedbed.init.fill import Fill
from seedbed.init.fills import Doubles, Indices, Pattern
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted, require_rank
from seedbed.stream import Summary

Flags = NDArray[np.bool_]

SAMPLED = 4096
"""Elements that a summary without a closed form looks at."""


def sampled(shape: Shape) -> Indices:
    """Up to `SAMPLED` indices of a tensor, spread so that no row or column is favoured."""
    elements = math.prod(shape)
    if elements <= SAMPLED:
        return np.arange(elements, dtype=np.int64)
    step = elements * 618_033_989 // 1_000_000_000 | 1
    return np.array([i * step % elements for i in range(SAMPLED)], np.int64)


def summary_of(counts: Mapping[float, float], total: int) -> Summary:
    """Of values that occur so often; what is not counted is 0."""
    total = total or 1
    mean = sum(value * count for value, count in counts.items()) / total
    second = sum(value * value * count for value, count in counts.items()) / total
    there = [value for value, count in counts.items() if count]
    if sum(counts.values()) < total:
        there.append(0.0)
    std = math.sqrt(max(second - mean * mean, 0.0))
    return Summary(mean, std, min(there), max(there), None)


@dataclass(frozen=True)
class Tap:
    """A matrix at one tap of a kernel, 0 at the others; without a kernel, the matrix itself.

    `k // 2` is the centre of a kernel axis, as in torch's `dirac_`.
    """

    shape: Shape

    @property
    def matrix(self) -> tuple[int, int]:
        """(out, in)."""
        return self.shape[0], self.shape[1]

    def split(self, indices: Indices) -> tuple[Indices, Indices, Flags]:
        """Row, column and whether it is the centre tap, of each index."""
        kernel = self.shape[2:]
        taps, centre = math.prod(kernel), 0
        for size in kernel:
            centre = centre * size + size // 2
        place, tap = indices // taps, indices % taps
        return place // self.shape[1], place % self.shape[1], tap == centre


@dataclass(frozen=True)
class _Eye:
    """`gain` where row and column agree after a modulus, in the centre tap."""

    tap: Tap
    gain: float
    row_period: int
    column_period: int
    ones: int

    @property
    def reach(self) -> tuple[float, float]:
        return min(0.0, self.gain), max(0.0, self.gain)

    def at(self, indices: Indices) -> Doubles:
        row, column, centre = self.tap.split(indices)
        same = row % self.row_period == column % self.column_period
        return np.where(same & centre, self.gain, 0.0)

    def summary(self) -> Summary:
        return summary_of({self.gain: self.ones}, math.prod(self.tap.shape))


class Eye(Scheme):
    """Identity matrix, rectangular too: gain where row and column are equal, 0 elsewhere."""

    scheme: Literal["eye"] = "eye"
    aliases = named("eye_", "identity", "Identity", "IdentityInitializer", "irnn")
    formula = "gain·δ_ij"
    latex = r"\mathrm{gain}\,\delta_{ij}"
    notes = noted(
        torch="eye_ has no gain.",
        mlx="identity is for square matrices.",
        irnn="Recurrent weights of an IRNN (attributed to Le, Jaitly, Hinton 2015).",
    )

    gain: float = Field(1.0, description="Value on the diagonal.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        longest = max(*shape, 1)
        return Pattern(_Eye(Tap(shape), self.gain, longest, longest, min(shape)))


class Dirac(Scheme):
    """Convolution that passes its inputs on: 1 at the centre tap k//2 of matching channels."""

    scheme: Literal["dirac"] = "dirac"
    aliases = named("dirac_")
    formula = "1 at [g·out/groups + d, d, k//2, …] for d < min(out/groups, in), 0 elsewhere"
    latex = r"W_{g n + d,\, d,\, \lfloor k/2 \rfloor} = 1,\ n = n_\mathrm{out} / \mathrm{groups}"
    paper = "cf. Zagoruyko, Komodakis 2017, DiracNets (attributed)"
    notes = noted(
        torch="dirac_ takes kernels of 1 to 3 axes; here a matrix is an identity in each group.",
    )

    groups: int = Field(1, ge=1, le=2**53, description="Groups of the convolution.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2)
        if shape[0] % self.groups:
            raise ParameterError(
                f"{shape[0]} outputs do not divide into {self.groups} groups", ("init", "groups")
            )
        each = shape[0] // self.groups
        ones = self.groups * min(each, shape[1]) if all(shape) else 0
        longest = max(each, shape[1], 1)
        return Pattern(_Eye(Tap(shape), 1.0, max(each, 1), longest, ones))


class IdInit(Scheme):
    """Identity repeated along the longer side: tau where indices agree modulo the shorter."""

    scheme: Literal["idinit"] = "idinit"
    formula = "tau if i ≡ j modulo min(out, in), else 0"
    latex = r"\tau\,[i \equiv j \bmod \min(n_\mathrm{out}, n_\mathrm{in})]"
    paper = "Pan et al. 2025, IDInit, arXiv:2503.04626"
    notes = noted(
        paper="The padded identity of a matrix. The paper's small noise against rank symmetry "
        "and its form for convolutions are not part of this.",
    )

    tau: float = Field(1.0, description="Value where the identity has 1.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        short = max(min(shape), 1)
        return Pattern(_Eye(Tap(shape), self.tau, short, short, max(shape) if all(shape) else 0))


def parity(values: Indices) -> Indices:
    """1 where the number of one-bits is odd."""
    for shift in (32, 16, 8, 4, 2, 1):
        values = values ^ (values >> shift)
    return values & 1


@lru_cache(maxsize=4096)
def signs(rows: int, columns: int) -> int:
    """Sum of (−1)^popcount(i AND j) over i < rows, j < columns."""
    if rows == 0 or columns == 0:
        return 0
    if rows == 1 or columns == 1:
        return rows * columns
    half = 1 << (max(rows, columns) - 1).bit_length() - 1
    top, left = min(rows, half), min(columns, half)
    down, right = rows - top, columns - left
    return signs(top, left) + signs(down, left) + signs(top, right) - signs(down, right)


@dataclass(frozen=True)
class _Hadamard:
    """±scale by the parity of row AND column, in the centre tap."""

    tap: Tap
    scale: float

    @property
    def reach(self) -> tuple[float, float]:
        return -self.scale, self.scale

    def at(self, indices: Indices) -> Doubles:
        row, column, centre = self.tap.split(indices)
        signed = np.where(parity(row & column) == 1, -self.scale, self.scale)
        return np.where(centre, signed, 0.0)

    def summary(self) -> Summary:
        rows, columns = self.tap.matrix
        taken = rows * columns if all(self.tap.shape) else 0
        plus = (taken + signs(rows, columns)) // 2 if taken else 0
        counts = {self.scale: plus, -self.scale: taken - plus}
        return summary_of(counts, math.prod(self.tap.shape))


def _order_of(size: int) -> int:
    """⌈log₂ size⌉."""
    return max(size - 1, 0).bit_length()


def _inverse_root(order: int) -> float:
    """2^(−order/2), correctly rounded."""
    return math.sqrt(math.ldexp(1.0, -order))


class Hadamard(Scheme):
    """Sylvester's Hadamard matrix, scaled to be orthogonal if its size is a power of two.

    A matrix of another size is the leading part of the next larger one.
    """

    scheme: Literal["hadamard"] = "hadamard"
    formula = "gain·(−1)^popcount(i AND j) / √n, n the power of two ≥ out and in"
    latex = r"\mathrm{gain}\,(-1)^{\mathrm{popcount}(i \wedge j)} / \sqrt{n}"

    gain: float = Field(1.0, gt=0.0, description="Multiplies the matrix.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        return Pattern(_Hadamard(Tap(shape), self.gain * _inverse_root(_order_of(max(shape)))))


class ZeroInit(Scheme):
    """ZerO: an identity, or, if there are more outputs than inputs, a Hadamard matrix.

    In convolutions at the centre tap k//2; the other taps are 0.
    """

    scheme: Literal["zero_init"] = "zero_init"
    aliases = named("ZerO")
    formula = "δ_ij if out ≤ in, else (−1)^popcount(i AND j)·2^(−m/2), m = ⌈log₂ out⌉"
    latex = (
        r"(-1)^{\mathrm{popcount}(i \wedge j)}\, 2^{-m/2},\ m = \lceil \log_2 n_\mathrm{out} \rceil"
    )
    paper = (
        "Zhao, Schäfer, Anandkumar 2021, ZerO Initialization: Initializing Neural Networks with "
        "only Zeros and Ones"
    )

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2)
        rows, columns = shape[:2]
        if rows <= columns:
            longest = max(columns, 1)
            ones = min(rows, columns) if all(shape) else 0
            return Pattern(_Eye(Tap(shape), 1.0, longest, longest, ones))
        return Pattern(_Hadamard(Tap(shape), _inverse_root(_order_of(rows))))


SCHEMES = (Eye, Dirac, IdInit, Hadamard, ZeroInit)
