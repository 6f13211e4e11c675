from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import LimitError
from seedbed.files.layout import Layout, lay_out
from seedbed.init import Limits, TensorSpec, plan
from tests.oracles import NUMPY_DTYPES, split_file, written
from tests.strategies import CODES, names, shapes, untimed

_tensors = st.lists(
    st.tuples(names, shapes(60), st.sampled_from(CODES)),
    max_size=8,
    unique_by=lambda one: one[0],
)


def layout_of(tensors: list[tuple[str, Any, str]], limits: Limits | None = None) -> Layout:
    """The layout of tensors given as name, shape and dtype."""
    specs = [TensorSpec(name=n, shape=s, init="zeros", dtype=d) for n, s, d in tensors]
    return lay_out(plan(specs, [], "F32", Limits()), limits or Limits())


@untimed
@given(_tensors)
def test_the_order_and_offsets_are_the_writer_s(tensors: list[tuple[str, list[int], str]]) -> None:
    """Tensors lie where safetensors' own writer puts those of the same names, shapes and dtypes."""
    layout = layout_of(tensors)
    file = written({n: np.zeros(s, NUMPY_DTYPES[d]) for n, s, d in tensors})
    header, data = split_file(file)
    starts = zip(layout.tensors, layout.offsets, layout.offsets[1:], strict=False)
    assert [(t.name, [start, stop]) for t, start, stop in starts] == [
        (name, entry["data_offsets"]) for name, entry in header.items()
    ]
    assert layout.size_bytes == len(data)


@untimed
@given(_tensors, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(tensors: list[Any], choice: Any) -> None:
    """Any order of the same tensors is one layout."""
    before = layout_of(tensors)
    choice.shuffle(tensors)
    after = layout_of(tensors)
    assert [t.name for t in after.tensors] == [t.name for t in before.tensors]
    assert after.offsets == before.offsets


def test_every_tensor_is_aligned() -> None:
    """Each begins at a multiple of its element size, whatever odd counts come before."""
    layout = layout_of([(f"{code}{i}", [3], code) for code in CODES for i in range(3)])
    assert all(
        start % tensor.dtype.size_bytes == 0
        for tensor, start in zip(layout.tensors, layout.offsets, strict=False)
    )


def test_names_are_ordered_by_their_bytes() -> None:
    """UTF-8 order, in which U+FFFF comes before U+1F331, unlike in UTF-16."""
    ordered = ["Z", "a", "a.10", "a.2", "ö", "\uffff", "\U0001f331"]
    layout = layout_of([(name, [], "F32") for name in reversed(ordered)])
    assert [t.name for t in layout.tensors] == ordered


def test_no_tensors() -> None:
    """The layout of nothing has no bytes."""
    assert layout_of([]) == Layout((), (0,))
    assert layout_of([]).size_bytes == 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_limit_is_on_all_tensors_together(count: int) -> None:
    """As many bytes as a file may have are laid out, and one more are refused."""
    tensors = [(f"t{i}", [2**20], "U8") for i in range(count)]
    limits = Limits(max_file_bytes=count * 2**20)
    assert layout_of(tensors, limits).size_bytes == count * 2**20
    with pytest.raises(LimitError) as caught:
        layout_of([*tensors, ("one", [1], "U8")], limits)
    assert (caught.value.limit, caught.value.actual) == ("max_file_bytes", count * 2**20 + 1)


def test_sizes_past_64_bits_are_counted() -> None:
    """A thousand of the largest tensors do not wrap around into something small."""
    tensors = [(f"t{i}", [2**62], "F64") for i in range(1000)]
    with pytest.raises(LimitError) as caught:
        layout_of(tensors)
    assert caught.value.actual == 1000 * 2**65
