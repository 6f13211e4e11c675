from __future__ import annotations

from dataclasses import fields, replace

import pytest

from seedbed.init import Block, Fans, Parameter
from seedbed.models.transformers import parts


def test_names_are_sorted_part_by_part() -> None:
    """Numbers come before words and in their order, also at the end of a word."""
    names = ["b.10.x", "b.2.x", "b.x", "b.2.w", "a9", "a10", "a", "b.2.x.1"]
    assert sorted(names, key=parts.natural) == [
        "a", "a9", "a10", "b.2.w", "b.2.x", "b.2.x.1", "b.10.x", "b.x",
    ]  # fmt: skip


OWN = Parameter(
    "w", (4, 6), parts.normal(0.02), fans={"torch": Fans(2, 3), "keras": Fans(5, 7)}, dtype="F32",
    blocks=(Block(1, 2, 0.0),),
)  # fmt: skip
"""A parameter of which all that a model may say is said."""


def test_blocks_of_a_kind_are_made_once() -> None:
    """Blocks are numbered in their order, made once a kind, and differ in nothing but names."""
    made = []

    def block(kind: str) -> list[Parameter]:
        made.append(kind)
        return [replace(OWN, name=kind)]

    found = list(parts.stack("h", ["a", "b", "a"], block))
    assert [one.name for one in found] == ["h.0.a", "h.1.b", "h.2.a"]
    assert made == ["a", "b"]
    kept = {field.name for field in fields(Parameter)} - {"name"}
    assert all(getattr(one, name) == getattr(OWN, name) for one in found for name in kept)
    assert list(parts.repeat("h", 0, found)) == []


@pytest.mark.parametrize(("padding", "row"), [(0, 0), (4, 4), (-1, 4), (-5, 0)])
def test_a_padding_row_is_counted_as_torch_counts(padding: int, row: int) -> None:
    """From the end if it is negative; it is one row of zeros."""
    (block,) = parts.embedding("e", 5, 3, 0.02, padding).blocks
    assert (block.start, block.stop, block.value) == (row, row + 1, 0.0)
    assert parts.embedding("e", 5, 3, 0.02).blocks == ()


def test_no_spread_is_zeros() -> None:
    """A normal without spread is a constant, which every dtype holds."""
    assert parts.normal(0.0).spelling == '"zeros"'
    assert parts.normal(0.5).spelling == '{"scheme":"normal","std":0.5}'
