from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from seedbed.compare import CompareRequest
from seedbed.errors import Choices, InvalidError, SpecError
from seedbed.files import CheckpointSpec
from seedbed.files.findings import MAX_FINDINGS, errors_of
from seedbed.files.reading import SPEC, TextLimits, read
from seedbed.files.words import suggestions
from seedbed.init import LAYERS, SCHEMES, Limits
from tests.strategies import REQUIRED

TENSOR = {"name": "a", "shape": [2], "init": "zeros"}


def found(body: Any) -> list[tuple[tuple[str | int, ...], str, tuple[str, ...]]]:
    """Place, message and what is allowed, of each thing wrong with a body."""
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate_json(json.dumps(body))
    return [(one.path, one.message, one.allowed) for one in errors_of(caught.value, body)]


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
        (tensor_with(inti="zeros"), ("tensors", 0, "inti"),
         ("name", "shape", "init", "same_as", "dtype")),
        ({**tensor_with(), "rules": [{"match": "*", "init": "ones", "name": "a"}]},
         ("rules", 0, "name"), ("match", "init", "same_as", "dtype", "drop", "optional")),
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
    (only,) = errors_of(caught.value, None)
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
    (found,) = errors_of(caught.value, body)
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
        (found,) = errors_of(caught.value, body)
        assert found.allowed == allowed


def test_three_wrong_tensors_are_three_findings() -> None:
    """Faults of one body are told together, though a list's check ends at its first one."""
    wrong = [
        {**TENSOR, "initializer": "x"},
        TENSOR,
        {**TENSOR, "init": "zeors"},
        {**TENSOR, "name": 5},
    ]
    body = {
        "tensors": wrong,
        "layers": [{"type": "Linear", "name": "a"}, {"type": "linear", "name": "b"}],
        "rules": [{"match": "*"}, {"match": "*", "init": "zeros"}, {"init": "zeros"}],
        "sed": 1,
    }
    assert [path for path, _, _ in found(body)] == [
        ("layers", 0, "type"), ("layers", 1, "in_features"), ("layers", 1, "out_features"),
        ("tensors", 0, "initializer"), ("tensors", 2, "init"), ("tensors", 3, "name"),
        ("rules", 0), ("rules", 2, "match"), ("sed",),
    ]  # fmt: skip


def test_wrong_entries_of_a_model_are_told_together() -> None:
    """So are those of a manifest, whose check ends early too, and of a list."""
    entries = {"a": {"shap": [1]}, "b": [2], "c": [-1], "d": {"shape": [1], "init": "zeors"}}
    assert [path for path, _, _ in found({"model": {"manifest": entries}})] == [
        ("model", "manifest", "a", "shape"), ("model", "manifest", "a", "shap"),
        ("model", "manifest", "c", 0), ("model", "manifest", "d", "init"),
    ]  # fmt: skip
    listed = [{"name": name, **(entry if isinstance(entry, dict) else {"shape": entry})}
              for name, entry in entries.items()]  # fmt: skip
    assert [path for path, _, _ in found({"model": {"list": listed}})] == [
        ("model", "list", 0, "shape"), ("model", "list", 0, "shap"),
        ("model", "list", 2, "shape", 0), ("model", "list", 3, "init"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"model": {"manifest": {f"t{i}": {"shape": "x"} for i in range(20_000)}}}, None),
        ({**tensor_with(), **{f"x{i}": 1 for i in range(10_000)}}, 10_000),
        ({**tensor_with(), "metadata": {f"x{i}": 1 for i in range(10_000)}}, 10_000),
    ],
)
def test_however_many_are_wrong_the_first_are_shown(body: Any, count: int | None) -> None:
    """A text with tens of thousands of faults is answered with some of them, not with a number."""
    with pytest.raises(InvalidError) as caught:
        read(SPEC, json.dumps(body).encode(), TextLimits(Limits()))
    assert len(caught.value.findings) >= MAX_FINDINGS
    assert count is None or caught.value.count == count


def test_findings_are_bounded() -> None:
    """Of very many wrong parts some are told, and each wrong field has its turn."""
    body = {"tensors": [{"name": 5}] * 10_000, "rules": [{}] * 10_000, "x": 1}
    paths = [path for path, _, _ in found(body)]
    assert len(paths) == MAX_FINDINGS
    assert paths[0] == ("tensors", 0, "name")
    assert paths[-1] == ("x",)


@pytest.mark.parametrize(
    ("body", "place", "word"),
    [
        ({**tensor_with(), "sed": 3}, ("sed",), "sed"),
        (tensor_with(initializer="zeros"), ("tensors", 0, "initializer"), "initializer"),
        (tensor_with(init="he_norml"), ("tensors", 0, "init"), "he_norml"),
        (tensor_with(dtype="bf61"), ("tensors", 0, "dtype"), "bf61"),
        (tensor_with(init={"scheme": "he_normal", "mode": "fanin"}),
         ("tensors", 0, "init", "mode"), "fanin"),
        ({**tensor_with(), "framework": "pytorch"}, ("framework",), "pytorch"),
        ({"layers": [{"type": "Linear", "name": "a"}]}, ("layers", 0, "type"), "Linear"),
        ({"layers": [{**LAYER, "filters": 2}]}, ("layers", 0, "filters"), "filters"),
        ({"layers": [{**LAYER, "init": {"wieght": "zeros"}}]}, ("layers", 0), "wieght"),
        ({"model": {"prest": "gpt2"}}, ("model",), "prest"),
        ({"model": {"manifest": {"a": {"shape": [1], "intt": 1}}}},
         ("model", "manifest", "a", "intt"), "intt"),
    ],
)  # fmt: skip
def test_the_word_and_the_list_are_there(
    body: Any, place: tuple[str | int, ...], word: str
) -> None:
    """A word that is not on a closed list comes with the list, and stands in the message."""
    ((path, message, allowed),) = found(body)
    assert path == place
    assert isinstance(allowed, Choices)
    assert allowed.word == word
    assert allowed
    (shown,) = suggestions([SpecError(message, path, allowed)])
    assert word in shown.message or place == ("model",)
    assert shown.nearest


def test_what_a_comparison_may_have() -> None:
    """Another kind of body has its own fields, in short forms as in long ones."""
    body = {
        "schemes": ["hee", {"scheme": "he_normal", "gian": 1}, {"init": "ones", "lable": "x"},
                    {"spec": {"tensor": []}}],
        "network": {"kind": "MLP", "widht": 1},
    }  # fmt: skip
    with pytest.raises(ValidationError) as caught:
        CompareRequest.model_validate_json(json.dumps(body))
    told_of = {one.path: one.allowed for one in errors_of(caught.value, body, CompareRequest)}
    assert ("schemes", 0) in told_of
    assert "gain" in told_of["schemes", 1, "gian"]
    assert "label" in told_of["schemes", 2, "lable"]
    assert "tensors" in told_of["schemes", 3, "spec", "tensor"]
    assert "mlp" in told_of["network", "kind"]
    assert "width" in told_of["network", "widht"]


def test_a_model_by_its_bare_name() -> None:
    """A name where an object belongs is answered with the object."""
    ((path, message, allowed),) = found({"model": "gpt2"})
    assert (path, allowed) == (("model",), ("preset", "config", "manifest", "list"))
    assert '{"preset": "gpt2"}' in message
