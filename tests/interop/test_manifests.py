"""A manifest of a module's names and shapes, and the weights that it asks for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from safetensors.numpy import load

from tests.serving import Server

pytestmark = pytest.mark.interop


def fetched(server: Server, manifest: dict[str, Any]) -> dict[str, Any]:
    """The tensors of the checkpoint that a manifest asks for."""
    body = {"model": {"manifest": manifest}, "seed": 3}
    return load(httpx.post(f"{server.url}/v1/checkpoints", json=body).raise_for_status().content)


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
    found = fetched(server, {name: list(p.shape) for name, p in model.named_parameters()})
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
