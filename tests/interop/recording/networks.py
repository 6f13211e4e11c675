"""Small networks that do what real code does, to be recorded and built."""

from __future__ import annotations

import copy
import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.init import orthogonal_ as imported_earlier

Build = Callable[[], nn.Module]


class Block(nn.Module):
    """A block of nanoGPT."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(d, bias=False)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(d, 3 * d), "c_proj": nn.Linear(d, d)})
        mask = torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8)
        self.register_buffer("bias", mask, persistent=False)
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
    """As torchtitan's models: initial values by a method, which meets empty memory."""

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
        """Fill everything."""
        with torch.device(self.freqs.device):
            self.freqs = self._freqs(32)
        nn.init.normal_(self.emb.weight)
        for i, layer in self.layers.items():
            nn.init.trunc_normal_(layer.weight, std=0.02 / (2 * (int(i) + 1)) ** 0.5)
        self.norm.reset_parameters()
        std = 32**-0.5
        nn.init.trunc_normal_(self.output.weight, std=std, a=-3 * std, b=3 * std)


def titan() -> nn.Module:
    """A model made on meta, then emptied, then filled."""
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
        span = math.log(0.1) - math.log(0.001)
        dt = torch.exp(torch.rand(inner) * span + math.log(0.001)).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))
        a = torch.arange(1, state + 1, dtype=torch.float32)[None, :].repeat(inner, 1)
        self.A_log = nn.Parameter(torch.log(a))
        self.D = nn.Parameter(torch.ones(inner))


NETWORKS: dict[str, Build] = {
    "nanogpt": NanoGPT,
    "torchtitan": titan,
    "mamba": MambaMixer,
    "lstm": lambda: nn.LSTM(24, 32, num_layers=2, bidirectional=True),
    "transformer": lambda: nn.Transformer(32, 4, 2, 2, 64, batch_first=True),
}

CASES: dict[str, Build] = {}
"""What a recorder has been, or could be, wrong about."""


def case(fill: Callable[[Any], None]) -> Callable[[Any], None]:
    """A module to which a function gives its tensors."""

    def build() -> nn.Module:
        module = nn.Module()
        fill(module)
        return module

    CASES[fill.__name__] = build
    return fill


def empty(*shape: int) -> nn.Parameter:
    """A parameter that nothing has filled."""
    return nn.Parameter(torch.empty(*shape))


def data_parallel(module: nn.Module) -> nn.Module:
    """A wrapper that torch advises against."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.DataParallel(module)


def compiled(module: nn.Module) -> Any:
    """What torch.compile makes of a module; importing its compiler warns of torch itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.compile(module)


@case
def narrow_dtypes(m: Any) -> None:  # noqa: D103
    m.half, m.bfloat16 = nn.Linear(40, 40).half(), nn.Linear(40, 40).to(torch.bfloat16)
    m.double = nn.Linear(40, 40, dtype=torch.float64)


@case
def deep_copies(m: Any) -> None:  # noqa: D103
    m.student = nn.Linear(20, 20)
    m.teacher = copy.deepcopy(m.student)
    m.ema = nn.Linear(20, 20)
    m.ema.load_state_dict(m.student.state_dict())


@case
def tied(m: Any) -> None:  # noqa: D103
    m.a, m.b = nn.Linear(6, 6), nn.Linear(6, 6)
    m.b.weight = m.a.weight


@case
def from_numpy(m: Any) -> None:  # noqa: D103
    m.register_buffer("table", torch.from_numpy(np.arange(12.0).reshape(3, 4)))
    seeded = np.random.default_rng(0).standard_normal((5, 5))
    m.seeded = nn.Parameter(torch.tensor(seeded, dtype=torch.float32))


@case
def parametrised(m: Any) -> None:  # noqa: D103
    m.weight_norm = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    m.spectral_norm = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m.old_weight_norm = nn.utils.weight_norm(nn.Linear(8, 8))


@case
def foreach(m: Any) -> None:  # noqa: D103
    m.a, m.b = nn.Linear(20, 20), nn.Linear(20, 20)
    with torch.no_grad():
        torch._foreach_mul_(list(m.parameters()), 0.5)


@case
def running_statistics(m: Any) -> None:  # noqa: D103
    m.norm = nn.BatchNorm1d(4)
    m.norm(torch.randn(5, 4))


@case
def parts(m: Any) -> None:  # noqa: D103
    m.padded = nn.Embedding(40, 16, padding_idx=3)
    m.lstm = nn.LSTM(8, 16)
    m.fused, m.columns = empty(96, 32), empty(32, 32)
    nn.init.normal_(m.fused[:64], std=0.02)
    nn.init.normal_(m.fused[64:], std=0.5)
    nn.init.normal_(m.columns)
    m.joined = nn.Parameter(torch.cat([0.1 * torch.randn(4, 8), torch.zeros(2, 8)]))
    with torch.no_grad():
        m.lstm.bias_ih_l0[16:32].fill_(1.0)
        m.columns[:, 8:16] = 0
        m.columns[4:8].mul_(0.5)


@case
def seen_as_one(m: Any) -> None:  # noqa: D103
    m.gates = empty(64, 16)
    for gate in m.gates.chunk(4):
        nn.init.uniform_(gate, -0.1, 0.1)
    m.stacked = nn.Parameter(torch.stack([torch.randn(8, 8) for _ in range(3)]))


@case
def by_functions(m: Any) -> None:  # noqa: D103
    m.gumbel = nn.Parameter(-torch.log(-torch.log(torch.rand(64))))
    m.exponential = nn.Parameter(torch.empty(64).exponential_(2.0))
    m.log_normal = nn.Parameter(torch.empty(64).log_normal_())
    m.log_uniform = nn.Parameter(torch.empty(2000).uniform_(-7.0, -2.0).exp_())
    m.gate = nn.Parameter(torch.log(torch.empty(2000).uniform_(1.0, 99.0)))
    squares = torch.rand(2000) * (0.99**2 - 0.5**2) + 0.5**2
    m.ring = nn.Parameter(torch.log(-0.5 * torch.log(squares)))
    m.phase = nn.Parameter(torch.log(6.28 * torch.rand(2000)))
    squares = torch.empty(2000).uniform_(0.9**2, 0.999**2)
    m.decay = nn.Parameter(torch.log(torch.expm1(-torch.log(squares.sqrt()))))
    m.cut = empty(50, 50)
    with torch.no_grad():
        m.cut.uniform_(-0.95, 0.95).erfinv_().mul_(math.sqrt(2) * 0.02).clamp_(-0.04, 0.04)


@case
def rescaled(m: Any) -> None:  # noqa: D103
    m.deep = nn.Linear(30, 30)
    m.deep.weight.data.div_(math.sqrt(8.0))
    m.by_tensor = nn.Linear(30, 30)
    m.by_tensor.weight.data.mul_(torch.tensor([2.0, 3.0]).prod())
    m.gamma = nn.Parameter(1e-5 * torch.ones(30))
    m.logit_scale = nn.Parameter(torch.tensor(2.6592))
    m.from_one = nn.Linear(6, 6)
    nn.utils.vector_to_parameters(torch.randn(42), m.from_one.parameters())


@case
def matrices(m: Any) -> None:  # noqa: D103
    m.a, m.b, m.sparse, m.eye = empty(12, 20), empty(20, 3, 2), empty(20, 20), empty(4, 6)
    imported_earlier(m.a, gain=0.5)
    nn.init.orthogonal_(m.b)
    nn.init.sparse_(m.sparse, 0.3)
    nn.init.eye_(m.eye)
    m.view = nn.Parameter(torch.empty(8, 4).t())
    nn.init.orthogonal_(m.view)
    q, r = torch.linalg.qr(torch.randn(8, 8))
    m.by_hand = nn.Parameter(q * torch.diag(r).sign())
    m.conv = nn.Conv2d(8, 8, 3)
    nn.init.dirac_(m.conv.weight, 2)
    m.scaled = nn.Parameter(nn.init.orthogonal_(torch.empty(9, 9)).mul_(-2).div_(4))


@case
def tables(m: Any) -> None:  # noqa: D103
    m.register_buffer("positions", torch.arange(10))
    m.register_buffer("mask", torch.full((4, 4), float("-inf")).triu(1))
    m.register_buffer("infinite", torch.full((4,), float("inf")))
    m.register_buffer("rotations", torch.polar(torch.ones(8), torch.arange(8.0)))
    m.register_buffer("frequencies", 1.0 / 10000 ** (torch.arange(0, 32, 2).float() / 32))
    angle = torch.outer(torch.arange(50.0), torch.exp(-math.log(10000.0) * torch.arange(16) / 16))
    m.register_buffer("waves", torch.stack([angle.sin(), angle.cos()], -1).flatten(1))


@case
def no_scheme(m: Any) -> None:  # noqa: D103
    m.rows = nn.Parameter(torch.randn(8, 8) * torch.arange(8.0)[:, None])
    m.lower = nn.Parameter(torch.randn(8, 8).tril())
    m.noisy_eye = nn.Parameter(torch.eye(8) + 0.01 * torch.randn(8, 8))
    m.repeated = nn.Parameter(torch.randn(1, 8).repeat(4, 1))
    m.q = nn.Parameter(torch.linalg.qr(torch.randn(8, 8))[0])
    m.register_buffer("shuffled", torch.randperm(8))
    m.register_buffer("integers", torch.randint(0, 9, (5,)))


@case
def own_generator(m: Any) -> None:  # noqa: D103
    m.w = nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(3)))


def wrapped() -> nn.Module:
    """Modules under other names than they would have alone."""
    m: Any = nn.Module()
    m.compiled = compiled(nn.Sequential(checkpoint_wrapper(nn.Linear(4, 4))))
    m.parallel = data_parallel(nn.Linear(4, 4))
    return m


@case
def elsewhere(m: Any) -> None:  # noqa: D103
    m.a = nn.Linear(4, 4).cpu().to("cpu", torch.float16)


@case
def same_draws_in_another_form(m: Any) -> None:  # noqa: D103
    m.a = nn.Parameter(torch.randn(16, 16))
    m.b = nn.Parameter(m.a.detach() * 2)
    m.c = nn.Parameter(m.a.detach()[:8].clone())
    m.d = nn.Parameter(m.a.detach().t().contiguous())


@case
def steps(m: Any) -> None:  # noqa: D103
    uniform, normal = torch.rand(50, 50), torch.randn(50, 50)
    m.rounded, m.floored = nn.Parameter(uniform.round()), nn.Parameter((torch.rand(50) * 5).floor())
    m.nothing = nn.Parameter(uniform - uniform)
    m.wide, m.hole = (
        nn.Parameter(normal.clamp(-3.5, 3.5)),
        nn.Parameter(nn.functional.hardshrink(torch.randn(50, 50), 1e-4)),
    )
    m.end = nn.Parameter((torch.rand(50, 50) * 2).clamp(max=1.9995))


@case
def seeds(m: Any) -> None:  # noqa: D103
    torch.manual_seed(5)
    m.first, m.second = nn.Linear(16, 16), nn.Linear(16, 16)
    torch.manual_seed(5)
    m.equal, m.shifted = nn.Linear(16, 16), nn.Linear(8, 16)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        m.forked = nn.Parameter(nn.init.trunc_normal_(torch.empty(16, 16)))
    m.following = nn.Parameter(torch.randn(16, 16))
    torch.manual_seed(6)
    m.as_forked = nn.Parameter(nn.init.trunc_normal_(torch.empty(16, 16)))
    m.other_law = nn.Parameter(torch.randn(16, 16))
    m.own = nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(3)))
    m.own_again = nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(3)))


@case
def another_default_dtype(m: Any) -> None:  # noqa: D103
    torch.set_default_dtype(torch.bfloat16)
    try:
        m.layer, m.norm = nn.Linear(40, 40), nn.LayerNorm(40)
        m.register_buffer("line", torch.linspace(0, 1, 33))
        m.register_buffer("tenths", torch.arange(10) / 10)
    finally:
        torch.set_default_dtype(torch.float32)


@case
def where_another_is(m: Any) -> None:  # noqa: D103
    like = torch.zeros(1, dtype=torch.float64)
    m.moved, m.typed = (
        nn.Parameter(torch.randn(9).to(like)),
        nn.Parameter(torch.randn(9).type_as(like)),
    )
    m.numbers = nn.Parameter(like.new_tensor([1.0, 2.0, 5.0]))
    m.sized = nn.Parameter(like.new(torch.Size([9])).normal_())
    m.last = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last).share_memory()
    m.register_buffer("signs", torch.tensor([0.0, -0.0]))


@case
def listed_rows(m: Any) -> None:  # noqa: D103
    m.rows, m.columns, m.filled = empty(40, 16), empty(40, 16), empty(40, 16)
    for tensor in (m.rows, m.columns, m.filled):
        nn.init.normal_(tensor)
    with torch.no_grad():
        m.rows[[0, 1, 5]] = 0
        m.columns[3:5, [7]] = 2.0
        m.filled.index_fill_(-1, torch.tensor([2, -1]), 9.0)
    table = torch.arange(12.0).reshape(4, 3)
    m.register_buffer("chosen", torch.stack([table[[0, 3]], table[np.array([1, 2])]]))


@case
def vmapped(m: Any) -> None:  # noqa: D103
    count = torch.arange(3)
    m.each = nn.Parameter(
        torch.vmap(lambda _: torch.randn(8, 8) * 2, randomness="different")(count)
    )
    m.same = nn.Parameter(torch.vmap(lambda _: torch.randn(8, 8), randomness="same")(count))


@case
def lines_of_its_own(m: Any) -> None:  # noqa: D103
    m.row, m.column, m.shifted, m.negated, m.swapped, m.mixed = (
        nn.Parameter(torch.randn(40, 64)) for _ in range(6)
    )
    with torch.no_grad():
        m.row[0].copy_(m.row[1])
        m.column.T[3] = m.column.T[2]
        m.shifted[:10] = m.shifted[5:15].clone()
        m.negated[:20] = -m.negated[20:]
        upper = m.swapped[:20].clone()
        m.swapped[:20] = m.swapped[20:]
        m.swapped[20:] = upper
        m.mixed[0] = torch.randn(64)
        m.mixed.T[3] = m.mixed.T[2]


@case
def turned_matrices(m: Any) -> None:  # noqa: D103
    m.sparse, m.as_three = empty(64, 48), empty(8, 8, 48)
    nn.init.sparse_(m.sparse.data.T, 0.5)
    nn.init.sparse_(m.as_three.data.view(64, 48), 0.5)
    m.orthogonal, m.other_rows = empty(64, 48), empty(64, 32)
    nn.init.orthogonal_(m.orthogonal.data.T)
    nn.init.orthogonal_(m.other_rows.data.view(32, 64))


@case
def rescaled_parts(m: Any) -> None:  # noqa: D103
    m.words, m.moved, m.narrow = (nn.Embedding(40, 16, padding_idx=0) for _ in range(3))
    m.words.weight.data.mul_(0.5)
    m.moved.weight.data = m.moved.weight.data * 2 + 1
    m.narrow.weight.data = m.narrow.weight.data.bfloat16() / 4
    m.lstm = nn.LSTM(16, 16)
    m.lstm.bias_ih_l0.data[16:32].fill_(1)
    m.lstm.bias_ih_l0.data /= 2


@case
def numbers_from_outside(m: Any) -> None:  # noqa: D103
    rng = np.random.default_rng()
    m.constant = nn.Parameter(torch.full((16,), random.SystemRandom().random()))
    m.spread = nn.Parameter(torch.randn(64, 64) * rng.uniform(0.01, 1.0))
    m.scalar = nn.Parameter(torch.tensor(rng.standard_normal()))
    m.rows = nn.Parameter(torch.randn(32, 32))
    with torch.no_grad():
        m.rows[: int(rng.integers(1, 1 << 30)) % 30 + 1] = 0
    m.seed = nn.Parameter(torch.full((3,), float(torch.initial_seed() % 99991)))
    m.single = nn.Parameter(torch.tensor([torch.randn(()), torch.randn(())]))
    m.known = nn.Parameter(torch.tensor([torch.ones(()), torch.ones(4).sum() - 3]))


@case
def memory_of_arrays(m: Any) -> None:  # noqa: D103
    m.register_buffer("diagonal", torch.zeros(6, 6))
    np.fill_diagonal(m.diagonal.numpy(), 1.0)
    m.columns, m.half = nn.Parameter(torch.ones(6, 6)), torch.zeros(6, dtype=torch.float16)
    m.columns.detach().t()[1:3].numpy()[:] = 4
    np.asarray(m.half)[1:] = 2
    m.register_buffer("halves", m.half)
    exchanged = torch.zeros(6)
    np.from_dlpack(exchanged)[2] = 7
    m.register_buffer("exchanged", exchanged)
    array = np.zeros(8, np.float32)
    m.register_buffer("later", torch.from_numpy(array))
    array[:4] = 3
    torch.from_numpy(array)[4:] = 1
    m.register_buffer("followed", torch.tensor(array * 2))
    m.drawn = nn.Parameter(torch.from_numpy(np.zeros((40, 40), np.float32)))
    nn.init.normal_(m.drawn)
    drawn = np.zeros((40, 40), np.float32)
    torch.from_numpy(drawn).normal_()
    m.copied = nn.Parameter(torch.tensor(drawn))
    m.register_buffer("filled", torch.empty(8))
    np.copyto(m.filled.numpy(), np.arange(8, dtype=np.float32))


@case
def asked_of_ghosts(m: Any) -> None:  # noqa: D103
    a, b = torch.ones(4), torch.ones(4)
    storages = {x.untyped_storage().data_ptr() for x in (a, b, a[2:])}
    first = a.data_ptr() == a.untyped_storage().data_ptr()
    same = a.view(2, 2).view(4).is_set_to(a), a.is_set_to(b)
    answers = len(storages), first, *same, a.type() == "torch.FloatTensor"
    m.register_buffer("answers", torch.full((2,), float(hash(answers) % (1 << 20))))
    a.apply_(lambda x: x + 2)
    b.map_(a, lambda x, y: x + y)
    m.register_buffer("a", a)
    m.register_buffer("b", b)


@case
def turned_in_place(m: Any) -> None:  # noqa: D103
    a, b, c = torch.randn(8, 6), torch.randn(8, 1), torch.arange(12.0).view(3, 4)
    m.turned, m.flat = nn.Parameter(a.t_()), nn.Parameter(b.squeeze_())
    m.register_buffer("table", c.transpose_(0, 1))


@case
def ends_of_dtypes(m: Any) -> None:  # noqa: D103
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        ends = torch.finfo(dtype)
        name = str(dtype).removeprefix("torch.")
        m.register_buffer(f"{name}_least", torch.full((3,), ends.min, dtype=dtype))
        m.register_buffer(f"{name}_tiny", torch.full((3,), ends.tiny, dtype=dtype))
    m.register_buffer("long", torch.full((3,), 2**63 - 1))
