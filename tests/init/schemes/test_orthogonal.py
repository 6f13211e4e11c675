from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from seedbed.errors import ShapeError
from seedbed.stream import host_levels
from tests.init.schemes.tensors import draws, piece_of, scheme_of, tensor_of

SHAPES = ((1, 1), (7, 7), (40, 9), (9, 40), (33, 64), (5, 3, 3, 3), (16, 2, 2), (70, 70))


def product_of_reflections(rows: int, columns: int) -> Any:
    """The matrix that the stream's normals mean, each reflection multiplied out as a whole."""
    tall = draws(rows * columns).reshape(rows, columns)
    q = np.eye(rows)
    signs = []
    for k in range(columns):
        x = np.zeros(rows)
        x[k:] = tall[k:, k]
        beta = math.copysign(np.linalg.norm(x), -x[k]) if x[k] else -np.linalg.norm(x)
        v = x.copy()
        v[k] -= beta
        q = q @ (np.eye(rows) - 2 * np.outer(v, v) / (v @ v))
        signs.append(-1.0 if beta < 0 else 1.0)
    return q[:, :columns] * np.array(signs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_the_shorter_side_is_orthonormal(shape: tuple[int, ...], gain: float) -> None:
    """W·Wᵀ or Wᵀ·W is gain² times the unit matrix, by numpy.linalg in float64."""
    w = tensor_of({"scheme": "orthogonal", "gain": gain}, shape).reshape(shape[0], -1)
    wide = w.astype(np.float64)
    product = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=3e-6)
    np.testing.assert_allclose(np.linalg.svd(wide, compute_uv=False), gain, rtol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (50, 37), (64, 33)])
def test_it_is_the_product_of_its_reflections(rows: int, columns: int) -> None:
    """The matrix is that of the reflections multiplied out, one by one, as whole matrices."""
    actual = tensor_of("orthogonal", (rows, columns))
    np.testing.assert_allclose(actual, product_of_reflections(rows, columns), atol=1e-6)
    wide = tensor_of("orthogonal", (columns, rows))
    np.testing.assert_array_equal(wide, actual.T if rows != columns else actual)


def test_it_is_haar_distributed() -> None:
    """Over many seeds entries are those of a uniform direction, and determinants both signs."""
    n = 5
    matrices = [tensor_of("orthogonal", (n, n), seed=seed) for seed in range(600)]
    signs = [np.linalg.det(m) > 0 for m in matrices]
    assert 0.4 < np.mean(signs) < 0.6
    for i, j in ((0, 0), (4, 4), (2, 3), (3, 0)):
        entries = np.array([m[i, j] for m in matrices], np.float64)
        beta = stats.beta(0.5, (n - 1) / 2)
        assert stats.kstest(entries**2, beta.cdf).pvalue > 1e-4
        assert abs(entries.mean()) < 5 / math.sqrt(n * len(entries))


@pytest.mark.parametrize(
    ("shape", "out", "batch"),
    [
        ((3, 3, 4, 6), -1, None),  # a kernel as Keras and Flax have it
        ((5, 4, 6), None, 0),  # experts
        ((2, 1, 3, 3, 4, 6), -1, [0, 1]),
        ((4, 6, 5), 0, -1),
        ((2, 4, 3, 6), [1], [0, 2]),
        ((1, 5, 4, 6), 1, None),
        ((2, 3, 4), [0, -1], []),
        ((130, 5, 3), 1, 0),  # more than are made together
        ((7,), 0, None),
        ((7,), [], None),
    ],
)
def test_axes_say_where_rows_and_stacks_are(shape: tuple[int, ...], out: Any, batch: Any) -> None:
    """Each matrix of the stack is orthogonal, of draws of its own, and any range is what it was."""
    init = {"scheme": "orthogonal", "gain": 1.5, "out_axis": out, "batch_axis": batch}
    w = tensor_of(init, shape)

    def places(axes: Any) -> list[int]:
        return sorted(axis % len(shape) for axis in (axes if isinstance(axes, list) else [axes]))

    stacked = [] if batch is None else places(batch)
    free = [axis for axis in range(len(shape)) if axis not in stacked]
    rows = free[:1] if out is None else places(out)
    columns = [axis for axis in free if axis not in rows]
    sides = math.prod(shape[axis] for axis in rows), math.prod(shape[axis] for axis in columns)
    matrices = w.transpose(*stacked, *rows, *columns).reshape(-1, *sides)
    for m in matrices.astype(np.float64):
        short = m @ m.T if sides[0] <= sides[1] else m.T @ m
        np.testing.assert_allclose(short, 2.25 * np.eye(len(short)), atol=1e-5)
    # The first is the plain matrix of these sides; the others have their own draws.
    plain = tensor_of({"scheme": "orthogonal", "gain": 1.5}, sides)
    np.testing.assert_array_equal(matrices[0], plain)
    assert len(np.unique(matrices.reshape(len(matrices), -1), axis=0)) == len(matrices)
    for start, stop in ((w.size // 3, w.size // 3 * 2 + 1), (w.size - 1, w.size)):
        np.testing.assert_array_equal(piece_of(init, shape, start, stop), w.ravel()[start:stop])


@pytest.mark.parametrize(
    ("out", "batch", "name"),
    [
        (2, None, "out_axis"),
        (0, 0, "out_axis"),
        (None, [0, 1], "out_axis"),
        ([0, -2], 1, "out_axis"),
    ],
)
def test_axes_that_are_refused(out: Any, batch: Any, name: str) -> None:
    """An axis that is not there, is named twice or is missing, at the name that is wrong."""
    with pytest.raises(ShapeError) as caught:
        scheme_of({"scheme": "orthogonal", "out_axis": out, "batch_axis": batch}).fill((3, 4))
    assert caught.value.path == ("init", name)


@pytest.mark.parametrize("kernel", [(), (3,), (4, 4), (3, 2, 5)])
@pytest.mark.parametrize(("out", "into"), [(6, 6), (9, 4)])
def test_delta_orthogonal_has_one_tap(out: int, into: int, kernel: tuple[int, ...]) -> None:
    """Only the tap (k − 1)//2 is not 0, and there stands the orthogonal matrix of the stream."""
    w = tensor_of({"scheme": "delta_orthogonal", "gain": 2.0}, (out, into, *kernel))
    centre = tuple((k - 1) // 2 for k in kernel)
    matrix = w[(slice(None), slice(None), *centre)].copy()
    np.testing.assert_array_equal(matrix, 2 * tensor_of("orthogonal", (out, into)))
    w[(slice(None), slice(None), *centre)] = 0
    assert not w.any()


@pytest.mark.parametrize("part", ["hidden", "first", "last"])
def test_looks_linear(part: str) -> None:
    """Blocks mirror one another, and what they are made of is orthogonal."""
    shape = {"hidden": (8, 12), "first": (8, 5), "last": (5, 8)}[part]
    w = tensor_of({"scheme": "looks_linear", "part": part}, shape)
    m = {"hidden": w[:4, :6], "first": w[:4], "last": w[:, :4]}[part]
    whole = {
        "hidden": lambda: np.block([[m, -m], [-m, m]]),
        "first": lambda: np.block([[m], [-m]]),
        "last": lambda: np.block([[m, -m]]),
    }[part]()
    np.testing.assert_array_equal(w, whole)
    short = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(short, np.eye(len(short)), atol=1e-6)


def test_a_looks_linear_network_is_linear() -> None:
    """Through ReLUs, first, hidden and last layer give the product of their blocks."""
    layers = [
        tensor_of({"scheme": "looks_linear", "part": part}, shape, name=part).astype(np.float64)
        for part, shape in (("first", (12, 6)), ("hidden", (12, 12)), ("last", (6, 12)))
    ]
    x = draws(6 * 20, seed=3).reshape(6, 20)
    y = x
    for w in layers[:-1]:
        y = np.maximum(w @ y, 0.0)
    product = layers[2][:, :6] @ layers[1][:6, :6] @ layers[0][:6] @ x
    np.testing.assert_allclose(layers[2] @ y, product, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (9, 4), (4, 9)])
def test_householder(shape: tuple[int, int]) -> None:
    """It is the leading part of 1 − 2vvᵀ/‖v‖² of the stream's own normals."""
    n = max(shape)
    v = draws(n)
    whole = np.eye(n) - 2 * np.outer(v, v) / (v @ v)
    np.testing.assert_allclose(
        tensor_of("householder", shape), whole[: shape[0], : shape[1]], atol=1e-7
    )


@pytest.mark.parametrize(
    "init",
    ["orthogonal", "delta_orthogonal", "householder", "looks_linear", "unit_norm_rows",
     "lsuv_gaussian", {"scheme": "sparse", "sparsity": 0.4}],
    ids=str,
)  # fmt: skip
def test_every_engine_makes_the_same_bytes(init: Any) -> None:
    """Matrices of all engines of this machine are equal to the bit."""
    wanted = tensor_of(init, (46, 38))
    for level in host_levels():
        assert tensor_of(init, (46, 38), engine=level.name).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("init", "shape"),
    [
        ("orthogonal", (5,)),
        ("delta_orthogonal", (3, 4, 3)),
        ("delta_orthogonal", (4, 3, 0)),
        ("looks_linear", (3, 4)),
        ("looks_linear", (4, 3)),
        ({"scheme": "looks_linear", "part": "first"}, (3, 4)),
        ({"scheme": "looks_linear", "part": "last"}, (4, 3)),
        ("looks_linear", (4, 4, 3)),
        ("householder", ()),
    ],
)
def test_shapes_that_are_refused(init: Any, shape: tuple[int, ...]) -> None:
    """A shape that has no such matrix is refused at the shape, in words."""
    with pytest.raises(ShapeError) as caught:
        scheme_of(init).fill(shape)
    assert caught.value.path == ("shape",)
    assert str(list(shape)) in caught.value.message
