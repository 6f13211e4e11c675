from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import LimitError
from seedbed.files.header import make_header
from seedbed.files.layout import lay_out
from seedbed.init import Limits, TensorSpec, plan
from tests.oracles import NUMPY_DTYPES, split_file, written
from tests.strategies import CODES, names, plain_text, shapes, untimed

_tensors = st.lists(
    st.tuples(names, shapes(60), st.sampled_from(CODES)),
    max_size=6,
    unique_by=lambda one: one[0],
)


def header_of(
    tensors: list[tuple[str, Any, str]],
    metadata: dict[str, str] | None = None,
    limits: Limits | None = None,
) -> bytes:
    """The head of the file of tensors given as name, shape and dtype."""
    specs = [TensorSpec(name=n, shape=s, init="zeros", dtype=d) for n, s, d in tensors]
    layout = lay_out(plan(specs, [], "F32", Limits()), Limits())
    return make_header(layout, metadata or {}, limits or Limits())


@untimed
@given(_tensors, st.dictionaries(plain_text, plain_text, max_size=1))
def test_every_byte_is_the_writer_s(
    tensors: list[tuple[str, list[int], str]], metadata: dict[str, str]
) -> None:
    """With any tensors and up to one metadata key the head is what safetensors' writer makes."""
    file = written({n: np.zeros(s, NUMPY_DTYPES[d]) for n, s, d in tensors}, metadata)
    _, data = split_file(file)
    assert header_of(tensors, metadata) + data == file


def test_bytes_by_hand() -> None:
    """Length, JSON without spaces, metadata first and sorted, spaces up to a multiple of 8."""
    head = header_of([("b", [2, 3], "BF16"), ("a", [], "I64")], {"z": "1", "format": "pt"})
    assert head == (
        b"\x98\x00\x00\x00\x00\x00\x00\x00"
        b'{"__metadata__":{"format":"pt","z":"1"},'
        b'"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},'
        b'"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]}}   '
    )


def test_without_metadata_there_is_no_key() -> None:
    """No metadata leaves no empty object behind."""
    assert header_of([]) == b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "


@untimed
@given(_tensors, st.dictionaries(plain_text, plain_text, max_size=4))
def test_the_head_reads_back(tensors: list[Any], metadata: dict[str, str]) -> None:
    """Its JSON has every fact, it ends at a multiple of 8, and it announces its own length."""
    head = header_of(tensors, metadata)
    assert len(head) % 8 == 0
    header, rest = split_file(head)
    assert rest == b""
    assert header.pop("__metadata__", {}) == metadata
    assert {(n, tuple(e["shape"]), e["dtype"]) for n, e in header.items()} == {
        (n, tuple(s), d) for n, s, d in tensors
    }


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_on_the_json(over: int) -> None:
    """The length that the file announces may be as large as the limit, not larger."""
    head = header_of([("a" * 100, [], "F32")])
    limits = Limits(max_header_bytes=len(head) - 8 - over)
    if not over:
        assert header_of([("a" * 100, [], "F32")], limits=limits) == head
        return
    with pytest.raises(LimitError) as caught:
        header_of([("a" * 100, [], "F32")], limits=limits)
    assert caught.value.actual == len(head) - 8
