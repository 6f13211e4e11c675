from __future__ import annotations

import httpx
import pytest
from jsonschema import Draft202012Validator

from seedbed.init import LAYERS, Layer

FRAMEWORKS = ["torch", "keras", "flax", "nnx"]


def test_layers(client: httpx.Client) -> None:
    """The list has every layer, with its own arguments and a summary."""
    listed = {layer["type"]: layer for layer in client.get("/v1/layers").json()}
    assert list(listed) == list(LAYERS)
    for name, layer in LAYERS.items():
        entry = listed[name]
        assert entry["summary"]
        assert [argument["name"] for argument in entry["arguments"]] == [
            field for field in layer.model_fields if field not in Layer.model_fields
        ]
        for argument in entry["arguments"]:
            assert argument["description"].endswith("."), argument
            if not argument["required"] and argument["default"] is not None:
                Draft202012Validator(argument["json_schema"]).validate(argument["default"])


@pytest.mark.parametrize("name", LAYERS)
def test_the_example_is_a_spec(client: httpx.Client, name: str) -> None:
    """A layer by its type; its example can be asked for, and has the parameters that it lists."""
    entry = client.get(f"/v1/layers/{name}").json()
    assert entry["type"] == name
    assert [form["framework"] for form in entry["frameworks"]] == FRAMEWORKS
    file = client.post("/v1/describe", json={"layers": [entry["example"]]}).json()
    shapes = {tensor["name"]: tensor["shape"] for tensor in file["tensors"]}
    assert shapes == {f"x.{one['name']}": one["shape"] for one in entry["parameters"]}
    for parameter in entry["parameters"]:
        assert list(parameter["defaults"]) == FRAMEWORKS
    for form in entry["frameworks"]:
        assert form["tensors"] or form["note"]


def test_a_form_by_hand(client: httpx.Client) -> None:
    """What another framework stores is said by name, shape, source and expression."""
    entry = client.get("/v1/layers/lstm").json()
    keras = next(form for form in entry["frameworks"] if form["framework"] == "keras")
    assert keras["note"] is None
    assert keras["tensors"][2] == {
        "name": "x/lstm_cell/bias",
        "shape": [8],
        "made_of": ["x.bias_ih_l0", "x.bias_hh_l0"],
        "expression": "(bias_ih_l0 + bias_hh_l0)",
    }


def test_no_such_layer(client: httpx.Client) -> None:
    """A type that is none is 404, with those there are."""
    response = client.get("/v1/layers/conv4d")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "conv2d" in response.json()["detail"]
