"""What frameworks read from a file is what the file says, and their networks compute with it."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import DTYPES
from tests.interop.conftest import example, save
from tests.oracles import NUMPY_DTYPES
from tests.serving import Server
from tests.strategies import CODES, ODD_NAMES

pytestmark = pytest.mark.interop

INPUTS = np.linspace(-1.0, 1.0, 5 * 784, dtype=np.float32).reshape(5, 784)
PICTURES = np.linspace(-1.0, 1.0, 2 * 3 * 32 * 32, dtype=np.float32).reshape(2, 3, 32, 32)


def everything(*without: str) -> dict[str, Any]:
    """A spec with every kind of shape in every dtype but these, and with every odd name."""
    dtypes = {
        code: dtype for code, dtype in DTYPES.items() if code in CODES and code not in without
    }
    shapes: tuple[list[int], ...] = ([], [5], [0, 3], [2, 3, 4])
    tensors = [
        {
            "name": f"{code}.{shape}",
            "shape": shape,
            "dtype": code,
            "init": "normal" if dtype.is_float else {"scheme": "constant", "value": dtype.highest},
        }
        for (code, dtype), shape in itertools.product(dtypes.items(), shapes)
    ]
    tensors += [{"name": name, "shape": [3], "init": "uniform"} for name in ODD_NAMES]
    return {"seed": "18446744073709551615", "tensors": tensors}


def arrays(spec: CheckpointSpec) -> dict[str, NDArray[Any]]:
    """The tensors of a spec, each cut out of the virtual file."""
    file = VirtualFile(spec)
    cut = {}
    for i, tensor in enumerate(file.tensors):
        content = file.read(file.offset(i), file.offset(i) + tensor.size_bytes)
        flat = np.frombuffer(bytes(content), NUMPY_DTYPES[tensor.dtype.code])
        cut[tensor.name] = flat.reshape(tensor.shape)
    return cut


def same(read: NDArray[Any], drawn: NDArray[Any]) -> bool:
    """Whether two arrays agree in dtype, shape and every bit."""
    return (
        read.dtype == drawn.dtype
        and read.shape == drawn.shape
        and read.tobytes() == drawn.tobytes()
    )


def check(read: Mapping[str, NDArray[Any]], spec: dict[str, Any]) -> None:
    """Hold what was read to what is drawn here."""
    drawn = arrays(CheckpointSpec.model_validate(spec))
    assert read.keys() == drawn.keys()
    assert [name for name in drawn if not same(read[name], drawn[name])] == []


def test_safetensors_reads_every_dtype(server: Server, tmp_path: Path) -> None:
    """The reference parser, in Rust, finds every tensor with the dtype, shape and bits drawn."""
    from safetensors import deserialize

    parts = dict(deserialize(save(server, everything(), tmp_path).read_bytes()))
    read = {
        name: np.frombuffer(part["data"], NUMPY_DTYPES[part["dtype"]]).reshape(part["shape"])
        for name, part in parts.items()
    }
    check(read, everything())


def test_numpy_reads_every_dtype(server: Server, tmp_path: Path) -> None:
    """safetensors.numpy reads every dtype that it knows, which leaves out the 8-bit floats."""
    from safetensors.numpy import load_file

    spec = everything("F8_E4M3", "F8_E5M2")
    check(load_file(save(server, spec, tmp_path)), spec)


def test_jax_reads_every_dtype(server: Server, tmp_path: Path) -> None:
    """safetensors.flax reads every dtype that it knows, which leaves out the 8-bit floats."""
    import jax
    from safetensors.flax import load_file

    spec = everything("F8_E4M3", "F8_E5M2")
    with jax.enable_x64(new_val=True):  # without it JAX has no 64-bit dtypes
        tensors = load_file(save(server, spec, tmp_path))
        check({name: np.asarray(array) for name, array in tensors.items()}, spec)


def test_torch_reads_every_dtype(server: Server, tmp_path: Path) -> None:
    """safetensors.torch reads every dtype there is."""
    import torch
    from safetensors.torch import load_file

    dtypes = {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
        torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
        torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
        torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
        torch.bool: "BOOL",
    }  # fmt: skip
    tensors = load_file(save(server, everything(), tmp_path))
    read = {
        name: tensor.flatten()  # a scalar has no view of another element size
        .view(torch.uint8)
        .numpy()
        .view(NUMPY_DTYPES[dtypes[tensor.dtype]])
        .reshape(tensor.shape)
        for name, tensor in tensors.items()
    }
    check(read, everything())


def test_slices_equal_ranges(server: Server, mlp: Path) -> None:
    """A slice that safetensors takes of a file is what a Range of the link gives."""
    from safetensors import safe_open

    body = example("mlp")
    plan = httpx.post(f"{server.url}/v1/describe", json=body).raise_for_status().json()
    places = {tensor["name"]: tensor["offset"] for tensor in plan["tensors"]}
    link = f"{server.url}{plan['links']['file']}"
    with safe_open(mlp, "numpy") as file:
        assert set(file.keys()) == set(places)
        assert file.metadata() == plan["metadata"]
        for name, rows in (
            ("fc1.weight", (100, 228)),
            ("fc2.weight", (3, 10)),
            ("fc1.bias", (5, 6)),
        ):
            part = file.get_slice(name)
            row_bytes = 4 * int(np.prod(part.get_shape()[1:]))
            start, stop = (places[name] + row * row_bytes for row in rows)
            answer = httpx.get(link, headers={"range": f"bytes={start}-{stop - 1}"})
            assert answer.status_code == 206
            taken = part[rows[0] : rows[1]]
            assert answer.content == taken.tobytes()
            assert taken.nbytes == stop - start


def torch_mlp() -> Any:
    """examples/mlp.json as a torch module."""
    from torch import nn

    layers = [("fc1", nn.Linear(784, 256)), ("act", nn.ReLU()), ("fc2", nn.Linear(256, 10))]
    return nn.Sequential(OrderedDict(layers))


def torch_cnn() -> Any:
    """examples/cnn.json as a torch module, in evaluation mode."""
    from torch import nn

    layers = [
        ("stem", nn.Conv2d(3, 16, 3, padding=1, bias=False)),
        ("norm1", nn.BatchNorm2d(16)),
        ("act1", nn.ReLU()),
        ("block", nn.Conv2d(16, 32, 3, padding=1, bias=False)),
        ("norm2", nn.BatchNorm2d(32)),
        ("act2", nn.ReLU()),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flat", nn.Flatten()),
        ("head", nn.Linear(32, 10)),
    ]
    return nn.Sequential(OrderedDict(layers)).eval()


def outputs(module: Any, path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a torch module computes with the weights of a file."""
    import torch
    from safetensors.torch import load_file

    module.load_state_dict(load_file(path), strict=True)
    with torch.inference_mode():
        result: NDArray[np.float32] = module(torch.from_numpy(inputs)).numpy()
    return result


def close(actual: Any, wanted: NDArray[np.float32]) -> None:
    """Hold outputs to those of torch, within the rounding of differently ordered float32 sums."""
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=1e-5, atol=1e-5)


def test_torch_networks(mlp: Path, cnn: Path) -> None:
    """A strict load_state_dict takes the example files, and the networks answer sensibly.

    He's rule keeps the mean square of ReLU's inputs: that is what tells these weights from others.
    """
    for module, path, inputs in ((torch_mlp(), mlp, INPUTS), (torch_cnn(), cnn, PICTURES)):
        result = outputs(module, path, inputs)
        assert np.isfinite(result).all()
        assert np.unique(result).size == result.size
    weight = arrays(CheckpointSpec.model_validate(example("mlp")))["fc1.weight"]
    hidden = INPUTS @ weight.T
    assert 1.5 < np.mean(hidden**2) / np.mean(INPUTS**2) < 2.5


def test_flax_linen_mlp(mlp: Path) -> None:
    """A Flax linen module with kernels transposed from the file computes what torch does."""
    from flax import linen
    from safetensors.flax import load_file

    class Perceptron(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            hidden = linen.relu(linen.Dense(256, name="fc1")(x))
            return linen.Dense(10, name="fc2")(hidden)

    tensors = load_file(mlp)
    parameters = {
        layer: {"kernel": tensors[f"{layer}.weight"].T, "bias": tensors[f"{layer}.bias"]}
        for layer in ("fc1", "fc2")
    }
    close(Perceptron().apply({"params": parameters}, INPUTS), outputs(torch_mlp(), mlp, INPUTS))


def test_flax_nnx_cnn(cnn: Path) -> None:
    """A Flax nnx module with kernels transposed from the file computes what torch does."""
    import jax.numpy as jnp
    from flax import nnx
    from safetensors.flax import load_file

    tensors = load_file(cnn)
    rngs = nnx.Rngs(0)
    convolutions = {
        "stem": nnx.Conv(3, 16, (3, 3), padding="SAME", use_bias=False, rngs=rngs),
        "block": nnx.Conv(16, 32, (3, 3), padding="SAME", use_bias=False, rngs=rngs),
    }
    norms = {
        name: nnx.BatchNorm(features, use_running_average=True, epsilon=1e-5, rngs=rngs)
        for name, features in (("norm1", 16), ("norm2", 32))
    }
    head = nnx.Linear(32, 10, rngs=rngs)
    for name, convolution in convolutions.items():
        convolution.kernel[...] = tensors[f"{name}.weight"].transpose(2, 3, 1, 0)
    for name, norm in norms.items():
        norm.scale[...], norm.bias[...] = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        norm.mean[...] = tensors[f"{name}.running_mean"]
        norm.var[...] = tensors[f"{name}.running_var"]
    head.kernel[...], head.bias[...] = tensors["head.weight"].T, tensors["head.bias"]

    x = jnp.asarray(PICTURES.transpose(0, 2, 3, 1))
    for convolution, norm in zip(convolutions.values(), norms.values(), strict=True):
        x = nnx.relu(norm(convolution(x)))
    close(head(x.mean((1, 2))), outputs(torch_cnn(), cnn, PICTURES))


def test_keras_mlp(keras: Any, mlp: Path) -> None:
    """Keras layers whose weights are set from the file compute what torch does."""
    from safetensors.numpy import load_file

    tensors = load_file(mlp)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(256, activation="relu", name="fc1"),
            keras.layers.Dense(10, name="fc2"),
        ]
    )
    for layer in model.layers:
        layer.set_weights([tensors[f"{layer.name}.weight"].T, tensors[f"{layer.name}.bias"]])
    close(model.predict(INPUTS, verbose=0), outputs(torch_mlp(), mlp, INPUTS))


def test_keras_cnn(keras: Any, cnn: Path) -> None:
    """Convolutions and batch norms of Keras, set from the file, compute what torch's do."""
    from safetensors.numpy import load_file

    tensors = load_file(cnn)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(epsilon=1e-5, name="norm1"),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="block"),
            layers.BatchNormalization(epsilon=1e-5, name="norm2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, name="head"),
        ]
    )
    for name in ("stem", "block"):
        model.get_layer(name).set_weights([tensors[f"{name}.weight"].transpose(2, 3, 1, 0)])
    for name in ("norm1", "norm2"):
        fields = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(name).set_weights([tensors[f"{name}.{field}"] for field in fields])
    model.get_layer("head").set_weights([tensors["head.weight"].T, tensors["head.bias"]])
    result = model.predict(PICTURES.transpose(0, 2, 3, 1), verbose=0)
    close(result, outputs(torch_cnn(), cnn, PICTURES))


def test_transformers_from_pretrained(server: Server, tmp_path: Path) -> None:
    """A model of transformers is loaded from the file, no parameter missing and none left over."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        shapes = {name: list(p.shape) for name, p in LlamaForCausalLM(config).named_parameters()}
    body = {
        "seed": 3,
        "tensors": [{"name": name, "shape": shape} for name, shape in shapes.items()],
        "rules": [
            {"match": "*", "init": {"scheme": "normal", "std": 0.02}},
            {"match": "*norm.weight", "init": "ones"},
        ],
    }
    save(server, body, tmp_path)
    config.save_pretrained(tmp_path)
    model, report = LlamaForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    assert {key: value for key, value in report.items() if value} == {}
    check({name: p.detach().numpy() for name, p in model.named_parameters()}, body)
