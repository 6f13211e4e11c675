"""Layers against the real ones: what they are called, how they start, what they compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import LAYERS

pytestmark = pytest.mark.interop

Arrays = dict[str, NDArray[Any]]

SHORT = {"batch_norm": "BatchNorm2d", "instance_norm": "InstanceNorm2d", "rms_norm": "RMSNorm",
         "prelu": "PReLU", "rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}  # fmt: skip


def arrays_of(body: dict[str, Any]) -> Arrays:
    """The tensors of a file, as NumPy has them."""
    file = VirtualFile(CheckpointSpec.model_validate(body))
    dtypes = {"F32": np.float32, "I64": np.int64}
    found = {}
    for i, tensor in enumerate(file.tensors):
        raw = file.read(file.offset(i), file.offset(i) + tensor.size_bytes)
        flat = np.frombuffer(bytes(raw), dtypes[tensor.dtype.code])
        found[tensor.name] = flat.reshape(tensor.shape)
    return found


def shapes_of(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Their shapes."""
    return {name: tuple(array.shape) for name, array in arrays.items()}


@dataclass(frozen=True)
class Case:
    """A layer of ours, and how each framework makes it; `None` where it has none.

    `keras`, `linen` and `nnx` are given the library's modules; the layer is called `x` in each.
    """

    kind: str
    arguments: dict[str, Any]
    inputs: tuple[int, ...] = ()
    keras: Callable[[Any], Any] | None = None
    linen: Callable[[Any], Any] | None = None
    nnx: Callable[[Any, Any], Any] | None = None

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={v}' for k, v in self.arguments.items())})"

    def body(self, **more: Any) -> dict[str, Any]:
        """A spec with this layer alone."""
        layer = {"type": self.kind, "name": "x", **self.arguments}
        layer |= {key: more.pop(key) for key in ("defaults",) if key in more}
        return {"seed": 5, "layers": [layer], **more}


def conv(rank: int, **more: Any) -> Case:
    """A convolution."""
    groups = more.get("groups", 1)
    size = (3, 2, 4)[:rank]
    name = f"Conv{rank}D"
    return Case(
        f"conv{rank}d",
        {"in_channels": 8, "out_channels": 16, "kernel_size": list(size), **more},
        (1, *(6,) * rank, 8),
        lambda k: getattr(k.layers, name)(16, size, groups=groups, name="x"),
        lambda n: n.Conv(16, size, feature_group_count=groups, name="x"),
        lambda n, r: n.Conv(8, 16, size, feature_group_count=groups, rngs=r),
    )


def conv_transpose(rank: int) -> Case:
    """A transposed convolution."""
    size = (3, 2, 4)[:rank]
    name = f"Conv{rank}DTranspose"
    return Case(
        f"conv_transpose{rank}d",
        {"in_channels": 8, "out_channels": 16, "kernel_size": list(size)},
        (1, *(6,) * rank, 8),
        lambda k: getattr(k.layers, name)(16, size, name="x"),
        lambda n: n.ConvTranspose(16, size, name="x"),
        lambda n, r: n.ConvTranspose(8, 16, size, rngs=r),
    )


CASES = [
    Case("linear", {"in_features": 30, "out_features": 40}, (1, 30),
         lambda k: k.layers.Dense(40, name="x"),
         lambda n: n.Dense(40, name="x"),
         lambda n, r: n.Linear(30, 40, rngs=r)),
    Case("linear", {"in_features": 30, "out_features": 40, "bias": False}, (1, 30),
         lambda k: k.layers.Dense(40, use_bias=False, name="x"),
         lambda n: n.Dense(40, use_bias=False, name="x"),
         lambda n, r: n.Linear(30, 40, use_bias=False, rngs=r)),
    Case("bilinear", {"in1_features": 30, "in2_features": 5, "out_features": 40}),
    *map(conv, (1, 2, 3)),
    conv(2, groups=2),
    conv(2, groups=8, bias=True),
    *map(conv_transpose, (1, 2, 3)),
    Case("conv_transpose2d",
         {"in_channels": 8, "out_channels": 16, "kernel_size": 3, "groups": 4}),
    Case("embedding", {"num_embeddings": 50, "embedding_dim": 30}, (1, 4),
         lambda k: k.layers.Embedding(50, 30, name="x"),
         lambda n: n.Embed(50, 30, name="x"),
         lambda n, r: n.Embed(50, 30, rngs=r)),
    Case("embedding", {"num_embeddings": 50, "embedding_dim": 30, "padding_idx": -2}),
    Case("batch_norm", {"num_features": 8}, (1, 5, 5, 8),
         lambda k: k.layers.BatchNormalization(name="x"),
         lambda n: n.BatchNorm(use_running_average=True, name="x"),
         lambda n, r: n.BatchNorm(8, rngs=r)),
    Case("batch_norm", {"num_features": 8, "affine": False}, (1, 5, 5, 8),
         lambda k: k.layers.BatchNormalization(name="x", center=False, scale=False),
         lambda n: n.BatchNorm(
             use_running_average=True, use_bias=False, use_scale=False, name="x")),
    Case("batch_norm", {"num_features": 8, "track_running_stats": False}),
    Case("layer_norm", {"normalized_shape": 8}, (1, 5, 8),
         lambda k: k.layers.LayerNormalization(name="x"),
         lambda n: n.LayerNorm(name="x"),
         lambda n, r: n.LayerNorm(8, rngs=r)),
    Case("layer_norm", {"normalized_shape": [5, 8], "bias": False}, (1, 5, 8),
         lambda k: k.layers.LayerNormalization(axis=(1, 2), center=False, name="x"),
         lambda n: n.LayerNorm(
             reduction_axes=(1, 2), feature_axes=(1, 2), use_bias=False, name="x")),
    Case("layer_norm", {"normalized_shape": 8, "elementwise_affine": False}),
    Case("group_norm", {"num_groups": 2, "num_channels": 8}, (1, 5, 8),
         lambda k: k.layers.GroupNormalization(2, name="x"),
         lambda n: n.GroupNorm(2, name="x"),
         lambda n, r: n.GroupNorm(8, 2, rngs=r)),
    Case("instance_norm", {"num_features": 8, "affine": True}, (1, 5, 5, 8),
         lambda k: k.layers.GroupNormalization(-1, name="x"),
         lambda n: n.InstanceNorm(name="x"),
         lambda n, r: n.InstanceNorm(8, rngs=r)),
    Case("instance_norm", {"num_features": 8}),
    Case("instance_norm", {"num_features": 8, "track_running_stats": True}),
    Case("rms_norm", {"normalized_shape": 8}, (1, 5, 8),
         lambda k: k.layers.RMSNormalization(name="x"),
         lambda n: n.RMSNorm(name="x"),
         lambda n, r: n.RMSNorm(8, rngs=r)),
    Case("prelu", {}, (1, 1),
         lambda k: k.layers.PReLU(name="x"),
         lambda n: n.PReLU(name="x"),
         lambda n, _: n.PReLU()),
    Case("prelu", {"num_parameters": 8}, (1, 8), lambda k: k.layers.PReLU(name="x")),
    Case("rnn", {"input_size": 20, "hidden_size": 30}, (1, 3, 20),
         lambda k: k.layers.SimpleRNN(30, name="x"),
         lambda n: n.RNN(n.SimpleCell(30, name="x")),
         lambda n, r: n.RNN(n.SimpleCell(20, 30, rngs=r))),
    Case("lstm", {"input_size": 20, "hidden_size": 30}, (1, 3, 20),
         lambda k: k.layers.LSTM(30, name="x"),
         lambda n: n.RNN(n.LSTMCell(30, name="x")),
         lambda n, r: n.RNN(n.LSTMCell(20, 30, rngs=r))),
    Case("lstm", {"input_size": 20, "hidden_size": 30, "bidirectional": True}, (1, 3, 20),
         lambda k: k.layers.Bidirectional(k.layers.LSTM(30, name="lstm"), name="x"),
         lambda n: n.Bidirectional(
             n.RNN(n.LSTMCell(30, name="x")), n.RNN(n.LSTMCell(30, name="x_reverse"))),
         lambda n, r: n.Bidirectional(
             n.RNN(n.LSTMCell(20, 30, rngs=r)), n.RNN(n.LSTMCell(20, 30, rngs=r)))),
    Case("lstm", {"input_size": 20, "hidden_size": 30, "num_layers": 2, "proj_size": 7,
                  "bidirectional": True}),
    Case("lstm", {"input_size": 20, "hidden_size": 30, "bias": False}, (1, 3, 20),
         lambda k: k.layers.LSTM(30, use_bias=False, name="x"),
         lambda n: n.RNN(n.LSTMCell(30, name="x"))),
    Case("gru", {"input_size": 20, "hidden_size": 30}, (1, 3, 20),
         lambda k: k.layers.GRU(30, name="x"),
         lambda n: n.RNN(n.GRUCell(30, name="x"))),
    Case("gru", {"input_size": 20, "hidden_size": 30, "init": {"bias_hh": "zeros"}}, (1, 3, 20),
         nnx=lambda n, r: n.RNN(n.GRUCell(20, 30, rngs=r))),
    Case("gru", {"input_size": 20, "hidden_size": 30, "num_layers": 3, "bidirectional": True}),
    Case("multihead_attention", {"embed_dim": 32, "num_heads": 4}, (1, 5, 32),
         lambda k: k.layers.MultiHeadAttention(4, 8, name="x"),
         lambda n: n.MultiHeadDotProductAttention(4, name="x"),
         lambda n, r: n.MultiHeadAttention(4, 32, decode=False, rngs=r)),
    Case("multihead_attention",
         {"embed_dim": 32, "num_heads": 4, "kdim": 20, "vdim": 24, "bias": False}),
    Case("multihead_attention", {"embed_dim": 32, "num_heads": 4, "add_bias_kv": True}),
    Case("transformer_encoder_layer", {"d_model": 32, "nhead": 4, "dim_feedforward": 48}),
    Case("transformer_encoder_layer", {"d_model": 32, "nhead": 4, "bias": False}),
    Case("transformer_decoder_layer", {"d_model": 32, "nhead": 4, "dim_feedforward": 48}),
    Case("lora", {"in_features": 30, "out_features": 40, "r": 5}, (1, 30),
         nnx=lambda n, r: n.LoRA(30, 5, 40, rngs=r)),
]  # fmt: skip

WITHOUT_TORCH = ("lora", "layer_scale")
"""Layers that PyTorch itself does not have."""


def torch_module(case: Case) -> Any:
    """The real module."""
    import torch

    camel = "".join(part.capitalize() for part in case.kind.split("_"))
    name = SHORT.get(case.kind, camel)
    arguments = {key: value for key, value in case.arguments.items() if key != "init"}
    if isinstance(size := arguments.get("kernel_size"), list):
        arguments["kernel_size"] = tuple(size)
    torch.manual_seed(0)
    return getattr(torch.nn, name)(**arguments)


def keras_arrays(keras: Any, case: Case) -> Arrays:
    """Weights of the real layer, by path."""
    assert case.keras
    layer = case.keras(keras)
    whole = case.kind == "embedding"
    layer_input = keras.Input(case.inputs[1:], dtype="int32" if whole else "float32")
    if case.kind == "multihead_attention":
        layer(layer_input, layer_input, layer_input)
    else:
        layer(layer_input)
    return {weight.path: np.asarray(weight.value) for weight in layer.weights}


def linen_arrays(case: Case) -> Arrays:
    """Variables of the real module, flat."""
    import jax
    from flax import linen
    from flax.traverse_util import flatten_dict

    assert case.linen
    make = case.linen
    several = case.kind == "multihead_attention"

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            layer = make(linen)
            return layer(x, x, x) if several else layer(x)

    x = np.zeros(case.inputs, np.int32 if case.kind == "embedding" else np.float32)
    variables = Model().init(jax.random.key(0), x)
    return {name: np.asarray(a) for name, a in flatten_dict(variables, sep=".").items()}


def nnx_arrays(case: Case) -> Arrays:
    """State of the real module, flat, without random streams."""
    from flax import nnx
    from flax.traverse_util import flatten_dict

    assert case.nnx
    layer = case.nnx(nnx, nnx.Rngs(0))
    state = nnx.state(layer, nnx.Not(nnx.RngState))
    flat = flatten_dict(nnx.to_pure_dict(state), sep=".")
    return {f"x.{name}": np.asarray(array) for name, array in flat.items()}


def real_arrays(request: pytest.FixtureRequest, framework: str, case: Case) -> Arrays:
    """The real layer's, in any framework."""
    if framework == "torch":
        state = torch_module(case).state_dict()
        return {f"x.{name}": value.numpy() for name, value in state.items()}
    if framework == "keras":
        return keras_arrays(request.getfixturevalue("keras"), case)
    return linen_arrays(case) if framework == "flax" else nnx_arrays(case)


PAIRS = [
    pytest.param(framework, case, id=f"{framework}-{case}")
    for case in CASES
    for framework, there in (
        ("torch", case.kind not in WITHOUT_TORCH and "init" not in case.arguments),
        ("keras", case.keras),
        ("flax", case.linen),
        ("nnx", case.nnx),
    )
    if there
]


def test_every_layer_is_tried() -> None:
    """There is a case for each layer, but for the one that no framework has."""
    assert {case.kind for case in CASES} == LAYERS.keys() - {"layer_scale"}


@pytest.mark.parametrize(("framework", "case"), PAIRS)
def test_names_shapes_and_defaults_are_the_real_ones(
    request: pytest.FixtureRequest, framework: str, case: Case
) -> None:
    """A layer has exactly the real one's tensors, and its defaults draw from the same laws."""
    real = real_arrays(request, framework, case)
    ours = arrays_of(case.body(framework=framework, defaults=framework))
    assert shapes_of(ours) == shapes_of(real)
    assert {n: a.dtype for n, a in ours.items()} == {n: a.dtype for n, a in real.items()}
    for name, array in ours.items():
        assert_alike(name, array, real[name])


def assert_alike(name: str, ours: NDArray[Any], real: NDArray[Any]) -> None:
    """Equal constants; of draws, equal spread, ends and zero rows as far as samples tell."""
    if real.size == 0 or np.ptp(real) == 0:
        assert np.array_equal(ours, real), name
        return
    n = real.size
    tolerance = 5 * math.sqrt(2 / n)
    assert ours.std() == pytest.approx(real.std(), rel=tolerance), name
    assert abs(ours.mean() - real.mean()) < 6 * real.std() / math.sqrt(n), name
    kurtosis = [float(np.mean(((a - a.mean()) / a.std()) ** 4)) for a in (ours, real)]
    if n >= 200:
        assert kurtosis[0] == pytest.approx(kurtosis[1], abs=8 * math.sqrt(24 / n)), name
    if kurtosis[1] < 2.1 and n >= 200:  # a uniform, whose end is sharp
        assert np.abs(ours).max() == pytest.approx(np.abs(real).max(), rel=20 / n), name
    assert np.array_equal(ours == 0, real == 0), name


def test_lora_in_keras(keras: Any) -> None:
    """The adapter's names and defaults are those of a Dense after `enable_lora`."""
    dense = keras.layers.Dense(40, name="x")
    dense(keras.Input((30,)))
    dense.enable_lora(5)
    real = {w.path: np.asarray(w.value) for w in dense.weights if "lora" in w.path}
    (case,) = [case for case in CASES if case.kind == "lora"]
    ours = arrays_of(case.body(framework="keras", defaults="keras"))
    assert shapes_of(ours) == shapes_of(real)
    for name, array in ours.items():
        assert_alike(name, array, real[name])


# The same network in every framework


def layers(**kinds: dict[str, Any]) -> list[dict[str, Any]]:
    """Layers by name."""
    return [{"name": name, **arguments} for name, arguments in kinds.items()]


CNN = layers(
    stem={"type": "conv2d", "in_channels": 3, "out_channels": 8, "kernel_size": [3, 2]},
    norm={"type": "batch_norm", "num_features": 8, "init": {
        "weight": {"scheme": "uniform", "low": 0.5, "high": 1.5}, "bias": "normal",
        "running_mean": "normal", "running_var": {"scheme": "uniform", "low": 0.5, "high": 2.0}}},
    grouped={"type": "conv2d", "in_channels": 8, "out_channels": 12, "kernel_size": 3,
             "groups": 4},
    depthwise={"type": "conv2d", "in_channels": 12, "out_channels": 12, "kernel_size": 3,
               "groups": 12, "bias": False},
    up={"type": "conv_transpose2d", "in_channels": 12, "out_channels": 5, "kernel_size": [2, 3]},
    head={"type": "linear", "in_features": 5, "out_features": 7},
)  # fmt: skip


def recurrent(kind: str) -> list[dict[str, Any]]:
    """An embedding, two layers of a cell, a head."""
    return layers(
        embed={"type": "embedding", "num_embeddings": 11, "embedding_dim": 6, "padding_idx": 0},
        cell={"type": kind, "input_size": 6, "hidden_size": 5, "num_layers": 2},
        head={"type": "linear", "in_features": 5, "out_features": 4},
    )


BLOCK = layers(
    block={"type": "transformer_encoder_layer", "d_model": 16, "nhead": 4, "dim_feedforward": 24,
           "init": {"self_attn.in_proj_bias": "normal", "self_attn.out_proj.bias": "normal",
                    "norm1.weight": {"scheme": "uniform", "low": 0.5, "high": 1.5},
                    "norm2.bias": "normal"}},
)  # fmt: skip

PICTURES = np.linspace(-2, 2, 2 * 3 * 9 * 10, dtype=np.float32).reshape(2, 3, 9, 10)
SYMBOLS = np.arange(14, dtype=np.int32).reshape(2, 7) % 11
VECTORS = np.sin(np.arange(2 * 6 * 16, dtype=np.float32)).reshape(2, 6, 16)


def in_torch(network: list[dict[str, Any]], forward: Callable[[Any, Any], Any]) -> NDArray[Any]:
    """What the real modules compute, loaded strictly from one file."""
    import torch

    modules = {}
    for layer in network:
        case = Case(layer["type"], {k: v for k, v in layer.items() if k not in ("type", "name")})
        if case.kind in ("lstm", "gru", "rnn"):
            case.arguments["batch_first"] = True
        if case.kind == "transformer_encoder_layer":
            case.arguments.update(batch_first=True, dropout=0.0)
        modules[layer["name"]] = torch_module(case)
    model = torch.nn.ModuleDict(modules).eval()
    file = arrays_of({"seed": 5, "layers": network})
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in file.items()})
    with torch.no_grad():
        result: NDArray[Any] = forward(torch, model).numpy()
    return result


def in_keras(model: Any, network: list[dict[str, Any]], inputs: NDArray[Any]) -> NDArray[Any]:
    """What a Keras model computes with the file, every weight of either used."""
    tensors = arrays_of({"seed": 5, "framework": "keras", "layers": network})
    assert {weight.path for weight in model.weights} == tensors.keys()
    for weight in model.weights:
        weight.assign(tensors[weight.path])
    return np.asarray(model(inputs, training=False))


def in_linen(module: Any, network: list[dict[str, Any]], inputs: NDArray[Any]) -> NDArray[Any]:
    """What a linen module computes with the file, every variable of either used."""
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict

    tensors = arrays_of({"seed": 5, "framework": "flax", "layers": network})
    made = flatten_dict(module.init(jax.random.key(0), inputs), sep=".")
    assert shapes_of(made) == shapes_of(tensors)
    return np.asarray(module.apply(unflatten_dict(tensors, sep="."), inputs))


def in_nnx(
    model: Any,
    network: list[dict[str, Any]],
    forward: Callable[[Any], Any],
) -> NDArray[Any]:
    """What an nnx module computes with the file, every parameter of either used."""
    from flax import nnx
    from flax.traverse_util import flatten_dict, unflatten_dict

    tensors = arrays_of({"seed": 5, "framework": "nnx", "layers": network})
    state = nnx.state(model, nnx.Not(nnx.RngState))
    assert shapes_of(flatten_dict(nnx.to_pure_dict(state), sep=".")) == shapes_of(tensors)
    nnx.replace_by_pure_dict(state, unflatten_dict(tensors, sep="."))
    nnx.update(model, state)
    return np.asarray(forward(model))


def test_a_cnn_is_the_same_everywhere(keras: Any) -> None:
    """Plain, grouped, depthwise and transposed convolutions, a norm and a head, to 1e-5."""
    from flax import linen, nnx

    def forward(torch: Any, m: Any) -> Any:
        x = torch.relu(m.norm(m.stem(torch.from_numpy(PICTURES))))
        x = torch.relu(m.up(m.depthwise(m.grouped(x))))
        return m.head(x.mean((2, 3)))

    expected = in_torch(CNN, forward)
    channels_last = PICTURES.transpose(0, 2, 3, 1)

    k = keras.layers
    x = inputs = keras.Input(channels_last.shape[1:])
    x = keras.activations.relu(
        k.BatchNormalization(epsilon=1e-5, name="norm")(k.Conv2D(8, (3, 2), name="stem")(x))
    )
    x = k.Conv2D(12, 3, groups=4, name="grouped")(x)
    x = k.Conv2D(12, 3, groups=12, use_bias=False, name="depthwise")(x)
    x = keras.activations.relu(k.Conv2DTranspose(5, (2, 3), name="up")(x))
    x = k.Dense(7, name="head")(k.GlobalAveragePooling2D()(x))
    found = in_keras(keras.Model(inputs, x), CNN, channels_last)
    np.testing.assert_allclose(found, expected, atol=1e-5)

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.Conv(8, (3, 2), padding="VALID", name="stem")(x)
            x = linen.relu(linen.BatchNorm(use_running_average=True, name="norm")(x))
            x = linen.Conv(12, (3, 3), padding="VALID", feature_group_count=4, name="grouped")(x)
            x = linen.Conv(
                12, (3, 3), padding="VALID", feature_group_count=12, use_bias=False,
                name="depthwise",
            )(x)  # fmt: skip
            x = linen.relu(linen.ConvTranspose(5, (2, 3), padding="VALID", name="up")(x))
            return linen.Dense(7, name="head")(x.mean((1, 2)))

    np.testing.assert_allclose(in_linen(Linen(), CNN, channels_last), expected, atol=1e-5)

    class Nnx(nnx.Module):
        def __init__(self, r: Any) -> None:
            self.stem = nnx.Conv(3, 8, (3, 2), padding="VALID", rngs=r)
            self.norm = nnx.BatchNorm(8, use_running_average=True, rngs=r)
            self.grouped = nnx.Conv(8, 12, (3, 3), padding="VALID", feature_group_count=4, rngs=r)
            self.depthwise = nnx.Conv(
                12, 12, (3, 3), padding="VALID", feature_group_count=12, use_bias=False, rngs=r
            )
            self.up = nnx.ConvTranspose(12, 5, (2, 3), padding="VALID", rngs=r)
            self.head = nnx.Linear(5, 7, rngs=r)

        def __call__(self, x: Any) -> Any:
            x = nnx.relu(self.norm(self.stem(x)))
            x = nnx.relu(self.up(self.depthwise(self.grouped(x))))
            return self.head(x.mean((1, 2)))

    found = in_nnx(Nnx(nnx.Rngs(0)), CNN, lambda model: model(channels_last))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_recurrent_model_is_the_same_everywhere(keras: Any, kind: str) -> None:
    """Gates in either order, one bias or two: the last state's logits agree to 1e-5."""
    from flax import linen

    network = recurrent(kind)
    expected = in_torch(
        network,
        lambda torch, m: m.head(m.cell(m.embed(torch.from_numpy(SYMBOLS)))[0][:, -1]),
    )
    k = keras.layers
    layer = {"lstm": k.LSTM, "gru": k.GRU, "rnn": k.SimpleRNN}[kind]
    inputs = keras.Input((7,), dtype="int32")
    x = k.Embedding(11, 6, name="embed")(inputs)
    x = layer(5, return_sequences=True, name="cell_l0")(x)
    x = k.Dense(4, name="head")(layer(5, name="cell_l1")(x))
    found = in_keras(keras.Model(inputs, x), network, SYMBOLS)
    np.testing.assert_allclose(found, expected, atol=1e-5)

    cell = {"lstm": linen.LSTMCell, "gru": linen.GRUCell, "rnn": linen.SimpleCell}[kind]

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.Embed(11, 6, name="embed")(x)
            x = linen.RNN(cell(5, name="cell_l0"))(x)
            x = linen.RNN(cell(5, name="cell_l1"))(x)
            return linen.Dense(4, name="head")(x[:, -1])

    np.testing.assert_allclose(in_linen(Linen(), network, SYMBOLS), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_recurrent_model_is_the_same_in_nnx(kind: str) -> None:
    """Fused kernels and separate ones; a GRU without the bias that nnx has no place for."""
    from flax import nnx

    network = recurrent(kind)
    network[1]["bias"] = kind != "gru"
    expected = in_torch(
        network,
        lambda torch, m: m.head(m.cell(m.embed(torch.from_numpy(SYMBOLS)))[0][:, -1]),
    )
    cell = {"lstm": nnx.LSTMCell, "gru": nnx.GRUCell, "rnn": nnx.SimpleCell}[kind]

    class Nnx(nnx.Module):
        def __init__(self, r: Any) -> None:
            self.embed = nnx.Embed(11, 6, rngs=r)
            self.cell_l0 = nnx.RNN(cell(6, 5, rngs=r))
            self.cell_l1 = nnx.RNN(cell(5, 5, rngs=r))
            self.head = nnx.Linear(5, 4, rngs=r)

        def __call__(self, x: Any) -> Any:
            return self.head(self.cell_l1(self.cell_l0(self.embed(x)))[:, -1])

    found = in_nnx(Nnx(nnx.Rngs(0)), network, lambda model: model(SYMBOLS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_bidirectional_lstm_is_the_same_in_keras(keras: Any) -> None:
    """Each direction has its own weights, and they are those of PyTorch's."""
    network = layers(
        cell={"type": "lstm", "input_size": 16, "hidden_size": 5, "bidirectional": True}
    )
    expected = in_torch(network, lambda torch, m: m.cell(torch.from_numpy(VECTORS))[0])
    k = keras.layers
    inputs = keras.Input(VECTORS.shape[1:])
    both = k.Bidirectional(k.LSTM(5, return_sequences=True, name="lstm"), name="cell")
    found = in_keras(keras.Model(inputs, both(inputs)), network, VECTORS)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_transformer_block_is_the_same_everywhere(keras: Any) -> None:
    """Fused or separate, whole or by heads: attention, feed-forward and norms agree to 1e-5."""
    from flax import linen, nnx

    expected = in_torch(BLOCK, lambda torch, m: m.block(torch.from_numpy(VECTORS)))

    k = keras.layers

    class Block(keras.layers.Layer):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.self_attn = k.MultiHeadAttention(4, 4, name="self_attn")
            self.linear1 = k.Dense(24, activation="relu", name="linear1")
            self.linear2 = k.Dense(16, name="linear2")
            self.norm1 = k.LayerNormalization(epsilon=1e-5, name="norm1")
            self.norm2 = k.LayerNormalization(epsilon=1e-5, name="norm2")

        def build(self, shape: Any) -> None:
            self.self_attn.build(shape, shape)
            for part in (self.linear1, self.norm1, self.norm2):
                part.build(shape)
            self.linear2.build((*shape[:-1], 24))

        def call(self, x: Any) -> Any:
            x = self.norm1(x + self.self_attn(x, x))
            return self.norm2(x + self.linear2(self.linear1(x)))

    inputs = keras.Input(VECTORS.shape[1:])
    found = in_keras(keras.Model(inputs, Block(name="block")(inputs)), BLOCK, VECTORS)
    np.testing.assert_allclose(found, expected, atol=1e-5)

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            attended = linen.MultiHeadDotProductAttention(4, name="self_attn")(x, x, x)
            x = linen.LayerNorm(epsilon=1e-5, name="norm1")(x + attended)
            fed = linen.Dense(16, name="linear2")(linen.relu(linen.Dense(24, name="linear1")(x)))
            return linen.LayerNorm(epsilon=1e-5, name="norm2")(x + fed)

    class Outer(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return Linen(name="block")(x)

    np.testing.assert_allclose(in_linen(Outer(), BLOCK, VECTORS), expected, atol=1e-5)

    class Nnx(nnx.Module):
        def __init__(self, r: Any) -> None:
            self.self_attn = nnx.MultiHeadAttention(4, 16, decode=False, rngs=r)
            self.linear1 = nnx.Linear(16, 24, rngs=r)
            self.linear2 = nnx.Linear(24, 16, rngs=r)
            self.norm1 = nnx.LayerNorm(16, epsilon=1e-5, rngs=r)
            self.norm2 = nnx.LayerNorm(16, epsilon=1e-5, rngs=r)

        def __call__(self, x: Any) -> Any:
            x = self.norm1(x + self.self_attn(x))
            return self.norm2(x + self.linear2(nnx.relu(self.linear1(x))))

    class OuterNnx(nnx.Module):
        def __init__(self, r: Any) -> None:
            self.block = Nnx(r)

    found = in_nnx(OuterNnx(nnx.Rngs(0)), BLOCK, lambda model: model.block(VECTORS))
    np.testing.assert_allclose(found, expected, atol=1e-5)
