from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from scripts import make_layer_golden
from seedbed.errors import LimitError, SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import LAYERS, Limits, TensorPlan
from seedbed.stream import NUMPY, get_engine
from tests.oracles import load

Arrays = dict[str, NDArray[Any]]

FRAMEWORKS = ("torch", "keras", "flax", "nnx")

each_layer = pytest.mark.parametrize("kind", LAYERS)


def body(kind: str, **fields: Any) -> dict[str, Any]:
    """A spec of one layer, called `x`, with the fields of its example and these."""
    more = {key: fields.pop(key) for key in ("framework", "rules") if key in fields}
    layer = {"type": kind, "name": "x", **LAYERS[kind].example, **fields}
    return {"seed": 42, "layers": [layer], **more}


def file_of(spec: dict[str, Any], limits: Limits | None = None) -> VirtualFile:
    """The file of a spec, as JSON."""
    return VirtualFile(
        CheckpointSpec.model_validate_json(json.dumps(spec)), limits, get_engine(NUMPY)
    )


def arrays_of(spec: dict[str, Any]) -> Arrays:
    """The tensors of a file, by safetensors' own reader."""
    file = file_of(spec)
    return load(file.read(0, file.size))


def planned(spec: dict[str, Any]) -> dict[str, TensorPlan]:
    """The plan of a spec, by name."""
    return {tensor.name: tensor for tensor in file_of(spec).tensors}


def refusal(spec: dict[str, Any]) -> SpecError:
    """The error of a spec that has no plan."""
    with pytest.raises(SpecError) as caught:
        file_of(spec)
    return caught.value


# Frameworks


def keras_gates(rows: NDArray[Any]) -> NDArray[Any]:
    """r, z, n as z, r, n."""
    r, z, n = np.split(rows, 3)
    return np.concatenate([z, r, n])


def linen_gates(letters: str, t: Arrays) -> Arrays:
    """Each gate's rows of weights and biases, by linen's names."""
    found = {}
    for i, letter in enumerate(letters):
        for which in ("ih", "hh"):
            for what in ("weight", "bias"):
                rows = np.split(t[f"x.{what}_{which}_l0"], len(letters))[i]
                found[f"{which[0]}{letter}.{what}"] = rows
    return found


def lstm_in_linen(t: Arrays) -> Arrays:
    """Kernels by gate, one bias."""
    g = linen_gates("ifgo", t)
    found = {f"params.x.{w}{x}.kernel": g[f"{w}{x}.weight"].T for w in "ih" for x in "ifgo"}
    return found | {f"params.x.h{x}.bias": g[f"i{x}.bias"] + g[f"h{x}.bias"] for x in "ifgo"}


def gru_in_linen(t: Arrays) -> Arrays:
    """Kernels by gate, biases added where they may be."""
    g = linen_gates("rzn", t)
    found = {f"params.x.{w}{x}.kernel": g[f"{w}{x}.weight"].T for w in "ih" for x in "rzn"}
    found |= {f"params.x.i{x}.bias": g[f"i{x}.bias"] + g[f"h{x}.bias"] for x in "rz"}
    return found | {"params.x.in.bias": g["in.bias"], "params.x.hn.bias": g["hn.bias"]}


IN_FRAMEWORKS: list[tuple[str, str, dict[str, Any], Callable[[Arrays], Arrays]]] = [
    ("linear", "keras", {},
     lambda t: {"x/kernel": t["x.weight"].T, "x/bias": t["x.bias"]}),
    ("linear", "flax", {},
     lambda t: {"params.x.kernel": t["x.weight"].T, "params.x.bias": t["x.bias"]}),
    ("linear", "nnx", {},
     lambda t: {"x.kernel": t["x.weight"].T, "x.bias": t["x.bias"]}),
    ("conv3d", "keras", {"groups": 2, "kernel_size": [2, 3, 4], "bias": False},
     lambda t: {"x/kernel": t["x.weight"].transpose(2, 3, 4, 1, 0)}),
    ("conv2d", "flax", {"kernel_size": [2, 3]},
     lambda t: {"params.x.kernel": t["x.weight"].transpose(2, 3, 1, 0),
                "params.x.bias": t["x.bias"]}),
    ("conv_transpose2d", "keras", {"kernel_size": [2, 3], "bias": False},
     lambda t: {"x/kernel": t["x.weight"].transpose(2, 3, 1, 0)}),
    ("conv_transpose2d", "flax", {"kernel_size": [2, 3], "bias": False},
     lambda t: {"params.x.kernel": t["x.weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1)}),
    ("embedding", "keras", {"padding_idx": 1}, lambda t: {"x/embeddings": t["x.weight"]}),
    ("batch_norm", "keras", {},
     lambda t: {"x/gamma": t["x.weight"], "x/beta": t["x.bias"],
                "x/moving_mean": t["x.running_mean"], "x/moving_variance": t["x.running_var"]}),
    ("batch_norm", "flax", {"affine": False},
     lambda t: {"batch_stats.x.mean": t["x.running_mean"],
                "batch_stats.x.var": t["x.running_var"]}),
    ("prelu", "flax", {}, lambda t: {"params.x.negative_slope": t["x.weight"].reshape(())}),
    ("lstm", "keras", {},
     lambda t: {"x/lstm_cell/kernel": t["x.weight_ih_l0"].T,
                "x/lstm_cell/recurrent_kernel": t["x.weight_hh_l0"].T,
                "x/lstm_cell/bias": t["x.bias_ih_l0"] + t["x.bias_hh_l0"]}),
    ("lstm", "flax", {}, lstm_in_linen),
    ("lstm", "flax", {"forget_bias": 2.5}, lstm_in_linen),
    ("gru", "keras", {},
     lambda t: {"x/gru_cell/kernel": keras_gates(t["x.weight_ih_l0"]).T,
                "x/gru_cell/recurrent_kernel": keras_gates(t["x.weight_hh_l0"]).T,
                "x/gru_cell/bias": np.stack([keras_gates(t["x.bias_ih_l0"]),
                                             keras_gates(t["x.bias_hh_l0"])])}),
    ("gru", "flax", {}, gru_in_linen),
    ("multihead_attention", "keras", {},
     lambda t: {
         **{f"x/{name}/kernel": part.T.reshape(4, 2, 2) for name, part in
            zip(("query", "key", "value"), np.split(t["x.in_proj_weight"], 3), strict=True)},
         **{f"x/{name}/bias": part.reshape(2, 2) for name, part in
            zip(("query", "key", "value"), np.split(t["x.in_proj_bias"], 3), strict=True)},
         "x/attention_output/kernel": t["x.out_proj.weight"].T.reshape(2, 2, 4),
         "x/attention_output/bias": t["x.out_proj.bias"]}),
    ("multihead_attention", "flax", {"kdim": 5, "vdim": 3, "bias": False},
     lambda t: {"params.x.query.kernel": t["x.q_proj_weight"].T.reshape(4, 2, 2),
                "params.x.key.kernel": t["x.k_proj_weight"].T.reshape(5, 2, 2),
                "params.x.value.kernel": t["x.v_proj_weight"].T.reshape(3, 2, 2),
                "params.x.out.kernel": t["x.out_proj.weight"].T.reshape(2, 2, 4)}),
    ("lora", "nnx", {"init": {"lora_B": "normal"}},
     lambda t: {"x.lora_a": t["x.lora_A.weight"].T, "x.lora_b": t["x.lora_B.weight"].T}),
    ("layer_scale", "keras", {}, lambda t: {"x/gamma": t["x.gamma"]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "framework", "fields", "rearranged"), IN_FRAMEWORKS)
def test_weights_are_those_of_pytorch_rearranged(
    kind: str, framework: str, fields: dict[str, Any], rearranged: Callable[[Arrays], Arrays]
) -> None:
    """In another framework the file has PyTorch's own numbers, under other names, elsewhere."""
    expected = rearranged(arrays_of(body(kind, **fields)))
    found = arrays_of(body(kind, framework=framework, **fields))
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.shape == expected[name].shape
        assert array.tobytes() == np.ascontiguousarray(expected[name]).tobytes(), name


@each_layer
@pytest.mark.parametrize("framework", FRAMEWORKS[1:])
def test_a_framework_has_a_layer_or_says_why_not(kind: str, framework: str) -> None:
    """No layer is stored half: it has a form in the framework or is refused at its type."""
    spec = body(kind, framework=framework)
    if kind == "gru" and framework == "nnx":
        assert refusal(spec).path == ("layers", 0, "init", "bias_hh")
        spec = body(kind, framework=framework, bias=False)
    if framework in LAYERS[kind].lacks:
        error = refusal(spec)
        assert error.path == ("layers", 0, "type")
        assert LAYERS[kind].lacks[framework] in error.message
        return
    parameters = arrays_of(body(kind)).keys() - {"x.num_batches_tracked"}
    if kind == "gru" and framework == "nnx":
        parameters = {name for name in parameters if "bias" not in name}
    origins = [tensor.origin for tensor in planned(spec).values()]
    used = {name for origin in origins if origin for name in origin.parameters}
    assert used == parameters


@each_layer
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_range_draws_what_it_holds(kind: str, framework: str) -> None:
    """In every layout a cut of a tensor draws its own elements, or two for each that is a sum."""
    if framework in LAYERS[kind].lacks:
        framework = "torch"
    biases = {"bias": False} if (kind, framework) == ("gru", "nnx") else {}
    spec = body(kind, framework=framework, rules=[{"match": "*", "init": "normal"}], **biases)
    drawn: list[int] = []
    draw = get_engine(NUMPY).fill

    def counting(key: bytes, distribution: Any, dtype: Any, box: Any, out: Any) -> None:
        drawn.append(out.size)
        draw(key, distribution, dtype, box, out)

    engine = replace(get_engine(NUMPY), fill=counting)
    file = VirtualFile(CheckpointSpec.model_validate_json(json.dumps(spec)), None, engine)
    whole = file.read(0, file.size)
    for index, tensor in enumerate(file.tensors):
        size = tensor.dtype.size_bytes
        first, count = tensor.elements // 3, -(-tensor.elements // 3)
        start = file.offset(index) + first * size
        drawn.clear()
        assert file.read(start, start + count * size) == whole[start : start + count * size]
        assert sum(drawn) <= 2 * count
        assert len(drawn) <= 64


@pytest.mark.parametrize(
    ("kind", "fields", "path"),
    [
        ("conv_transpose1d", {"groups": 2}, ("groups",)),
        ("batch_norm", {"track_running_stats": False}, ("track_running_stats",)),
        ("instance_norm", {"track_running_stats": True}, ("track_running_stats",)),
        ("lstm", {"proj_size": 1}, ("proj_size",)),
        ("multihead_attention", {"add_bias_kv": True}, ("add_bias_kv",)),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS[1:])
def test_what_only_pytorch_has(
    framework: str, kind: str, fields: dict[str, Any], path: tuple[str, ...]
) -> None:
    """An option that a framework lacks is refused there, at the option, and fine in PyTorch."""
    assert file_of(body(kind, **fields)).size
    assert refusal(body(kind, framework=framework, **fields)).path == ("layers", 0, *path)


def test_flax_has_one_slope() -> None:
    """PReLU with a slope a channel is refused where there is one for all."""
    error = refusal(body("prelu", framework="flax", num_parameters=3))
    assert error.path == ("layers", 0, "num_parameters")


def test_names_of_several_recurrent_layers() -> None:
    """Layers and directions are separate layers elsewhere, named after the one of PyTorch."""
    fields = {"num_layers": 2, "bidirectional": True}
    names = {
        framework: {name.rpartition("kernel")[0] for name in planned(
            body("lstm", framework=framework, **fields)) if name.endswith("kernel")}
        for framework in FRAMEWORKS[1:]
    }  # fmt: skip
    directions = ("forward", "backward")
    assert {
        f"x_l{k}/{way}_lstm/lstm_cell/{part}"
        for k in (0, 1) for way in directions for part in ("", "recurrent_")
    } == names["keras"]  # fmt: skip
    assert {
        f"params.x_l{k}{way}.{part}{gate}."
        for k in (0, 1) for way in ("", "_reverse") for part in "ih" for gate in "ifgo"
    } == names["flax"]  # fmt: skip
    assert {
        f"x_l{k}.{way}_rnn.cell.{part}."
        for k in (0, 1) for way in directions
        for part in ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho")
    } == names["nnx"]  # fmt: skip


@pytest.mark.parametrize(
    ("framework", "said"),
    [("torch", "pt"), ("keras", "keras"), ("flax", "flax"), ("nnx", "flax")],
)
def test_the_format_says_whose_names_they_are(framework: str, said: str) -> None:
    """What loaders read in `__metadata__.format` is the framework's family."""
    assert file_of(body("linear", framework=framework)).metadata["format"] == said


def test_plain_tensors_are_the_same_in_every_framework() -> None:
    """Tensors of their own keep name, shape and bytes, beside layers that change."""
    tensor = {"name": "own.weight", "shape": [3, 2], "init": "normal"}
    found = [
        arrays_of({**body("linear", framework=framework), "tensors": [tensor]})["own.weight"]
        for framework in FRAMEWORKS
    ]
    assert len({array.tobytes() for array in found}) == 1
    assert {array.shape for array in found} == {(3, 2)}


# Initialisation


def test_init_by_parameter_and_by_role() -> None:
    """A bare scheme is the weight's; a key is a parameter, or several by what they are."""
    plain = planned(body("linear", init="orthogonal"))
    assert plain["x.weight"].scheme.scheme == "orthogonal"
    assert plain["x.bias"].scheme.scheme == "uniform"
    lstm = planned(
        body("lstm", num_layers=2, init={
            "weight": "orthogonal", "weight_ih": "he_normal", "weight_ih_l1": "ones",
            "bias_hh": "zeros"})
    )  # fmt: skip
    assert {name: tensor.scheme.scheme for name, tensor in lstm.items()} == {
        "x.weight_ih_l0": "he_normal", "x.weight_ih_l1": "ones",
        "x.weight_hh_l0": "orthogonal", "x.weight_hh_l1": "orthogonal",
        "x.bias_ih_l0": "uniform", "x.bias_ih_l1": "uniform",
        "x.bias_hh_l0": "zeros", "x.bias_hh_l1": "zeros",
    }  # fmt: skip
    block = planned(body("transformer_encoder_layer", init="orthogonal"))
    drawn = {name for name, tensor in block.items() if tensor.scheme.scheme == "orthogonal"}
    assert drawn == {f"x.{part}" for part in (
        "self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight",
        "linear2.weight")}  # fmt: skip


@each_layer
def test_an_unknown_parameter_is_told_the_known_ones(kind: str) -> None:
    """A key of `init` that the layer lacks is refused, with all that it has."""
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate(body(kind, init={"wieght": "zeros"}))
    (finding,) = caught.value.errors()
    assert finding["loc"] == ("layers", 0, kind)
    takes = finding["ctx"]["allowed"]
    for key in takes:
        assert file_of(body(kind, init={key: "zeros"})).size
    assert {name.removeprefix("x.") for name in planned(body(kind))} <= set(takes)


def test_rules_speak_of_pytorchs_names() -> None:
    """A rule changes a layer alike in every framework, and wins over the layer's own init."""
    rules = [{"match": "*.weight", "init": {"scheme": "constant", "value": 3}}]
    torch = arrays_of(body("linear", init="ones", rules=rules))
    keras = arrays_of(body("linear", init="ones", rules=rules, framework="keras"))
    assert (torch["x.weight"] == 3).all()
    assert np.array_equal(keras["x/kernel"], torch["x.weight"].T)
    assert np.array_equal(keras["x/bias"], torch["x.bias"])


def test_a_rule_of_another_framework_s_names_is_refused() -> None:
    """A rule that would silently do nothing is an error that says the right name."""
    rules = [{"match": "*", "dtype": "F16"}, {"match": "*/kernel", "init": "zeros"}]
    error = refusal(body("linear", framework="keras", rules=rules))
    assert error.path == ("rules", 1, "match")
    assert "'x/kernel' is 'x.weight'" in error.message
    assert refusal(body("linear", rules=rules)).message.startswith("'*/kernel' matches no tensor")
    rules[1]["optional"] = True
    assert file_of(body("linear", framework="keras", rules=rules)).size
    tensor = {"name": "a/kernel", "shape": [2], "init": "ones"}
    spec = {**body("linear", framework="keras", rules=rules), "tensors": [tensor]}
    assert (arrays_of(spec)["a/kernel"] == 0).all()


def test_counters_stay_integers() -> None:
    """A dtype or an init for all weights leaves a counter alone; what fits a counter changes it."""
    name = "x.num_batches_tracked"
    rules: list[dict[str, Any]] = [{"match": "*", "dtype": "BF16", "init": "normal"}]
    found = planned(body("batch_norm", dtype="F16", rules=rules))
    assert (found[name].dtype.code, found[name].scheme.scheme) == ("I64", "zeros")
    assert {one.dtype.code for key, one in found.items() if key != name} == {"BF16"}
    rules.append({"match": "*tracked", "dtype": "I32", "init": {"scheme": "constant", "value": 7}})
    array = arrays_of(body("batch_norm", rules=rules))[name]
    assert (array.dtype, int(array)) == (np.dtype("<i4"), 7)


def test_dtypes_of_layers_and_rules() -> None:
    """The layer's dtype goes before the checkpoint's, and a rule's before both."""
    spec = body("linear", dtype="F16", rules=[{"match": "*.bias", "dtype": "F64"}])
    found = planned({**spec, "dtype": "BF16"})
    assert found["x.weight"].dtype.code == "F16"
    assert found["x.bias"].dtype.code == "F64"


def test_parts_of_one_tensor_have_one_dtype() -> None:
    """Where two parameters are one tensor, rules cannot give them two dtypes."""
    rules = [{"match": "*bias_hh*", "dtype": "F16"}]
    error = refusal(body("lstm", framework="keras", rules=rules))
    assert error.path == ("layers", 0, "dtype")
    assert "F32 and F16" in error.message


@pytest.mark.parametrize("row", [0, 2, 4, -1, -5])
@pytest.mark.parametrize("init", ["normal", "ones", "orthogonal"])
def test_the_padding_row_is_zero(row: int, init: str) -> None:
    """Whatever fills the others; they are what they would be without it, and it has one number."""
    named = [
        CheckpointSpec.model_validate(body("embedding", padding_idx=n)) for n in (row, row % 5)
    ]
    assert named[0].canonical_json == named[1].canonical_json
    padded = arrays_of(body("embedding", padding_idx=row, init=init))["x.weight"]
    plain = arrays_of(body("embedding", init=init))["x.weight"].copy()
    assert (plain[row] != 0).any()
    plain[row] = 0
    assert np.array_equal(padded, plain)


@pytest.mark.parametrize(
    ("fields", "forget"),
    [({"forget_bias": 0.75}, 0.75), ({"defaults": "keras"}, 1.0),
     ({"defaults": "keras", "forget_bias": 0.0}, 0.0)],
)  # fmt: skip
def test_the_forget_gate_s_bias(fields: dict[str, Any], forget: float) -> None:
    """The rows of the forget gate add up to it, and no other row changes."""
    found = arrays_of(body("lstm", hidden_size=3, **fields))
    plain = arrays_of(body("lstm", hidden_size=3, init=dict.fromkeys(
        ("bias",), "zeros") if "defaults" in fields else {}))  # fmt: skip
    both = found["x.bias_ih_l0"] + found["x.bias_hh_l0"]
    assert (both[3:6] == forget).all()
    for name in ("x.bias_ih_l0", "x.bias_hh_l0"):
        kept = np.r_[0:3, 6:12]
        assert np.array_equal(found[name][kept], plain[name][kept])
    keras = arrays_of(body("lstm", hidden_size=3, framework="keras", **fields))
    assert np.array_equal(keras["x/lstm_cell/bias"], both)


def test_gates_of_flax_are_orthogonal_each() -> None:
    """Keras' recurrent kernel is orthogonal as a whole, linen's each gate's, and all differ."""
    whole = arrays_of(body("lstm", hidden_size=5, defaults="keras"))["x.weight_hh_l0"]
    np.testing.assert_allclose(whole.T @ whole, np.eye(5), atol=1e-6)
    apart = np.split(arrays_of(body("lstm", hidden_size=5, defaults="flax"))["x.weight_hh_l0"], 4)
    for gate in apart:
        np.testing.assert_allclose(gate.T @ gate, np.eye(5), atol=1e-6)
    assert len({gate.tobytes() for gate in apart}) == 4


FANS = [
    ("linear", {"init": "he_normal"}, "x.weight", (3, 4)),
    ("conv2d", {"init": "he_normal", "groups": 2}, "x.weight", (18, 54)),
    ("conv_transpose1d", {"init": "he_normal"}, "x.weight", (18, 12)),
    ("conv_transpose1d", {"init": {"scheme": "he_normal", "convention": "keras"}}, "x.weight",
     (18, 12)),
    ("conv_transpose1d", {"init": {"scheme": "he_normal", "convention": "jax"}}, "x.weight",
     (12, 18)),
    ("embedding", {"init": "he_normal"}, "x.weight", (3, 5)),
    ("embedding", {"init": {"scheme": "he_normal", "convention": "keras"}}, "x.weight", (5, 3)),
    ("lstm", {"init": "he_normal"}, "x.weight_ih_l0", (3, 8)),
    ("lstm", {"init": {"scheme": "he_normal", "convention": "jax"}}, "x.weight_ih_l0", (3, 2)),
    ("lstm", {"defaults": "flax"}, "x.weight_ih_l0", (3, 2)),
    ("lstm", {"defaults": "keras"}, "x.weight_ih_l0", (3, 8)),
    ("lstm", {}, "x.weight_ih_l0", None),
    ("multihead_attention", {}, "x.in_proj_weight", (4, 12)),
    ("multihead_attention", {"defaults": "keras"}, "x.in_proj_weight", (4, 4)),
    ("multihead_attention", {"add_bias_kv": True}, "x.bias_k", (4, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "name", "fans"), FANS)
def test_fans_are_those_of_the_layer(
    kind: str, fields: dict[str, Any], name: str, fans: tuple[int, int] | None
) -> None:
    """Each convention counts as its framework does, and the deviation follows."""
    tensor = planned(body(kind, **fields))[name]
    assert tensor.fans == fans
    if fans and "he_normal" in str(fields):
        assert tensor.fill.summary().std == pytest.approx(math.sqrt(2 / fans[0]))


def test_a_tensor_knows_where_it_comes_from() -> None:
    """The plan names the layer, PyTorch's parameters, the way they were put together, and fans."""
    found = planned(body("lstm", framework="keras", defaults="keras"))
    bias = found["x/lstm_cell/bias"].origin
    assert bias
    assert bias.layer == "lstm"
    assert bias.parameters == ("x.bias_ih_l0", "x.bias_hh_l0")
    assert bias.expression == "(bias_ih_l0 + bias_hh_l0)"
    kernel = found["x/lstm_cell/kernel"]
    assert kernel.origin
    assert kernel.origin.expression == "weight_ih_l0.T"
    assert kernel.fans == (3, 8)
    assert kernel.shape == (3, 8)


# Names, limits, faults


def test_names_are_claimed_by_stream_too() -> None:
    """A tensor that would share a layer's random stream is refused in every framework."""
    tensor = {"name": "x.weight", "shape": [2], "init": "normal"}
    for framework in FRAMEWORKS:
        error = refusal({**body("linear", framework=framework), "tensors": [tensor]})
        assert error.path == ("layers", 0, "name")
        assert "'x.weight' also names tensor 0" in error.message


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_two_layers_of_one_name(framework: str) -> None:
    """The second is refused at its name."""
    spec = body("linear", framework=framework)
    error = refusal({**spec, "layers": spec["layers"] * 2})
    assert error.path == ("layers", 1, "name")
    assert "also names layer 0" in error.message


def test_limits_count_what_layers_hold() -> None:
    """Tensors, matrices and names of layers are bounded as others are."""
    with pytest.raises(LimitError) as caught:
        file_of(body("lstm", num_layers=200), Limits(max_tensors=100))
    assert (caught.value.limit, caught.value.actual) == ("max_tensors", 101)
    with pytest.raises(LimitError, match="max_dense_elements"):
        file_of(body("linear", framework="keras", init="orthogonal"), Limits(max_dense_elements=11))
    with pytest.raises(LimitError, match="max_name_bytes"):
        file_of(body("linear"), Limits(max_name_bytes=7))
    with pytest.raises(LimitError, match="max_rank"):
        file_of(body("conv3d"), Limits(max_rank=4))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"init": {"bias": "he_normal"}}, ("init", "bias")),
        ({"init": {"weight": {"scheme": "uniform", "low": 2.0}}}, ("init", "weight", "high")),
        ({"init": {"weight": {"scheme": "normal", "std": 1e5}}, "dtype": "F16"},
         ("init", "weight")),
        ({"in_features": 2**40, "out_features": 2**40}, ()),
    ],
)  # fmt: skip
def test_faults_are_where_the_layer_says_it(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    """An error of a parameter is placed at what decided it, and names the parameter."""
    error = refusal(body("linear", **fields))
    assert error.path == ("layers", 0, *path)
    assert "'x." in error.message


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"init": "he_normal"}, ("rules", 1, "init")),
        ({"dtype": "I8"}, ("rules", 1, "dtype")),
        ({"init": {"scheme": "uniform", "low": 2.0}}, ("rules", 1, "init", "high")),
    ],
)
def test_faults_of_rules_are_at_the_rule(rule: dict[str, Any], path: tuple[Any, ...]) -> None:
    """What a rule decided for a layer is wrong at the rule."""
    rules = [{"match": "none", "init": "zeros"}, {"match": "*.bias", **rule}]
    for framework in ("torch", "keras"):
        error = refusal(body("linear", rules=rules, framework=framework))
        assert error.path == path
        assert "'x.bias'" in error.message


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("conv2d", {"groups": 4}, "groups 4 must divide in_channels 4 and out_channels 6"),
        ("conv2d", {"kernel_size": [3]}, "required"),
        ("conv2d", {"kernel_size": [3, 0]}, "greater than or equal to 1"),
        ("conv2d", {"kernel_size": True}, "valid"),
        ("group_norm", {"num_groups": 3}, "num_groups 3 must divide num_channels 4"),
        ("layer_norm", {"normalized_shape": []}, "at least 1"),
        ("embedding", {"padding_idx": 5}, "padding_idx 5 is no row of 5"),
        ("embedding", {"padding_idx": -6}, "padding_idx -6 is no row of 5"),
        ("lstm", {"proj_size": 2}, "below hidden_size"),
        ("lstm", {"forget_bias": 1.0, "bias": False}, "forget_bias needs a bias"),
        ("multihead_attention", {"num_heads": 3}, "num_heads 3 must divide embed_dim 4"),
        ("transformer_encoder_layer", {"nhead": 3}, "nhead 3 must divide d_model 4"),
        ("linear", {"in_features": 0}, "greater than or equal to 1"),
        ("linear", {"bias": 1}, "valid boolean"),
        ("linear", {"in_chanels": 1}, "not permitted"),
        ("linear", {"name": ""}, "at least 1 character"),
        ("linear", {"name": "a\nb"}, "control character"),
        ("linear", {"defaults": "tensorflow"}, "'torch', 'keras'"),
        ("linear", {"dtype": "I8"}, "only be the dtype of a single tensor"),
    ],
)
def test_what_a_layer_refuses(kind: str, fields: dict[str, Any], said: str) -> None:
    """Arguments that do not go together, as the real layer refuses them, and unknown ones."""
    with pytest.raises(ValidationError, match=said):
        CheckpointSpec.model_validate_json(json.dumps(body(kind, **fields)))


def test_layers_without_parameters() -> None:
    """A norm without scale and shift is no tensor, and no fault."""
    spec = body("linear")
    spec["layers"].append({"type": "layer_norm", "name": "n", "normalized_shape": 3,
                           "elementwise_affine": False})  # fmt: skip
    for framework in FRAMEWORKS:
        assert len(file_of({**spec, "framework": framework}).tensors) == 2


def test_bytes_are_those_written_down() -> None:
    """Each layer in each framework, with each one's defaults, has the digest of the golden file."""
    golden = json.loads(make_layer_golden.GOLDEN.read_text(encoding="utf-8"))
    found = {key: make_layer_golden.digest(spec) for key, spec in make_layer_golden.cases()}
    assert {key: digest for key, digest in found.items() if digest} == golden
