from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile, spec_from_token
from seedbed.init import LAYERS, Framework


def spec_of(body: dict[str, Any]) -> CheckpointSpec:
    """A body as a spec."""
    return CheckpointSpec.model_validate(body)


def arrays(body: dict[str, Any]) -> dict[str, Any]:
    """All tensors of a body's file, as safetensors reads them."""
    file = VirtualFile(spec_of(body))
    return load(bytes(file.read(0, file.size)))


def refusal(body: dict[str, Any]) -> SpecError:
    """The error of a spec that means no file."""
    with pytest.raises(SpecError) as caught:
        Checkpoint(spec_of(body))
    return caught.value


def linear(name: str, **fields: Any) -> dict[str, Any]:
    """A small layer."""
    return {"type": "linear", "name": name, "in_features": 3, "out_features": 2, **fields}


NETWORK = {"layers": [linear("body"), linear("head")]}


# Rules that decide nothing


@pytest.mark.parametrize(
    ("rules", "index", "near"),
    [
        ([{"match": "hed.*", "drop": True}], 0, ("head.weight", "head.bias")),
        ([{"match": "*.wieght", "init": "zeros"}], 0, ("body.weight", "head.weight")),
        ([{"match": "Head.weight", "dtype": "F16"}], 0, ("head.weight",)),
        ([{"match": "*", "dtype": "F16"}, {"match": "x", "init": "ones"}], 1, ()),
        ([{"match": "*.bias", "init": "ones"}, {"match": "*", "init": "zeros"}], 0, ()),
        ([{"match": "head.*", "init": "ones"}, {"match": "head.*", "drop": True}], 0, ()),
        (
            [{"match": "head.*", "drop": True}, {"match": "*", "drop": False, "optional": True}],
            0,
            (),
        ),
        ([{"match": "*", "drop": False}], 0, ()),
    ],
)
def test_a_rule_that_decides_nothing(
    rules: list[dict[str, Any]], index: int, near: tuple[str, ...]
) -> None:
    """It is refused where it is, with the nearest names, unless it says that it may."""
    error = refusal({**NETWORK, "rules": rules})
    assert error.path == ("rules", index, "match")
    assert "optional" in error.message
    assert tuple(error.allowed) == near
    rules[index]["optional"] = True
    spec = spec_of({**NETWORK, "rules": rules})
    without = spec_of({**NETWORK, "rules": [*rules[:index], *rules[index + 1 :]]})
    assert Checkpoint(spec).tensors == Checkpoint(without).tensors
    link = spec_from_token(spec.token, 10_000)
    assert link.canonical_json == spec.canonical_json
    assert VirtualFile(link).header == VirtualFile(spec).header


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"match": "a", "init": "ones", "drop": True}, "drop"),
        ({"match": "head.*", "init": "ones", "drop": True}, "init"),
        ({"match": "*", "init": "ones", "drop": False}, "drop"),
        ({"match": "head.*", "init": "ones", "dtype": "F16"}, "dtype"),
    ],
)
def test_a_rule_of_which_a_part_decides_nothing(rule: dict[str, Any], field: str) -> None:
    """The part is refused by its name; what the rule decides besides does not hide it."""
    tensor = {"name": "a", "shape": [1], "init": "zeros"}
    body = {**NETWORK, "tensors": [tensor], "rules": [rule, {"match": "*", "dtype": "F64"}]}
    error = refusal(body)
    assert error.path == ("rules", 0, field)
    assert f"decides nothing by its {field}" in error.message
    rule["optional"] = True
    assert VirtualFile(spec_of(body)).size


def test_names_of_a_framework_are_told_of_only_where_a_rule_matches_no_others() -> None:
    """A rule about everything that decides nothing is not said to be about Flax' names."""
    error = refusal({**NETWORK, "framework": "flax", "rules": [{"match": "*", "drop": False}]})
    assert "no earlier rule drops them" in error.message


def test_optional_never_changes_a_byte() -> None:
    """A rule that decides something is the same rule, optional or not."""
    plain, optional = (
        spec_of({**NETWORK, "rules": [{"match": "head.*", "drop": True, **more}]})
        for more in ({}, {"optional": True})
    )
    assert plain.digest == optional.digest
    assert plain.token == optional.token


def test_tensors_of_their_own_are_never_dropped() -> None:
    """So a rule that only drops such a tensor decides nothing."""
    body = {"tensors": [{"name": "a", "shape": [1], "init": "ones"}]}
    error = refusal({**body, "rules": [{"match": "a", "drop": True}]})
    assert "matches 1 of the names and decides nothing" in error.message


def test_how_many_each_rule_changes() -> None:
    """A rule counts where it decides the fill, the dtype or the dropping of a name."""
    rules = [
        {"match": "*", "dtype": "F16"},
        {"match": "*.weight", "init": "ones"},
        {"match": "body.*", "init": "zeros"},
        {"match": "nothing", "init": "zeros", "optional": True},
        {"match": "head.bias", "drop": True},
    ]
    assert spec_of({**NETWORK, "rules": rules}).decisions.changed == [3, 1, 2, 0, 1]


def test_a_counter_is_not_decided_by_what_it_cannot_hold() -> None:
    """A rule that only meets num_batches_tracked with a float decides nothing."""
    norm = {"layers": [{"type": "batch_norm", "name": "n", "num_features": 2}]}
    for change in ({"dtype": "F16"}, {"init": "normal"}):
        assert refusal({**norm, "rules": [{"match": "*tracked", **change}]}).path[0] == "rules"
    rule = {"match": "*tracked", "init": {"scheme": "constant", "value": 3}}
    assert arrays({**norm, "rules": [rule]})["n.num_batches_tracked"] == 3


@pytest.mark.parametrize(("kind", "framework"), [("gru", "keras"), ("gru", "flax"), ("rnn", "nnx")])
def test_a_parameter_that_is_dropped_but_is_part_of_a_sum(kind: str, framework: str) -> None:
    """Where a framework adds two biases into one, dropping one of them would do nothing."""
    layer = {"type": kind, "name": "g", "input_size": 2, "hidden_size": 2}
    body = {"framework": framework, "layers": [layer]}
    rule = {"match": "*.bias_hh_l0", "drop": True}
    error = refusal({**body, "rules": [rule]})
    assert error.path == ("rules", 0, "drop")
    assert "'g.bias_hh_l0', which is dropped, and 'g.bias_ih_l0', which is not" in error.message
    both = arrays({**body, "rules": [{"match": "*.bias_?h_l0", "drop": True}]})
    assert both
    assert not [name for name in both if "bias" in name]


# What is equal to another


TEACHER = {"name": "teacher", "shape": [4, 3], "init": "normal"}


@pytest.mark.parametrize("init", ["normal", "orthogonal", "zeros", {"scheme": "eye", "gain": 2.0}])
@pytest.mark.parametrize("dtype", ["F32", "F16", "F64"])
def test_a_tensor_that_is_equal_to_another(init: Any, dtype: str) -> None:
    """It has the values of the other, rounded to its own dtype, whatever fills that one."""
    student = {"name": "student", "shape": [4, 3], "same_as": "teacher"}
    found = arrays(
        {"tensors": [student, {**TEACHER, "init": init}], "seed": 5,
         "rules": [{"match": "student", "dtype": dtype}]}
    )  # fmt: skip
    alone = arrays({"tensors": [{**TEACHER, "init": init, "dtype": dtype}], "seed": 5})
    assert found["student"].tobytes() == alone["teacher"].tobytes()
    planned = Checkpoint(spec_of({"tensors": [TEACHER, student]})).tensors
    assert [one.same_as for one in planned] == [None, "teacher"]


def test_chains_and_rules_are_followed() -> None:
    """A chain ends at what is equal to nothing, whose init a rule may say, whether it stays."""
    body = {
        "tensors": [
            {"name": "a", "shape": [3], "same_as": "b"},
            {"name": "b", "shape": [3], "same_as": "fc.bias"},
        ],
        "layers": [{"type": "linear", "name": "fc", "in_features": 2, "out_features": 3}],
        "rules": [
            {"match": "fc.bias", "init": "ones"},
            {"match": "fc.*", "drop": True},
        ],
    }
    found = arrays(body)
    assert sorted(found) == ["a", "b"]
    assert (found["a"] == 1).all()
    assert (found["b"] == 1).all()
    assert spec_of(body).decisions.changed == [1, 2]


def test_a_layer_that_is_equal_to_another() -> None:
    """All its parameters are, in every framework, in the layout of that framework."""
    layers = [linear("student", same_as="teacher"), linear("teacher")]
    for framework, weight in (("torch", ".weight"), ("keras", "/kernel"), ("nnx", ".kernel")):
        found = arrays({"framework": framework, "layers": layers})
        assert found[f"student{weight}"].tobytes() == found[f"teacher{weight}"].tobytes()
        assert (
            found[f"student{weight[0]}bias"].tobytes() == found[f"teacher{weight[0]}bias"].tobytes()
        )


def test_a_head_that_is_tied_to_an_embedding() -> None:
    """One parameter is equal to a tensor of another kind of layer; padding row and all."""
    layers = [
        {"type": "embedding", "name": "embed", "num_embeddings": 5, "embedding_dim": 3,
         "padding_idx": 1},
        {"type": "linear", "name": "head", "in_features": 3, "out_features": 5, "bias": False,
         "same_as": {"weight": "embed.weight"}},
    ]  # fmt: skip
    found = arrays({"layers": layers})
    assert np.array_equal(found["head.weight"], found["embed.weight"])
    assert (found["head.weight"][1] == 0).all()
    kernel = arrays({"layers": layers, "framework": "flax"})
    assert np.array_equal(kernel["params.head.kernel"].T, found["embed.weight"])


def test_a_manifest_s_entries_and_rules() -> None:
    """An entry is equal by its own field, and many are by a rule with stars."""
    manifest = {
        "embed.weight": [4, 2],
        "head.weight": {"shape": [4, 2], "same_as": "embed.weight"},
        **{f"layers.{i}.{part}": [2, 2] for i in range(3) for part in ("q", "k")},
    }
    rules = [{"match": "layers.*.*", "same_as": "layers.0.q"}]
    found = arrays({"model": {"manifest": manifest}, "rules": rules})
    assert np.array_equal(found["head.weight"], found["embed.weight"])
    assert len({values.tobytes() for name, values in found.items() if "layers" in name}) == 1
    stars = [{"match": "layers.[12].*", "same_as": "layers.0.*"}]
    found = arrays({"model": {"manifest": manifest}, "rules": stars})
    assert np.array_equal(found["layers.2.k"], found["layers.0.k"])
    assert not np.array_equal(found["layers.2.k"], found["layers.0.q"])


def test_the_last_rule_says_whether_by_init_or_equal() -> None:
    """Init and same_as are two ways to say one thing, so the last rule with either wins."""
    body = {"tensors": [TEACHER, {"name": "s", "shape": [4, 3], "same_as": "teacher"}]}
    assert (arrays({**body, "rules": [{"match": "s", "init": "ones"}]})["s"] == 1).all()
    rules = [{"match": "*", "init": "ones"}, {"match": "s", "same_as": "teacher"}]
    assert (arrays({**body, "rules": rules})["s"] == 1).all()
    error = refusal({**body, "rules": [{"match": "s", "same_as": "teacher"}, rules[0]]})
    assert error.path == ("rules", 0, "match")


def test_a_whole_matrix_is_made_once() -> None:
    """Equal tensors that are made as a whole share the matrix, though their dtypes differ."""
    body = {
        "tensors": [
            {"name": "a", "shape": [300, 300], "init": "orthogonal"},
            {"name": "b", "shape": [300, 300], "same_as": "a", "dtype": "F16"},
        ]
    }
    file = VirtualFile(spec_of(body))
    leases = file.lease(0, file.size)
    assert len(leases) == 1
    for lease in leases:
        lease.end()


def said_of(kind: str, name: str) -> list[dict[str, Any]]:
    """Ways to say of one parameter of a layer `x` what it does not hold by default."""
    value = {"scheme": "constant", "value": 3}
    layer = {"type": kind, "name": "x", **LAYERS[kind].example}
    shape = next(one.shape for one in LAYERS[kind].model_validate(layer).parameters()
                 if one.name == name)  # fmt: skip
    other = {"tensors": [{"name": "t", "shape": list(shape), "init": value}]}
    return [
        {"layers": [layer], "rules": [{"match": f"x.{name}", "init": value}]},
        {"layers": [{**layer, "init": {name: value}}]},
        {"layers": [layer], **other, "rules": [{"match": f"x.{name}", "same_as": "t"}]},
        {"layers": [{**layer, "same_as": {name: "t"}}], **other},
        {"layers": [layer], "rules": [{"match": f"x.{name}", "drop": True}]},
    ]


@pytest.mark.parametrize("framework", get_args(Framework))
@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_said_of_a_parameter_changes_the_file(kind: str, framework: str) -> None:
    """Or it is refused: no framework takes a word about what it does not store in silence."""
    layer = {"type": kind, "name": "x", **LAYERS[kind].example}
    for parameter in LAYERS[kind].model_validate(layer).parameters():
        for body in said_of(kind, parameter.name):
            plain = {"framework": framework, "layers": [layer], "tensors": body.get("tensors", [])}
            if not plain["tensors"]:
                del plain["tensors"]
            try:
                changed = Checkpoint(spec_of({**body, "framework": framework}))
            except SpecError:
                continue
            without = Checkpoint(spec_of(plain))
            assert changed.tensors != without.tensors, (parameter.name, body)


def test_a_counter_that_is_not_stored_and_yet_decides() -> None:
    """A rule about it is refused at its place, unless another tensor equals it."""
    norm = {"type": "batch_norm", "name": "x", "num_features": 2}
    rule = {"match": "*.num_batches_tracked", "init": {"scheme": "constant", "value": 3}}
    body: dict[str, Any] = {"framework": "keras", "layers": [norm], "rules": [rule]}
    error = refusal(body)
    assert error.path == ("rules", 0, "match")
    assert "keras stores no num_batches_tracked" in error.message
    equal = {"name": "t", "shape": [], "dtype": "I64", "same_as": "x.num_batches_tracked"}
    assert arrays({**body, "tensors": [equal]})["t"] == 3
    assert refusal({**body, "rules": [{"match": rule["match"], "drop": True}]}).path[0] == "rules"
    own = {**norm, "init": {"num_batches_tracked": "ones"}}
    assert refusal({**body, "layers": [own]}).path == ("layers", 0, "init", "num_batches_tracked")


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ({"manifest": {"a": [2], "b": {"shape": [3], "same_as": "a"}}}, ("manifest", "b")),
        ({"list": [{"name": "a", "shape": [2], "init": "ones"},
                   {"name": "l.{1..3}.{0..1}.w", "shape": [3], "same_as": "a"}]}, ("list", 1)),
        ({"list": [{"name": "l.{1..3}.v", "shape": [2], "init": "ones"},
                   {"name": "l.{1..3}.w", "shape": [2], "same_as": "l.{1..3}.u"}]}, ("list", 1)),
    ],
)  # fmt: skip
def test_what_cannot_be_equal_in_a_model(
    model: dict[str, Any], place: tuple[str | int, ...]
) -> None:
    """It is told of where the tensor is said, in a list by the place of its entry."""
    assert refusal({"model": model}).path == ("model", *place, "same_as")


@pytest.mark.parametrize(
    ("tensors", "place", "said"),
    [
        ([{"name": "a", "shape": [], "same_as": "a"}], ("tensors", 0, "same_as"), "to itself"),
        ([{"name": "a", "shape": [], "same_as": "b"}, {"name": "b", "shape": [], "same_as": "a"}],
         ("tensors", 0, "same_as"), "to itself"),
        ([TEACHER, {"name": "a", "shape": [4, 3], "same_as": "techer"}],
         ("tensors", 1, "same_as"), "no tensor 'techer'"),
        ([TEACHER, {"name": "a", "shape": [3, 4], "same_as": "teacher"}],
         ("tensors", 1, "same_as"), "shape"),
        ([TEACHER, {"name": "a", "shape": [4, 3], "same_as": "teacher", "dtype": "I8"}],
         ("tensors", 1, "dtype"), "whole numbers"),
        ([{**TEACHER, "init": {"scheme": "constant", "value": 500}},
          {"name": "a", "shape": [4, 3], "same_as": "teacher", "dtype": "F8_E4M3"}],
         ("tensors", 1, "same_as"), "outside F8_E4M3"),
        ([{"name": "b", "shape": [1]}, {"name": "a", "shape": [1], "same_as": "b"}],
         ("tensors", 0, "init"), "nothing says how to fill 'b'"),
    ],
)  # fmt: skip
def test_what_cannot_be_equal(
    tensors: list[dict[str, Any]], place: tuple[str | int, ...], said: str
) -> None:
    """Circles, unknown names, other shapes and dtypes that cannot hold it are refused there."""
    error = refusal({"tensors": tensors})
    assert error.path == place
    assert said in error.message


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """Also in a rule, where it is filled in."""
    body = {**NETWORK, "rules": [{"match": "head.*", "same_as": "boby.*"}]}
    error = refusal(body)
    assert error.path == ("rules", 0, "same_as")
    assert error.allowed[0] in ("body.weight", "body.bias")


@pytest.mark.parametrize(
    "fields",
    [
        {"tensors": [{**TEACHER, "same_as": "b"}]},
        {"layers": [linear("a", init="zeros", same_as="b")]},
        {"layers": [linear("a", init="zeros", same_as={"weight": "b"})]},
        {"layers": [linear("a", same_as={"wieght": "b"})]},
        {"model": {"manifest": {"a": {"shape": [1], "init": "ones", "same_as": "b"}}}},
        {**NETWORK, "rules": [{"match": "*", "init": "ones", "same_as": "b"}]},
        {**NETWORK, "rules": [{"match": "*", "same_as": "a.*.*"}]},
    ],
)
def test_two_ways_at_once(fields: dict[str, Any]) -> None:
    """Init and same_as together, parameters that there are not and other stars are refused."""
    with pytest.raises(ValidationError):
        spec_of(fields)


def test_a_long_chain_is_followed_in_linear_time() -> None:
    """Ten thousand tensors, each equal to the one before it."""
    tensors = [{"name": f"t{i}", "shape": [1], "same_as": f"t{i - 1}"} for i in range(10_000)]
    tensors[0] = {"name": "t0", "shape": [1], "init": "ones"}
    planned = Checkpoint(spec_of({"tensors": tensors[::-1]})).tensors
    assert {one.same_as for one in planned} == {None, "t0"}


GOLDEN = Path(__file__).parents[1] / "golden" / "equals-v1.json"


@pytest.mark.parametrize("golden", json.loads(GOLDEN.read_text())["files"], ids=range(5))
def test_equal_tensors_are_what_they_were(golden: dict[str, Any]) -> None:
    """Canonical specs, ETags and files with equal tensors are those that were written down."""
    file = VirtualFile(spec_of(golden["spec"]))
    assert file.spec.canonical_json == golden["canonical"]
    assert file.etag == golden["etag"]
    assert hashlib.sha256(file.read(0, file.size)).hexdigest() == golden["sha256"]


def test_equal_tensors_by_the_published_vector() -> None:
    """The student has the first words of fc.weight's stream, as docs/stream.md lists them."""
    body = json.loads(GOLDEN.read_text())["files"][0]["spec"]
    found = arrays({**body, "tensors": body["tensors"][:2]})
    table = "51240c3f49aea6bfd251893f719045bf824227bfc686dcbec9754e3f5b21993f"
    assert found["student"].tobytes().hex() == table
