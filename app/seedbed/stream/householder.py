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


def reflectors_of(gaussian: NDArray[np.float32], gram: Gram) -> Reflectors:
    """The reflections whose vectors are the columns of a Gaussian matrix from the diagonal down.

    Args:
        gaussian: (rows, columns), rows ≥ columns; what lies above the diagonal is not used.
        gram: who multiplies.
    """
    rows, columns = gaussian.shape
    panels = -(-columns // PANEL)
    padded_rows = -(-rows // ROWS_MULTIPLE) * ROWS_MULTIPLE
    x = np.zeros((padded_rows, panels * PANEL))
    x[:rows, :columns] = np.tril(gaussian)
    squares = np.zeros(panels * PANEL)
    for row in x:
        squares += row * row
    diagonal = np.zeros(panels * PANEL)
    diagonal[:columns] = np.diagonal(x)[:columns]
    norms = np.sqrt(squares)
    beta = np.where(diagonal < 0, norms, -norms)  # H·x = β·e₁, the sign that does not cancel
    there = squares > 0
    scale = np.where(there, diagonal - beta, 1.0)
    tau = np.where(there, (beta - diagonal) / np.where(there, beta, 1.0), 0.0)
    x /= scale
    own = np.arange(columns)[there[:columns]]
    x[own, own] = 1.0
    vectors = np.ascontiguousarray(x.reshape(padded_rows, panels, PANEL).transpose(1, 0, 2))
    factors = _factors(gram(vectors), tau.reshape(panels, PANEL))
    return Reflectors(vectors, factors, np.where(beta[:columns] < 0, -1.0, 1.0))


def _factors(gram: Doubles, tau: Doubles) -> Doubles:
    """T of each panel, column by column: T[:k, k] = −τₖ·(T[:k, :k]·(Vᵀ·vₖ)[:k])."""
    factors = np.zeros_like(gram)
    for k in range(PANEL):
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
    gaussian: NDArray[np.float32], gram: Gram, reflect: Reflect, threads: int
) -> Doubles:
    """The orthogonal matrix of a Gaussian one.

    Args:
        gaussian: (rows, columns), rows ≥ columns.
        gram: who multiplies.
        reflect: who reflects.
        threads: that reflect stripes at the same time.

    Returns:
        (rows, columns) with orthonormal columns, Haar-distributed if the argument is N(0, 1).
    """
    rows, columns = gaussian.shape
    reflectors = reflectors_of(gaussian, gram)
    out = np.empty((rows, columns))
    padded_rows = reflectors.vectors.shape[1]

    def make(first: int) -> None:
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
