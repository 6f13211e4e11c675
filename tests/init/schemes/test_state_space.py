from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from seedbed.errors import ShapeError
from tests.init.schemes.tensors import scheme_of, tensor_of

mp = mpmath.MPContext()
mp.dps = 40

N = 9


def legs(n: int, k: int) -> float:
    """HiPPO-LegS, by its definition."""
    if n > k:
        return -math.sqrt((2 * n + 1) * (2 * k + 1))
    return -(n + 1.0) if n == k else 0.0


def legt(n: int, k: int) -> float:
    """HiPPO-LegT, by its definition."""
    return -math.sqrt((2 * n + 1) * (2 * k + 1)) * (1 if k <= n else (-1) ** (n - k))


@pytest.mark.parametrize(("scheme", "entry"), [("hippo_legs", legs), ("hippo_legt", legt)])
def test_hippo(scheme: str, entry: object) -> None:
    """Every entry is the float32 nearest to the definition."""
    expected = [[np.float32(entry(n, k)) for k in range(N)] for n in range(N)]  # type: ignore[operator]
    np.testing.assert_array_equal(tensor_of(scheme, (N, N)), expected)


def test_hippo_normal_is_normal() -> None:
    """A + PPᵀ commutes with its transpose, and is −½ plus a skew-symmetric matrix."""
    a = np.array([[legs(n, k) for k in range(N)] for n in range(N)])
    p = np.sqrt(np.arange(N) + 0.5)
    s = tensor_of("hippo_normal", (N, N)).astype(np.float64)
    np.testing.assert_allclose(s, a + np.outer(p, p), atol=1e-6)
    np.testing.assert_array_equal(s + s.T, -np.eye(N))
    np.testing.assert_allclose(s @ s.T, s.T @ s, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 5, 32, 64])
def test_s4d_legs(length: int) -> None:
    """The eigenvalues of the normal part, by numpy.linalg; the same in every row."""
    size = 2 * length
    a = np.array([[legs(n, k) for k in range(size)] for n in range(size)])
    p = np.sqrt(np.arange(size) + 0.5)
    eigenvalues = np.linalg.eigvals(a + np.outer(p, p))
    np.testing.assert_allclose(eigenvalues.real, -0.5, atol=1e-9 * size**2)
    expected = np.sort(eigenvalues.imag[eigenvalues.imag > 0])
    actual = tensor_of("s4d_legs", (2, length))
    np.testing.assert_allclose(actual, np.tile(expected, (2, 1)), rtol=1e-6)


def test_s4d_legs_has_a_longest_axis() -> None:
    """What would take long is refused at the shape."""
    with pytest.raises(ShapeError, match="256"):
        scheme_of("s4d_legs").fill((4, 257))
    assert 512**2 / 4 < tensor_of("s4d_legs", (256,))[-1] < 512**2 / 3


def test_hippo_b() -> None:
    """√(2n + 1) along the first axis."""
    expected = np.sqrt(2.0 * np.arange(N) + 1).astype(np.float32)
    np.testing.assert_array_equal(tensor_of("hippo_B", (N, 2)), expected[:, None].repeat(2, 1))


def test_mamba_and_s4d() -> None:
    """Poles along the last axis, alike in every row; logarithms by mpmath."""
    shape = (3, 16)
    n = np.arange(16)
    logs = [np.float32(float(mp.log(int(i) + 1))) for i in n]
    inv = [(32 / math.pi) * (32 / (2 * int(i) + 1) - 1) for i in n]
    expected = {
        "mamba_A_log": logs,
        "s4d_real": -(n + 1.0),
        "s4d_lin": (math.pi * n).astype(np.float32),
        "s4d_inv": np.array(inv).astype(np.float32),
    }
    for scheme, row in expected.items():
        np.testing.assert_array_equal(tensor_of(scheme, shape), np.tile(row, (3, 1)))
