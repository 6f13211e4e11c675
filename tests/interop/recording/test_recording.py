"""What is recorded of networks is what real builds start from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tests.interop.recording.checking import check  # noqa: E402


class Block(nn.Module):
    """A block of nanoGPT."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(d, bias=False)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(d, 3 * d), "c_proj": nn.Linear(d, d)})
        self.register_buffer(
            "bias", torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8), persistent=False
        )
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(d, 4 * d), "c_proj": nn.Linear(4 * d, d)})


class NanoGPT(nn.Module):
    """nanoGPT: tied head, scaled residual projections."""

    def __init__(self, d: int = 48, n_layer: int = 3) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(65, d),
                "wpe": nn.Embedding(8, d),
                "h": nn.ModuleList([Block(d) for _ in range(n_layer)]),
            }
        )
        self.lm_head = nn.Linear(d, 65, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self._init)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * n_layer))

    def _init(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)


class Titan(nn.Module):
    """As torchtitan builds: on meta, then `to_empty`, then `init_weights`."""

    def __init__(self, d: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.emb = nn.Embedding(64, d)
        self.layers = nn.ModuleDict({str(i): nn.Linear(d, d, bias=False) for i in range(layers)})
        self.norm = nn.RMSNorm(d)
        self.register_buffer("freqs", self._freqs(d), persistent=False)
        self.output = nn.Linear(d, 64, bias=False)

    def _freqs(self, d: int) -> Any:
        t = torch.outer(torch.arange(16), 1.0 / 10000 ** (torch.arange(0, d, 2)[: d // 2] / d))
        return torch.polar(torch.ones_like(t), t)

    def init_weights(self) -> None:
        """Fill everything, as after `to_empty`."""
        with torch.device(self.freqs.device):
            self.freqs = self._freqs(32)
        nn.init.normal_(self.emb.weight)
        for i, layer in self.layers.items():
            nn.init.trunc_normal_(layer.weight, std=0.02 / (2 * (int(i) + 1)) ** 0.5)
        self.norm.reset_parameters()
        std = 32**-0.5
        nn.init.trunc_normal_(self.output.weight, std=std, a=-3 * std, b=3 * std)


def titan() -> nn.Module:
    """A model made on meta."""
    with torch.device("meta"):
        model = Titan()
    model.to_empty(device="cpu")
    model.init_weights()
    return model


class MambaMixer(nn.Module):
    """The parameters of Mamba's mixer."""

    def __init__(self, d: int = 16, state: int = 8, rank: int = 4, inner: int = 512) -> None:
        super().__init__()
        self.in_proj = nn.Linear(d, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, 4, groups=inner)
        self.dt_proj = nn.Linear(rank, inner)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        dt = torch.exp(
            torch.rand(inner) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)
        ).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))
        a = torch.arange(1, state + 1, dtype=torch.float32)[None, :].repeat(inner, 1)
        self.A_log = nn.Parameter(torch.log(a))
        self.D = nn.Parameter(torch.ones(inner))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "nanogpt": NanoGPT,
    "torchtitan": titan,
    "mamba": MambaMixer,
    "lstm": lambda: nn.LSTM(24, 32, num_layers=2, bidirectional=True),
    "transformer": lambda: nn.Transformer(32, 4, 2, 2, 64, batch_first=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    """Every law of networks that many people train is that of three real builds."""
    _recording, findings = check(NETWORKS[name], builds=3)
    assert findings.wrong == []
