from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from seedbed.errors import ShapeError
from tests.init.schemes.tensors import piece_of, scheme_of, tensor_of

mp = mpmath.MPContext()
mp.dps = 40


def float32_of(x: object) -> np.float32:
    """The nearest float32, by way of float64."""
    return np.float32(float(mp.mpf(x)))


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 8, 12, 16, 20, 64, 100])
def test_alibi_slopes(heads: int) -> None:
    """The reference's recursion: a power of two, then every other slope of twice as many."""

    def slopes(n: int) -> list[float]:
        if math.log2(n).is_integer():
            first = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [first * first**i for i in range(n)]
        power = 2 ** math.floor(math.log2(n))
        return slopes(power) + slopes(2 * power)[0::2][: n - power]

    np.testing.assert_allclose(tensor_of("alibi_slopes", (heads,)), slopes(heads), rtol=3e-7)
    assert (tensor_of("alibi_slopes", (heads, 2, 1))[:, 1, 0] == tensor_of(
        "alibi_slopes", (heads,))).all()  # fmt: skip


def test_alibi_slopes_of_eight_heads_are_exact() -> None:
    """Powers of one half, without any rounding."""
    assert tensor_of("alibi_slopes", (8,)).tolist() == [2.0**-i for i in range(1, 9)]


def test_retnet_decay() -> None:
    """1 − 2^(−5−h), exactly."""
    assert tensor_of("retnet_decay", (8,)).tolist() == [1 - 2.0 ** (-5 - h) for h in range(8)]


@pytest.mark.parametrize("theta", [10000.0, 500000.0, 2.5])
@pytest.mark.parametrize("half", [1, 16, 32, 64])
def test_rope_inv_freq(theta: float, half: int) -> None:
    """The float32 nearest to theta^(−2i/d), by mpmath."""
    actual = tensor_of({"scheme": "rope_inv_freq", "theta": theta}, (half,))
    expected = [float32_of(mp.power(theta, -mp.mpf(2 * i) / (2 * half))) for i in range(half)]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("layout", ["interleaved", "concatenated"])
@pytest.mark.parametrize("shape", [(50, 8), (7, 64), (3, 4)])
def test_sinusoidal(layout: str, shape: tuple[int, int]) -> None:
    """Both published layouts, by mpmath, to float32's own precision."""
    positions, width = shape
    half = width // 2
    expected = np.empty(shape)
    for p in range(positions):
        for i in range(half):
            if layout == "interleaved":
                angle = p / mp.power(10000, mp.mpf(2 * i) / width)
                expected[p, 2 * i : 2 * i + 2] = mp.sin(angle), mp.cos(angle)
            else:
                angle = p / mp.power(10000, mp.mpf(i) / (half - 1))
                expected[p, i], expected[p, half + i] = mp.sin(angle), mp.cos(angle)
    actual = tensor_of({"scheme": "sinusoidal", "layout": layout}, shape)
    np.testing.assert_allclose(actual, expected, rtol=1.2e-7, atol=1e-14)


def test_sinusoidal_far_out() -> None:
    """The last of a million positions is as exact: angles are reduced with π to 150 bits."""
    p, width = 2**20 - 1, 512
    actual = piece_of("sinusoidal", (2**20, width), p * width, p * width + 6)
    for i in range(3):
        angle = p / mp.power(10000, mp.mpf(2 * i) / width)
        np.testing.assert_allclose(
            actual[2 * i : 2 * i + 2], [float(mp.sin(angle)), float(mp.cos(angle))], atol=2e-7
        )


@pytest.mark.parametrize(
    ("init", "shape"),
    [
        ("sinusoidal", (4, 3)),
        ("sinusoidal", (2**20 + 1, 4)),
        ({"scheme": "sinusoidal", "layout": "concatenated"}, (4, 2)),
        ("alibi_slopes", ()),
    ],
)
def test_shapes_that_are_refused(init: object, shape: tuple[int, ...]) -> None:
    """Odd widths, too many positions, and scalars."""
    with pytest.raises(ShapeError):
        scheme_of(init).fill(shape)
