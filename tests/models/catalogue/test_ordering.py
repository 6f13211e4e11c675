"""The order of tensors, read off the names that a library wrote."""

from __future__ import annotations

from scripts.catalogue.ordering import arranged, reorder


def test_experts_that_are_split_have_a_pass_for_each_projection() -> None:
    """What is written for all indices before the next begins has a loop of its own."""
    names = [
        f"layers.{i}.{name}"
        for i in range(2)
        for name in (
            "norm.weight",
            *(f"experts.{e}.{part}" for part in ("down", "gate") for e in range(3)),
        )
    ]
    found = arranged([names])
    assert found is not None
    assert found.patterns == [
        "layers.*.norm.weight", "layers.*.experts.*.down", "layers.*.experts.*.gate",
    ]  # fmt: skip
    assert found.passes == {"layers.*.experts.": {"layers.*.experts.*.gate": 1}}


def test_layers_of_several_kinds_have_one_order() -> None:
    """What no layer has all of is put in the order that all layers agree with."""
    found = arranged([["l.0.a", "l.0.c", "l.1.b", "l.1.c", "l.2.a", "l.2.b"]])
    assert found is not None
    assert found.patterns == ["l.*.a", "l.*.b", "l.*.c"]
    assert arranged([["l.0.a", "l.0.b", "l.1.b", "l.1.a"]]) is None


def test_a_pattern_that_was_not_seen_stays_behind_its_neighbour() -> None:
    """Data has patterns for configs that nobody wrote."""
    found = arranged([["b.weight", "a.weight"]])
    assert found is not None
    data = {"tensors": [["a.weight"], ["a.bias"], ["b.weight"]]}
    reorder(data, found)
    assert data["tensors"] == [["b.weight"], ["a.weight"], ["a.bias"]]
