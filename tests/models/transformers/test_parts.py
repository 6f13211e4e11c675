from __future__ import annotations

from seedbed.models.transformers import parts


def test_names_are_sorted_part_by_part() -> None:
    """Numbers come before words and in their order, also at the end of a word."""
    names = ["b.10.x", "b.2.x", "b.x", "b.2.w", "a9", "a10", "a", "b.2.x.1"]
    assert sorted(names, key=parts.natural) == [
        "a", "a9", "a10", "b.2.w", "b.2.x", "b.2.x.1", "b.10.x", "b.x",
    ]  # fmt: skip


def test_blocks_of_a_kind_are_made_once() -> None:
    """Blocks are numbered in their order, and made once for each kind."""
    made = []

    def block(kind: str) -> list[parts.Parameter]:
        made.append(kind)
        return [parts.rms_norm(kind, 2)]

    found = list(parts.stack("h", ["a", "b", "a"], block))
    assert [one.name for one in found] == ["h.0.a.weight", "h.1.b.weight", "h.2.a.weight"]
    assert made == ["a", "b"]
    assert list(parts.repeat("h", 0, found)) == []


def test_no_spread_is_zeros() -> None:
    """A normal without spread is a constant, which every dtype holds."""
    assert parts.normal(0.0).spelling == '"zeros"'
    assert parts.normal(0.5).spelling == '{"scheme":"normal","std":0.5}'
