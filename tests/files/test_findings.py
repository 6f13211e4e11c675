from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from seedbed.files import CheckpointSpec
from seedbed.files.findings import findings
from seedbed.init import LAYERS, SCHEMES
from tests.strategies import REQUIRED

TENSOR = {"name": "a", "shape": [2], "init": "zeros"}


def found(body: Any) -> list[tuple[tuple[str | int, ...], str, tuple[str, ...]]]:
    """Place, message and what is allowed, of each thing wrong with a body."""
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate_json(json.dumps(body))
    return [(one.path, one.message, one.allowed) for one in findings(caught.value, body)]


def tensor_with(**fields: Any) -> dict[str, Any]:
    """A spec of one tensor with these fields."""
    return {"tensors": [{**TENSOR, **fields}]}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (tensor_with(init={"scheme": "he_normal", "gain": -1}), ("tensors", 0, "init", "gain")),
        (tensor_with(init={"scheme": "kaiming_normal_", "a": ""}), ("tensors", 0, "init", "a")),
        (tensor_with(init={"scheme": "constant", "value": "x"}), ("tensors", 0, "init", "value")),
        (tensor_with(init={"scheme": "constant"}), ("tensors", 0, "init", "value")),
        (tensor_with(init={"scheme": "truncated_normal", "lower": []}),
         ("tensors", 0, "init", "lower")),
        (tensor_with(shape=[2, "x"]), ("tensors", 0, "shape", 1)),
        (tensor_with(name=""), ("tensors", 0, "name")),
        ({"tensors": [{"shape": []}]}, ("tensors", 0, "name")),
        ({**tensor_with(), "rules": [{"match": "*", "init": {"scheme": "normal", "std": "x"}}]},
         ("rules", 0, "init", "std")),
        ({**tensor_with(), "metadata": {"zeros": 5}}, ("metadata", "zeros")),
        ({**tensor_with(), "metadata": {"format": "tf"}}, ("metadata", "format")),
        ({**tensor_with(), "seed": "x"}, ("seed",)),
        ({}, ("tensors",)),
        ([], ()),
    ],
)  # fmt: skip
def test_places_are_those_of_the_body(body: Any, place: tuple[str | int, ...]) -> None:
    """A place leads from key to key of the JSON as it was sent, without names of union members."""
    ((path, message, _allowed),) = found(body)
    assert path == place
    assert message
    at = body
    for part in path[:-1]:  # the last one may be what is missing
        at = at[part]


@pytest.mark.parametrize(
    ("body", "place", "allowed"),
    [
        ({**tensor_with(), "framwork": 1}, ("framwork",), CheckpointSpec.model_fields),
        (tensor_with(inti="zeros"), ("tensors", 0, "inti"), ("name", "shape", "init", "dtype")),
        ({**tensor_with(), "rules": [{"match": "*", "init": "ones", "name": "a"}]},
         ("rules", 0, "name"), ("match", "init", "dtype", "drop")),
        *((tensor_with(init={"scheme": name, **REQUIRED.get(name, {}), "x": 1}),
           ("tensors", 0, "init", "x"), scheme.model_fields) for name, scheme in SCHEMES.items()),
        (tensor_with(init="zeors"), ("tensors", 0, "init"), sorted(SCHEMES)),
        (tensor_with(init={"scheme": "zeors"}), ("tensors", 0, "init"), sorted(SCHEMES)),
        (tensor_with(init=5), ("tensors", 0, "init"), sorted(SCHEMES)),
        (tensor_with(init={"std": 1.0}), ("tensors", 0, "init"), sorted(SCHEMES)),
    ],
)  # fmt: skip
def test_what_is_allowed_is_listed(body: Any, place: tuple[str | int, ...], allowed: Any) -> None:
    """An unknown field is answered with those there are, an unknown scheme with all schemes."""
    assert [(path, listed) for path, _, listed in found(body)] == [(place, tuple(allowed))]


def test_all_findings_in_their_order() -> None:
    """Several things that are wrong are each one error."""
    body = {**tensor_with(shape=None, dtype="X"), "seed": -1, "x": 0}
    assert [path for path, _, _ in found(body)] == [
        ("seed",), ("tensors", 0, "shape"), ("tensors", 0, "dtype"), ("x",),
    ]  # fmt: skip


def test_text_that_is_no_json_has_no_place() -> None:
    """There is one finding, about the whole."""
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate_json("{")
    (only,) = findings(caught.value, None)
    assert only.path == ()
    assert "JSON" in only.message


LAYER = {"type": "conv2d", "name": "x", "in_channels": 4, "out_channels": 6, "kernel_size": 3}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"kernel_size": "3"}, ("kernel_size",)),
        ({"in_channels": 0}, ("in_channels",)),
        ({"foo": 1}, ("foo",)),
        ({"init": "zeors"}, ("init",)),
        ({"init": {"scheme": "he_normal", "gain": -1.0}}, ("init", "gain")),
        ({"init": {"weight": {"scheme": "he_normal", "gain": -1.0}}}, ("init", "weight", "gain")),
        ({"init": {"bias": "zeors"}}, ("init", "bias")),
        ({"init": {"wieght": "zeros"}}, ()),
        ({"type": "conv4d"}, ("type",)),
        ({"type": None}, ("type",)),
    ],
)
def test_places_in_layers(fields: dict[str, Any], place: tuple[str, ...]) -> None:
    """The kind of layer and the parameter that a bare scheme is for are no part of a place."""
    body = {"layers": [{**LAYER, **fields}]}
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate(body)
    (found,) = findings(caught.value, body)
    assert found.path == ("layers", 0, *place)


def test_what_layers_allow() -> None:
    """An unknown type is told the types, an unknown field the fields of its type."""
    for fields, allowed in (
        ({"type": "conv4d"}, tuple(LAYERS)),
        ({"foo": 1}, tuple(LAYERS["conv2d"].model_fields)),
    ):
        body = {"layers": [{**LAYER, **fields}]}
        with pytest.raises(ValidationError) as caught:
            CheckpointSpec.model_validate(body)
        (found,) = findings(caught.value, body)
        assert found.allowed == allowed
