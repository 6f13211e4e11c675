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


def manifest_of(framework: str, **names: Any) -> dict[str, list[int]]:
    """What the README's lines for a framework make of these."""
    (block,) = (
        textwrap.dedent(one)
        for one in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        if "manifest =" in one
    )
    lines = block.partition(f"# {framework}\n")[2].partition("\n#")[0]
    exec(lines, names)
    found: dict[str, list[int]] = names["manifest"]
    return found


def fetched(server: Server, manifest: dict[str, list[int]]) -> dict[str, Any]:
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
    model.load_state_dict(state, strict=True)
    assert torch.isfinite(model.eval()(torch.ones(2, 3, 4, 4))).all()


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
