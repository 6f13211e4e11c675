"""Configs as the library would read them."""

from __future__ import annotations

from typing import Any

import pytest

from seedbed.errors import SpecError
from seedbed.models.catalogue.settling import Settled, kind_of

DATA: dict[str, Any] = {
    "aliases": {"": {"width": "hidden_size"}},
    "activations": ["gelu", "relu"],
    "nested": {
        "vision_config": {"type": "eye", "auto": True, "absent": {"depth": 5}},
        "audio_config": {"type": "ear", "optional": True},
    },
    "defaults": {
        "hidden_size": 12, "heads": 3, "head_dim": None, "act": "gelu", "kinds": None, "layers": 4,
        "num_labels": 2, "tables": [[1, 2]], "inputs": None, "sizes": None, "way": None,
        "vision_config": {"depth": 2},
        "audio_config": {"n": 1},
    },
    "classes": {
        "Model": {
            "fixed": {"tables": [[1, 2]], "sizes": None, "way": None},
            "alike": {"sizes": [3, 5], "way": {"kind": "plain", "flag": True}},
            "choices": {"act": "activations"},
            "kinds": {"hidden_size": "i", "head_dim": "in", "kinds": "ln"},
            "heard": {"": ["secret", "legacy?"]},
            "derived": [
                {"field": "head_dim", "mode": "absent", "value": "hidden_size // heads"},
                {"field": "kinds", "mode": "absent", "count": "layers",
                 "value": "'a' if i % 2 else 'b'"},
                {"field": "inputs", "mode": "follows", "value": "2 * heads"},
                {"field": "inner", "mode": "absent", "value": "4 * hidden_size"},
            ],
        }
    },
}  # fmt: skip


def settle(**config: Any) -> dict[str, Any]:
    """A config of the data above, settled."""
    return Settled(DATA, "Model").settle(config)


def test_absent_fields_are_defaults_or_follow_from_others() -> None:
    """Defaults, derived numbers and derived lists stand where nothing was given."""
    found = settle(heads=4)
    assert (found["hidden_size"], found["head_dim"], found["inner"]) == (12, 3, 48)
    assert found["kinds"] == ["b", "a", "b", "a"]
    assert settle(head_dim=7)["head_dim"] == 7
    assert settle(kinds=["a"])["kinds"] == ["a"]


def test_what_a_config_makes_of_nothing_may_be_given() -> None:
    """A saved config.json has what its class worked out; just that is taken, and nothing else."""
    assert settle()["inputs"] == settle(inputs=6)["inputs"] == 6
    assert settle(inputs=10, heads=5)["inputs"] == 10
    assert settle(sizes=[3, 5])["sizes"] == [3, 5]
    assert settle(way={"kind": "plain"})["way"] == {"kind": "plain"}


def test_nested_configs_have_defaults_of_their_own() -> None:
    """A nested config given in part has declared defaults; one not given, those it starts from."""
    assert settle(vision_config={})["vision_config"]["depth"] == 2
    assert settle()["vision_config"]["depth"] == 5
    assert settle()["audio_config"] is None
    assert settle(audio_config={"n": 3})["audio_config"]["n"] == 3


def test_labels_are_counted() -> None:
    """`id2label` says how many labels there are, and has the last word with `num_labels`."""
    assert settle(id2label={"0": "a", "1": "b", "2": "c"}, num_labels=3)["num_labels"] == 3
    assert settle(num_labels=7)["num_labels"] == 7
    assert settle(id2label=None)["num_labels"] == 2


def test_aliases_and_infinities() -> None:
    """Another name means the field; the library's spelling of infinity is a number."""
    assert settle(width=24)["hidden_size"] == 24
    assert settle(torch_dtype={"__float__": "Infinity"})["torch_dtype"] == float("inf")
    assert settle(legacy=None)["hidden_size"] == 12


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"tables": [[1, 3]]}, ("tables",)),
        ({"sizes": [3, 6]}, ("sizes",)),
        ({"way": {"kind": "odd"}}, ("way",)),
        ({"way": {"flag": 1}}, ("way",)),
        ({"way": {"more": 1}}, ("way",)),
        ({"inputs": 7}, ("inputs",)),
        ({"act": "xielu"}, ("act",)),
        ({"hidden_size": 0}, ("hidden_size",)),
        ({"hidden_size": True}, ("hidden_size",)),
        ({"width": "12"}, ("hidden_size",)),
        ({"secret": 1}, ("secret",)),
        ({"secret": None}, ("secret",)),
        ({"legacy": 1}, ("legacy",)),
        ({"inner": 5}, ("inner",)),
        ({"vision_config": 3}, ("vision_config",)),
        ({"vision_config": {"model_type": "nose"}}, ("vision_config", "model_type")),
        ({"id2label": ["a"]}, ("id2label",)),
        ({"per_layer_config": [{}]}, ("per_layer_config",)),
        ({"width": 12, "hidden_size": 24}, ("hidden_size",)),
        ({"hidden_size": float("nan")}, ("hidden_size",)),
    ],
)
def test_what_was_not_studied_is_refused_at_its_place(
    config: dict[str, Any], path: tuple[str, ...]
) -> None:
    """Values that never occurred, fields that are listened to, and contradictions are errors."""
    with pytest.raises(SpecError) as refused:
        settle(**config)
    assert refused.value.path == path


def test_kinds_tell_zero_and_negative_numbers_apart() -> None:
    """Zero, −1, a truth value and null each have a meaning of their own in configs."""
    values = [None, True, 3, 0, -1, 0.5, "a", [], {}]
    assert "".join(kind_of(value) for value in values) == "nbiz-fsld"
