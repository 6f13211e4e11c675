"""Specs that differ by a single change, made from the request models themselves.

Nothing here names a scheme, a layer or a preset: what a field can be is read from its Pydantic
model, so that a kind which is added tomorrow is changed, wrapped and left out on the day it is.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typing_extensions import TypeAliasType

from seedbed.files import CheckpointSpec
from seedbed.init import LAYERS, SCHEMES, Rule, TensorSpec
from seedbed.models.manifest import Entry, ListEntry
from seedbed.models.registry import preset, presets
from seedbed.models.source import ModelOfList, ModelOfManifest
from tests.strategies import REQUIRED

Body = dict[str, Any]
Place = tuple[str | int, ...]

ABSENT = object()
"""In place of a value: the key is left out."""


@cache
def bodies_by_kind() -> Mapping[str, Body]:
    """A small sound body for each scheme, layer, framework and builder of models, by its name."""
    found: dict[str, Body] = {}
    for name, scheme in SCHEMES.items():
        init = {"scheme": name, **REQUIRED.get(name, {})}
        for shape in ([4, 4], [4], [4, 4, 3], [6, 4]):
            body = {"tensors": [{"name": "a", "shape": shape, "init": init}]}
            try:
                scheme.model_validate(init).fill(tuple(shape))
            except ValueError:
                continue
            found[name] = body
            break
    for name, layer in LAYERS.items():
        found[name] = {"layers": [{"type": name, "name": "a", **layer.example}]}
    for builder, name in _of_builders().items():
        found[builder] = {"model": {"preset": name}}
    entries = {"w": [4, 4], "b": {"shape": [4], "dtype": "F16", "init": "zeros"}, "s": [1]}
    found["manifest"] = {"model": {"manifest": entries}}
    found["list"] = {
        "model": {
            "list": [
                {"name": "a.{0..2}.w", "shape": [2, 2], "init": "normal"},
                {"name": "a.{0..2}.{1..2}.v", "shape": [2, 2], "same_as": "a.{0..2}.w"},
                {"name": "b", "shape": [3], "init": "zeros", "dtype": "F16"},
            ]
        },
        "max_shard_size": 40,
    }
    reserved = [{"weight_map": {"shape": [2], "init": "zeros"}}, {"shape": [3], "preset": [1]}]
    found["headers"] = {"model": {"manifest": reserved}}
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 9}
    found["config"] = {"model": {"config": {**config, "id2label": {"0": "a", "1": "b"}}}}
    found["aliased config"] = {"model": {"config": {**config, "hidden_size": 8}}}
    found["rules"] = {
        "tensors": [
            {"name": "a", "shape": [2, 3], "init": "normal"},
            {"name": "b", "shape": [3], "init": "zeros", "dtype": "F32"},
        ],
        "layers": [{"type": "linear", "name": "fc", "in_features": 2, "out_features": 2}],
        "rules": [
            {"match": "*.bias", "drop": True},
            {"match": "?", "init": "uniform"},
            {"match": "a", "init": "normal", "dtype": "BF16"},
        ],
        "metadata": {"note": "x"},
    }
    found["equal tensors"] = {
        "tensors": [
            {"name": "a", "shape": [2, 3], "init": "normal"},
            {"name": "b", "shape": [2, 3], "same_as": "a", "dtype": "F16"},
            {"name": "c", "shape": [2, 3], "same_as": "b"},
        ],
        "layers": [
            {"type": "linear", "name": "d", "in_features": 3, "out_features": 2},
            {"type": "linear", "name": "e", "in_features": 3, "out_features": 2, "same_as": "d"},
        ],
        "rules": [
            {"match": "d.*", "init": "normal"},
            {"match": "c", "same_as": "d.weight"},
            {"match": "e.*", "same_as": "d.*", "optional": True},
            {"match": "a", "init": "ones", "optional": True},
            {"match": "[ad].*", "drop": True},
        ],
    }
    gru = {"type": "gru", "name": "g", "input_size": 2, "hidden_size": 2}
    found["parts of sums"] = {
        "framework": "keras",
        "layers": [gru, {**gru, "name": "h", "same_as": "g"}],
        "rules": [
            {"match": "g.bias_hh_l0", "init": "ones"},
            {"match": "h.bias_??_l0", "drop": True},
        ],
    }
    found["manifest of equals"] = {
        "model": {"manifest": {"w": [4, 4], "v": {"shape": [4, 4], "same_as": "w"}, "x.b": [4]}},
        "rules": [{"match": "?", "init": "ones", "optional": True}],
    }
    cut = [
        {"name": n, "shape": [size], "init": "zeros"}
        for n, size in zip("abcd", (2, 2, 2, 1), strict=True)
    ]
    found["shards"] = {"tensors": cut, "max_shard_size": 16}
    beside = {"config.json": {"model_type": "a", "sizes": [1, 2.5]}, "README.md": "# a"}
    found["files"] = {"tensors": cut, "files": beside}
    return found


def _of_builders() -> dict[str, str]:
    """A preset of each builder of models, a tiny one if there is one."""
    found: dict[str, str] = {}
    for name, one in presets().items():
        builder = one.architecture.__name__
        if builder not in found or ("tiny" in name and "tiny" not in found[builder]):
            found[builder] = name
    return found


def neighbours(body: Body, within: Place = ()) -> Iterator[Body]:
    """All bodies with one field changed, added, removed, wrapped in a list or spread into one.

    Args:
        body: to change.
        within: the part of it that changes.
    """
    for place, value in _places(body):
        if place[: len(within)] != within:
            continue
        for other in _others(value, place):
            yield _with(body, place, other)
        if isinstance(value, dict):
            yield _with(body, place, dict(reversed(value.items())))
            for key, field in _fields_of(body, place).items():
                if key not in value:
                    for other in _suggestions(field):
                        yield _with(body, (*place, key), other)


def _places(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value of a body and where it is."""
    yield place, value
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _places(part, (*place, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _places(part, (*place, index))


def _with(body: Body, place: Place, value: Any) -> Body:
    """The body with another value at one place."""
    if not place:
        return dict(value)
    changed: Any = copy.deepcopy(body)
    at = changed
    for key in place[:-1]:
        at = at[key]
    if value is ABSENT:
        del at[place[-1]]
    else:
        at[place[-1]] = copy.deepcopy(value)
    return dict(changed)


def _others(value: Any, place: Place) -> Iterator[Any]:
    """Other values beside one: of its kind, of kinds that Python thinks equal, and wrapped."""
    if not place:
        return
    if isinstance(value, bool):
        yield from (not value, int(value), str(value).lower())
    elif isinstance(value, int):
        yield from (value + 1, value * 2, value + value // 2, -value, value == 1, None)
        yield from (float(value), str(value))
        yield from ([value] * 2, [value] * 3, [value, value + 1])
    elif isinstance(value, float):
        yield from (value * 2, value / 2, -value, 0.0, -0.0, str(value), None)
        yield int(value)
    elif isinstance(value, str):
        yield from (f"{value}x", f"{value}\u0301", value.upper(), None, {"scheme": value})
        yield from _literals().get(place[-1] if isinstance(place[-1], str) else "", ())
    elif isinstance(value, list) and value:
        yield from (value[0], value[:-1], value[::-1], [*value, value[-1]], [value[0]] * len(value))
    elif isinstance(value, dict):
        yield from ({}, None)
    if not isinstance(value, list):
        yield [value]
    yield ABSENT


_OF_TYPE: Mapping[Any, tuple[Any, ...]] = {
    bool: (True, False, 1),
    int: (0, 1, 2, -1, 3, True, 2.0),
    float: (0.0, -0.0, 1, 1.0, 0.5, 2),
    str: ("x", ""),
    tuple: ([2, 2], [1, 2, 3], [4], [], 3),
    dict: ({}, {"weight": "zeros"}, "zeros", {"note": "y"}),
}


def _suggestions(annotation: Any) -> Iterator[Any]:
    """Values that a field may take, by its type, whether in range or not."""
    origin = get_origin(annotation)
    if isinstance(annotation, TypeAliasType):  # an init
        yield from ("zeros", {"scheme": "normal", "std": 0.5}, "kaiming_normal_", "HeNormal")
    elif origin is Annotated:
        yield from _suggestions(get_args(annotation)[0])
    elif origin is Literal:
        yield from get_args(annotation)
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _suggestions(member)
    else:
        yield from _OF_TYPE.get(origin or annotation, (None,))


_MEMBERS: Mapping[Any, type[BaseModel]] = {"tensors": TensorSpec, "rules": Rule}


def _fields_of(body: Body, place: Place) -> Mapping[str, Any]:
    """The fields that the object at a place may have, with their types."""
    value: Any = body
    for key in place:
        value = value[key]
    model: type[BaseModel] | None = None
    if not place:
        model = CheckpointSpec
    elif isinstance(value.get("scheme"), str):
        model = SCHEMES.get(value["scheme"])
    elif len(place) == 2:
        model = _MEMBERS.get(place[0]) or LAYERS.get(value.get("type", ""))
    elif place[0] == "model":
        model = _part_of_model(value, place)
    return {} if model is None else {n: info.annotation for n, info in model.model_fields.items()}


def _part_of_model(value: Body, place: Place) -> type[BaseModel] | None:
    if len(place) > 1:
        kinds = {"manifest": Entry, "list": ListEntry}
        return kinds.get(str(place[1])) if len(place) == 3 else None
    if value.get("preset") in presets():
        return preset(value["preset"]).architecture
    if "list" in value:
        return ModelOfList
    return ModelOfManifest if "manifest" in value else None


@cache
def _literals() -> Mapping[str, tuple[Any, ...]]:
    """The closed lists of values, by the name of the field that takes them."""
    found: dict[str, dict[Any, None]] = {}
    architectures = {one.architecture for one in presets().values()}
    models = (CheckpointSpec, TensorSpec, Rule, Entry, *SCHEMES.values(), *LAYERS.values())
    for model in (*models, *architectures):
        for name, info in model.model_fields.items():
            for value in _suggestions(info.annotation):
                if isinstance(value, str):
                    found.setdefault(name, {})[value] = None
            if isinstance(info.default, str) and info.default is not PydanticUndefined:
                found.setdefault(name, {})[info.default] = None
    found["init"] = dict.fromkeys(("zeros", "ones", "normal", "kaiming_normal_", "trunc_normal_"))
    found["same_as"] = dict.fromkeys(("a", "b", "d", "d.weight", "e", "w", "*"))
    found["match"] = dict.fromkeys(("*", "a", "[ab]", "?", "*a*", "[z-a!]"))
    return {name: tuple(values) for name, values in found.items()}


def together(parts: list[Body]) -> Body:
    """One body of several, whose tensors and layers have names of their own."""
    whole: Body = {}
    for index, part in enumerate(parts):
        for key, value in copy.deepcopy(part).items():
            if key in ("tensors", "layers"):
                renamed = [{**one, "name": f"{one['name']}{index}"} for one in value]
                whole[key] = [*whole.get(key, []), *renamed]
            else:
                whole[key] = value
    return whole
