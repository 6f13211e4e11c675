"""State-space models: Mamba, Mamba 2, and Jamba, which has layers of attention and experts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from seedbed.init import Parameter, Scheme, one, scheme, symmetric
from seedbed.models.base import prefixed
from seedbed.models.config import Config, words
from seedbed.models.transformers.decoder import Decoder, Kind
from seedbed.models.transformers.family import Family
from seedbed.models.transformers.fields import (
    Bias,
    Count,
    Experts,
    Flag,
    HeadDim,
    Heads,
    Inner,
    KeyValueHeads,
    Layers,
    Padding,
    Size,
    Std,
    Tied,
    Token,
    Tokens,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.moe import GATED, ROUTING, experts
from seedbed.models.transformers.parts import (
    embedding,
    linear,
    parameter,
    repeat,
    rms_norm,
    weight,
)

Rank = Annotated[
    Size | Literal["auto"], Field(description="Rank of the step sizes; auto: a 16th of the width.")
]
State = Annotated[int, Field(ge=1, le=2**31, description="Width of the state.")]
Step = Annotated[float, Field(gt=0.0, le=1e6, description="A step size.")]

COMMON = words(
    """
    chunk_size conv_init d_inner d_model fused_add_norm intermediate_size n_layer num_ln
    residual_in_fp32 ssm_cfg time_step_limit use_associative_scan use_mambapy
    """
)


def rank(value: int | str, width: int) -> int:
    """The rank that a config means."""
    return -(-width // 16) if isinstance(value, str) else value


class StateSpace(Family):
    """What Mamba and Mamba 2 have in common."""

    inert = COMMON
    generates = ("ForCausalLM",)
    heads = {"ForCausalLM": "causal", "Model": "bare"}

    vocab_size: Vocabulary = 50280
    hidden_size: Width = 768
    state_size: State = 16
    num_hidden_layers: Layers = 32
    expand: Size = 2
    conv_kernel: Size = 4
    use_bias: Bias = False
    use_conv_bias: Bias = True
    initializer_range: Std = 0.1
    time_step_rank: Rank = "auto"
    time_step_min: Step = 0.001
    time_step_max: Step = 0.1
    time_step_floor: Step = 1e-4
    rescale_prenorm_residual: Flag = False
    tie_word_embeddings: Tied = True
    bos_token_id: Token | None = 0
    eos_token_id: Tokens | None = 0
    pad_token_id: Padding | None = 0

    def check(self, config: Config) -> None:
        """Step sizes are in order."""
        if self.time_step_min >= self.time_step_max:
            raise config.error("time_step_max", f"must be above {self.time_step_min}")

    @property
    def inner(self) -> int:
        """Width inside a mixer."""
        return self.expand * self.hidden_size

    @property
    def steps(self) -> Scheme:
        """Biases whose softplus is a step size."""
        return scheme(
            "mamba_dt_bias",
            dt_min=self.time_step_min,
            dt_max=self.time_step_max,
            floor=self.time_step_floor,
        )

    def convolution(self, channels: int) -> Iterator[Parameter]:
        """A causal convolution of each channel."""
        bound = symmetric(1.0 / math.sqrt(self.conv_kernel))
        shape = channels, 1, self.conv_kernel
        return weight("conv1d", shape, bound, bias=self.use_conv_bias)

    def output(self) -> Iterator[Parameter]:
        """Back to the residual stream, scaled down by the depth if that is asked for."""
        depth = self.num_hidden_layers if self.rescale_prenorm_residual else 1
        bound = symmetric(1.0 / math.sqrt(self.inner * depth))
        return weight("out_proj", (self.hidden_size, self.inner), bound, bias=self.use_bias)

    def mixer(self) -> Iterator[Parameter]:
        """What a layer is, but for its norm."""
        raise NotImplementedError

    def block(self) -> Iterator[Parameter]:
        """One layer."""
        yield rms_norm("norm", self.hidden_size)
        yield from prefixed("mixer", self.mixer())

    def bare(self) -> Iterator[Parameter]:
        """Without a head."""
        yield embedding("embeddings", self.vocab_size, self.hidden_size, self.std)
        yield from repeat("layers", self.num_hidden_layers, self.block())
        yield rms_norm("norm_f", self.hidden_size)

    def causal(self) -> Iterator[Parameter]:
        """With a language model's head."""
        yield from prefixed("backbone", self.bare())
        if not self.tie_word_embeddings:
            yield from linear("lm_head", self.vocab_size, self.hidden_size, self.std, bias=False)


class Mamba(StateSpace):
    """Mamba."""

    model_type = "mamba"
    stem = "Mamba"

    time_step_scale: Annotated[
        float, Field(gt=0.0, le=1e6, description="Multiplies the spread of the step projection.")
    ] = 1.0
    time_step_init_scheme: Annotated[
        Literal["random", "constant"], Field(description="How the step projection starts.")
    ] = "random"

    def mixer(self) -> Iterator[Parameter]:
        """A selective state space between two projections."""
        width, inner, state = self.hidden_size, self.inner, self.state_size
        steps = rank(self.time_step_rank, width)
        yield parameter("A_log", (inner, state), scheme("mamba_A_log"))
        yield parameter("D", (inner,), one())
        yield from self.convolution(inner)
        yield from linear("in_proj", 2 * inner, width, self.std, bias=self.use_bias)
        yield from linear("x_proj", steps + 2 * state, inner, self.std, bias=False)
        bound = self.time_step_scale / math.sqrt(steps)
        random = self.time_step_init_scheme == "random"
        init = symmetric(bound) if random else scheme("constant", value=bound)
        yield parameter("dt_proj.weight", (inner, steps), init)
        yield parameter("dt_proj.bias", (inner,), self.steps)
        yield from self.output()


class Mamba2(StateSpace):
    """Mamba 2: one decay a head, and a norm inside the mixer."""

    model_type = "mamba2"
    stem = "Mamba2"
    inert = COMMON | words("rms_norm norm_before_gate")

    num_heads: Heads = 128
    head_dim: HeadDim = 64
    vocab_size: Vocabulary = 32768
    hidden_size: Width = 4096
    state_size: State = 128
    num_hidden_layers: Layers = 64
    n_groups: Size = 8
    tie_word_embeddings: Tied = False
    eos_token_id: Tokens | None = 2
    pad_token_id: Padding | None = 1

    def check(self, config: Config) -> None:
        """Heads share the width inside a mixer."""
        super().check(config)
        if self.inner != self.num_heads * self.head_dim:
            raise config.error(
                "num_heads",
                f"{self.num_heads} heads of {self.head_dim} are not the {self.inner} that "
                "hidden_size times expand is",
            )

    def mixer(self) -> Iterator[Parameter]:
        """A state space whose decay is one number a head."""
        inner, heads = self.inner, self.num_heads
        channels = inner + 2 * self.n_groups * self.state_size
        yield parameter("dt_bias", (heads,), self.steps)
        yield parameter("A_log", (heads,), scheme("mamba_A_log"))
        yield parameter("D", (heads,), one())
        yield from self.convolution(channels)
        rows = inner + channels + heads
        yield from linear("in_proj", rows, self.hidden_size, self.std, bias=self.use_bias)
        yield rms_norm("norm", inner)
        yield from self.output()


class Jamba(Decoder):
    """Jamba: layers of Mamba with one of attention among them, some with experts."""

    model_type = "jamba"
    stem = "Jamba"
    aliases = {"num_local_experts": "num_experts"}
    inert = (
        COMMON
        | ROUTING
        | words("calc_logits_for_entire_prompt num_logits_to_keep use_mamba_kernels")
    )
    sorts = True
    norms = ("input_layernorm", "pre_ff_layernorm")
    heads = {"ForCausalLM": "causal", "Model": "bare", "ForSequenceClassification": "sequences"}

    vocab_size: Vocabulary = 65536
    intermediate_size: Inner = 14336
    num_key_value_heads: KeyValueHeads | None = 8
    num_experts: Experts = 16
    expert_layer_period: Size = 2
    expert_layer_offset: Count = 1
    attn_layer_period: Size = 8
    attn_layer_offset: Count = 4
    mamba_d_state: State = 16
    mamba_d_conv: Size = 4
    mamba_expand: Size = 2
    mamba_dt_rank: Rank = "auto"
    mamba_conv_bias: Bias = True
    mamba_proj_bias: Bias = False
    pad_token_id: Padding | None = 0

    def check(self, config: Config) -> None:
        """Offsets are below their periods."""
        super().check(config)
        for what in ("expert", "attn"):
            period = getattr(self, f"{what}_layer_period")
            if getattr(self, f"{what}_layer_offset") >= period:
                raise config.error(f"{what}_layer_offset", f"must be below the period, {period}")

    def kinds(self) -> Sequence[Kind]:
        """What mixes positions, and what follows it."""
        layers = []
        for index in range(self.num_hidden_layers):
            attends = index % self.attn_layer_period == self.attn_layer_offset
            sparse = index % self.expert_layer_period == self.expert_layer_offset
            mixer = "attention" if attends else "mamba"
            layers.append(f"{mixer} {'sparse' if sparse and self.num_experts > 1 else 'plain'}")
        return layers

    def mixer(self) -> Iterator[Parameter]:
        """A layer of Mamba, with norms on what it takes from its input."""
        width, state, std = self.hidden_size, self.mamba_d_state, self.std
        inner, steps = self.mamba_expand * width, rank(self.mamba_dt_rank, width)
        yield parameter("A_log", (inner, state), scheme("mamba_A_log"))
        yield parameter("D", (inner,), one())
        for name, size in (("b", state), ("c", state), ("dt", steps)):
            yield rms_norm(f"{name}_layernorm", size)
        bias = self.mamba_proj_bias
        yield from linear("in_proj", 2 * inner, width, std, bias=bias)
        yield from linear("out_proj", width, inner, std, bias=bias)
        yield from linear("x_proj", steps + 2 * state, inner, std, bias=False)
        yield from linear("dt_proj", inner, steps, std)
        shape = inner, 1, self.mamba_d_conv
        normal = scheme("normal", std=std)
        yield from weight("conv1d", shape, normal, bias=self.mamba_conv_bias)

    def block(self, kind: Kind) -> Iterator[Parameter]:
        """One layer of a kind."""
        mixer, _, after = kind.partition(" ")
        if mixer == "attention":
            yield from prefixed("self_attn", self.attention())
        else:
            yield from prefixed("mamba", self.mixer())
        name, count = "feed_forward", self.num_experts
        if after == "plain":
            yield from self.gated(name, self.intermediate_size)
        else:
            inner, width = self.intermediate_size, self.hidden_size
            yield from experts(f"{name}.experts", count, inner, width, self.std, GATED)
            yield from linear(f"{name}.router", count, width, self.std, bias=False)
        for norm in self.norms:
            yield rms_norm(norm, self.hidden_size)

    def bare(self, within: str = "") -> Iterator[Parameter]:
        """Without a head; the last norm has another name."""
        width, std = self.hidden_size, self.std
        yield embedding(f"{within}embed_tokens", self.vocab_size, width, std, self.pad_token_id)
        yield rms_norm(f"{within}final_layernorm", width)
        yield from self.layers(f"{within}layers")


FAMILIES = (Mamba, Mamba2, Jamba)
