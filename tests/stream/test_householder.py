from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from seedbed.stream import DTYPES, NUMPY, Normal, get_engine, host_levels
from seedbed.stream.householder import PANEL, STRIPE
from tests.stream.strategies import untimed

COMPILED = [level.name for level in host_levels()]


def gaussian(rows: int, columns: int, seed: int = 7) -> NDArray[np.float32]:
    """Draws of the stream itself."""
    out = np.empty((rows, columns), np.float32)
    get_engine().draw(
        seed, "w", Normal(0.0, 1.0), DTYPES["F32"], 0, out.reshape(-1).view("u1").data
    )
    return out


def naive(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """The product of the reflections one by one, times the signs, by NumPy's own products."""
    rows, columns = matrix.shape
    out = np.eye(rows, columns)
    signs = np.ones(columns)
    for k in reversed(range(columns)):
        x = matrix[k:, k].astype(np.float64)
        norm = np.linalg.norm(x)
        if not norm:
            continue
        beta = norm if x[0] < 0 else -norm
        signs[k] = np.sign(beta)
        v = x.copy()
        v[0] -= beta
        out[k:] -= np.outer(v, 2 / (v @ v) * (v @ out[k:]))
    return out * signs


sizes = st.tuples(st.integers(1, 80), st.integers(1, 80)).map(lambda n: (max(n), min(n)))


@untimed
@given(sizes)
@example((1, 1))
@example((PANEL, PANEL))
@example((PANEL + 1, PANEL + 1))
@example((9, 8))
@example((2 * PANEL + 5, PANEL))
@example((STRIPE, 1))
def test_every_engine_equals_the_definition(size: tuple[int, int]) -> None:
    """All levels give the bytes of the NumPy definition, with one thread and with two."""
    matrix = gaussian(*size)
    expected = get_engine(NUMPY).orthogonal(matrix).tobytes()
    for name in COMPILED:
        for threads in (1, 2):
            assert get_engine(name).orthogonal(matrix, threads).tobytes() == expected


@untimed
@given(sizes)
def test_the_product_of_reflections(size: tuple[int, int]) -> None:
    """The result is the product of the reflections, and has orthonormal columns."""
    matrix = gaussian(*size)
    q = get_engine().orthogonal(matrix)
    assert np.abs(q.T @ q - np.eye(size[1])).max() < 1e-13
    assert np.abs(q - naive(matrix)).max() < 1e-13


def test_what_lies_above_the_diagonal_is_not_used() -> None:
    """Reflections get shorter: only the draws from the diagonal down decide."""
    matrix = gaussian(40, 33)
    other = np.tril(matrix) + np.triu(np.full_like(matrix, 9.0), 1)
    assert (get_engine().orthogonal(matrix) == get_engine().orthogonal(other)).all()


def test_columns_of_zeros_reflect_nothing() -> None:
    """A vector of zeros, which has no direction, leaves its axis alone."""
    for name in (NUMPY, *COMPILED):
        assert (get_engine(name).orthogonal(np.zeros((5, 3), np.float32)) == np.eye(5, 3)).all()


def test_large_matrices_are_the_same_on_every_engine() -> None:
    """Many panels and stripes, and rows that no tile divides, in 64 bits, keep their digest."""
    matrix = gaussian(301, 270)
    digests = {
        hashlib.sha256(get_engine(name).orthogonal(matrix, 2).tobytes()).hexdigest()
        for name in (NUMPY, *COMPILED)
    }
    assert digests == {"343c9a03b616a8d2e81064358becd790110034970ebf1c51ae0d03dc36b2b335"}


@pytest.mark.slow
def test_haar() -> None:
    """Traces and entries are distributed as those of Haar's measure; unsigned Q's would not be.

    The trace of a Haar matrix of size n has mean 0 and variance 1 exactly (Diaconis & Shahshahani
    1994), its powers too; a corner entry squared is Beta(½, (n − 1)/2). 3,000 matrices; z-scores
    below 4.5 and p above 10⁻⁵ on a fixed seed.
    """
    count, n = 3000, 6
    engine = get_engine()
    draws = gaussian(count * n, n, seed=1).reshape(count, n, n)
    matrices = np.array([engine.orthogonal(draw) for draw in draws])
    traces = np.trace(matrices, axis1=1, axis2=2)
    squares = np.trace(matrices @ matrices, axis1=1, axis2=2)
    assert abs(traces.mean()) * np.sqrt(count) < 4.5
    assert abs((traces**2).mean() - 1) * np.sqrt(count / 2) < 4.5
    assert abs(squares.mean() - 1) * np.sqrt(count / 2) < 4.5
    for i, j in ((0, 0), (n - 1, 0), (0, n - 1), (n - 1, n - 1), (2, 3)):
        entry = matrices[:, i, j]
        assert stats.kstest(entry**2, stats.beta(0.5, (n - 1) / 2).cdf).pvalue > 1e-5
        assert abs(np.mean(entry > 0) - 0.5) * 2 * np.sqrt(count) < 4.5
    determinants = np.linalg.det(matrices)
    assert abs(determinants.mean()) * np.sqrt(count) < 4.5
