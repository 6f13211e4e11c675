from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from seedbed.errors import ParameterError, ShapeError
from seedbed.init import SCHEMES
from seedbed.init.fills import Pattern
from seedbed.init.schemes import FAMILIES
from seedbed.init.schemes.patterns import signs
from tests.init.schemes.tensors import piece_of, scheme_of, tensor_of
from tests.strategies import untimed

CLOSED = [
    scheme.model_fields["scheme"].default
    for family in ("Patterns", "Sequences", "State spaces")
    for scheme in FAMILIES[family]
]
"""Every scheme with a closed form."""


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (1, 5)])
def test_eye(shape: tuple[int, int]) -> None:
    """It is numpy.eye times the gain, rectangular too."""
    w = tensor_of({"scheme": "eye", "gain": -2.5}, shape)
    np.testing.assert_array_equal(w, np.float32(-2.5) * np.eye(*shape))


@pytest.mark.parametrize("kernel", [(), (3,), (4, 4), (1, 2, 3)])
@pytest.mark.parametrize(("out", "into", "groups"), [(6, 6, 1), (8, 3, 2), (4, 9, 4), (6, 2, 3)])
def test_dirac(out: int, into: int, groups: int, kernel: tuple[int, ...]) -> None:
    """Group by group, the first channels pass through the tap k//2, as in torch's dirac_."""
    expected = np.zeros((out, into, *kernel), np.float32)
    each = out // groups
    for g, d in itertools.product(range(groups), range(min(each, into))):
        expected[(g * each + d, d, *(k // 2 for k in kernel))] = 1
    actual = tensor_of({"scheme": "dirac", "groups": groups}, expected.shape)
    np.testing.assert_array_equal(actual, expected)


def test_dirac_needs_whole_groups() -> None:
    """Outputs that do not divide are refused at the parameter."""
    with pytest.raises(ParameterError) as caught:
        scheme_of({"scheme": "dirac", "groups": 3}).fill((8, 3, 3))
    assert caught.value.path == ("init", "groups")


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3), (7, 2)])
def test_idinit(shape: tuple[int, int]) -> None:
    """Unit matrices side by side along the longer axis, the last one cut."""
    short = min(shape)
    times = -(-max(shape) // short)
    repeated = np.tile(np.eye(short), (times, 1) if shape[0] > shape[1] else (1, times))
    w = tensor_of({"scheme": "idinit", "tau": 0.5}, shape)
    np.testing.assert_array_equal(w, np.float32(0.5) * repeated[: shape[0], : shape[1]])


@pytest.mark.parametrize("n", [1, 2, 4, 16, 64])
def test_hadamard(n: int) -> None:
    """Of a power of two it is SciPy's, scaled; smaller ones are its leading part."""
    expected = linalg.hadamard(n) / math.sqrt(n)
    np.testing.assert_allclose(tensor_of("hadamard", (n, n)), expected, rtol=1e-7)
    if n > 2:
        part = tensor_of("hadamard", (n - 1, n // 2 + 1))
        np.testing.assert_allclose(part, expected[: n - 1, : n // 2 + 1], rtol=1e-7)


@pytest.mark.parametrize(("out", "into"), [(3, 3), (3, 8), (8, 3), (12, 5), (16, 16), (17, 16)])
@pytest.mark.parametrize("kernel", [(), (3, 3), (2,)])
def test_zero_init(out: int, into: int, kernel: tuple[int, ...]) -> None:
    """The product I*·(H/2^(m/2))·I* of the paper, or an identity; at the centre tap."""
    m = math.ceil(math.log2(out))
    if out <= into:
        matrix = np.eye(out, into)
    else:
        full = linalg.hadamard(2**m) / 2 ** (m / 2)
        matrix = np.eye(out, 2**m) @ full @ np.eye(2**m, into)
    expected = np.zeros((out, into, *kernel))
    expected[(slice(None), slice(None), *(k // 2 for k in kernel))] = matrix
    np.testing.assert_allclose(tensor_of("zero_init", expected.shape), expected, atol=1e-7)


@untimed
@given(st.integers(0, 40), st.integers(0, 40))
def test_signs_are_counted(rows: int, columns: int) -> None:
    """The sum of a Hadamard block's signs, by adding them up."""
    order = max(rows, columns, 1).bit_length()
    assert signs(rows, columns) == linalg.hadamard(2**order)[:rows, :columns].sum()


SHAPES = ((6, 4), (4, 4), (12, 16), (2, 2, 4, 5), (9,), (16, 6, 3))


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_summaries_and_cuts(name: str, shape: tuple[int, ...]) -> None:
    """Stated moments and bounds are those of the elements, and any cut is a part of the whole."""
    try:
        fill = scheme_of(name).fill(shape)
    except ShapeError as error:
        fill = None
        path = error.path
    if fill is None:
        assert path == ("shape",)
        return
    assert isinstance(fill, Pattern)
    w = tensor_of(name, shape).reshape(-1)
    stated = fill.summary()
    assert stated.mean == pytest.approx(w.mean(dtype=np.float64), rel=1e-6, abs=1e-7)
    assert stated.std == pytest.approx(w.std(dtype=np.float64), rel=1e-6, abs=1e-7)
    assert stated.lower is not None
    assert stated.upper is not None
    assert w.min() >= np.float32(stated.lower)
    assert w.max() <= np.float32(stated.upper)
    for start, stop in ((0, 1), (3, 8), (w.size - 1, w.size)):
        assert piece_of(name, shape, start, stop).tobytes() == w[start:stop].tobytes()


@pytest.mark.parametrize("name", CLOSED)
def test_a_range_of_a_huge_tensor(name: str) -> None:
    """Elements of a tensor past any memory are made at once, the same as in one that is small."""
    if name == "s4d_legs":  # its axis is bounded; the others are not
        assert piece_of(name, (2**50, 64), 2**52, 2**52 + 9).tobytes() == piece_of(
            name, (1, 64), 0, 9).tobytes()  # fmt: skip
        return
    huge, small = (2**20, 2**40), (4, 2**40)
    fill = scheme_of(name).fill(huge)
    assert np.isfinite(fill.summary().std)
    start = (2**19 + 3) * 2**40 + 5
    values = piece_of(name, huge, start, start + 9)
    assert np.isfinite(values).all()
    assert piece_of(name, small, 2**41 + 1, 2**41 + 4).shape == (3,)


@pytest.mark.parametrize("init", ["eye", "idinit", "hadamard", "hippo_legs", "sinusoidal"])
@pytest.mark.parametrize("shape", [(), (4,), (4, 4, 3)])
def test_matrices_only(init: Any, shape: tuple[int, ...]) -> None:
    """What is defined for matrices is refused for other ranks."""
    with pytest.raises(ShapeError, match="needs 2"):
        scheme_of(init).fill(shape)


def test_every_closed_form_is_known() -> None:
    """The families of closed forms are those whose fill is a pattern."""
    for name in CLOSED:
        assert isinstance(scheme_of(name).fill((4, 4)), Pattern), name
    assert set(CLOSED) <= set(SCHEMES)
