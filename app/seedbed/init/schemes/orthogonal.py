"""Orthogonal matrices and what is built of them; no BLAS, sums in a stated order."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from seedbed.errors import ShapeError
from seedbed.init.dense import Dense, stack
from seedbed.init.fill import Fill
from seedbed.init.matrices import Check
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted, require_rank
from seedbed.init.schemes.directed import Axes, placed
from seedbed.init.schemes.draws import (
    Doubles,
    Matrix,
    blocks,
    gaussian,
    matrix_of,
    sum_in_order,
)
from seedbed.init.source import Source
from seedbed.stream import Summary, working_bytes


def haar(source: Source, rows: int, columns: int, check: Check) -> Doubles:
    """(rows, columns) of a Haar-distributed matrix: the shorter side is orthonormal.

    From the draws of the taller orientation, which is transposed if the matrix is wide.
    """
    tall = gaussian(source, (max(rows, columns), min(rows, columns)))
    return _turned(source, tall, rows, check)


def _turned(source: Source, tall: Matrix, rows: int, check: Check) -> Doubles:
    q = source.engine.orthogonal(tall, source.matrices.threads, check)
    return q if rows == len(tall) else q.T


@dataclass(frozen=True)
class _OrthogonalRecipe:
    """gain·Q, Q of shape (rows, columns); or several of a stack of them.

    Attributes:
        shape: axes of the stack that are no rows of the file, then those of rows, then of columns,
            which are put into the order of the file by
        axes: as by `numpy.transpose`.
        first: number of the first matrix in the tensor.
        count: how many there are.
    """

    rows: int
    columns: int
    gain: float
    shape: Shape = ()
    axes: tuple[int, ...] = ()
    first: int = 0
    count: int = 1

    @property
    def reach(self) -> tuple[float, float]:
        """No element of a unit vector passes 1."""
        return -self.gain, self.gain

    @property
    def working_bytes(self) -> int:
        """Of one matrix, and of all elements as draws and as values."""
        needed = working_bytes(self.rows, self.columns)
        return needed if self.count == 1 else needed + 12 * self.count * self.rows * self.columns

    def some(self, first: int, count: int) -> _OrthogonalRecipe:
        """Of matrices of the stack."""
        return replace(self, first=first, count=count)

    def make(self, source: Source, check: Check) -> Matrix:
        sides = max(self.rows, self.columns), min(self.rows, self.columns)
        start = self.first * self.rows * self.columns
        draws = gaussian(source, (self.count, *sides), start=start)
        out = np.empty((self.count, self.rows, self.columns), np.float32)
        for tall, matrix in zip(draws, out, strict=True):
            q = _turned(source, tall, self.rows, check)
            q *= self.gain
            matrix[...] = q
        turned = out.reshape(-1, *self.shape).transpose(0, *(axis + 1 for axis in self.axes))
        return np.ascontiguousarray(turned)

    def summary(self) -> Summary:
        """Of one element of a Haar-distributed matrix: variance gain²/n, n the longer side."""
        n = max(self.rows, self.columns, 1)
        return Summary(0.0, self.gain / math.sqrt(n), *self.reach, 3.0 * n / (n + 2) - 3.0)


class Orthogonal(Scheme):
    """Haar-distributed orthogonal matrix (out, in·kernel): the shorter side is orthonormal."""

    scheme: Literal["orthogonal"] = "orthogonal"
    aliases = named("orthogonal_", "Orthogonal", "OrthogonalInitializer")
    formula = "gain·Q, Q Haar-distributed, QᵀQ = 1 or QQᵀ = 1"
    latex = r"\mathrm{gain}\,Q,\ Q^\top Q = I\ \text{or}\ Q Q^\top = I"
    paper = (
        "attributed to Saxe, McClelland, Ganguli 2013, Exact solutions to the nonlinear dynamics "
        "of learning in deep linear neural networks"
    )
    notes = noted(
        torch="orthogonal_ reads (out, in·kernel), as here.",
        keras="Orthogonal reads (kernel·in, out): the same kind of matrix for the same layer; "
        "only the order of its rows and columns differs. Of a shape in Keras' order say "
        "out_axis −1.",
        jax="orthogonal() reads (…, out) by its column_axis, with the same outcome; that axis is "
        "out_axis here.",
        flax="A fused recurrent kernel is one matrix here and in Keras, but one a gate in "
        "linen's LSTMCell: entries are then twice as large.",
    )

    gain: float = Field(1.0, gt=0.0, description="Multiplies the matrix.")
    out_axis: Axes | None = Field(
        None,
        description="Axes of the outputs: one, or a list; −1 is the last. All others are those of "
        "the inputs. The first that batch_axis does not name, if nothing is said.",
    )
    batch_axis: Axes | None = Field(
        None, description="Axes along which the tensor is a stack, each matrix drawn on its own."
    )

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        if self.out_axis is None and self.batch_axis is None:
            rows, columns = matrix_of(shape, self.scheme)
            recipe = _OrthogonalRecipe(rows, columns, self.gain)
            return Dense(recipe, rows * columns, recipe.working_bytes)
        stacked, out, rest = self._sides(shape)
        ahead = 0  # axes of the stack that no other axis comes before, but for some of 1
        while ahead < len(shape) and (ahead in stacked or shape[ahead] == 1):
            ahead += 1
        order = [*(axis for axis in stacked if axis >= ahead), *out, *rest]
        order = [axis for axis in order if axis >= ahead]
        within = math.prod(shape[axis] for axis in stacked if axis >= ahead)
        recipe = _OrthogonalRecipe(
            math.prod(shape[axis] for axis in out),
            math.prod(shape[axis] for axis in rest),
            self.gain,
            tuple(shape[axis] for axis in order),
            tuple(order.index(axis) for axis in range(ahead, len(shape))),
            count=within,
        )
        return stack(recipe, recipe.rows * recipe.columns, within, math.prod(shape[:ahead]))

    def _sides(self, shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Axes of the stack, of the rows and of the columns, each in order."""
        places = placed(shape, {"batch_axis": self.batch_axis, "out_axis": self.out_axis})
        stacked, out = places["batch_axis"], places["out_axis"]
        rest = [axis for axis in range(len(shape)) if axis not in stacked + out]
        if self.out_axis is None:
            if not rest:
                raise ShapeError(
                    f"shape {list(shape)} has no axis left for out_axis; if there is none, say []",
                    ("init", "out_axis"),
                )
            out = (rest.pop(0),)
        return stacked, out, tuple(rest)


@dataclass(frozen=True)
class _DeltaRecipe:
    """An orthogonal (out, in) matrix at one tap of a kernel, zeros elsewhere."""

    shape: Shape
    gain: float

    @property
    def reach(self) -> tuple[float, float]:
        return -self.gain, self.gain

    def make(self, source: Source, check: Check) -> Matrix:
        out = np.zeros(self.shape, np.float32)
        rows, columns, *kernel = self.shape
        centre = 0
        for size in kernel:
            centre = centre * size + (size - 1) // 2
        q = self.gain * haar(source, rows, columns, check)
        out.reshape(rows, columns, math.prod(kernel))[:, :, centre] = q
        return out

    def summary(self) -> Summary:
        """A share of 1/taps of the elements is that of an orthogonal matrix."""
        share = 1.0 / max(math.prod(self.shape[2:]), 1)
        n = max(*self.shape[:2], 1)
        kurtosis = 3.0 * n / (n + 2) / share - 3.0
        return Summary(0.0, self.gain * math.sqrt(share / n), *self.reach, kurtosis)


class DeltaOrthogonal(Scheme):
    """Convolution whose centre tap is orthogonal and whose other taps are 0; needs in ≤ out."""

    scheme: Literal["delta_orthogonal"] = "delta_orthogonal"
    formula = "gain·Q at tap (k − 1)//2 of every kernel axis, QᵀQ = 1; 0 elsewhere"
    latex = r"W_{\cdot\cdot c} = \mathrm{gain}\,Q,\ Q^\top Q = I,\ c = \lfloor (k - 1) / 2 \rfloor"
    paper = (
        "Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington 2018, Dynamical Isometry and a Mean "
        "Field Theory of CNNs"
    )
    notes = noted(
        jax="delta_orthogonal has tap (k − 1)//2 for the centre, as here; torch's dirac_ has "
        "k//2, which differs for even kernels. A matrix without a kernel is orthogonal.",
    )

    gain: float = Field(1.0, gt=0.0, description="Multiplies the matrix.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2)
        if shape[1] > shape[0]:
            raise ShapeError(
                f"shape {list(shape)} has more inputs than outputs; delta_orthogonal cannot keep "
                "their norm",
                ("shape",),
            )
        if not all(shape[2:]):
            raise ShapeError(f"shape {list(shape)} has a kernel without taps", ("shape",))
        elements = math.prod(shape)
        needed = working_bytes(*shape[:2]) + 4 * elements
        return Dense(_DeltaRecipe(shape, self.gain), elements, needed)


@dataclass(frozen=True)
class _MirroredRecipe:
    """[[M, −M], [−M, M]] or a half of it, M orthogonal."""

    rows: int
    columns: int
    gain: float
    part: Literal["hidden", "first", "last"]

    @property
    def reach(self) -> tuple[float, float]:
        return -self.gain, self.gain

    @property
    def block(self) -> tuple[int, int]:
        """(rows, columns) of M."""
        halves_rows, halves_columns = self.part != "last", self.part != "first"
        return self.rows >> halves_rows, self.columns >> halves_columns

    def make(self, source: Source, check: Check) -> Matrix:
        m = np.ascontiguousarray(self.gain * haar(source, *self.block, check), np.float32)
        whole = m if self.part == "first" else np.concatenate((m, -m), axis=1)
        return whole if self.part == "last" else np.concatenate((whole, -whole), axis=0)

    def summary(self) -> Summary:
        """As that of M."""
        return _OrthogonalRecipe(*self.block, self.gain).summary()


class LooksLinear(Scheme):
    """Mirrored blocks with which a ReLU network starts as the linear map of its orthogonal M's."""

    scheme: Literal["looks_linear"] = "looks_linear"
    formula = "[[M, −M], [−M, M]], M = gain·Q; first layer [M; −M], last layer [M, −M]"
    latex = r"\begin{pmatrix} M & -M \\ -M & M \end{pmatrix},\ M = \mathrm{gain}\,Q"
    paper = "attributed to Balduzzi et al. 2017, The Shattered Gradients Problem"

    gain: float = Field(1.0, gt=0.0, description="Multiplies the orthogonal block.")
    part: Literal["hidden", "first", "last"] = Field(
        "hidden", description="Place of the layer: only the first has whole inputs, only the last "
        "whole outputs."
    )  # fmt: skip

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        rows, columns = shape
        odd_rows, odd_columns = rows % 2 and self.part != "last", columns % 2
        if odd_rows or (odd_columns and self.part != "first"):
            raise ShapeError(
                f"shape {list(shape)} cannot be halved, and looks_linear mirrors its halves",
                ("shape",),
            )
        recipe = _MirroredRecipe(rows, columns, self.gain, self.part)
        needed = working_bytes(*recipe.block) + 12 * rows * columns
        return Dense(recipe, rows * columns, needed)


@dataclass(frozen=True)
class _HouseholderRecipe:
    """The leading (rows, columns) of 1 − 2vvᵀ/‖v‖²."""

    rows: int
    columns: int

    @property
    def reach(self) -> tuple[float, float]:
        return -1.0, 1.0

    def make(self, source: Source, check: Check) -> Matrix:
        v = gaussian(source, (max(self.rows, self.columns),)).astype(np.float64)
        out = np.zeros((self.rows, self.columns), np.float32)
        if not out.size:
            return out
        squares = float(sum_in_order(v * v))
        diagonal = np.arange(min(self.rows, self.columns))
        first = 0
        for block in blocks(out) if squares > 0.0 else ():
            check()
            doubled = 2.0 * v[first : first + len(block), None]
            entries = -((doubled * v[: self.columns]) / squares)
            own = diagonal[first : first + len(block)]
            entries[own - first, own] += 1.0
            block[:] = entries
            first += len(block)
        if squares <= 0.0:
            np.fill_diagonal(out, 1.0)
        return out

    def summary(self) -> Summary:
        """By the moments of a uniform direction u: E u⁴ = 3/(n(n+2)), E u²w² = 1/(n(n+2))."""
        n = max(self.rows, self.columns, 1)
        share = min(self.rows, self.columns) / max(self.rows * self.columns, 1)
        mean = share * (1.0 - 2.0 / n)
        on = 1.0 - 4.0 / n + 12.0 / (n * (n + 2.0))
        off = 4.0 / (n * (n + 2.0))
        second = share * on + (1.0 - share) * off
        return Summary(mean, math.sqrt(max(second - mean * mean, 0.0)), *self.reach, None)


class Householder(Scheme):
    """One random reflection: orthogonal and, if square, symmetric."""

    scheme: Literal["householder"] = "householder"
    formula = "1 − 2vvᵀ/‖v‖², v ~ N(0, 1)"
    latex = r"I - 2 v v^\top / \lVert v \rVert^2,\ v \sim \mathcal{N}(0, I)"
    paper = "attributed to Stewart 1980, The efficient generation of random orthogonal matrices"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        rows, columns = shape
        return Dense(_HouseholderRecipe(rows, columns), rows * columns)


SCHEMES = (Orthogonal, DeltaOrthogonal, LooksLinear, Householder)
