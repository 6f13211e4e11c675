"""Normal matrices that are thinned out or rescaled as a whole; sums in a stated order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from seedbed.init.dense import Dense
from seedbed.init.fill import Fill
from seedbed.init.matrices import Check
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted, require_rank
from seedbed.init.schemes.draws import (
    Matrix,
    blocks,
    gaussian,
    matrix_of,
    sum_in_order,
)
from seedbed.init.source import Source
from seedbed.stream import Normal, Summary, derive_key, keystream, scratch

MASK = "mask"
"""Lane of the words that choose positions."""


@dataclass(frozen=True)
class _SparseRecipe:
    """Normal draws of which so many are 0 in every column, or in every row."""

    rows: int
    columns: int
    sparsity: float
    draws: Normal
    per: Literal["column", "row"]

    @property
    def zeros(self) -> int:
        """Zeros in a column, or in a row."""
        return math.ceil(self.sparsity * (self.rows if self.per == "column" else self.columns))

    @property
    def reach(self) -> tuple[float, float]:
        return self.draws.reach

    def make(self, source: Source, check: Check) -> Matrix:
        """Zero where a word of lane `mask` is among the smallest of its column or row."""
        out = gaussian(source, (self.rows, self.columns), self.draws.std)
        key = derive_key(source.seed, source.name, MASK)
        words = keystream(key, 0, out.size, scratch(out.size)).reshape(out.shape)
        axis = 0 if self.per == "column" else 1
        check()
        order = np.argsort(words, axis=axis, kind="stable")
        chosen = order[: self.zeros] if axis == 0 else order[:, : self.zeros]
        np.put_along_axis(out, chosen, np.float32(0.0), axis)
        return out

    def summary(self) -> Summary:
        """Of a mixture of zeros and normals."""
        length = (self.rows if self.per == "column" else self.columns) or 1
        kept = 1.0 - self.zeros / length
        kurtosis = 3.0 / kept - 3.0 if kept > 0 and self.draws.std > 0 else None
        return Summary(0.0, self.draws.std * math.sqrt(kept), None, None, kurtosis)


class Sparse(Scheme):
    """Normal, with an exact number of zeros in every column, at random places."""

    scheme: Literal["sparse"] = "sparse"
    aliases = named("sparse_")
    formula = "N(0, std²), ⌈sparsity·out⌉ zeros in each column (or ⌈sparsity·in⌉ in each row)"
    latex = r"\mathcal{N}(0, \mathrm{std}^2),\ \lceil s \cdot n_\mathrm{out} \rceil\ \text{zeros}"
    paper = "attributed to Martens 2010, Deep learning via Hessian-free optimization"
    notes = noted(
        torch="sparse_ has its zeros per column; its documentation's N(0, 0.01) is std 0.01.",
        mlx="sparse has its zeros per row, and std 1.",
    )
    example = {"sparsity": 0.5}

    sparsity: float = Field(ge=0.0, le=1.0, description="Share of zeros in a column or row.")
    std: float = Field(0.01, ge=0.0, description="Standard deviation of the others.")
    per: Literal["column", "row"] = Field("column", description="Where zeros are counted.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        rows, columns = shape
        recipe = _SparseRecipe(rows, columns, self.sparsity, Normal(0.0, self.std), self.per)
        return Dense(recipe, math.prod(shape))


@dataclass(frozen=True)
class _UnitRowsRecipe:
    """Normal rows divided by their norm."""

    rows: int
    columns: int
    gain: float

    @property
    def reach(self) -> tuple[float, float]:
        return -self.gain, self.gain

    def make(self, source: Source, check: Check) -> Matrix:
        out = gaussian(source, (self.rows, self.columns))
        for block in blocks(out):
            check()
            wide = block.astype(np.float64)
            squares = sum_in_order(wide * wide)
            factor = np.ones_like(squares)
            np.divide(self.gain, np.sqrt(squares), out=factor, where=squares > 0.0)
            block[:] = wide * factor[:, None]
        return out

    def summary(self) -> Summary:
        """Of a coordinate of a uniform direction."""
        n = max(self.columns, 1)
        return Summary(0.0, self.gain / math.sqrt(n), *self.reach, 3.0 * n / (n + 2) - 3.0)


class UnitNormRows(Scheme):
    """Rows uniform on a sphere: normal, divided by their norm."""

    scheme: Literal["unit_norm_rows"] = "unit_norm_rows"
    formula = "gain·g/‖g‖ for each row g ~ N(0, 1)"
    latex = r"\mathrm{gain}\; g_i / \lVert g_i \rVert,\ g_i \sim \mathcal{N}(0, I)"
    paper = "attributed to Salimans, Kingma 2016, Weight Normalization"

    gain: float = Field(1.0, gt=0.0, description="Norm of a row.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        rows, columns = matrix_of(shape, self.scheme)
        return Dense(_UnitRowsRecipe(rows, columns, self.gain), rows * columns)


@dataclass(frozen=True)
class _LsuvRecipe:
    """Normal draws rescaled so that outputs have variance 1 on average."""

    rows: int
    columns: int
    second_moment: float

    @property
    def target(self) -> float:
        """The Frobenius norm, squared."""
        return self.rows / self.second_moment

    @property
    def reach(self) -> tuple[float, float]:
        bound = math.sqrt(self.target)
        return -bound, bound

    def make(self, source: Source, check: Check) -> Matrix:
        out = gaussian(source, (self.rows, self.columns))
        rows = [sum_in_order(wide * wide) for b in blocks(out) for wide in (b.astype(np.float64),)]
        squares = float(sum_in_order(np.concatenate(rows))) if rows else 0.0
        if squares > 0.0:
            factor = math.sqrt(self.target / squares)
            for block in blocks(out):
                check()
                block[:] = block.astype(np.float64) * factor
        return out

    def summary(self) -> Summary:
        """Of a coordinate of a uniform direction, times its length."""
        n = max(self.rows * self.columns, 1)
        std = math.sqrt(self.target / n)
        return Summary(0.0, std, *self.reach, 3.0 * n / (n + 2) - 3.0)


class LsuvGaussian(Scheme):
    """LSUV for inputs that are independent with mean 0: outputs have variance 1 on average."""

    scheme: Literal["lsuv_gaussian"] = "lsuv_gaussian"
    formula = "W·√(out / (second_moment·‖W‖²)), W ~ N(0, 1)"
    latex = r"W \sqrt{n_\mathrm{out} / (q \lVert W \rVert_F^2)},\ W \sim \mathcal{N}(0, 1)"
    paper = "after Mishkin, Matas 2015, All you need is a good init (attributed), without data"

    second_moment: float = Field(
        1.0, gt=0.0, description="Of an input: 1 if standardised, ½ after a ReLU of a unit normal."
    )

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        rows, columns = matrix_of(shape, self.scheme)
        return Dense(_LsuvRecipe(rows, columns, self.second_moment), rows * columns)


SCHEMES = (Sparse, UnitNormRows, LsuvGaussian)
