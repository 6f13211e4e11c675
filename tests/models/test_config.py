from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from seedbed.errors import SpecError
from seedbed.models.config import Config, dtype_of, resolved, words


class Fields(BaseModel):
    """Some fields of a config."""

    model_config = ConfigDict(strict=True)

    hidden_size: int = Field(8, ge=1, le=64)
    layers: list[int] = [1]
    kind: str = Field("a", pattern="^[ab]$")


def read(**config: Any) -> Config:
    """A config with an alias and defaults."""
    return Config.read(
        config, aliases={"n_embd": "hidden_size"}, defaults={"hidden_size": 8, "rate": 0.5}
    )


def test_an_alias_is_its_field_and_an_absent_field_its_default() -> None:
    """A field is found by the name of its class, whatever it was called, or has its default."""
    config = read(n_embd=16)
    assert dict(config) == {"hidden_size": 16, "rate": 0.5}
    assert config.path("hidden_size") == ("n_embd",)
    assert config.present == {"hidden_size"}
    assert len(config) == 2


def test_two_names_of_a_field_must_agree() -> None:
    """A field that is given twice is refused if the two values differ, and only then."""
    assert read(n_embd=16, hidden_size=16)["hidden_size"] == 16
    with pytest.raises(SpecError, match="two names of one field") as caught:
        read(n_embd=16, hidden_size=17)
    assert caught.value.path == ("hidden_size",)


def test_infinities_are_read_in_either_spelling() -> None:
    """Infinity and NaN are floats, bare or as transformers 5 spells them, at any depth."""
    bare = json.loads('{"a": [0, Infinity], "b": {"c": -Infinity}}')
    spelled = {"a": [0, {"__float__": "Infinity"}], "b": {"c": {"__float__": "-Infinity"}}}
    assert resolved(bare) == resolved(spelled) == {"a": [0, math.inf], "b": {"c": -math.inf}}
    assert math.isnan(resolved({"__float__": "NaN"}))
    assert resolved({"__float__": "many"}) == {"__float__": "many"}


def test_labels_are_counted() -> None:
    """id2label says how many labels there are, and wins over num_labels, as in transformers."""
    labels = {"0": "cat", "1": "dog", "2": "eel"}
    config = read(id2label=labels, num_labels=7)
    assert config.integer("num_labels") == 3
    assert config.path("num_labels") == ("id2label",)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"hiden_size": 4}, "hidden_size"),
        ({"quantization_config": {"bits": 4}}, None),
        ({"add_cross_attention": True}, None),
        ({"pruned_heads": {"0": [1]}}, None),
    ],
)
def test_a_field_that_might_change_the_weights_is_refused(
    value: dict[str, Any], allowed: str | None
) -> None:
    """What was not studied is an error that names its place and what it resembles."""
    with pytest.raises(SpecError, match="change the weights") as caught:
        read(**value).require_known({"hidden_size"})
    assert caught.value.path == tuple(value)
    assert caught.value.allowed == ((allowed,) if allowed else ())


def test_what_takes_no_part_is_accepted() -> None:
    """Fields of generation, of tools and of no effect at their value are let through."""
    config = read(
        _name_or_path="x",
        torch_dtype="float16",
        top_k=50,
        quantization_config=None,
        pruned_heads={},
    )
    config.require_known({"hidden_size"})
    assert dtype_of(config.fields) == "F16"


@pytest.mark.parametrize("wrong", ["quarter", "int64", "float8", 16, ["float32"]])
def test_an_unknown_dtype_is_refused_with_those_there_are(wrong: object) -> None:
    """The dtype that a config names is checked, and null names none."""
    with pytest.raises(SpecError, match="dtype") as caught:
        dtype_of({"torch_dtype": wrong})
    assert caught.value.path == ("torch_dtype",)
    assert "BF16" in caught.value.allowed
    assert dtype_of({"dtype": "bfloat16", "torch_dtype": "float16"}) == "BF16"
    assert dtype_of({"dtype": None, "torch_dtype": "float16"}) == "F16"
    assert dtype_of({"dtype": "auto"}) is dtype_of({}) is None


@pytest.mark.parametrize(
    ("ask", "value", "message"),
    [
        (lambda one: one.integer("x"), 1.5, "whole number, not 1.5"),
        (lambda one: one.integer("x"), True, "whole number, not True"),
        (lambda one: one.integer("x", 1, 4, null=True), 5, "from 1 to 4, not 5"),
        (lambda one: one.integer("x"), None, "whole number, not null"),
        (lambda one: one.number("x", null=True), "1", "number or null, not '1'"),
        (lambda one: one.number("x"), math.nan, "number, not nan"),
        (lambda one: one.number("x", 0.0, 1.0), 2, "from 0 to 1, not 2"),
        (lambda one: one.flag("x"), 1, "true or false, not 1"),
        (lambda one: one.text("x"), 1, "a string, not 1"),
        (lambda one: one.text("x", ("a", "b")), "c", "one of a, b, not 'c'"),
        (lambda one: one.items_of("x", int), 3, "a list, not 3"),
        (lambda one: one.part("x"), 3, "an object, not 3"),
    ],
)
def test_a_wrong_kind_is_refused_in_its_place(ask: Any, value: object, message: str) -> None:
    """Typed access says what was wrong, where, in the spelling of who wrote it."""
    with pytest.raises(SpecError, match=message.replace("(", r"\(")) as caught:
        ask(Config.read({"y": value}, aliases={"y": "x"}, prefix=("model",)))
    assert caught.value.path == ("model", "y")


def test_an_item_of_a_wrong_kind_is_refused_by_its_index() -> None:
    """A list is checked item by item, and a flag is no number."""
    config = read(x=[1, True], y=[1, 2.5], z=["a"])
    with pytest.raises(SpecError, match="whole number, not True") as caught:
        config.items_of("x", int)
    assert caught.value.path == ("x", 1)
    assert config.items_of("y", float) == (1, 2.5)
    assert config.items_of("z", str) == ("a",)
    assert config.items_of("w", str, null=True) is None


def test_typed_access_gives_what_is_there() -> None:
    """Values of the right kind come through, and null where it is taken."""
    config = read(a=3, b=2, c=False, d="gelu", e=None, f={"n_embd": 4})
    assert (config.integer("a"), config.number("b"), config.flag("c")) == (3, 2.0, False)
    assert config.text("d", ("gelu", "relu")) == "gelu"
    assert config.integer("e", null=True) is config.number("e", null=True) is None
    assert config.flag("e", null=True) is config.text("e", null=True) is None
    part = config.part("f", aliases={"n_embd": "width"})
    assert (part["width"], part.path("width")) == (4, ("f", "n_embd"))
    assert dict(config.part("e")) == {}


def test_a_class_is_named_once_and_known() -> None:
    """`architectures` has one class that was studied, or none, and then the default is meant."""
    known = ("AModel", "AForCausalLM")
    assert read().architecture(known, "AModel") == "AModel"
    assert read(architectures=None).architecture(known, "AModel") == "AModel"
    assert read(architectures=["AForCausalLM"]).architecture(known, "AModel") == "AForCausalLM"
    with pytest.raises(SpecError, match="must name one class"):
        read(architectures=[*known]).architecture(known, "AModel")
    with pytest.raises(SpecError, match="BModel is no class") as caught:
        read(architectures=["BModel"]).architecture(known, "AModel")
    assert caught.value.path == ("architectures", 0)
    assert caught.value.allowed == known


def test_a_model_of_the_fields_is_checked() -> None:
    """Fields become those of a Pydantic model; what does not fit is an error with its path."""
    assert read(n_embd=16, layers=[1, 2]).into(Fields).model_dump() == {
        "hidden_size": 16,
        "layers": [1, 2],
        "kind": "a",
    }
    for config, path in (
        (read(n_embd=65), ("n_embd",)),
        (read(layers=[1, "2"]), ("layers", 1)),
        (read(kind="c"), ("kind",)),
    ):
        with pytest.raises(SpecError) as caught:
            config.into(Fields)
        assert caught.value.path == path
    with pytest.raises(SpecError, match="no field that was studied"):
        read(shape=1).into(Fields)
    assert read(shape=1).into(Fields, words("shape size")).hidden_size == 8
