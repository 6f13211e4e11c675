"""The lines of the README that make a manifest of a model, run."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.numpy import load

from tests.serving import Server

pytestmark = pytest.mark.interop

README = Path(__file__).parents[2] / "README.md"


def manifest_of(framework: str, **names: Any) -> dict[str, Any]:
    """What the README's lines for a framework make of these."""
    (block,) = (
        textwrap.dedent(one)
        for one in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        if "manifest =" in one
    )
    lines = re.split(rf"# {framework}.*\n", block)[1].partition("\n#")[0]
    exec(lines, names)
    found: dict[str, Any] = names["manifest"]
    return found


def fetched(server: Server, manifest: dict[str, Any]) -> dict[str, Any]:
    """The tensors of the checkpoint that a manifest asks for."""
    body = {"model": {"manifest": manifest}, "seed": 3}
    return load(httpx.post(f"{server.url}/v1/checkpoints", json=body).raise_for_status().content)


def test_torch(server: Server) -> None:
    """A torch module takes the weights that its own manifest asks for."""
    import torch
    from torch import nn

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    found = fetched(server, manifest_of("PyTorch", model=model))
    state = {name: torch.from_numpy(values.copy()) for name, values in found.items()}
    model.load_state_dict(state, strict=False)
    assert torch.equal(model[0].weight, state["0.weight"])
    assert torch.isfinite(model.eval()(torch.ones(2, 3, 4, 4))).all()


def test_torch_with_a_mask_and_a_tied_head(server: Server) -> None:
    """The causal mask stays what the model made of it, and the head stays tied."""
    import torch
    from torch import nn

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight
            self.register_buffer("mask", torch.ones(3, 3).tril().bool())

    model = Tied()
    found = fetched(server, manifest_of("PyTorch", model=model))
    assert sorted(found) == ["embed.weight"]
    state = {name: torch.from_numpy(values.copy()) for name, values in found.items()}
    model.load_state_dict(state, strict=False)
    assert model.head.weight is model.embed.weight
    assert torch.equal(model.head.weight, state["embed.weight"])
    assert torch.equal(model.mask, torch.ones(3, 3).tril().bool())
    whole = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    body = {"model": {"manifest": whole}, "seed": 3}
    refused = httpx.post(f"{server.url}/v1/checkpoints", json=body)
    assert refused.status_code == 422
    assert "what 'mask' holds" in refused.json()["detail"]
    whole["mask"] = {"shape": [3, 3], "dtype": "BOOL", "init": "ones"}
    whole["head.weight"] = {"shape": [7, 4], "same_as": "embed.weight"}
    full = fetched(server, whole)
    model.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in full.items()}, strict=True)
    assert torch.equal(model.head.weight, state["embed.weight"])


def test_flax(server: Server) -> None:
    """So does a Flax module."""
    import flax
    import jax
    import jax.numpy as jnp
    from flax import linen

    model = linen.Dense(5)
    params = model.init(jax.random.key(0), jnp.ones((1, 3)))["params"]
    found = fetched(server, manifest_of("Flax", flax=flax, params=params))
    filled = flax.traverse_util.unflatten_dict(found, sep=".")
    assert jnp.isfinite(model.apply({"params": filled}, jnp.ones((2, 3)))).all()


def test_keras(server: Server, keras: Any) -> None:
    """So does a Keras model."""
    import numpy as np

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    found = fetched(server, manifest_of("Keras", model=model))
    for weight in model.weights:
        weight.assign(found[weight.path])
    assert np.isfinite(np.asarray(model(np.ones((2, 3))))).all()
