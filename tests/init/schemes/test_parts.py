from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from seedbed.errors import ParameterError, ShapeError
from seedbed.init import Limits, MatrixCache, Source, TensorSpec, plan
from seedbed.stream import DTYPES, Box, get_engine
from tests.init.schemes.tensors import piece_of, scheme_of, tensor_of
from tests.strategies import untimed

SHAPE = (6, 5, 4)

DRAWN: tuple[Any, ...] = (
    "normal",
    {"scheme": "uniform", "low": 2.0, "high": 3.0},
    {"scheme": "constant", "value": 7},
    {"scheme": "lru_theta_log", "max_phase": 0.5},
    {"scheme": "chain", "of": "normal", "steps": [["exp"]]},
)
"""Inits that draw each element on its own, whatever the shape."""

WHOLE: tuple[Any, ...] = ("orthogonal", "unit_norm_rows", "retnet_decay", "arange")
"""Inits of which an element depends on the shape, or on others."""


@st.composite
def bodies(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[tuple[slice, ...], Any]]]:
    """Parts of `SHAPE` that do not overlap, and where each of them is."""
    taken = np.zeros(SHAPE, bool)
    parts, places = [], []
    for _ in range(draw(st.integers(1, 5))):
        box: list[list[int] | None] = []
        for size in SHAPE[: draw(st.integers(1, 3))]:
            low = draw(st.integers(0, size - 1))
            high = draw(st.integers(low + 1, size))
            box.append(draw(st.sampled_from((None, [low, high]))))
        where = tuple(slice(*(one or (0, None))) for one in box)
        if any(box) and not taken[where].any():
            init = draw(st.sampled_from(DRAWN + WHOLE))
            taken[where] = True
            parts.append({"box": box, "init": init})
            places.append((where, init))
    base = draw(st.sampled_from((*DRAWN, "orthogonal")))
    if not parts:
        parts, places = [{"box": [[0, 1]], "init": "zeros"}], [((slice(0, 1),), "zeros")]
        taken[0] = True
    body = {"scheme": "parts", "parts": parts}
    return body if taken.all() else {**body, "init": base}, places


def by_hand(body: dict[str, Any], places: list[Any]) -> NDArray[np.float32]:
    """The tensor, each init made for itself and put in its place by NumPy."""
    out = tensor_of(body["init"], SHAPE) if "init" in body else np.empty(SHAPE, np.float32)
    for k, (where, init) in enumerate(places):
        if init in DRAWN:
            out[where] = tensor_of(init, SHAPE)[where]
        else:
            out[where] = tensor_of(init, out[where].shape, name=f"w[{k}]")
    return out


@untimed
@given(bodies())
def test_each_part_is_its_own(case: tuple[dict[str, Any], list[Any]]) -> None:
    """Drawn elements keep their places' numbers; a matrix is made whole from the stream `w[k]`."""
    body, places = case
    assert tensor_of(body, SHAPE).tobytes() == by_hand(body, places).tobytes()


@untimed
@given(bodies(), st.data())
def test_any_box_is_that_of_the_whole(
    case: tuple[dict[str, Any], list[Any]], data: st.DataObject
) -> None:
    """A range or a strided box, in any dtype, is what the whole tensor has there."""
    body, _ = case
    whole = tensor_of(body, SHAPE).reshape(-1)
    start = data.draw(st.integers(0, whole.size - 1))
    stop = data.draw(st.integers(start + 1, whole.size))
    assert piece_of(body, SHAPE, start, stop).tobytes() == whole[start:stop].tobytes()
    columns = Box(start % 20, (6, 1 + (20 - start % 20 - 1) // 2), (20, 2))
    code = data.draw(st.sampled_from(("F32", "BF16", "F64")))
    source = Source(get_engine("numpy"), 7, "w", DTYPES[code], MatrixCache(2**20, 1))
    out = np.empty(columns.extents, DTYPES[code].storage)
    scheme_of(body).fill(SHAPE).write_box(source, columns, out)
    wanted = DTYPES[code].encode(whole[columns.indices()])
    assert out.tobytes() == wanted.tobytes()


def test_a_part_of_a_large_tensor_is_local() -> None:
    """A padding row and two columns in a tensor of a terabyte take no longer than elsewhere."""
    body = {
        "scheme": "parts",
        "init": "normal",
        "parts": [
            {"box": [[3, 4]], "init": "zeros"},
            {"box": [[4, 2**20], [10, 12]], "init": "ones"},
        ],
    }
    shape, columns = (2**20, 2**18), 2**18
    plain = piece_of("normal", shape, 2**19 * columns, 2**19 * columns + 20)
    assert not piece_of(body, shape, 3 * columns, 3 * columns + 9).any()
    values = piece_of(body, shape, 2**19 * columns, 2**19 * columns + 20)
    assert values[10:12].tolist() == [1.0, 1.0]
    assert np.delete(values, [10, 11]).tolist() == np.delete(plain, [10, 11]).tolist()


def test_fans_are_those_of_the_part() -> None:
    """A part of two columns has a fan of 2, and what is left that of the whole."""
    body = {"scheme": "parts", "init": "he_normal",
            "parts": [{"box": [None, [0, 2]], "init": "he_normal"}]}  # fmt: skip
    values = tensor_of(body, (4, 50))
    z = tensor_of("normal", (4, 50))
    np.testing.assert_allclose(values[:, :2], z[:, :2], rtol=1e-6)
    np.testing.assert_allclose(values[:, 2:], z[:, 2:] / 5, rtol=1e-6)


def test_the_summary_is_of_the_mixture() -> None:
    """Mean and standard deviation are those of an element chosen at random."""
    body = {"scheme": "parts", "init": {"scheme": "normal", "std": 2.0},
            "parts": [{"box": [[0, 1]], "init": {"scheme": "constant", "value": 8}}]}  # fmt: skip
    summary = scheme_of(body).fill((4, 3)).summary()
    assert summary.mean == 2.0
    assert summary.std == pytest.approx((0.25 * 64 + 0.75 * 4 - 4) ** 0.5)


def part(*box: Any, init: Any = "zeros") -> dict[str, Any]:
    """A part."""
    return {"box": list(box), "init": init}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"init": "ones", "parts": [part([0, 7])]}, ("init", "parts", 0, "box"), "goes past the 6"),
        ({"init": "ones", "parts": [part(None, None, [0, 1])]}, ("init", "parts", 0, "box"), "3 a"),
        ({"init": "ones", "parts": [part([0, 2]), part([1, 3])]}, ("init", "parts", 1, "box"),
         "parts 0 and 1 overlap"),
        ({"init": "ones", "parts": [part([0, 6])]}, ("init", "init"), "none to fill"),
        ({"parts": [part([0, 5])]}, ("init", "init"), "cover 20 of 24"),
        ({"init": "ones", "parts": [part([0, 1], init={"scheme": "uniform", "low": 2.0})]},
         ("init", "parts", 0, "init", "high"), "above low"),
        ({"init": "ones", "parts": [part([0, 1], init={"scheme": "dirac", "groups": 2})]},
         ("init", "parts", 0, "init", "groups"), "do not divide"),
        ({"init": {"scheme": "eye"}, "parts": [part([0, 1], init="zeros")]}, (), ""),
    ],
)  # fmt: skip
def test_what_cannot_be(body: dict[str, Any], path: tuple[Any, ...], message: str) -> None:
    """What means nothing for a shape is refused where it stands; nothing given is ignored."""
    tensor = TensorSpec(name="w", shape=(6, 4), init={"scheme": "parts", **body})
    if not path:
        assert plan([tensor], [], "F32", Limits())
        return
    with pytest.raises((ParameterError, ShapeError), match=message) as caught:
        plan([tensor], [], "F32", Limits())
    assert caught.value.path == ("tensors", 0, *path)


@pytest.mark.parametrize(
    "body",
    [
        {"init": "ones", "parts": []},
        {"init": "ones", "parts": [part()]},
        {"init": "ones", "parts": [part(None)]},
        {"init": "ones", "parts": [part([1, 1])]},
        {"init": "ones", "parts": [part([-1, 1])]},
        {"init": "ones", "parts": [part([0, 1, 2])]},
        {"init": "ones", "parts": [part([0, 1])] * 65},
        {"init": "ones", "parts": [part([0, 1], init={"scheme": "parts", "parts": []})]},
        {"init": {"scheme": "parts"}, "parts": [part([0, 1])]},
        {"init": "ones", "parts": [{"box": [[0, 1]]}]},
    ],
)
def test_what_is_no_part(body: dict[str, Any]) -> None:
    """Empty boxes, parts of parts and the like are refused before any shape is known."""
    with pytest.raises(ValidationError):
        scheme_of({"scheme": "parts", **body})


def test_parts_that_cut_too_finely_are_refused() -> None:
    """Lines along three axes would be thousands of boxes: refused, soon."""
    lines = [part([i, i + 1], [i, i + 1]) for i in range(0, 42, 2)]
    lines += [part(None, [i, i + 1], [i, i + 1]) for i in range(1, 42, 2)]
    lines += [part([i, i + 1], None, [i, i + 1]) for i in range(43, 84, 2)]
    with pytest.raises((ParameterError, ShapeError)):
        scheme_of({"scheme": "parts", "init": "ones", "parts": lines}).fill((200, 200, 200))


def test_a_box_has_one_spelling() -> None:
    """Axes at the end of which a box has all are left out."""
    long = {"scheme": "parts", "init": "ones", "parts": [part([0, 1], None)]}
    short = {"scheme": "parts", "init": "ones", "parts": [part([0, 1])]}
    assert scheme_of(long).spelling == scheme_of(short).spelling
