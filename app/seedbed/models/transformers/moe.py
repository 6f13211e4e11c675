"""Decoders with experts: in the file each expert is on its own, in memory they are one tensor.

The library takes that tensor apart when it saves, and sorts what it saves by the names in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from seedbed.init import Parameter, zero
from seedbed.models.base import prefixed
from seedbed.models.config import words
from seedbed.models.transformers.decoder import PLAIN, Decoder, Kind
from seedbed.models.transformers.fields import (
    EXPERTS_MAX,
    Bias,
    Count,
    Experts,
    Heads,
    Inner,
    KeyValueHeads,
    Layers,
    Padding,
    Size,
    Token,
    Tokens,
    Vocabulary,
    Width,
)
from seedbed.models.transformers.llama import WITH_ANSWERS
from seedbed.models.transformers.parts import linear, normal, parameter, rms_norm

SPARSE: Kind = "sparse"

ROUTING = words(
    """
    aux_loss_alpha ep_size moe_layer_freq norm_topk_prob num_experts_per_tok output_router_logits
    routed_scaling_factor router_aux_loss_coef router_jitter_noise scoring_func seq_aux topk_group
    topk_method n_group
    """
)
"""Fields that say how tokens are routed."""

Step = Annotated[int, Field(ge=1, le=2**31, description="Every how many layers there are experts.")]
Dense = Annotated[
    list[Annotated[int, Field(ge=0)]], Field(description="Indices of layers without experts.")
]


def experts(
    name: str, count: int, inner: int, width: int, std: float, names: Sequence[str]
) -> Iterator[Parameter]:
    """Experts, one gated block each, in the order of the tensors that they are parts of.

    Args:
        name: of all of them.
        count: how many.
        inner: their width inside.
        width: of the residual stream.
        std: of every weight.
        names: of gate, input and output.
    """
    gate, up, down = names
    init = normal(std)
    for part, shape in ((down, (width, inner)), (gate, (inner, width)), (up, (inner, width))):
        for index in range(count):
            yield parameter(f"{name}.{index}.{part}.weight", shape, init)


GATED = ("gate_proj", "up_proj", "down_proj")


class Mixtral(Decoder):
    """Mixtral: Mistral with experts in every layer."""

    model_type = "mixtral"
    stem = "Mixtral"
    aliases = {"num_experts": "num_local_experts"}
    inert = ROUTING
    sorts = True
    heads = WITH_ANSWERS

    intermediate_size: Inner = 14336
    num_key_value_heads: KeyValueHeads | None = 8
    num_local_experts: Experts = 8

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Experts and their router."""
        name, count, width = "block_sparse_moe", self.num_local_experts, self.hidden_size
        yield from experts(
            f"{name}.experts", count, self.intermediate_size, width, self.std, ("w1", "w3", "w2")
        )
        yield from linear(f"{name}.gate", count, width, self.std, bias=False)

    def in_memory(self, name: str) -> str:
        """The block has another name in memory."""
        return super().in_memory(name).replace("block_sparse_moe", "mlp")


class Sparse(Decoder):
    """What Qwen's decoders with experts have in common."""

    sorts = True
    inert = ROUTING
    heads = WITH_ANSWERS

    vocab_size: Vocabulary = 151936
    hidden_size: Width = 2048
    num_hidden_layers: Layers = 24
    decoder_sparse_step: Step = 1
    moe_intermediate_size: Inner = 1408
    num_experts: Annotated[int, Field(ge=0, le=EXPERTS_MAX, description="Experts; 0 for none.")] = (
        60
    )
    mlp_only_layers: Dense | None = None
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = None

    def kinds(self) -> Sequence[Kind]:
        """Sparse in every `decoder_sparse_step`-th layer but those that are said to be dense."""
        dense = set(self.mlp_only_layers or ())
        step = self.decoder_sparse_step
        return [
            SPARSE if index not in dense and self.num_experts and (index + 1) % step == 0 else PLAIN
            for index in range(self.num_hidden_layers)
        ]

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Experts and their router, or a gated block."""
        if kind == PLAIN:
            yield from self.gated("mlp", self.intermediate_size)
            return
        count, width, std = self.num_experts, self.hidden_size, self.std
        yield from experts("mlp.experts", count, self.moe_intermediate_size, width, std, GATED)
        yield from linear("mlp.gate", count, width, std, bias=False)


class Qwen2Moe(Sparse):
    """Qwen 1.5 and 2 with experts: one more is shared, behind a gate."""

    model_type = "qwen2_moe"
    stem = "Qwen2Moe"

    intermediate_size: Inner = 5632
    num_attention_heads: Heads = 16
    num_key_value_heads: KeyValueHeads | None = 16
    shared_expert_intermediate_size: Inner = 5632
    qkv_bias: Bias = True

    def biased(self, projection: str) -> bool:
        """All but the output's."""
        return self.qkv_bias and projection != "o"

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """With the shared expert."""
        yield from super().feed_forward(kind)
        if kind == SPARSE:
            yield from self.gated("mlp.shared_expert", self.shared_expert_intermediate_size)
            yield from linear("mlp.shared_expert_gate", 1, self.hidden_size, self.std, bias=False)


class Qwen3Moe(Sparse):
    """Qwen 3 with experts: queries and keys normalised by head."""

    model_type = "qwen3_moe"
    stem = "Qwen3Moe"
    aliases = {"num_local_experts": "num_experts"}
    qa_body = "transformer"
    qk_norm = "head"

    intermediate_size: Inner = 6144
    num_attention_heads: Heads = 32
    num_key_value_heads: KeyValueHeads | None = 4
    moe_intermediate_size: Inner = 768
    num_experts: Annotated[int, Field(ge=0, le=EXPERTS_MAX, description="Experts; 0 for none.")] = (
        128
    )
    attention_bias: Bias = False


class Olmoe(Decoder):
    """OLMoE: OLMo 2's attention, experts in every layer."""

    model_type = "olmoe"
    stem = "Olmoe"
    aliases = {"num_local_experts": "num_experts"}
    sorts = True
    inert = ROUTING | words("clip_qkv")
    qk_norm = "whole"
    heads = {"ForCausalLM": "causal", "Model": "bare"}

    vocab_size: Vocabulary = 50304
    hidden_size: Width = 2048
    intermediate_size: Inner = 2048
    num_hidden_layers: Layers = 16
    num_attention_heads: Heads = 16
    num_experts: Experts = 64
    attention_bias: Bias = False
    bos_token_id: Token | None = None
    eos_token_id: Tokens | None = 50279
    pad_token_id: Padding | None = 1

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Experts and their router."""
        inner, width = self.intermediate_size, self.hidden_size
        yield from experts("mlp.experts", self.num_experts, inner, width, self.std, GATED)
        yield from linear("mlp.gate", self.num_experts, width, self.std, bias=False)


class GraniteMoe(Decoder):
    """Granite 3 with experts, which are one tensor in the file, too."""

    model_type = "granitemoe"
    stem = "GraniteMoe"
    aliases = {"num_experts": "num_local_experts"}
    sorts = True
    inert = ROUTING | words(
        "attention_multiplier embedding_multiplier logits_scaling residual_multiplier"
    )
    heads = {"ForCausalLM": "causal", "Model": "bare"}

    num_local_experts: Experts = 8
    attention_bias: Bias = False

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Experts and their router."""
        count, inner, width = self.num_local_experts, self.intermediate_size, self.hidden_size
        init, name = normal(self.std), "block_sparse_moe"
        yield parameter(f"{name}.output_linear.weight", (count, width, inner), init)
        yield parameter(f"{name}.input_linear.weight", (count, 2 * inner, width), init)
        yield from linear(f"{name}.router.layer", count, width, self.std, bias=False)

    def in_memory(self, name: str) -> str:
        """As experts, which are sorted before their router."""
        return name.replace("output_linear.weight", "experts.down").replace(
            "input_linear.weight", "experts.up"
        )


class Latent(Decoder):
    """Latent attention, experts after the first few layers, some of them shared."""

    sorts = True
    inert = ROUTING | words("qk_head_dim head_dim rope_interleave num_nextn_predict_layers")

    attention_bias: Bias = False
    first_k_dense_replace: Count = 0
    kv_lora_rank: Size = 512
    q_lora_rank: Size | None = 1536
    qk_nope_head_dim: Size = 128
    qk_rope_head_dim: Size = 64
    v_head_dim: Size = 128
    n_routed_experts: Experts = 64
    n_shared_experts: Experts = 2
    moe_intermediate_size: Inner = 1407

    def kinds(self) -> Sequence[Kind]:
        """Dense, then sparse."""
        first = min(self.first_k_dense_replace, self.num_hidden_layers)
        return [PLAIN] * first + [SPARSE] * (self.num_hidden_layers - first)

    def attention(self) -> Iterator[Parameter]:
        """Queries, keys and values by way of narrow latents."""
        width, heads, std = self.hidden_size, self.num_attention_heads, self.std
        bias = self.attention_bias
        query = heads * (self.qk_nope_head_dim + self.qk_rope_head_dim)
        if self.q_lora_rank is None:
            yield from linear("q_proj", query, width, std, bias=False)
        else:
            yield from linear("q_a_proj", self.q_lora_rank, width, std, bias=bias)
            yield rms_norm("q_a_layernorm", self.q_lora_rank)
            yield from linear("q_b_proj", query, self.q_lora_rank, std, bias=False)
        latent = self.kv_lora_rank
        both = latent + self.qk_rope_head_dim
        yield from linear("kv_a_proj_with_mqa", both, width, std, bias=bias)
        yield rms_norm("kv_a_layernorm", latent)
        keys_and_values = heads * (self.qk_nope_head_dim + self.v_head_dim)
        yield from linear("kv_b_proj", keys_and_values, latent, std, bias=False)
        yield from linear("o_proj", width, heads * self.v_head_dim, std, bias=bias)

    def feed_forward(self, kind: Kind) -> Iterator[Parameter]:
        """Experts, routed and shared, or a gated block."""
        if kind == PLAIN:
            yield from self.gated("mlp", self.intermediate_size)
            return
        count, inner, width = self.n_routed_experts, self.moe_intermediate_size, self.hidden_size
        yield from experts("mlp.experts", count, inner, width, self.std, GATED)
        yield from prefixed("mlp.gate", self.router())
        yield from self.gated("mlp.shared_experts", inner * self.n_shared_experts)

    def router(self) -> Iterator[Parameter]:
        """What sends tokens to experts."""
        shape = self.n_routed_experts, self.hidden_size
        yield parameter("weight", shape, normal(self.std))


class DeepseekV2(Latent):
    """DeepSeek V2."""

    model_type = "deepseek_v2"
    stem = "DeepseekV2"
    aliases = {"num_experts": "n_routed_experts"}
    heads = {"ForCausalLM": "causal", "Model": "bare", "ForSequenceClassification": "sequences"}

    vocab_size: Vocabulary = 102400
    mlp_bias: Bias = False


class DeepseekV3(Latent):
    """DeepSeek V3 and R1: the router has a correction for balance, which starts as zeros."""

    model_type = "deepseek_v3"
    stem = "DeepseekV3"
    aliases = {
        "num_local_experts": "n_routed_experts",
        "num_mtp_layers": "num_nextn_predict_layers",
    }
    inert = Latent.inert | words("mlp_bias")  # the library asks for it in V2 only
    heads = Decoder.heads

    vocab_size: Vocabulary = 129280
    hidden_size: Width = 7168
    intermediate_size: Inner = 18432
    num_hidden_layers: Layers = 61
    num_attention_heads: Heads = 128
    num_key_value_heads: KeyValueHeads | None = 128
    first_k_dense_replace: Count = 3
    n_routed_experts: Experts = 256
    n_shared_experts: Experts = 1
    moe_intermediate_size: Inner = 2048
    bos_token_id: Token | None = 0
    eos_token_id: Tokens | None = 1

    def router(self) -> Iterator[Parameter]:
        """With the correction."""
        yield from super().router()
        yield parameter("e_score_correction_bias", (self.n_routed_experts,), zero())


FAMILIES = (Mixtral, Qwen2Moe, Qwen3Moe, Olmoe, GraniteMoe, DeepseekV2, DeepseekV3)
