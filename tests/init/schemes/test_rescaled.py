from __future__ import annotations

import math

import numpy as np
import pytest

from seedbed.errors import ShapeError
from seedbed.stream import derive_key
from seedbed.stream.aesctr import keystream, scratch
from tests.init.schemes.tensors import draws, scheme_of, tensor_of


@pytest.mark.parametrize("shape", [(10, 7), (3, 50), (50, 3), (1, 1)])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("per", ["column", "row"])
def test_sparse_has_an_exact_number_of_zeros(
    shape: tuple[int, int], sparsity: float, per: str
) -> None:
    """Each column (or row) has ⌈sparsity·length⌉ zeros; the rest is the stream's own normals.

    The zeros are where the words of lane `mask` are smallest.
    """
    init = {"scheme": "sparse", "sparsity": sparsity, "std": 0.5, "per": per}
    w = tensor_of(init, shape)
    plain = tensor_of({"scheme": "normal", "std": 0.5}, shape)
    axis = 0 if per == "column" else 1
    zeros = math.ceil(sparsity * shape[axis])
    assert ((w == 0).sum(axis=axis) == zeros).all()
    np.testing.assert_array_equal(w[w != 0], plain[w != 0])
    words = keystream(derive_key(7, "w", "mask"), 0, w.size, scratch(w.size)).reshape(shape)
    for lane, values in zip(words if axis else words.T, w if axis else w.T, strict=True):
        expected = {i for _, i in sorted((int(word), i) for i, word in enumerate(lane))[:zeros]}
        assert {int(i) for i in np.flatnonzero(values == 0)} == expected


@pytest.mark.parametrize("shape", [(5, 9), (4, 3, 2, 2), (3, 1)])
def test_unit_norm_rows(shape: tuple[int, ...]) -> None:
    """Rows have the norm that was asked for and the direction of the stream's own normals."""
    w = tensor_of({"scheme": "unit_norm_rows", "gain": 3.0}, shape).reshape(shape[0], -1)
    plain = draws(w.size).reshape(w.shape)
    expected = 3.0 * plain / np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(w, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 9), (4, 3, 2, 2)])
@pytest.mark.parametrize("q", [1.0, 0.5])
def test_lsuv_gaussian(shape: tuple[int, ...], q: float) -> None:
    """The stream's own normals, scaled so that q·‖W‖²/out is 1: outputs have variance 1."""
    w = tensor_of({"scheme": "lsuv_gaussian", "second_moment": q}, shape).astype(np.float64)
    plain = draws(w.size).reshape(w.shape)
    assert q * np.linalg.norm(w) ** 2 / shape[0] == pytest.approx(1.0, rel=1e-6)
    np.testing.assert_allclose(w / plain, (w / plain).flat[0], rtol=1e-6)


def test_summaries() -> None:
    """Stated moments are those of many matrices, within five errors."""
    for init in (
        "unit_norm_rows",
        "lsuv_gaussian",
        "orthogonal",
        "householder",
        {"scheme": "sparse", "sparsity": 0.25},
        {"scheme": "looks_linear"},
        {"scheme": "delta_orthogonal"},
    ):
        shape = (8, 6)
        stated = scheme_of(init).fill(shape).summary()
        values = np.stack([tensor_of(init, shape, seed=seed) for seed in range(400)])
        each = values.astype(np.float64).reshape(400, -1)
        second = (each**2).mean(axis=1)
        assert each.mean() == pytest.approx(stated.mean, abs=5 * stated.std / math.sqrt(400))
        wanted = stated.std**2 + stated.mean**2
        assert abs(second.mean() - wanted) <= 5 * second.std() / 20 + 1e-6 * wanted


@pytest.mark.parametrize("scheme", ["sparse", "unit_norm_rows", "lsuv_gaussian"])
def test_vectors_are_refused(scheme: str) -> None:
    """They are no matrices."""
    init = {"scheme": scheme, **({"sparsity": 0.5} if scheme == "sparse" else {})}
    with pytest.raises(ShapeError):
        scheme_of(init).fill((4,))
