"""A tile of a matrix product with its sums in a stated order, for a compiler.

Every element of the product is one sum, taken in the order of its terms, each term one product and
one addition, unfused. Tiles only decide which elements are under way at the same time, so neither
their size nor the vectors of a machine can be seen in a result.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from seedbed.stream.householder import PANEL, STRIPE
from seedbed.stream.kernels import pointer_at

LANES = 8
"""float64 elements of a vector; LLVM splits it where registers are narrower."""

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


def multiply(rows: int, vectors: int, *, subtract: bool) -> Any:
    """A function for compiled code that adds a product to a tile, or subtracts it.

    Args:
        rows: of the tile.
        vectors: of the tile's width, in `LANES` columns.
        subtract: whether the terms are subtracted.

    Returns:
        f(a, a_term, a_row, b, b_term, c, c_row, terms): for each row r and column j of the tile,
        c[r, j] ± a[r, 0]·b[0, j] ± a[r, 1]·b[1, j] …, where a[r, s] is at r·a_row + s·a_term,
        b[s, j] at s·b_term + j and c[r, j] at r·c_row + j, counted in elements.
    """

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        combine = builder.fsub if subtract else builder.fadd
        _emit(builder, rows, vectors, combine, arguments)
        return context.get_dummy_value()

    @intrinsic
    def function(
        _typing_context: Any, _a: Any, _a_term: Any, _a_row: Any, _b: Any, _b_term: Any, _c: Any,
        _c_row: Any, _terms: Any,
    ) -> Any:  # fmt: skip
        integer, pointer = types.int64, types.CPointer(types.float64)
        return types.void(
            pointer, integer, integer, pointer, integer, pointer, integer, integer
        ), codegen

    return function


def _emit(builder: Any, rows: int, vectors: int, combine: Any, arguments: Any) -> None:
    """Write the code of a tile: its sums into registers, all terms into them, and out again."""
    a, a_term, a_row, b, b_term, c, c_row, terms = arguments
    tile = [(r, v) for r in range(rows) for v in range(vectors)]
    c_rows = [_at(builder, c, builder.mul(c_row, _WORD(r))) for r in range(rows)]
    a_rows = [builder.mul(a_row, _WORD(r)) for r in range(rows)]
    sums = {place: cgutils.alloca_once(builder, _VECTOR) for place in tile}
    for r, v in tile:
        builder.store(builder.load(_vector_at(builder, c_rows[r], v), align=8), sums[r, v])
    with cgutils.for_range(builder, terms, intp=_WORD) as loop:
        b_start = _at(builder, b, builder.mul(loop.index, b_term))
        a_start = _at(builder, a, builder.mul(loop.index, a_term))
        b_values = [builder.load(_vector_at(builder, b_start, v), align=8) for v in range(vectors)]
        for r in range(rows):
            factor = _spread(builder, builder.load(_at(builder, a_start, a_rows[r])))
            for v in range(vectors):
                term = builder.fmul(factor, b_values[v])
                builder.store(combine(builder.load(sums[r, v]), term), sums[r, v])
    for r, v in tile:
        builder.store(builder.load(sums[r, v]), _vector_at(builder, c_rows[r], v), align=8)


def _at(builder: Any, pointer: Any, offset: Any) -> Any:
    """A pointer so many elements further on."""
    return builder.gep(pointer, [offset])


def _vector_at(builder: Any, pointer: Any, number: int) -> Any:
    """A pointer to one of the vectors that begin at another pointer."""
    return builder.bitcast(_at(builder, pointer, _WORD(LANES * number)), ir.PointerType(_VECTOR))


def _spread(builder: Any, scalar: Any) -> Any:
    """A vector that has a number in all of its lanes."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    lane = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(lane, undefined, mask)


def gram_entry(rows: int, vectors: int) -> Any:
    """Compiled `householder.Gram` for one panel, out of tiles of this size."""
    add = multiply(rows, vectors, subtract=False)
    width = LANES * vectors

    def entry(panel: Any, depth: Any, out: Any) -> None:
        for i in range(PANEL * PANEL):
            out[i] = 0.0
        for row in range(0, PANEL, rows):
            for column in range(0, PANEL, width):
                add(
                    pointer_at(panel, row), PANEL, 1,
                    pointer_at(panel, column), PANEL,
                    pointer_at(out, row * PANEL + column), PANEL, depth,
                )  # fmt: skip

    return entry


def reflect_entry(rows: int, vectors: int) -> Any:
    """Compiled `householder.Reflect`, out of tiles of this size."""
    add = multiply(rows, vectors, subtract=False)
    subtract = multiply(rows, vectors, subtract=True)
    width = LANES * vectors

    def entry(
        all_vectors: Any, factors: Any, depth: Any, panels: Any, stripe: Any, inner: Any, outer: Any
    ) -> None:
        for back in range(panels):
            panel = panels - 1 - back
            first = panel * PANEL
            below = depth - first
            v = pointer_at(all_vectors, (panel * depth + first) * PANEL)
            t = pointer_at(factors, panel * PANEL * PANEL)
            q = pointer_at(stripe, first * STRIPE)
            for i in range(PANEL * STRIPE):
                inner[i] = 0.0
                outer[i] = 0.0
            for column in range(0, STRIPE, width):
                for k in range(0, PANEL, rows):
                    place = pointer_at(inner, k * STRIPE + column)
                    here = pointer_at(q, column)
                    add(pointer_at(v, k), PANEL, 1, here, STRIPE, place, STRIPE, below)
            for column in range(0, STRIPE, width):
                for k in range(0, PANEL, rows):
                    place = pointer_at(outer, k * STRIPE + column)
                    here = pointer_at(inner, column)
                    add(pointer_at(t, k * PANEL), 1, PANEL, here, STRIPE, place, STRIPE, PANEL)
            for i in range(0, below, rows):
                for column in range(0, STRIPE, width):
                    place = pointer_at(q, i * STRIPE + column)
                    here = pointer_at(outer, column)
                    subtract(pointer_at(v, i * PANEL), 1, PANEL, here, STRIPE, place, STRIPE, PANEL)

    return entry
