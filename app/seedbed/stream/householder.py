"""Haar-distributed orthogonal matrices, to the byte the same everywhere and with no BLAS.

The Q of a Gaussian matrix's QR decomposition is a product of Householder reflections. Their vectors
are independent Gaussians of lengths m, m − 1, … (attributed to Stewart 1980, *The efficient
generation of random orthogonal matrices*), so nothing is factorised: the vectors are drawn, and
their product is applied to the unit matrix, a panel of `PANEL` reflections at a time (the WY form,
attributed to Bischof & Van Loan 1987), from the last panel to the first. That is half the
arithmetic of QR, and columns do not depend on each other: threads take stripes of them.

Every number is float64. Every sum is taken in the order of its terms, one rounded product and one
rounded addition each; docs/stream.md, "Orthogonal matrices", says which sums there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

PANEL = 32
"""Reflections applied together; part of the definition."""

STRIPE = 16
"""Columns carried through all panels together; invisible in the result."""

ROWS_MULTIPLE = 8
"""Rows are padded with zeros to a multiple of this, which changes no sum."""

_ROWS = 4096
"""Squared at a time."""


@dataclass(frozen=True, slots=True)
class Reflectors:
    """Householder reflections H = I − τ·v·vᵀ in panels.

    Attributes:
        vectors: (panels, rows, PANEL), each v with 1 at its own row and 0 above.
        factors: (panels, PANEL, PANEL), the upper triangular T of I − V·T·Vᵀ.
        signs: (columns,), of the diagonal of R, which make the distribution Haar's (Mezzadri 2007).
    """

    vectors: Doubles
    factors: Doubles
    signs: Doubles


Gram = Callable[[Doubles], Doubles]
"""vᵀ·v of each panel: (panels, rows, PANEL) → (panels, PANEL, PANEL), sums over rows in order."""

Reflect = Callable[[Reflectors, Doubles, int], None]
"""Applies the panels below a number, last first, to a stripe (rows, STRIPE) in place."""


Check = Callable[[], None]
"""Raises if the matrix is not wanted any more."""


def working_bytes(rows: int, columns: int) -> int:
    """Memory that the matrix takes while it is made.

    Draws, reflections and result: 20 bytes an element, of columns that are filled up to panels.
    """
    return 20 * max(rows, columns) * PANEL * -(-min(rows, columns) // PANEL)


def reflectors_of(gaussian: NDArray[np.float32], gram: Gram, check: Check) -> Reflectors:
    """The reflections whose vectors are the columns of a Gaussian matrix from the diagonal down.

    Args:
        gaussian: (rows, columns), rows ≥ columns; what lies above the diagonal is not used.
        gram: who multiplies.
        check: called between panels.
    """
    rows, columns = gaussian.shape
    panels = -(-columns // PANEL)
    padded_rows = -(-rows // ROWS_MULTIPLE) * ROWS_MULTIPLE
    vectors = np.zeros((panels, padded_rows, PANEL))
    factors = np.empty((panels, PANEL, PANEL))
    betas = np.empty((panels, PANEL))
    for panel, x in enumerate(vectors):
        check()
        first = panel * PANEL
        width = min(PANEL, columns - first)
        x[first:rows, :width] = gaussian[first:, first : first + width]
        x[first : first + width, :width] = np.tril(x[first : first + width, :width])
        squares = _squares(x)
        own = np.arange(width)
        diagonal = np.zeros(PANEL)
        diagonal[:width] = x[first + own, own]
        norms = np.sqrt(squares)
        beta = np.where(diagonal < 0, norms, -norms)  # H·x = β·e₁, the sign that does not cancel
        there = squares > 0
        tau = np.where(there, (beta - diagonal) / np.where(there, beta, 1.0), 0.0)
        x[:] = x / np.where(there, diagonal - beta, 1.0)
        own = own[there[:width]]
        x[first + own, own] = 1.0
        factors[panel] = _factors(gram(x[None]), tau[None], width)[0]
        betas[panel] = beta
    return Reflectors(vectors, factors, np.where(betas.reshape(-1)[:columns] < 0, -1.0, 1.0))


def _squares(x: Doubles) -> Doubles:
    """The sum of each column's squares, in the order of the rows."""
    total = np.zeros(x.shape[1])
    for first in range(0, len(x), _ROWS):
        squares = x[first : first + _ROWS] ** 2
        squares[0] += total
        total = np.add.accumulate(squares, axis=0)[-1]
    return total


def _factors(gram: Doubles, tau: Doubles, width: int) -> Doubles:
    """T of each panel, column by column: T[:k, k] = −τₖ·(T[:k, :k]·(Vᵀ·vₖ)[:k]).

    Columns from `width` on fill the panel up: their τ is 0, and so is all that they would give.
    """
    factors = np.zeros_like(gram)
    for k in range(width):
        column = np.zeros((len(gram), k))
        for term in range(k):
            column += factors[:, :k, term] * gram[:, term, k, None]
        factors[:, :k, k] = -tau[:, k, None] * column
        factors[:, k, k] = tau[:, k]
    return factors


def gram_with_numpy(vectors: Doubles) -> Doubles:
    """The definition of `Gram`."""
    out = np.zeros((len(vectors), PANEL, PANEL))
    for row in range(vectors.shape[1]):
        out += vectors[:, row, :, None] * vectors[:, row, None, :]
    return out


def reflect_with_numpy(reflectors: Reflectors, stripe: Doubles, panels: int) -> None:
    """The definition of `Reflect`: W = Vᵀ·Q, Y = T·W, Q ← Q − V·Y."""
    for panel in reversed(range(panels)):
        vectors, factor = reflectors.vectors[panel], reflectors.factors[panel]
        inner = np.zeros((PANEL, STRIPE))
        for row in range(panel * PANEL, len(stripe)):
            inner += vectors[row, :, None] * stripe[row]
        outer = np.zeros((PANEL, STRIPE))
        for term in range(PANEL):
            outer += factor[:, term, None] * inner[term]
        for term in range(PANEL):
            stripe[panel * PANEL :] -= vectors[panel * PANEL :, term, None] * outer[term]


def orthogonal(
    gaussian: NDArray[np.float32], gram: Gram, reflect: Reflect, threads: int, check: Check
) -> Doubles:
    """The orthogonal matrix of a Gaussian one.

    Args:
        gaussian: (rows, columns), rows ≥ columns.
        gram: who multiplies.
        reflect: who reflects.
        threads: that reflect stripes at the same time.
        check: called in any of them, before each panel and each stripe; what it raises ends all.

    Returns:
        (rows, columns) with orthonormal columns, Haar-distributed if the argument is N(0, 1).
    """
    rows, columns = gaussian.shape
    reflectors = reflectors_of(gaussian, gram, check)
    out = np.empty((rows, columns))
    padded_rows = reflectors.vectors.shape[1]

    def make(first: int) -> None:
        check()
        stripe = np.zeros((padded_rows, STRIPE))
        width = min(STRIPE, columns - first)
        stripe[np.arange(first, first + width), np.arange(width)] = 1.0
        # A column is 0 from its own row down to where later panels begin: they leave it alone.
        reflect(reflectors, stripe, (first + width - 1) // PANEL + 1)
        signs = reflectors.signs[first : first + width]
        out[:, first : first + width] = stripe[:rows, :width] * signs

    starts = range(0, columns, STRIPE)
    if threads == 1 or len(starts) == 1:
        for first in starts:
            make(first)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(make, reversed(starts)))  # the dearest first
    return out
